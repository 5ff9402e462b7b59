//! Frames that end when the line is quiet: time comes in as an argument.

use super::*;

const MS: Duration = Duration::from_millis(1);

/// Plays bytes at moments, in milliseconds; an empty text is a tick.
fn play(document: &Value, script: &[(&str, u32)]) -> Vec<String> {
    let mut pipeline = Pipeline::new(&framing(document), Arc::new([]), OnBadChecksum::Reject);
    let (t0, mut seen) = (start(), Vec::new());
    for (bytes, at) in script {
        let now = t0 + *at * MS;
        if bytes.is_empty() {
            pipeline.tick(now);
        } else {
            if pipeline.listen(now) {
                drain(&mut pipeline, now, &mut seen);
            }
            pipeline.push(bytes.as_bytes());
        }
        drain(&mut pipeline, now, &mut seen);
        let deadline = pipeline.deadline();
        assert!(deadline.is_none_or(|deadline| deadline > now), "at {at}");
    }
    seen
}

#[test]
fn a_quiet_line_ends_a_frame() {
    let plain = json!({"type": "idle", "ms": 50, "maxBytes": 6, "incompleteTimeoutMs": 100});
    let mixed = json!({"type": "switch", "cases": [
        {"start": "*", "type": "delimiter", "end": "#"}, {"type": "idle", "ms": 50}]});
    for (document, script, expected) in [
        (
            &plain,
            &[("ab", 0), ("", 49), ("c", 49), ("", 98), ("", 99)][..],
            &["0 abc"][..],
        ),
        (
            &plain,
            &[("ab", 0), ("", 50), ("c", 51), ("", 101), ("", 500)],
            &["0 ab", "0 c"],
        ),
        // Whether anybody looked at the clock between makes no difference.
        (&plain, &[("ab", 0), ("c", 50), ("d", 99)], &["0 ab"]),
        (
            &plain,
            &[("ab", 0), ("c", 49), ("d", 90), ("e", 99), ("", 100)],
            &["incomplete 5"],
        ),
        (
            &plain,
            &[
                ("ab", 0),
                ("c", 49),
                ("d", 90),
                ("", 100),
                ("e", 120),
                ("", 170),
                ("f", 180),
                ("", 230),
            ],
            &["incomplete 4", "0 f"],
        ),
        (
            &plain,
            &[("abcdefg", 0), ("h", 49), ("", 99), ("i", 100), ("", 150)],
            &["too long", "0 i"],
        ),
        (
            &plain,
            &[
                ("abcdef", 0),
                ("", 50),
                ("abcdef", 60),
                ("g", 61),
                ("h", 120),
                ("", 170),
            ],
            &["0 abcdef", "too long", "0 h"],
        ),
        (
            &mixed,
            &[
                ("*a#", 0),
                ("b*c", 500),
                ("", 550),
                ("*d", 560),
                ("", 700),
                ("#", 800),
            ],
            &["0 a", "0 b*c", "0 d"],
        ),
    ] {
        assert_eq!(play(document, script), expected, "{document} {script:?}");
    }
}

#[test]
fn a_line_that_nobody_listens_to_is_not_quiet() {
    let t0 = start();
    let document = json!({"type": "idle", "ms": 50});
    let mut pipeline = Pipeline::new(&framing(&document), Arc::new([]), OnBadChecksum::Reject);
    pipeline.push(b"ab");
    assert_eq!(pipeline.next(t0), None);
    pipeline.pause();
    assert!(!pipeline.listen(t0 + 500 * MS));
    assert_eq!(pipeline.next(t0 + 500 * MS), None);
    assert_eq!(pipeline.deadline(), Some(t0 + 550 * MS));
}

#[test]
fn only_the_device_ends_a_frame_that_is_a_whole_connection() {
    for (kind, cut, expected) in [
        (json!({"type": "connection"}), false, "0 ab"),
        (json!({"type": "connection"}), true, "half 2"),
        (json!({"type": "idle", "ms": 50}), true, "0 ab"),
        (
            json!({"type": "delimiter", "end": ["b", "bc"]}),
            true,
            "0 a",
        ),
    ] {
        let mut pipeline = Pipeline::new(&framing(&kind), Arc::new([]), OnBadChecksum::Reject);
        let mut seen = Vec::new();
        pipeline.push(b"ab");
        drain(&mut pipeline, start(), &mut seen);
        assert_eq!(seen, [""; 0], "{kind}");
        if cut {
            pipeline.cut()
        } else {
            pipeline.end()
        }
        drain(&mut pipeline, start(), &mut seen);
        assert_eq!(seen, [expected], "{kind}");
    }
    let patient = framing(&json!({"type": "connection"}));
    let mut pipeline = Pipeline::new(&patient, Arc::new([]), OnBadChecksum::Reject);
    pipeline.push(b"ab");
    assert_eq!((pipeline.next(start()), pipeline.deadline()), (None, None));
}

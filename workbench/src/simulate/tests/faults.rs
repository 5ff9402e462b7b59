//! What goes wrong on purpose breaks what it should, and nothing else.

use edge_tcp_gateway::pipeline::Received;
use edge_tcp_gateway::settings::Presets;
use fastrand::Rng;

use super::pack;
use crate::simulate::cast::{Cast, Line};
use crate::simulate::faults::{Fault, Faults, bad_checksum, garbage_before, is_frame};
use crate::simulate::stage::Stage;

/// Packs whose framing finds no frame behind garbage: it has no mark at which one begins.
const WITHOUT_START: [&str; 4] = ["barcode", "contact-id", "modbus-tcp", "mt-sics"];

fn each(mut test: impl FnMut(&str, &Stage, &Line)) {
    for preset in Presets::names() {
        let pack = pack(preset);
        let cast = Cast::new(&pack).expect("a cast");
        let scripts = cast.scripts(&pack, 2).expect("scripts");
        for line in scripts[1].opening.iter().chain(&scripts[1].cycle) {
            test(&pack.name, cast.stage(), line);
        }
    }
}

#[test]
fn garbage_is_skipped_and_the_frame_behind_it_found() {
    each(|name, stage, line| {
        for seed in 0..20 {
            let found = garbage_before(stage, &line.wire, &mut Rng::with_seed(seed));
            let Some(garbage) = found else {
                continue;
            };
            assert!(!garbage.is_empty());
            let together = [&garbage[..], &line.wire].concat();
            let frames = |bytes: &[u8]| -> Vec<Received> {
                stage.received(bytes).into_iter().filter(is_frame).collect()
            };
            assert_eq!(frames(&together), frames(&line.wire), "{name}, seed {seed}");
        }
    });
}

#[test]
fn a_framing_with_a_mark_in_front_finds_the_frame_behind_garbage() {
    each(|name, stage, line| {
        let found = garbage_before(stage, &line.wire, &mut Rng::with_seed(1));
        if ["gt06", "teltonika", "jt808", "h02", "mbus", "dnp3"].contains(&name) {
            assert!(found.is_some(), "{name}");
        }
        if WITHOUT_START.contains(&name) {
            assert_eq!(found, None, "{name}");
        }
    });
}

#[test]
fn a_wrong_check_value_is_seen_as_that_alone() {
    each(|name, stage, line| {
        let broken = bad_checksum(stage, &line.wire, &mut Rng::with_seed(1));
        if stage.protocol.checksums.is_empty() {
            assert_eq!(broken, None, "{name}");
        }
        if let Some(broken) = broken {
            let received = stage.received(&broken);
            assert!(
                matches!(received[..], [Received::BadChecksum { .. }]),
                "{name}: {received:?}"
            );
            let changed = broken.iter().zip(&line.wire);
            assert_eq!(changed.filter(|(new, old)| new != old).count(), 1);
        }
    });
    let pack = pack("gt06");
    let cast = Cast::new(&pack).expect("a cast");
    let login = &cast.scripts(&pack, 1).expect("scripts")[0].opening[0];
    assert!(bad_checksum(cast.stage(), &login.wire, &mut Rng::with_seed(1)).is_some());
}

#[test]
fn faults_come_as_often_as_is_said_and_the_same_again() {
    let faults = Faults {
        kinds: vec![Fault::Split, Fault::Reset],
        rate: 0.2,
    };
    let draw = |seed| -> Vec<Option<Fault>> {
        let mut rng = Rng::with_seed(seed);
        (0..10_000).map(|_| faults.next(&mut rng)).collect()
    };
    let drawn = draw(7);
    for kind in [Fault::Split, Fault::Reset] {
        let count = drawn.iter().filter(|fault| **fault == Some(kind)).count();
        assert!((900..1100).contains(&count), "{kind}: {count}");
    }
    assert_eq!(drawn, draw(7));
    assert_ne!(drawn, draw(8));
    let mut rng = Rng::with_seed(7);
    assert!((0..100).all(|_| Faults::default().next(&mut rng).is_none()));
}

#[test]
fn every_fault_has_its_word() {
    for fault in Fault::all() {
        assert_eq!(fault.to_string().parse(), Ok(fault));
    }
    let wrong = "splitt".parse::<Fault>().expect_err("no fault");
    assert!(wrong.contains("\"split\""), "{wrong}");
}

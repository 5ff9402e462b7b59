use super::*;
use crate::template::Memory;

fn context<'a>(fields: &'a Fields, memory: &'a Memory) -> Context<'a> {
    Context {
        fields,
        frame: &[],
        device: None,
        arguments: fields,
        now: None,
        memory,
        checksum: None,
        caller: None,
        confidential: false,
    }
}

fn exchange(send: &str, answer: &str) -> Exchange {
    let raw = serde_json::json!({"type": "raw"});
    let decoder = crate::decoding::read(Some(&Section::root(&raw)), None, &mut Problems::new());
    let question = modbus::Question {
        name: "x".into(),
        send: send.to_owned(),
        answer: answer.to_owned(),
        refused: "length = 0".to_owned(),
        decoder: decoder.unwrap(),
    };
    Exchange::of_registers("x", question).unwrap()
}

#[test]
fn an_answer_repeats_the_counter_as_it_was_written() {
    let exchange = exchange("0x{count seq: u8}", "seq = {count seq} and kind = 2");
    let mut memory = Memory::default();
    for _ in 0..257 {
        memory.advance(["seq"].into_iter());
    }
    let nothing = Fields::new();
    let echo = exchange.echo(&context(&nothing, &memory)).unwrap();
    let frame = |seq: i128, kind: i128| -> Fields {
        let seq = ("seq".into(), crate::message::Value::integer(seq));
        let kind = ("kind".into(), crate::message::Value::integer(kind));
        [seq, kind].into_iter().collect()
    };
    let judge = |fields: &Fields| exchange.judge(b"x", fields, &echo);
    assert_eq!(judge(&frame(1, 2)), Some(Verdict::Answer));
    assert_eq!(judge(&frame(257, 2)), None);
    assert_eq!(judge(&frame(1, 3)), None);
    assert_eq!(judge(&nothing), None);
}

#[test]
fn two_questions_are_told_apart_by_what_both_repeat() {
    let exchange = exchange("0x00", "unit = {unit} and length = 1");
    let memory = Memory::default();
    let of_unit = |unit: i128| -> Fields {
        [("unit".into(), crate::message::Value::integer(unit))]
            .into_iter()
            .collect()
    };
    let echo = |unit| exchange.echo(&context(&of_unit(unit), &memory)).unwrap();
    assert!(echo(1).differs(&echo(2)));
    assert!(!echo(1).differs(&echo(1)));
    assert!(!echo(1).differs(&Echo::default()));
}

#[test]
fn numbers_that_are_written_differently_are_the_same() {
    let echo = |text: &str| Echo(vec![("unit".to_owned(), Literal::new(text))]);
    for (one, other) in [("1", "01"), ("1", "1.0"), ("16", "0x10"), ("0x61", "a")] {
        assert!(!echo(one).differs(&echo(other)), "{one} {other}");
    }
    for (one, other) in [("1", "2"), ("a", "A"), ("1", "on"), ("0x10", "0x11")] {
        assert!(echo(one).differs(&echo(other)), "{one} {other}");
    }
}

#[test]
fn what_a_refusal_repeats_stands_in_answer_alone() {
    let read = |text: &str| {
        let mut problems = Problems::new();
        let document = serde_json::json!({ "where": text });
        let refused = read_refused(&Section::root(&document), &mut problems);
        (refused.is_some(), problems)
    };
    assert!(read("kind = no and code = 3").0);
    let (taken, problems) = read("no = {count seq}");
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert!(!taken && problem.message.contains("must hold of a refusal too"));
    assert_eq!(problem.pointer, "/where");
}

#[test]
fn conditions_may_have_holes_in_them_and_mistakes_their_column() {
    for (text, terms_in_it) in [
        ("seq = {count seq}", 1),
        ("a = 'x and y' and b = {arg c + 1}", 2),
        ("u8 at 0 & 0x80 and length = 3..5", 2),
    ] {
        assert_eq!(terms(text).unwrap().len(), terms_in_it, "{text}");
    }
    for (text, column) in [
        ("a = 1 and b {count x}", 11),
        ("a = 1 and b = {count}", 21),
        ("a = 1 and =", 11),
        ("{count x}", 1),
    ] {
        assert_eq!(terms(text).unwrap_err().column, column, "{text}");
    }
}

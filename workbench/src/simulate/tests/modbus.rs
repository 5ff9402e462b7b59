//! Requests and answers byte by byte, made by hand from the specification.

use super::{hex, shown};
use crate::simulate::modbus::{Bus, Request, Transport};

/// Unit, request, answer; the steps are 0.
const EXCHANGES: &[(u8, &str, &str)] = &[
    // A bit is on where unit, address and step are even together.
    (1, "01 0000 0001", "01 01 00"),
    (1, "01 0000 000a", "01 02 aa 02"),
    (2, "02 0000 0003", "02 01 05"),
    // A register is a thousand times the unit, and the address.
    (1, "03 0000 0002", "03 04 03e8 03e9"),
    (2, "03 0010 0001", "03 02 07e0"),
    (3, "04 270f 0001", "04 02 32c7"),
    (247, "03 0000 0001", "03 02 c4d8"),
    // Illegal addresses: the first behind the last, and one that is over the end.
    (1, "03 2710 0001", "83 02"),
    (1, "04 270f 0002", "84 02"),
    (1, "01 ffff 0001", "81 02"),
    (1, "05 2710 ff00", "85 02"),
    (1, "06 2710 0001", "86 02"),
    (1, "0f 2710 0001 01 01", "8f 02"),
    (1, "10 270f 0002 04 0001 0002", "90 02"),
    // Illegal values: counts out of their ranges, a coil that is neither, bytes that are not counted.
    (1, "01 0000 0000", "81 03"),
    (1, "01 0000 07d1", "81 03"),
    (1, "03 0000 0000", "83 03"),
    (1, "03 0000 007e", "83 03"),
    (1, "05 0000 0001", "85 03"),
    (1, "0f 0000 0008 02 01 00", "8f 03"),
    (1, "0f 0000 07b1 f7", "8f 03"),
    (1, "10 0000 0002 04 0001", "90 03"),
    (1, "10 0000 007c f8", "90 03"),
    (1, "03 0000", "83 03"),
    // Functions that are not there.
    (1, "07", "87 01"),
    (1, "2b 0e 01 00", "ab 01"),
    // Written, and read back.
    (1, "06 0001 0003", "06 0001 0003"),
    (1, "03 0000 0003", "03 06 03e8 0003 03ea"),
    (1, "10 0001 0002 04 000a 0102", "10 0001 0002"),
    (1, "03 0001 0002", "03 04 000a 0102"),
    (1, "04 0001 0001", "04 02 03e9"),
    (1, "05 00ac ff00", "05 00ac ff00"),
    (1, "01 00ac 0001", "01 01 01"),
    (1, "05 00ad 0000", "05 00ad 0000"),
    (1, "01 00ac 0002", "01 01 01"),
    (1, "0f 0013 000a 02 cd01", "0f 0013 000a"),
    (1, "01 0013 000a", "01 02 cd 01"),
    (2, "03 0001 0001", "03 02 07d1"),
];

#[test]
fn a_unit_answers_as_the_specification_says() {
    let mut bus = Bus::new(&[1, 2, 3, 247]);
    for (unit, request, answer) in EXCHANGES {
        let found = bus.answer(*unit, &hex(request), 0).expect("a unit");
        assert_eq!(shown(&found), answer.replace(' ', ""), "{unit}: {request}");
    }
}

#[test]
fn the_longest_reads_and_writes_fit() {
    let mut bus = Bus::new(&[1]);
    let bits = bus.answer(1, &hex("01 0000 07d0"), 0).expect("bits");
    assert_eq!((bits.len(), bits[1]), (252, 250));
    let registers = bus.answer(1, &hex("03 0000 007d"), 0).expect("registers");
    assert_eq!((registers.len(), registers[1]), (252, 250));
    let all = [hex("10 0000 007b f6"), vec![7; 246]].concat();
    assert_eq!(bus.answer(1, &all, 0), Some(hex("10 0000 007b")));
    let all = [hex("0f 0000 07b0 f6"), vec![0xff; 246]].concat();
    assert_eq!(bus.answer(1, &all, 0), Some(hex("0f 0000 07b0")));
    assert_eq!(
        bus.answer(1, &hex("01 07af 0001"), 0),
        Some(hex("01 01 01"))
    );
}

#[test]
fn values_move_by_steps_and_written_ones_stay() {
    let mut bus = Bus::new(&[1]);
    let mut read = |request: &str, step| shown(&bus.answer(1, &hex(request), step).expect("one"));
    assert_eq!(read("06 0000 002a", 0), "060000002a");
    for (step, holding, input, coil) in [
        (0, "0302002a", "040203e8", "010100"),
        (1, "0302002a", "040203e9", "010101"),
        (59, "0302002a", "04020423", "010101"),
        (60, "0302002a", "040203e8", "010100"),
    ] {
        assert_eq!(read("03 0000 0001", step), holding);
        assert_eq!(read("04 0000 0001", step), input);
        assert_eq!(read("01 0000 0001", step), coil);
    }
}

#[test]
fn a_unit_that_is_not_there_says_nothing_and_all_units_hear_unit_0() {
    let mut bus = Bus::new(&[1, 2]);
    assert_eq!(bus.answer(3, &hex("03 0000 0001"), 0), None);
    assert_eq!(bus.answer(0, &hex("06 0000 0007"), 0), None);
    for unit in [1, 2] {
        let read = bus.answer(unit, &hex("03 0000 0001"), 0);
        assert_eq!(read, Some(hex("03 02 0007")));
    }
}

fn requests(pack: &str, bytes: &[u8], size: usize) -> Vec<Request> {
    let transport = Transport::of(pack).expect("one of Modbus");
    let mut waiting = Vec::new();
    let mut found = Vec::new();
    for piece in bytes.chunks(size) {
        waiting.extend_from_slice(piece);
        found.extend(std::iter::from_fn(|| transport.take(&mut waiting)));
    }
    found
}

#[test]
fn requests_are_cut_however_they_come() {
    let request = |transaction, unit, words: &str| Request {
        transaction,
        unit,
        words: hex(words),
    };
    let tcp = hex("0001 0000 0006 11 03 006b 0003  0002 0000 0009 01 10 0001 0001 02 0007");
    let rtu = hex("11 03 006b 0003 7687  01 10 0001 0001 02 0007 e643");
    for size in [1, 2, 5, 64] {
        let expected = [
            request(1, 0x11, "03 006b 0003"),
            request(2, 1, "10 0001 0001 02 0007"),
        ];
        assert_eq!(requests("modbus-tcp", &tcp, size), expected);
        let without = expected.map(|request| Request {
            transaction: 0,
            ..request
        });
        assert_eq!(requests("modbus-rtu", &rtu, size), without);
    }
}

#[test]
fn what_cannot_be_a_request_is_dropped() {
    for (pack, bytes) in [
        ("modbus-tcp", "0001 0001 0006 01 03 0000 0001"),
        ("modbus-tcp", "0001 0000 0001 01"),
        ("modbus-tcp", "0001 0000 00ff 01"),
        ("modbus-rtu", "11 03 006b 0003 7688"),
        ("modbus-rtu", "11 2b 0000"),
    ] {
        let transport = Transport::of(pack).expect("one of Modbus");
        let mut waiting = hex(bytes);
        assert_eq!(transport.take(&mut waiting), None, "{bytes}");
        assert!(waiting.is_empty(), "{bytes}");
    }
    let unknown = requests("modbus-rtu", &hex("01 07 41e2"), 64);
    assert_eq!(unknown[0].words, hex("07"));
}

#[test]
fn answers_are_put_on_the_line() {
    for (pack, wire) in [
        ("modbus-tcp", "1501 0000 0006 0b 03 03 0002 64"),
        // Source: MODBUS over Serial Line, the CRC of `02 07` is `41 12`.
        ("modbus-rtu", "02 07 4112"),
    ] {
        let transport = Transport::of(pack).expect("one of Modbus");
        let wrapped = match pack {
            "modbus-tcp" => transport.wrap(0x1501, 0x0b, &hex("03 03 0002 64")),
            _ => transport.wrap(0x1501, 2, &hex("07")),
        };
        assert_eq!(shown(&wrapped), wire.replace(' ', ""));
    }
}

//! What can be asked for, and what not.

use std::time::Duration;

use clap::Parser as _;

use crate::simulate::options::Options;
use crate::simulate::run;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn parse(text: &str) -> Result<Options, String> {
    let words = ["simulate"].into_iter().chain(text.split(' '));
    let line = Line::try_parse_from(words);
    line.map(|line| line.options)
        .map_err(|error| error.to_string())
}

#[test]
fn times_and_shares() {
    for (text, time) in [
        ("500ms", Some(500)),
        ("10s", Some(10_000)),
        ("2", Some(2000)),
        ("1.5s", Some(1500)),
        ("2m", Some(120_000)),
        ("1h", Some(3_600_000)),
        ("0s", None),
        ("s", None),
        ("10 s", None),
        ("1d", None),
        ("99999999999999999999h", None),
    ] {
        let words = ["simulate", "gt06", "--to", "localhost:1", "--every", text];
        let every = Line::try_parse_from(words).map(|line| line.options.every);
        assert_eq!(every.ok(), time.map(Duration::from_millis), "{text}");
    }
    for (text, share) in [
        ("20%", Some(0.2)),
        ("100%", Some(1.0)),
        ("0.5%", Some(0.005)),
        ("101%", None),
        ("20", None),
        ("%", None),
    ] {
        let options = parse(&format!("gt06 --to localhost:1 --fault-rate {text}"));
        assert_eq!(
            options.ok().and_then(|options| options.fault_rate),
            share,
            "{text}"
        );
    }
}

#[test]
fn where_devices_listen_is_an_address_of_this_machine() {
    for (text, address) in [
        ("127.0.0.1:1502", Some("127.0.0.1:1502")),
        ("0.0.0.0:0", Some("0.0.0.0:0")),
        ("[::1]:1502", Some("[::1]:1502")),
        ("localhost:1502", Some("127.0.0.1:1502")),
        ("localhost", None),
        ("localhost:x", None),
        ("1502", None),
    ] {
        let options = parse(&format!("mbus --listen {text}"));
        match address {
            Some(address) => {
                let listen = options.expect("valid").listen.map(|is| is.to_string());
                assert_eq!(listen.as_deref(), Some(address), "{text}");
            }
            None => {
                let told = options.expect_err("refused");
                assert!(told.contains("such as 127.0.0.1:1502"), "{text}: {told}");
            }
        }
    }
}

#[test]
fn units_are_said_once() {
    for (text, units) in [
        ("", Some(vec![1])),
        (" --units 1,2,3", Some(vec![1, 2, 3])),
        (" --devices 3", Some(vec![1, 2, 3])),
        (" --devices 3 --units 1,2,9", Some(vec![1, 2, 9])),
        (" --devices 2 --units 1,2,9", None),
        (" --units 1,2,1", None),
        (" --devices 248", None),
    ] {
        let options = parse(&format!("modbus-tcp --listen 127.0.0.1:0{text}"));
        let found = options.expect("valid").units();
        assert_eq!(found.ok(), units, "{text}");
    }
    for text in ["--units 0", "--units 248", "--units 1,x", "--ports 0"] {
        let refused = parse(&format!("modbus-tcp --listen 127.0.0.1:0 {text}"));
        assert!(refused.is_err(), "{text}");
    }
}

#[tokio::test]
async fn what_a_pack_does_not_have_is_told() {
    for (text, words) in [
        ("gt06", "--to"),
        ("gt07 --to localhost:1", "\"gt06\""),
        (
            "gt06 --to localhost:1 --faults slow",
            "`slow` is for devices that are called",
        ),
        ("gt06 --to localhost:1 --fault-rate 5%", "--faults"),
        (
            "h02 --to localhost:1 --faults bad-checksum",
            "h02 has no checksum",
        ),
        (
            "modbus-tcp --listen 127.0.0.1:0 --faults bad-checksum",
            "no checksum",
        ),
        (
            "modbus-rtu --listen 127.0.0.1:0 --faults wrong-transaction",
            "modbus-tcp",
        ),
        ("mbus --listen 127.0.0.1:0 --faults exception", "for Modbus"),
        ("mbus --listen 127.0.0.1:0 --units 1", "those of Modbus"),
        ("mbus --listen 127.0.0.1:0 --devices 2", "--ports N"),
        ("gt06 --listen 127.0.0.1:0", "no simulate.json"),
        ("mbus --listen 127.0.0.1:65535 --ports 2", "no more ports"),
        (
            "modbus-tcp --listen 127.0.0.1:0 --units 3,1,3",
            "names 3 twice",
        ),
        (
            "./no-such-folder --to localhost:1",
            "there is no such folder",
        ),
        ("src --to localhost:1", "there is no protocol.json in it"),
        ("gt06 --to localhost:1 --units 1", "(--listen)"),
        ("gt06 --to localhost:1 --ports 2", "(--listen)"),
        ("mbus --listen 127.0.0.1:0 --frames 2", "(--to)"),
        ("mbus --listen 127.0.0.1:0 --jitter 5%", "(--to)"),
        ("contact-id --to localhost:1 --devices 9000", "no room"),
    ] {
        let refused = run(parse(text).expect("valid")).await.expect_err(text);
        assert!(
            format!("{refused:#}").contains(words),
            "{text}: {refused:#}"
        );
    }
    for text in [
        "gt06 --to localhost:1 --listen 127.0.0.1:0",
        "gt06 --to localhost:1 --faults splitt",
        "gt06 --to localhost:1 --devices 0",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

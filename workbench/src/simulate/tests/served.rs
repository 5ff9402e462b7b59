//! Devices that are called, on sockets.

use std::sync::Arc;
use std::time::Duration;

use edge_tcp_gateway::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{hex, pack, shown};
use crate::simulate::answers::Answers;
use crate::simulate::faults::{Fault, Faults};
use crate::simulate::modbus::Transport;
use crate::simulate::server::{Host, Speech, Terms};
use crate::simulate::stage::Stage;
use crate::simulate::tally::Tally;

const PATIENCE: Duration = Duration::from_secs(30);
const READ: &str = "0001 0000 0006 02 03 0000 0001";
const ANSWER: &str = "0001 0000 0005 02 03 02 07d0";

/// Devices of a pack on any ports.
struct Served {
    ports: Vec<std::net::SocketAddr>,
    terms: Arc<Terms>,
    stopping: watch::Sender<bool>,
    hosts: JoinSet<()>,
}

impl Served {
    async fn start(name: &str, ports: u64, fault: Option<Fault>) -> Self {
        let pack = pack(name);
        let speech = match Transport::of(name) {
            Some(transport) => Speech::Modbus(transport, vec![1, 2, 3]),
            None => {
                let answers = pack.answers.as_deref().expect("a list");
                Speech::Answers(Answers::parse(answers).expect("valid"))
            }
        };
        let terms = Arc::new(Terms {
            pack: name.to_owned(),
            speech,
            stage: Stage::new(&pack.document, &pack.devices).expect("a stage"),
            faults: Faults {
                kinds: fault.into_iter().collect(),
                rate: 1.0,
            },
            every: Duration::from_secs(3600),
            clock: Clock::system(),
            tally: Tally::default(),
        });
        let (stopping, stop) = watch::channel(false);
        let (mut hosts, mut addresses) = (JoinSet::new(), Vec::new());
        for number in 0..ports {
            let any = "127.0.0.1:0".parse().expect("an address");
            let host = Host::bind(&terms, any, number, 7).await.expect("a port");
            addresses.push(host.address().expect("an address"));
            hosts.spawn(host.serve(stop.clone()));
        }
        Served {
            ports: addresses,
            terms,
            stopping,
            hosts,
        }
    }

    async fn connect(&self, number: usize) -> TcpStream {
        let stream = TcpStream::connect(self.ports[number]).await;
        stream.expect("connected")
    }

    async fn stop(self) {
        self.stopping.send_replace(true);
        let ended = timeout(PATIENCE, self.hosts.join_all()).await;
        ended.expect("ends in time");
    }
}

async fn ask(stream: &mut TcpStream, request: &[u8], length: usize) -> String {
    stream.write_all(request).await.expect("written");
    let mut answer = vec![0; length];
    let read = timeout(PATIENCE, stream.read_exact(&mut answer)).await;
    read.expect("answered in time").expect("answered");
    shown(&answer)
}

/// Everything that comes until the other side ends it, and whether it was reset.
async fn rest(stream: &mut TcpStream) -> (String, bool) {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let reset = read.expect("ends in time").is_err();
    (shown(&bytes), reset)
}

#[tokio::test]
async fn a_unit_is_polled_and_written_by_several_at_once() {
    let served = Served::start("modbus-tcp", 1, None).await;
    let (mut one, mut other) = (served.connect(0).await, served.connect(0).await);
    let answer = ANSWER.replace(' ', "");
    assert_eq!(ask(&mut one, &hex(READ), 11).await, answer);
    let write = hex("0002 0000 0006 02 06 0000 002a");
    assert_eq!(ask(&mut other, &write, 12).await, shown(&write));
    let written = "0001000000050203 02002a".replace(' ', "");
    assert_eq!(ask(&mut one, &hex(READ), 11).await, written);
    // A unit that is not there says nothing; the next one is heard.
    let both = [hex("0009 0000 0006 09 03 0000 0001"), hex(READ)].concat();
    assert_eq!(ask(&mut one, &both, 11).await, written);
    served.stop().await;
}

#[tokio::test]
async fn a_serial_line_is_served_too() {
    let served = Served::start("modbus-rtu", 1, None).await;
    let mut stream = served.connect(0).await;
    let read = hex("01 03 0000 0001 840a");
    assert_eq!(ask(&mut stream, &read, 7).await, "01030203e8b8fa");
    served.stop().await;
}

#[tokio::test]
async fn each_port_is_a_device() {
    let served = Served::start("mbus", 3, None).await;
    for (number, id) in [(0, "78563412"), (1, "79563412"), (2, "80563412")] {
        let mut stream = served.connect(number).await;
        let telegram = ask(&mut stream, &hex("10 5b 01 5c 16"), 37).await;
        assert_eq!(telegram.get(14..22), Some(id));
    }
    served.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_is_what_was_asked_for() {
    let answer = ANSWER.replace(' ', "");
    for (fault, expected) in [
        (Fault::Split, answer.clone()),
        (Fault::Slow, answer.clone()),
        (Fault::Exception, "000100000003028304".to_owned()),
        (Fault::WrongTransaction, answer.replacen("0001", "0002", 1)),
    ] {
        let served = Served::start("modbus-tcp", 1, Some(fault)).await;
        let mut stream = served.connect(0).await;
        let found = ask(&mut stream, &hex(READ), expected.len() / 2).await;
        assert_eq!(found, expected, "{fault}");
        assert_eq!(served.terms.tally.totals("", 0, 1).faults.len(), 1);
        served.stop().await;
    }
    let half = answer.get(..10).expect("ten digits");
    for (fault, expected, reset) in [
        (Fault::Drop, half, false),
        (Fault::Reset, half, true),
        (Fault::Silent, "", false),
    ] {
        let served = Served::start("modbus-tcp", 1, Some(fault)).await;
        let mut stream = served.connect(0).await;
        stream.write_all(&hex(READ)).await.expect("written");
        if fault == Fault::Silent {
            stream.shutdown().await.expect("shut down");
        }
        let (found, was_reset) = rest(&mut stream).await;
        // What was sent before a reset may be lost with it.
        let fits = found == expected || reset && found.is_empty();
        assert!(fits && was_reset == reset, "{fault}: {found}");
        served.stop().await;
    }
    let served = Served::start("modbus-rtu", 1, Some(Fault::BadChecksum)).await;
    let mut stream = served.connect(0).await;
    let read = hex("01 03 0000 0001 840a");
    assert_ne!(ask(&mut stream, &read, 7).await, "01030203e8b8fa");
    served.stop().await;
}

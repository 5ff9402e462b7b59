//! Devices that are called: a port each, any number of connections.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use edge_tcp_gateway::clock::Clock;
use fastrand::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::answers::{Answers, Called};
use super::faults::{Fault, Faults, bad_checksum, garbage};
use super::modbus::{Bus, DEVICE_FAILURE, Request, Transport, exception};
use super::stage::Stage;
use super::tally::Tally;

/// How late a slow answer is, in milliseconds.
const SLOW: std::ops::RangeInclusive<u64> = 500..=3000;
/// Between the pieces of a split answer.
const PIECE_PAUSE: Duration = Duration::from_millis(2);
/// How long accepting pauses when the system has no room for a connection.
const FULL: Duration = Duration::from_millis(100);
/// Behind such a pause a serial line begins a new request.
const PAUSE: Duration = Duration::from_millis(200);
/// Bytes of requests that wait at most.
const MOST_WAITING: usize = 4096;

/// What all devices have in common.
#[derive(Debug)]
pub struct Terms {
    /// The pack's name.
    pub pack: String,
    /// How they answer.
    pub speech: Speech,
    /// How the gateway reads what they answer.
    pub stage: Stage,
    /// What goes wrong.
    pub faults: Faults,
    /// How long values stay as they are.
    pub every: Duration,
    /// The clock.
    pub clock: Clock,
    /// What has happened.
    pub tally: Tally,
}

/// How devices answer.
#[derive(Debug)]
pub enum Speech {
    /// With a register image.
    Modbus(Transport, Vec<u8>),
    /// By the list of their pack.
    Answers(Answers),
}

/// A device that is called, on a port of its own.
#[derive(Debug)]
pub struct Host {
    listener: TcpListener,
    terms: Arc<Terms>,
    number: u64,
    /// The register image, where it has one.
    bus: Arc<Mutex<Bus>>,
    rng: Rng,
    /// Since when its values move.
    since: Instant,
}

impl Host {
    /// Opens the port.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn bind(
        terms: &Arc<Terms>,
        address: SocketAddr,
        number: u64,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let units = match &terms.speech {
            Speech::Modbus(_, units) => units.as_slice(),
            Speech::Answers(_) => &[],
        };
        Ok(Host {
            listener: listener.with_context(|| format!("{address} cannot be opened"))?,
            bus: Arc::new(Mutex::new(Bus::new(units))),
            since: terms.clock.now().monotonic,
            terms: Arc::clone(terms),
            rng: Rng::with_seed(seed),
            number,
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the system does not say it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is asked to stop.
    pub async fn serve(mut self, mut stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.terms.tally.connected.add(1);
                    self.terms.tally.connections.add(1);
                    let connection = self.connection(stream);
                    connections.spawn(connection.run());
                }
                Err(_) => {
                    self.terms.tally.errors.add(1);
                    sleep(FULL).await;
                }
            }
        }
        connections.shutdown().await;
    }

    fn connection(&mut self, stream: TcpStream) -> Connection {
        let terms = &self.terms;
        let hearing = match &terms.speech {
            Speech::Modbus(..) => Hearing::Modbus(Vec::new(), terms.clock.now().monotonic),
            Speech::Answers(_) => Hearing::Answers(Box::new(Called::new(
                &terms.stage,
                &terms.pack,
                self.number,
            ))),
        };
        Connection {
            stream,
            hearing,
            terms: Arc::clone(terms),
            bus: Arc::clone(&self.bus),
            rng: self.rng.fork(),
            since: self.since,
        }
    }
}

/// What of requests has come.
#[derive(Debug)]
enum Hearing {
    /// What waits for the rest of a request, and when the last of it came.
    Modbus(Vec<u8>, Instant),
    Answers(Box<Called>),
}

/// What is asked, and the answer to it.
struct Exchange {
    request: Option<Request>,
    /// Without one nothing is said.
    answer: Option<Vec<u8>>,
}

/// A connection of somebody who calls.
struct Connection {
    stream: TcpStream,
    hearing: Hearing,
    terms: Arc<Terms>,
    bus: Arc<Mutex<Bus>>,
    rng: Rng,
    since: Instant,
}

impl Connection {
    async fn run(mut self) {
        if self.converse().await.is_err() {
            self.terms.tally.errors.add(1);
        }
        self.terms.tally.connected.take_one();
    }

    /// Answers until the other side closes, or a fault ends it.
    async fn converse(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut buffer = vec![0; MOST_WAITING];
        loop {
            let count = self.stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            for exchange in self.heard(bytes) {
                self.terms.tally.requests.add(1);
                if !self.answer(exchange).await? {
                    return Ok(());
                }
            }
        }
    }

    /// The requests that bytes complete, each with its answer.
    fn heard(&mut self, bytes: &[u8]) -> Vec<Exchange> {
        let terms = Arc::clone(&self.terms);
        let now = terms.clock.now();
        match (&terms.speech, &mut self.hearing) {
            (Speech::Modbus(transport, _), Hearing::Modbus(waiting, last)) => {
                let pause = now.monotonic.saturating_duration_since(*last);
                *last = now.monotonic;
                if pause >= PAUSE && transport.ends_with_pause() {
                    waiting.clear();
                }
                let passed = now.monotonic.saturating_duration_since(self.since);
                let step = passed.as_millis() / terms.every.as_millis().max(1);
                let step = u64::try_from(step).unwrap_or(u64::MAX);
                waiting.extend_from_slice(bytes);
                let mut exchanges = Vec::new();
                while let Some(request) = transport.take(waiting) {
                    let bus = self.bus.lock();
                    let mut bus = bus.unwrap_or_else(std::sync::PoisonError::into_inner);
                    let words = bus.answer(request.unit, &request.words, step);
                    exchanges.push(Exchange {
                        answer: words
                            .map(|words| transport.wrap(request.transaction, request.unit, &words)),
                        request: Some(request),
                    });
                }
                exchanges
            }
            (Speech::Answers(answers), Hearing::Answers(called)) => {
                let requests = called.requests(&terms.stage, bytes).into_iter();
                let exchanges = requests.map(|request| {
                    let answer = answers.answer(&terms.stage, called, (&request, now.utc));
                    Exchange {
                        request: None,
                        answer: answer.unwrap_or_else(|_| {
                            terms.tally.errors.add(1);
                            None
                        }),
                    }
                });
                exchanges.collect()
            }
            _ => Vec::new(),
        }
    }

    /// Answers, or does something wrong instead. Whether the connection goes on.
    async fn answer(&mut self, exchange: Exchange) -> io::Result<bool> {
        let Some(answer) = exchange.answer.filter(|answer| self.is_sound(answer)) else {
            return Ok(true);
        };
        let fault = self.terms.faults.next(&mut self.rng);
        let Some(fault) = fault else {
            self.say(&answer).await?;
            return Ok(true);
        };
        self.terms.tally.fault(fault);
        match fault {
            Fault::Silent => {}
            Fault::Slow => {
                sleep(Duration::from_millis(self.rng.u64(SLOW))).await;
                self.say(&answer).await?;
            }
            Fault::Split => {
                for byte in answer.chunks(1) {
                    self.stream.write_all(byte).await?;
                    sleep(PIECE_PAUSE).await;
                }
                self.terms.tally.frames.add(1);
            }
            Fault::Garbage => self.stream.write_all(&garbage(&mut self.rng)).await?,
            Fault::BadChecksum => {
                let broken = bad_checksum(&self.terms.stage, &answer, &mut self.rng);
                self.stream.write_all(&broken.unwrap_or_default()).await?;
            }
            Fault::Drop | Fault::Reset => {
                let half = answer.get(..answer.len() / 2).unwrap_or_default();
                self.stream.write_all(half).await?;
                if fault == Fault::Reset {
                    self.stream.set_zero_linger()?;
                }
                return Ok(false);
            }
            Fault::Exception | Fault::WrongTransaction => {
                let wrong = self.wrong(fault, exchange.request.as_ref(), answer);
                self.stream.write_all(&wrong).await?;
            }
        }
        Ok(true)
    }

    async fn say(&mut self, answer: &[u8]) -> io::Result<()> {
        self.stream.write_all(answer).await?;
        self.terms.tally.frames.add(1);
        Ok(())
    }

    /// Whether the gateway reads it as its pack says; what it would not is never said.
    fn is_sound(&self, answer: &[u8]) -> bool {
        let rehearsed = self.terms.stage.rehearse([answer]);
        let may_be_undecoded = matches!(self.terms.speech, Speech::Answers(_));
        let wires = rehearsed.heard.iter().map(|heard| heard.wire.len());
        let all = wires.sum::<usize>() == answer.len();
        let sound = all
            && rehearsed.heard.iter().all(|heard| {
                let allowed = |trouble| may_be_undecoded && trouble == "undecoded";
                heard.trouble.is_none_or(allowed)
            });
        if !sound {
            self.terms.tally.errors.add(1);
        }
        sound
    }

    /// What a Modbus request should not get instead of its answer.
    fn wrong(&self, fault: Fault, request: Option<&Request>, mut answer: Vec<u8>) -> Vec<u8> {
        let (Speech::Modbus(transport, _), Some(request)) = (&self.terms.speech, request) else {
            return Vec::new();
        };
        if fault == Fault::WrongTransaction {
            let other = request.transaction.wrapping_add(1).to_be_bytes();
            if let Some(place) = answer.get_mut(..other.len()) {
                place.copy_from_slice(&other);
            }
            return answer;
        }
        let function = request.words.first().copied().unwrap_or_default();
        let words = exception(function, DEVICE_FAILURE);
        transport.wrap(request.transaction, request.unit, &words)
    }
}

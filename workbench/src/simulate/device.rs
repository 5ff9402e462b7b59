//! A device that connects: what it says, when, and what goes wrong with it.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::cast::{Line, Script};
use super::faults::{Fault, Faults, bad_checksum, garbage, garbage_before, is_frame};
use super::stage::Stage;
use super::tally::{Played, Tally};

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long answers that are due are waited for.
const ANSWERING: Duration = Duration::from_secs(10);
/// How long it takes to connect again at least and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Between the pieces of a split frame, in milliseconds.
const PIECE_PAUSE: u64 = 5;
/// Pieces of a split frame at most.
const PIECES: usize = 8;
/// So many pauses are one silence.
const SILENCE: u32 = 3;

/// What all devices have in common.
#[derive(Debug)]
pub struct Terms {
    /// Where they connect to: HOST:PORT.
    pub to: String,
    /// From one frame to the next.
    pub every: Duration,
    /// How much the pauses differ, of 1.
    pub jitter: f64,
    /// Frames after which a device has said all.
    pub frames: Option<u64>,
    /// What goes wrong.
    pub faults: Faults,
    /// What the gateway does with bytes.
    pub stage: Stage,
    /// What has happened.
    pub tally: Tally,
}

/// A device that connects.
#[derive(Debug)]
pub struct Device {
    /// What all have in common.
    pub terms: Arc<Terms>,
    /// What it says.
    pub script: Script,
    /// The address it connects from, where devices are known by that.
    pub from: Option<Ipv4Addr>,
    /// Its chance.
    pub rng: Rng,
    /// When everything ends.
    pub stop: watch::Receiver<bool>,
}

/// Why a connection was left.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// It is time to stop.
    Stopped,
    /// The device wanted to.
    Dropped,
    /// The gateway closed it, or it broke.
    Lost,
}

impl Device {
    /// Plays until it is asked to stop.
    pub async fn play(mut self) -> (Option<String>, Played) {
        let mut played = Played::default();
        let mut backoff = BACKOFF.0;
        // All at once would be no picture of devices.
        let first = self.terms.every.min(CONNECTING).mul_f64(self.rng.f64());
        let mut wait = first;
        while !self.stopped_within(wait).await {
            let left = match self.connect().await {
                Ok(stream) => self.converse(stream, &mut played).await,
                Err(error) => {
                    self.terms.tally.not_connected(&error);
                    Left::Lost
                }
            };
            wait = match left {
                Left::Stopped => break,
                Left::Dropped => BACKOFF.0,
                Left::Lost => {
                    self.terms.tally.errors.add(1);
                    backoff
                }
            };
            wait = wait.mul_f64(0.5 + self.rng.f64());
            backoff = match left {
                Left::Lost => (backoff * 2).min(BACKOFF.1),
                Left::Stopped | Left::Dropped => BACKOFF.0,
            };
        }
        (self.script.name, played)
    }

    async fn stopped_within(&mut self, wait: Duration) -> bool {
        timeout(wait, until_asked(&mut self.stop)).await.is_ok()
    }

    async fn connect(&mut self) -> io::Result<TcpStream> {
        let connecting = async {
            let to = &self.terms.to;
            let Some(from) = self.from else {
                return TcpStream::connect(to).await;
            };
            let found = lookup_host(to).await?.find(SocketAddr::is_ipv4);
            let address = found.ok_or(io::ErrorKind::AddrNotAvailable)?;
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((from, 0)))?;
            socket.connect(address).await
        };
        let stream = timeout(CONNECTING, connecting).await??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn converse(&mut self, stream: TcpStream, played: &mut Played) -> Left {
        let tally = &self.terms.tally;
        tally.connected.add(1);
        tally.connections.add(1);
        if played.connections > 0 {
            tally.reconnects.add(1);
        }
        played.connections += 1;
        let terms = Arc::clone(&self.terms);
        let mut talk = Talk {
            stream,
            due: VecDeque::new(),
            came: 0,
            terms: &terms,
            played,
        };
        let left = match self.talk(&mut talk).await {
            Ok(left) => left,
            Err(_) => Left::Lost,
        };
        terms.tally.unanswered.add(talk.due.len());
        terms.tally.connected.take_one();
        left
    }

    async fn talk(&mut self, talk: &mut Talk<'_>) -> io::Result<Left> {
        let mut stop = self.stop.clone();
        let mut stopped = pin!(until_asked(&mut stop));
        for line in &self.script.opening {
            if talk.has_said_all() {
                break;
            }
            talk.say(line).await?;
            talk.answered().await?;
        }
        let mut lines = self.script.cycle.iter().cycle();
        let mut next = lines.next();
        while let Some(line) = next.filter(|_| !talk.has_said_all()) {
            let fault = self.terms.faults.next(&mut self.rng);
            let left = match fault {
                None => {
                    talk.say(line).await?;
                    None
                }
                Some(fault) => talk.fail(fault, line, &mut self.rng).await?,
            };
            if let Some(left) = left {
                return Ok(left);
            }
            if !matches!(fault, Some(Fault::Silent | Fault::BadChecksum)) {
                next = lines.next();
            }
            let pause = pause(&self.terms, &mut self.rng);
            let pauses = if fault == Some(Fault::Silent) {
                SILENCE
            } else {
                1
            };
            tokio::select! {
                heard = talk.listen(pause * pauses) => heard?,
                () = &mut stopped => break,
            }
        }
        talk.answered().await?;
        talk.close().await?;
        Ok(Left::Stopped)
    }
}

/// Waits until it is time to stop.
async fn until_asked(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// The time to the next frame.
fn pause(terms: &Terms, rng: &mut Rng) -> Duration {
    let share = 1.0 + terms.jitter * (2.0 * rng.f64() - 1.0);
    terms.every.mul_f64(share.max(0.0))
}

/// One connection.
struct Talk<'a> {
    stream: TcpStream,
    /// Bytes of each answer that has not come.
    due: VecDeque<usize>,
    /// Bytes of the first of them that have.
    came: usize,
    terms: &'a Terms,
    played: &'a mut Played,
}

impl Talk<'_> {
    /// Says a frame.
    async fn say(&mut self, line: &Line) -> io::Result<()> {
        self.expect(line);
        self.write(&line.wire).await?;
        self.said(line);
        Ok(())
    }

    /// Takes note of the answer that a frame will get: it may come before the writing is noticed to
    /// be done.
    fn expect(&mut self, line: &Line) {
        if line.reply > 0 {
            self.due.push_back(line.reply);
        }
    }

    fn said(&mut self, line: &Line) {
        self.terms.tally.frames.add(1);
        self.played.frames += 1;
        self.played.messages += u64::try_from(line.messages).unwrap_or(u64::MAX);
    }

    /// Whether this was enough.
    fn has_said_all(&self) -> bool {
        let most = self.terms.frames;
        most.is_some_and(|most| self.played.frames >= most)
    }

    /// Does something wrong with a frame. What it says is why the connection was left then.
    async fn fail(&mut self, fault: Fault, line: &Line, rng: &mut Rng) -> io::Result<Option<Left>> {
        let tally = &self.terms.tally;
        let wire = &line.wire;
        match fault {
            Fault::Split => {
                tally.fault(fault);
                self.expect(line);
                let size = wire.len().div_ceil(rng.usize(2..=PIECES)).max(1);
                for piece in wire.chunks(size) {
                    self.write(piece).await?;
                    self.listen(Duration::from_millis(rng.u64(0..=PIECE_PAUSE)))
                        .await?;
                }
                self.said(line);
            }
            Fault::Garbage => {
                tally.fault(fault);
                let Some(mut bytes) = garbage_before(&self.terms.stage, wire, rng) else {
                    // Behind it no frame would be found.
                    self.answered().await?;
                    self.write(&garbage(rng)).await?;
                    return self.close().await.map(|()| Some(Left::Dropped));
                };
                bytes.extend_from_slice(wire);
                self.expect(line);
                self.write(&bytes).await?;
                self.said(line);
            }
            Fault::BadChecksum => match bad_checksum(&self.terms.stage, wire, rng) {
                Some(bytes) => {
                    tally.fault(fault);
                    self.write(&bytes).await?;
                }
                None => self.say(line).await?,
            },
            Fault::Drop | Fault::Reset => {
                tally.fault(fault);
                self.answered().await?;
                self.write(half(&self.terms.stage, wire)).await?;
                match fault {
                    Fault::Drop => self.close().await?,
                    _ => self.stream.set_zero_linger()?,
                }
                return Ok(Some(Left::Dropped));
            }
            Fault::Silent => tally.fault(fault),
            Fault::Slow | Fault::Exception | Fault::WrongTransaction => {}
        }
        Ok(None)
    }

    /// Writes, and reads meanwhile: the gateway may have to answer first.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            tokio::select! {
                ready = self.stream.writable() => {
                    ready?;
                    match self.stream.try_write(left) {
                        Ok(count) => left = left.get(count..).unwrap_or_default(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                ready = self.stream.readable() => {
                    ready?;
                    self.read()?;
                }
            }
        }
        Ok(())
    }

    /// Takes what has come.
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.heard(count);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn heard(&mut self, count: usize) {
        self.came += count;
        while let Some(due) = self.due.front().filter(|due| **due <= self.came) {
            self.came -= due;
            self.due.pop_front();
            self.terms.tally.replies.add(1);
            self.played.replies += 1;
        }
        if self.due.is_empty() {
            // What the gateway says by itself.
            self.came = 0;
        }
    }

    /// Reads for so long.
    async fn listen(&mut self, time: Duration) -> io::Result<()> {
        let mut over = pin!(sleep(time));
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                ready = self.stream.readable() => {
                    ready?;
                    self.read()?;
                }
            }
        }
    }

    /// Waits for the answers that are due, as long as a device would.
    async fn answered(&mut self) -> io::Result<()> {
        let all = async {
            while !self.due.is_empty() {
                self.stream.readable().await?;
                self.read()?;
            }
            Ok(())
        };
        timeout(ANSWERING, all).await.unwrap_or(Ok(()))
    }

    /// Says that nothing more comes, and reads what does.
    async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let rest = async {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = self.stream.read(&mut buffer).await {
                self.heard(count);
            }
        };
        timeout(ANSWERING, rest).await.unwrap_or_default();
        Ok(())
    }
}

/// The first half of a frame, if that is none itself.
fn half<'w>(stage: &Stage, wire: &'w [u8]) -> &'w [u8] {
    let half = wire.get(..wire.len() / 2).unwrap_or_default();
    let received = stage.received_in_all(half);
    match received.iter().any(is_frame) {
        true => &[],
        false => half,
    }
}

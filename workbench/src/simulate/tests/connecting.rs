//! A device that connects, and a gateway that is not always there.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::pack;
use crate::simulate::cast::{Cast, Script};
use crate::simulate::device::{Device, Terms};
use crate::simulate::faults::{Fault, Faults};
use crate::simulate::tally::{Played, Tally};

const PATIENCE: Duration = Duration::from_secs(30);
/// What the gateway answers to a login; only its length counts.
const REPLY: [u8; 10] = [0; 10];

/// A tracker that connects to a gateway that we are.
struct Playing {
    gateway: TcpListener,
    script: Script,
    terms: Arc<Terms>,
    device: JoinSet<(Option<String>, Played)>,
    stopping: watch::Sender<bool>,
}

impl Playing {
    async fn start(fault: Option<Fault>, frames: Option<u64>) -> Self {
        let gateway = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let pack = pack("gt06");
        let cast = Cast::new(&pack).expect("a cast");
        let script = cast.scripts(&pack, 1).expect("scripts").remove(0);
        let terms = Arc::new(Terms {
            to: gateway.local_addr().expect("an address").to_string(),
            every: Duration::from_millis(1),
            jitter: 0.0,
            frames,
            faults: Faults {
                kinds: fault.into_iter().collect(),
                rate: 1.0,
            },
            stage: cast.into_stage(),
            tally: Tally::default(),
        });
        let (stopping, stop) = watch::channel(false);
        let mut device = JoinSet::new();
        let playing = Device {
            terms: Arc::clone(&terms),
            script: script.clone(),
            from: None,
            rng: Rng::with_seed(1),
            stop,
        };
        device.spawn(playing.play());
        Playing {
            gateway,
            script,
            terms,
            device,
            stopping,
        }
    }

    /// The device's next connection, which it has logged in on.
    async fn logged_in(&self) -> TcpStream {
        let accepted = timeout(PATIENCE, self.gateway.accept()).await;
        let (mut stream, _) = accepted.expect("in time").expect("a connection");
        self.hears(&mut stream, &self.script.opening[0].wire).await;
        stream.write_all(&REPLY).await.expect("written");
        stream
    }

    async fn hears(&self, stream: &mut TcpStream, wire: &[u8]) {
        let mut heard = vec![0; wire.len()];
        let read = timeout(PATIENCE, stream.read_exact(&mut heard)).await;
        read.expect("in time").expect("a frame");
        assert_eq!(heard, wire);
    }

    async fn ended(&mut self) -> Played {
        let ended = timeout(PATIENCE, self.device.join_next()).await;
        let ended = ended.expect("in time").expect("a device");
        ended.expect("it did not panic").1
    }
}

#[tokio::test]
async fn a_device_comes_back_and_says_again_who_it_is() {
    let mut playing = Playing::start(None, None).await;
    let position = playing.script.cycle[0].wire.clone();
    for _ in 0..3 {
        let mut stream = playing.logged_in().await;
        playing.hears(&mut stream, &position).await;
    }
    let mut stream = playing.logged_in().await;
    playing.hears(&mut stream, &position).await;
    playing.stopping.send_replace(true);
    // What it still says is answered, or it would wait for that.
    let mut heard = [0; 64];
    while let Ok(1..) = stream.read(&mut heard).await {
        stream.write_all(&REPLY).await.expect("written");
    }
    drop(stream);
    let played = playing.ended().await;
    assert_eq!(played.connections, 4);
    assert_eq!(playing.terms.tally.reconnects.get(), 3);
    assert_eq!(playing.terms.tally.errors.get(), 3);
}

#[tokio::test]
async fn so_many_frames_are_said_and_each_answer_is_counted() {
    let mut playing = Playing::start(None, Some(5)).await;
    let mut stream = playing.logged_in().await;
    for line in playing.script.cycle.iter().cycle().take(4) {
        playing.hears(&mut stream, &line.wire).await;
    }
    // One and a half at once, and the rest.
    let answers = REPLY.repeat(2);
    let (first, rest) = answers.split_at(15);
    for piece in [first, rest] {
        stream.write_all(piece).await.expect("written");
    }
    assert_eq!(stream.read(&mut [0; 8]).await.expect("closed"), 0);
    drop(stream);
    let expected = Played {
        connections: 1,
        frames: 5,
        messages: 2,
        replies: 3,
    };
    assert_eq!(playing.ended().await, expected);
    assert_eq!(playing.terms.tally.unanswered.get(), 0);
}

#[tokio::test]
async fn a_frame_in_which_the_connection_ends_is_said_again_and_not_counted() {
    for fault in [Fault::Drop, Fault::Reset] {
        let playing = Playing::start(Some(fault), None).await;
        let position = &playing.script.cycle[0].wire;
        for _ in 0..2 {
            let mut stream = playing.logged_in().await;
            let half = &position[..position.len() / 2];
            playing.hears(&mut stream, half).await;
            let end = timeout(PATIENCE, stream.read(&mut [0; 8])).await;
            let end = end.expect("in time");
            assert_eq!(end.is_err(), fault == Fault::Reset, "{end:?}");
        }
        assert_eq!(playing.terms.tally.frames.get(), 2, "the logins");
        assert_eq!(playing.terms.tally.errors.get(), 0);
    }
}

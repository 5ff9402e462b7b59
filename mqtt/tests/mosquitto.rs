//! The session against a broker that others wrote: mosquitto, stopped and started again, behind a
//! proxy that resets.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it waited for by panicking"
)]

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::mem::replace;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use mqtt::{ConnectOptions, Event, Session};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

const MESSAGES: usize = 20_000;
/// Faults while the messages go, at equal distances: these are restarts of the broker, all others
/// resets of the publisher's connection.
const FAULTS: usize = 23;
const RESTARTS: [usize; 3] = [1, 9, 17];
const TOPIC: &str = "scales/1";
const PATIENCE: Duration = Duration::from_secs(120);

/// A mosquitto that keeps its queues over a restart and drops nothing from them.
struct Broker {
    folder: TempDir,
    address: SocketAddr,
    process: Child,
}

impl Broker {
    async fn new() -> Broker {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let folder = TempDir::new().expect("a folder");
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
             persistence_location {}/\nmax_queued_messages 0\nlog_type none\n",
            address.port(),
            folder.path().display()
        );
        fs::write(folder.path().join("mosquitto.conf"), settings).expect("written");
        let process = start(&folder, address).await;
        Broker {
            folder,
            address,
            process,
        }
    }

    /// Stops it as an operator would, and starts it again.
    async fn restart(&mut self) {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(Pid::from_raw).expect("it runs");
        kill_process(id, Signal::TERM).expect("it is ours");
        let ended = timeout(PATIENCE, self.process.wait()).await;
        ended.expect("ends in time").expect("ends");
        self.process = start(&self.folder, self.address).await;
    }
}

/// Ready when it accepts connections.
async fn start(folder: &TempDir, address: SocketAddr) -> Child {
    // Debian installs it where only root's search path looks.
    let mut search = std::env::var_os("PATH").unwrap_or_default();
    search.push(OsStr::new(":/usr/sbin"));
    let mut process = Command::new("mosquitto")
        .arg("-c")
        .arg(folder.path().join("mosquitto.conf"))
        .env("PATH", search)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("`mosquitto` runs; install the Debian package mosquitto");
    let mut look = interval(Duration::from_millis(5));
    let accepts = async {
        while TcpStream::connect(address).await.is_err() {
            let ended = process.try_wait().expect("its state");
            assert!(ended.is_none(), "mosquitto ended at once: {ended:?}");
            look.tick().await;
        }
    };
    timeout(PATIENCE, accepts).await.expect("mosquitto listens");
    process
}

/// Carries connections to the broker, and resets all of them when it is told to.
struct Proxy {
    address: SocketAddr,
    cut: watch::Sender<()>,
    _carrying: JoinSet<()>,
}

impl Proxy {
    async fn before(broker: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (cut, cuts) = watch::channel(());
        let mut carrying = JoinSet::new();
        carrying.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("accepts");
                connections.spawn(carry(client, broker, cuts.clone()));
            }
        });
        Proxy {
            address,
            cut,
            _carrying: carrying,
        }
    }

    fn reset(&self) {
        self.cut.send_replace(());
    }
}

async fn carry(mut client: TcpStream, broker: SocketAddr, mut cuts: watch::Receiver<()>) {
    cuts.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(broker).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = cuts.changed() => {
            for stream in [&client, &server] {
                stream.set_zero_linger().expect("an option");
            }
        }
    }
}

async fn connect<T>(address: SocketAddr, client_id: &str) -> Session<TcpStream, T> {
    let options = ConnectOptions {
        client_id: client_id.to_owned(),
        ..ConnectOptions::default()
    };
    let mut look = interval(Duration::from_millis(5));
    loop {
        if let Ok(stream) = TcpStream::connect(address).await
            && let Ok(session) = Session::connect(stream, &options).await
        {
            return session;
        }
        look.tick().await;
    }
}

/// Receives until every number has come; gives all in the order of arrival.
async fn receive(address: SocketAddr, subscribed: oneshot::Sender<()>) -> Vec<usize> {
    let mut subscribed = Some(subscribed);
    let (mut all, mut seen, mut missing) = (Vec::new(), vec![false; MESSAGES], MESSAGES);
    loop {
        let mut session: Session<_, ()> = connect(address, "receiver").await;
        if !session.session_present() {
            session.subscribe(&[TOPIC]).expect("a filter");
        }
        while missing > 0 {
            match session.next().await {
                Event::Message { payload, id, .. } => {
                    let text = std::str::from_utf8(&payload).expect("text");
                    let number: usize = text.trim_end_matches('.').parse().expect("a number");
                    missing -= usize::from(!replace(&mut seen[number], true));
                    all.push(number);
                    session.acknowledge(id.expect("QoS 1"));
                }
                Event::Subscribed(_) => {
                    let first = subscribed.take().expect("the broker keeps the session");
                    first.send(()).expect("somebody waits");
                }
                Event::Delivered(()) | Event::Room => panic!("nothing was published"),
                Event::Closed(_) => break,
            }
        }
        if missing == 0 {
            return all;
        }
    }
}

/// Publishes every number once, and first of all what a session handed back. Gives the completed
/// numbers in their order, and how many sessions it took.
async fn publish(broker: &mut Broker, proxy: &Proxy) -> (Vec<usize>, usize) {
    let mut waiting: VecDeque<usize> = (0..MESSAGES).collect();
    let (mut completed, mut faults, mut sessions) = (Vec::new(), 0, 0);
    while completed.len() < MESSAGES {
        let mut session = connect(proxy.address, "publisher").await;
        sessions += 1;
        while completed.len() < MESSAGES {
            while session.room() > 0
                && let Some(number) = waiting.pop_front()
            {
                // 200 bytes, as a device's message may have.
                let payload = format!("{number:.<200}");
                let published = session.publish(TOPIC, payload.as_bytes(), number);
                published.expect("a message");
            }
            match session.next().await {
                Event::Delivered(number) => completed.push(number),
                Event::Closed(_) => break,
                Event::Room => {}
                Event::Message { .. } | Event::Subscribed(_) => panic!("nothing was asked for"),
            }
            let next_fault = (faults + 1) * MESSAGES / (FAULTS + 1);
            if faults < FAULTS && completed.len() >= next_fault {
                if RESTARTS.contains(&faults) {
                    broker.restart().await;
                } else {
                    proxy.reset();
                }
                faults += 1;
            }
        }
        for number in session.into_unacknowledged().into_iter().rev() {
            waiting.push_front(number);
        }
    }
    assert_eq!(faults, FAULTS);
    (completed, sessions)
}

#[tokio::test]
async fn twenty_thousand_messages_through_restarts_and_resets_all_arrive_in_order() {
    let mut broker = Broker::new().await;
    let proxy = Proxy::before(broker.address).await;
    let (subscribed, ready) = oneshot::channel();
    let mut receiving = JoinSet::new();
    receiving.spawn(receive(broker.address, subscribed));
    let ready = timeout(PATIENCE, ready).await;
    ready.expect("in time").expect("subscribed");

    let published = timeout(PATIENCE, publish(&mut broker, &proxy)).await;
    let (mut completed, sessions) = published.expect("completed in time");
    let received = timeout(PATIENCE, receiving.join_next()).await;
    let received = received.expect("received in time").expect("one task");
    let received = received.expect("no panic");

    completed.sort_unstable();
    assert_whole(completed.into_iter(), "each is completed once");
    let mut seen = vec![false; MESSAGES];
    let first = received.into_iter();
    let first = first.filter(|number| !replace(&mut seen[*number], true));
    assert_whole(first, "first deliveries are whole and in order");
    assert!(sessions > FAULTS / 2, "felt in {sessions} sessions only");
}

/// All numbers, one after the other.
fn assert_whole(numbers: impl Iterator<Item = usize>, what: &str) {
    let mut count = 0;
    for number in numbers {
        assert_eq!(number, count, "{what}");
        count += 1;
    }
    assert_eq!(count, MESSAGES, "{what}");
}

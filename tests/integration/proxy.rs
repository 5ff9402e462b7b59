//! A TCP proxy that does to a connection what networks do.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the network does now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Weather {
    /// It carries.
    #[default]
    Fair,
    /// Each piece comes so much later.
    Delay(Duration),
    /// Nothing is carried, nothing is lost.
    Stall,
    /// Everything vanishes; both ends believe that they are connected.
    HalfOpen,
    /// Each byte is a segment of its own.
    OneByte,
    /// So many bytes in each millisecond.
    Narrow(usize),
}

/// A way to an address that is subject to the weather.
pub struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    /// Changes with every order to reset what stands.
    resets: watch::Sender<u64>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// In front of a port of this machine.
    pub async fn before(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((target.ip(), 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (weather, resets) = (watch::Sender::new(Weather::Fair), watch::Sender::new(0));
        let (sky, orders) = (weather.subscribe(), resets.subscribe());
        let mut _accepting = JoinSet::new();
        _accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(carry(near, target, sky.clone(), orders.clone()));
            }
        });
        Proxy {
            port,
            weather,
            resets,
            _accepting,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Resets every connection that stands, both ways.
    pub fn reset(&self) {
        self.resets.send_modify(|count| *count += 1);
    }
}

async fn carry(
    near: TcpStream,
    target: SocketAddr,
    sky: watch::Receiver<Weather>,
    mut orders: watch::Receiver<u64>,
) {
    orders.mark_unchanged();
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    for stream in [&near, &far] {
        drop(stream.set_nodelay(true));
    }
    let (near_read, mut near_write) = near.into_split();
    let (far_read, mut far_write) = far.into_split();
    let reset = tokio::select! {
        _ = orders.changed() => true,
        () = async {
            tokio::join!(
                one_way(near_read, &mut far_write, sky.clone()),
                one_way(far_read, &mut near_write, sky),
            );
        } => false,
    };
    if reset {
        drop(near_write.as_ref().set_zero_linger());
        drop(far_write.as_ref().set_zero_linger());
    }
}

/// Until one side ends; its end is carried over too.
async fn one_way(
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut sky: watch::Receiver<Weather>,
) {
    let mut piece = [0; 4096];
    loop {
        let weather = *sky.borrow_and_update();
        if weather == Weather::Stall {
            if sky.changed().await.is_err() {
                return;
            }
            continue;
        }
        let most = match weather {
            Weather::OneByte => 1,
            Weather::Narrow(bytes) => bytes.min(piece.len()),
            _ => piece.len(),
        };
        let read = tokio::select! {
            read = from.read(&mut piece[..most]) => read,
            Ok(()) = sky.changed() => continue,
        };
        let Ok(count @ 1..) = read else {
            drop(to.shutdown().await);
            return;
        };
        match weather {
            Weather::HalfOpen => continue,
            Weather::Delay(delay) => tokio::time::sleep(delay).await,
            Weather::Narrow(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            _ => {}
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

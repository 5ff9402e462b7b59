//! The simulated devices of the sample: a scale that sends lines, and a tracker that waits for answers.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

const PAUSE: Duration = Duration::from_millis(500);
/// GT06 login, position and status; login and status are answered with ten bytes.
const LOGIN: &[u8] = b"\x78\x78\x0d\x01\x01\x23\x45\x67\x89\x01\x23\x45\x00\x01\x8c\xdd\x0d\x0a";
const POSITION: &[u8] = b"\x78\x78\x1f\x12\x11\x06\x16\x09\x18\x35\xd0\x02\x4b\xb9\x30\x07\xd3\xfb\x78\x3d\xd4\xc5\x01\x94\x05\x00\xf2\x00\x6c\x85\x04\xa6\xe0\x37\x0d\x0a";
const STATUS: &[u8] = b"\x78\x78\x0a\x13\x40\x04\x04\x00\x01\x00\x0f\xdc\xee\x0d\x0a";
const REPLY: usize = 10;

/// A scale: a weight each half second, for ever; connects again when it must.
pub async fn scale(port: u16) {
    let mut weight = 1000_u32;
    loop {
        let sent: io::Result<()> = async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            loop {
                weight = 1000 + (weight + 7) % 500;
                let line = format!("S S {:>9}.{:02} kg\r\n", weight / 100, weight % 100);
                stream.write_all(line.as_bytes()).await?;
                sleep(PAUSE).await;
            }
        }
        .await;
        drop(sent);
        sleep(PAUSE).await;
    }
}

/// A vehicle tracker: logs in, then sends positions and its status, and waits for every reply.
pub async fn tracker(port: u16) {
    loop {
        let sent: io::Result<()> = async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.write_all(LOGIN).await?;
            stream.read_exact(&mut [0; REPLY]).await?;
            loop {
                stream.write_all(POSITION).await?;
                stream.write_all(STATUS).await?;
                stream.read_exact(&mut [0; REPLY]).await?;
                sleep(2 * PAUSE).await;
            }
        }
        .await;
        drop(sent);
        sleep(PAUSE).await;
    }
}

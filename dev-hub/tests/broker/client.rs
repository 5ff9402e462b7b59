//! A client of the stand-in that hides nothing: packets in, packets out.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BytesMut};
use dev_hub::DevHub;
use mqtt::{Connect, Delivery, Packet, PacketId, Password, Publish, QoS, Subscribe};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const PATIENCE: Duration = Duration::from_secs(10);
pub const CLIENT_ID: &str = "edge/gateway";
pub const USERNAME: &str = "dev-hub.azure-devices.net/edge/gateway/?api-version=2021-04-12";
pub const EVENTS: &str = "devices/edge/modules/gateway/messages/events/";

/// A hub with the module `gateway`.
pub async fn hub() -> DevHub {
    DevHub::builder()
        .edge_device("edge")
        .module("gateway")
        .start()
        .await
        .unwrap()
}

/// A token of `gateway` that ends at that time; far in the future it is good.
pub fn token(hub: &DevHub, expiry: i64) -> String {
    let string = hub.module_connection_string("gateway").unwrap();
    let (_, key) = string.split_once("SharedAccessKey=").unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &STANDARD.decode(key).unwrap());
    let resource = "dev-hub.azure-devices.net%2Fdevices%2Fedge%2Fmodules%2Fgateway";
    let digest = STANDARD.encode(ring::hmac::sign(
        &key,
        format!("{resource}\n{expiry}").as_bytes(),
    ));
    let digest = utf8_percent_encode(&digest, NON_ALPHANUMERIC);
    format!("SharedAccessSignature sr={resource}&sig={digest}&se={expiry}")
}

pub fn good_token(hub: &DevHub) -> String {
    token(hub, 4_000_000_000)
}

/// A packet that came, in words.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    ConnAck(u8, bool),
    PubAck(u16),
    SubAck(Vec<u8>),
    Message {
        topic: String,
        payload: String,
        id: Option<u16>,
        dup: bool,
    },
    Other,
    Closed,
}

pub struct Client {
    stream: TlsStream<TcpStream>,
    input: BytesMut,
}

impl Client {
    /// TCP and TLS, nothing more.
    pub async fn dial(hub: &DevHub) -> Client {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(hub.trust_bundle_pem().as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(hub.address()).await.unwrap();
        let name = ServerName::from(hub.address().ip());
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .unwrap();
        Client {
            stream,
            input: BytesMut::new(),
        }
    }

    /// Connects as `gateway`, with a kept session.
    pub async fn connected(hub: &DevHub) -> Client {
        let mut client = Client::dial(hub).await;
        client.connect(CLIENT_ID, USERNAME, &good_token(hub)).await;
        assert!(matches!(client.got().await, Got::ConnAck(0, _)));
        client
    }

    pub async fn connect(&mut self, client_id: &str, username: &str, password: &str) {
        let connect = Connect {
            client_id,
            clean_session: false,
            keep_alive: 60,
            will: None,
            username: Some(username),
            password: Some(Password(password.as_bytes())),
        };
        self.send(&Packet::Connect(connect)).await;
    }

    pub async fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = BytesMut::new();
        mqtt::encode(packet, &mut bytes).unwrap();
        self.send_bytes(&bytes).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub async fn publish(&mut self, id: u16, topic: &str, payload: &str) {
        let delivery = Delivery::AtLeastOnce {
            id: PacketId::new(id).unwrap(),
            dup: false,
        };
        let publish = Publish {
            topic,
            payload: payload.as_bytes(),
            delivery,
            retain: false,
        };
        self.send(&Packet::Publish(publish)).await;
    }

    pub async fn subscribe(&mut self, filters: &[&str]) {
        let filters = filters
            .iter()
            .map(|filter| (*filter, QoS::ExactlyOnce))
            .collect();
        self.send(&Packet::Subscribe(Subscribe {
            id: PacketId::MIN,
            filters,
        }))
        .await;
    }

    pub async fn acknowledge(&mut self) {
        self.send(&Packet::PubAck(PacketId::MIN)).await;
    }

    /// The next packet, or the end.
    pub async fn got(&mut self) -> Got {
        tokio::time::timeout(PATIENCE, self.next())
            .await
            .expect("nothing came")
    }

    async fn next(&mut self) -> Got {
        loop {
            if let Some((packet, used)) = mqtt::decode(&self.input, 1 << 20).unwrap() {
                let got = in_words(&packet);
                self.input.advance(used);
                return got;
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return Got::Closed,
                Ok(_) => {}
            }
        }
    }
}

fn in_words(packet: &Packet<'_>) -> Got {
    match packet {
        Packet::ConnAck(mqtt::ConnAck::Accepted { session_present }) => {
            Got::ConnAck(0, *session_present)
        }
        Packet::ConnAck(mqtt::ConnAck::Refused(refusal)) => Got::ConnAck(refusal.code(), false),
        Packet::PubAck(id) => Got::PubAck(id.get()),
        Packet::SubAck(suback) => Got::SubAck(
            suback
                .granted
                .iter()
                .map(|granted| granted.map_or(0x80, QoS::bits))
                .collect(),
        ),
        Packet::Publish(publish) => Got::Message {
            topic: publish.topic.to_owned(),
            payload: String::from_utf8_lossy(publish.payload).into_owned(),
            id: publish.delivery.id().map(PacketId::get),
            dup: publish.delivery.dup(),
        },
        _ => Got::Other,
    }
}

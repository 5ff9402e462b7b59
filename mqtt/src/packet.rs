//! The fourteen control packets as plain data. Text and payloads are borrowed: decoding copies
//! nothing, and what is encoded need not be owned. What the standard forbids has, where a type
//! can say so, no value: packet identifier 0, QoS 3, DUP at QoS 0, session present in a refusal.

use std::fmt;
use std::num::NonZeroU16;

/// Names a packet until it is acknowledged. Never 0 (MQTT-2.3.1-1).
pub type PacketId = NonZeroU16;

/// One control packet (chapter 3 of the standard).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Client to server, first and once.
    Connect(Connect<'a>),
    /// The server's answer to CONNECT.
    ConnAck(ConnAck),
    /// A message, either way.
    Publish(Publish<'a>),
    /// Answers a QoS 1 PUBLISH.
    PubAck(PacketId),
    /// QoS 2, first answer.
    PubRec(PacketId),
    /// QoS 2, answers PUBREC.
    PubRel(PacketId),
    /// QoS 2, answers PUBREL.
    PubComp(PacketId),
    /// Client to server: asks for messages.
    Subscribe(Subscribe<'a>),
    /// Answers SUBSCRIBE.
    SubAck(SubAck),
    /// Client to server: no more of these messages.
    Unsubscribe(Unsubscribe<'a>),
    /// Answers UNSUBSCRIBE.
    UnsubAck(PacketId),
    /// Client to server: are you there.
    PingReq,
    /// Answers PINGREQ.
    PingResp,
    /// Client to server: the orderly end.
    Disconnect,
}

/// How often a message may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// At most once: not acknowledged.
    AtMostOnce = 0,
    /// At least once: PUBACK.
    AtLeastOnce = 1,
    /// Exactly once: PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level with this number; `None` above 2.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The level's number on the wire.
    #[must_use]
    pub fn bits(self) -> u8 {
        self as u8
    }
}

/// CONNECT (3.1). The protocol name is always `MQTT`, its level always 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Who connects. Empty asks the server for a name, and only with `clean_session`.
    pub client_id: &'a str,
    /// Neither side keeps state beyond this connection.
    pub clean_session: bool,
    /// Longest silence of the client in seconds; 0 is no limit.
    pub keep_alive: u16,
    /// What the server publishes when the client vanishes.
    pub will: Option<Will<'a>>,
    /// User name.
    pub username: Option<&'a str>,
    /// Password; only together with a user name (MQTT-3.1.2-22).
    pub password: Option<Password<'a>>,
}

/// The last will inside CONNECT (3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it is published.
    pub topic: &'a str,
    /// At most 65,535 bytes.
    pub payload: &'a [u8],
    /// With which QoS it is published.
    pub qos: QoS,
    /// Whether the server retains it.
    pub retain: bool,
}

/// A secret: its `Debug` prints nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password<'a>(pub &'a [u8]);

impl fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// CONNACK (3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnAck {
    /// Return code 0.
    Accepted {
        /// The server kept state of an earlier connection.
        session_present: bool,
    },
    /// Return codes 1 to 5; the server closes the connection after it.
    Refused(Refusal),
}

/// Why a server refuses a connection (3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Return code 1.
    #[error("the server does not speak this protocol level (return code 1)")]
    ProtocolLevel = 1,
    /// Return code 2.
    #[error("the server does not allow this client identifier (return code 2)")]
    ClientId = 2,
    /// Return code 3.
    #[error("the service is unavailable (return code 3)")]
    Unavailable = 3,
    /// Return code 4.
    #[error("user name or password malformed (return code 4)")]
    Credentials = 4,
    /// Return code 5.
    #[error("not authorized (return code 5)")]
    NotAuthorized = 5,
}

impl Refusal {
    /// The refusal with this return code; `None` for 0 (accepted) and for the reserved ones.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ProtocolLevel),
            2 => Some(Self::ClientId),
            3 => Some(Self::Unavailable),
            4 => Some(Self::Credentials),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }

    /// The return code on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// PUBLISH (3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where to: at least one character, no wildcard.
    pub topic: &'a str,
    /// The message itself; may be empty.
    pub payload: &'a [u8],
    /// QoS and what belongs to it.
    pub delivery: Delivery,
    /// To the server: keep it for later subscribers. To the client: it was kept.
    pub retain: bool,
}

/// The QoS of a PUBLISH with what only that QoS has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce {
        /// PUBACK repeats it.
        id: PacketId,
        /// The sender says it may have sent this before.
        dup: bool,
    },
    /// QoS 2.
    ExactlyOnce {
        /// PUBREC, PUBREL and PUBCOMP repeat it.
        id: PacketId,
        /// The sender says it may have sent this before.
        dup: bool,
    },
}

impl Delivery {
    /// The level alone.
    #[must_use]
    pub fn qos(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce { .. } => QoS::AtLeastOnce,
            Self::ExactlyOnce { .. } => QoS::ExactlyOnce,
        }
    }

    /// The packet identifier; none at QoS 0.
    #[must_use]
    pub fn id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce { id, .. } | Self::ExactlyOnce { id, .. } => Some(id),
        }
    }

    /// The DUP flag; never set at QoS 0 (MQTT-3.3.1-2).
    #[must_use]
    pub fn dup(self) -> bool {
        match self {
            Self::AtMostOnce => false,
            Self::AtLeastOnce { dup, .. } | Self::ExactlyOnce { dup, .. } => dup,
        }
    }
}

/// SUBSCRIBE (3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// SUBACK repeats it.
    pub id: PacketId,
    /// Filters with the highest QoS wanted; at least one (MQTT-3.8.3-3).
    pub filters: Vec<(&'a str, QoS)>,
}

/// SUBACK (3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// That of the SUBSCRIBE.
    pub id: PacketId,
    /// One for each filter, in its order; `None` is a refusal (0x80).
    pub granted: Vec<Option<QoS>>,
}

/// UNSUBSCRIBE (3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// UNSUBACK repeats it.
    pub id: PacketId,
    /// At least one (MQTT-3.10.3-2).
    pub filters: Vec<&'a str>,
}

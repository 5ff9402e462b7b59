//! Strict decoding: what the standard calls a protocol violation is an error, never a guess.
// Bytes of a stranger must not be able to end the process.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::{
    PROTOCOL_LEVEL, PROTOCOL_NAME, SUBSCRIPTION_REFUSED, connect_flag, fixed_flags, kind,
    publish_flag,
};
use crate::packet::{
    ConnAck, Connect, Delivery, Packet, PacketId, Password, Publish, QoS, Refusal, SubAck,
    Subscribe, Unsubscribe, Will,
};
use crate::topic;

/// Why bytes are no packet. After any of these the connection is to be closed: where the next
/// packet would begin is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Types 0 and 15 are reserved (2.2.1).
    #[error("there is no packet type {0}")]
    UnknownType(u8),
    /// Reserved flags with another value than the standard's (MQTT-2.2.2-2), or DUP at QoS 0.
    #[error("flags {flags:#06b} are not allowed on packet type {kind}")]
    Flags {
        /// The packet type.
        kind: u8,
        /// The low half of the first byte.
        flags: u8,
    },
    /// More than four bytes of remaining length (2.2.3).
    #[error("the remaining length takes more than four bytes")]
    RemainingLength,
    /// Longer than the caller allows; found before the packet has arrived.
    #[error("a packet of {length} bytes is longer than the {max} allowed")]
    TooLarge {
        /// The whole packet, with its fixed header.
        length: usize,
        /// What the caller allows.
        max: usize,
    },
    /// A field would end beyond its packet.
    #[error("a field ends beyond its packet")]
    Truncated,
    /// Bytes are left after the last field.
    #[error("bytes are left after the last field")]
    TrailingBytes,
    /// Not UTF-8, or with U+0000 (1.5.3).
    #[error("a string is not UTF-8 or holds U+0000")]
    Text,
    /// Empty or with a wildcard (4.7.1, 4.7.3).
    #[error("not a topic name")]
    TopicName,
    /// Empty or with a misplaced wildcard (4.7.1, 4.7.3).
    #[error("not a topic filter")]
    TopicFilter,
    /// QoS 3, or reserved bits beside a QoS.
    #[error("not a QoS: {0:#04x}")]
    QoS(u8),
    /// Packet identifier 0 (MQTT-2.3.1-1).
    #[error("packet identifier 0")]
    PacketIdZero,
    /// Not `MQTT` (MQTT-3.1.2-1).
    #[error("the protocol is not called MQTT")]
    ProtocolName,
    /// Another level than 4: a server answers return code 1 (MQTT-3.1.2-2).
    #[error("protocol level {0} instead of 4")]
    ProtocolLevel(u8),
    /// Reserved bit, will bits without a will, or a password without a user name (3.1.2).
    #[error("connect flags {0:#010b} are not allowed")]
    ConnectFlags(u8),
    /// Reserved bits, or session present in a refusal (3.2.2).
    #[error("connect acknowledge flags {0:#010b} are not allowed")]
    ConnAckFlags(u8),
    /// A reserved return code of CONNACK or SUBACK.
    #[error("there is no return code {0}")]
    ReturnCode(u8),
    /// SUBSCRIBE, SUBACK or UNSUBSCRIBE without an entry.
    #[error("a list that must have an entry is empty")]
    EmptyList,
}

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads the packet at the beginning of `bytes` and says how many bytes it took. `None`: it has
/// not arrived in full; call again with more bytes from the same beginning.
///
/// `max` bounds the whole packet, fixed header included. Costs nothing per call while a long
/// packet arrives: only its header is looked at.
///
/// # Errors
/// When the bytes are no packet of MQTT 3.1.1, as early as that can be known.
pub fn decode(bytes: &[u8], max: usize) -> Result<Option<(Packet<'_>, usize)>> {
    let Some(header) = Header::read(bytes)? else {
        return Ok(None);
    };
    if header.length > max {
        let length = header.length;
        return Err(DecodeError::TooLarge { length, max });
    }
    let Some(body) = bytes.get(header.size..header.length) else {
        return Ok(None);
    };
    let mut fields = Fields(body);
    let packet = header.packet(&mut fields)?;
    fields.end()?;
    Ok(Some((packet, header.length)))
}

/// The fixed header (2.2).
struct Header {
    kind: u8,
    flags: u8,
    /// Bytes of the header itself.
    size: usize,
    /// Bytes of the whole packet.
    length: usize,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Option<Self>> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let (kind, flags) = (first >> 4, first & 0x0f);
        Self::check(kind, flags)?;
        let Some((size, remaining)) = remaining_length(rest)? else {
            return Ok(None);
        };
        let size = size.saturating_add(1);
        let length = size.saturating_add(remaining);
        Ok(Some(Self {
            kind,
            flags,
            size,
            length,
        }))
    }

    fn check(kind: u8, flags: u8) -> Result<()> {
        match kind {
            kind::PUBLISH => Ok(()),
            kind::CONNECT..=kind::DISCONNECT if flags == fixed_flags(kind) => Ok(()),
            kind::CONNECT..=kind::DISCONNECT => Err(DecodeError::Flags { kind, flags }),
            _ => Err(DecodeError::UnknownType(kind)),
        }
    }

    fn packet<'a>(&self, fields: &mut Fields<'a>) -> Result<Packet<'a>> {
        Ok(match self.kind {
            kind::CONNECT => Packet::Connect(connect(fields)?),
            kind::CONNACK => Packet::ConnAck(connack(fields)?),
            kind::PUBLISH => Packet::Publish(publish(self.flags, fields)?),
            kind::PUBACK => Packet::PubAck(fields.id()?),
            kind::PUBREC => Packet::PubRec(fields.id()?),
            kind::PUBREL => Packet::PubRel(fields.id()?),
            kind::PUBCOMP => Packet::PubComp(fields.id()?),
            kind::SUBSCRIBE => Packet::Subscribe(subscribe(fields)?),
            kind::SUBACK => Packet::SubAck(suback(fields)?),
            kind::UNSUBSCRIBE => Packet::Unsubscribe(unsubscribe(fields)?),
            kind::UNSUBACK => Packet::UnsubAck(fields.id()?),
            kind::PINGREQ => Packet::PingReq,
            kind::PINGRESP => Packet::PingResp,
            kind::DISCONNECT => Packet::Disconnect,
            unknown => return Err(DecodeError::UnknownType(unknown)),
        })
    }
}

/// Seven bits a byte, lowest first, at most four bytes. Returns (bytes taken, value).
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut value = 0_usize;
    for (taken, (&byte, shift)) in (1..).zip(bytes.iter().zip([0_u32, 7, 14, 21])) {
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some((taken, value)));
        }
        if taken == 4 {
            return Err(DecodeError::RemainingLength);
        }
    }
    Ok(None)
}

fn connect<'a>(fields: &mut Fields<'a>) -> Result<Connect<'a>> {
    if fields.text()? != PROTOCOL_NAME {
        return Err(DecodeError::ProtocolName);
    }
    let level = fields.byte()?;
    if level != PROTOCOL_LEVEL {
        return Err(DecodeError::ProtocolLevel(level));
    }
    let flags = connect_flags(fields.byte()?)?;
    let keep_alive = fields.number()?;
    let client_id = fields.text()?;
    let will = match flags & connect_flag::WILL {
        0 => None,
        _ => Some(will(flags, fields)?),
    };
    let username = match flags & connect_flag::USERNAME {
        0 => None,
        _ => Some(fields.text()?),
    };
    let password = match flags & connect_flag::PASSWORD {
        0 => None,
        _ => Some(Password(fields.data()?)),
    };
    Ok(Connect {
        client_id,
        clean_session: flags & connect_flag::CLEAN_SESSION != 0,
        keep_alive,
        will,
        username,
        password,
    })
}

fn connect_flags(flags: u8) -> Result<u8> {
    use connect_flag::{PASSWORD, RESERVED, USERNAME, WILL, WILL_QOS, WILL_RETAIN};
    let will_bits_alone = flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0;
    let password_alone = flags & USERNAME == 0 && flags & PASSWORD != 0;
    if flags & RESERVED != 0 || will_bits_alone || password_alone {
        return Err(DecodeError::ConnectFlags(flags));
    }
    Ok(flags)
}

fn will<'a>(flags: u8, fields: &mut Fields<'a>) -> Result<Will<'a>> {
    let bits = (flags & connect_flag::WILL_QOS) >> connect_flag::WILL_QOS_SHIFT;
    Ok(Will {
        qos: qos(bits)?,
        retain: flags & connect_flag::WILL_RETAIN != 0,
        topic: fields.topic_name()?,
        payload: fields.data()?,
    })
}

fn connack(fields: &mut Fields<'_>) -> Result<ConnAck> {
    match (fields.byte()?, fields.byte()?) {
        (flags @ (0 | 1), 0) => Ok(ConnAck::Accepted {
            session_present: flags == 1,
        }),
        (0, code) => Refusal::from_code(code)
            .map(ConnAck::Refused)
            .ok_or(DecodeError::ReturnCode(code)),
        (flags, _) => Err(DecodeError::ConnAckFlags(flags)),
    }
}

fn publish<'a>(flags: u8, fields: &mut Fields<'a>) -> Result<Publish<'a>> {
    let dup = flags & publish_flag::DUP != 0;
    let level = qos((flags >> publish_flag::QOS_SHIFT) & 0x03)?;
    if dup && level == QoS::AtMostOnce {
        let kind = kind::PUBLISH;
        return Err(DecodeError::Flags { kind, flags });
    }
    let topic = fields.topic_name()?;
    let delivery = match level {
        QoS::AtMostOnce => Delivery::AtMostOnce,
        QoS::AtLeastOnce => Delivery::AtLeastOnce {
            id: fields.id()?,
            dup,
        },
        QoS::ExactlyOnce => Delivery::ExactlyOnce {
            id: fields.id()?,
            dup,
        },
    };
    Ok(Publish {
        topic,
        payload: fields.rest(),
        delivery,
        retain: flags & publish_flag::RETAIN != 0,
    })
}

fn subscribe<'a>(fields: &mut Fields<'a>) -> Result<Subscribe<'a>> {
    let id = fields.id()?;
    let filters = fields.list(|fields| {
        let filter = fields.topic_filter()?;
        Ok((filter, qos(fields.byte()?)?))
    })?;
    Ok(Subscribe { id, filters })
}

fn suback(fields: &mut Fields<'_>) -> Result<SubAck> {
    let id = fields.id()?;
    let granted = fields.list(|fields| match fields.byte()? {
        SUBSCRIPTION_REFUSED => Ok(None),
        code => match QoS::from_bits(code) {
            Some(level) => Ok(Some(level)),
            None => Err(DecodeError::ReturnCode(code)),
        },
    })?;
    Ok(SubAck { id, granted })
}

fn unsubscribe<'a>(fields: &mut Fields<'a>) -> Result<Unsubscribe<'a>> {
    let id = fields.id()?;
    let filters = fields.list(Fields::topic_filter)?;
    Ok(Unsubscribe { id, filters })
}

fn qos(bits: u8) -> Result<QoS> {
    QoS::from_bits(bits).ok_or(DecodeError::QoS(bits))
}

/// What is left of a packet's body.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        let (&byte, rest) = self.0.split_first().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u16> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    fn id(&mut self) -> Result<PacketId> {
        PacketId::new(self.number()?).ok_or(DecodeError::PacketIdZero)
    }

    fn data(&mut self) -> Result<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::from(length))
    }

    fn text(&mut self) -> Result<&'a str> {
        let text = std::str::from_utf8(self.data()?).map_err(|_| DecodeError::Text)?;
        if text.as_bytes().contains(&0) {
            return Err(DecodeError::Text);
        }
        Ok(text)
    }

    fn topic_name(&mut self) -> Result<&'a str> {
        let name = self.text()?;
        topic::is_name(name)
            .then_some(name)
            .ok_or(DecodeError::TopicName)
    }

    fn topic_filter(&mut self) -> Result<&'a str> {
        let filter = self.text()?;
        topic::is_filter(filter)
            .then_some(filter)
            .ok_or(DecodeError::TopicFilter)
    }

    fn list<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut entries = Vec::new();
        while !self.0.is_empty() {
            entries.push(entry(self)?);
        }
        if entries.is_empty() {
            return Err(DecodeError::EmptyList);
        }
        Ok(entries)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }
}

//! Encoding refuses what [`decode`](crate::decode()) would refuse.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, BytesMut};

use super::{
    PROTOCOL_LEVEL, PROTOCOL_NAME, SUBSCRIPTION_REFUSED, connect_flag, fixed_flags, kind,
    publish_flag,
};
use crate::packet::{
    ConnAck, Connect, Packet, PacketId, Publish, QoS, SubAck, Subscribe, Unsubscribe, Will,
};
use crate::topic;

/// Why a packet has no form on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string or a will of more than 65,535 bytes.
    #[error("a field of {0} bytes is longer than 65535")]
    FieldTooLong(usize),
    /// More than 268,435,455 bytes after the fixed header (2.2.3).
    #[error("{0} bytes are more than a packet can hold")]
    PacketTooLarge(usize),
    /// U+0000 in a string (MQTT-1.5.3-2).
    #[error("a string holds U+0000")]
    Text,
    /// Empty, too long, or with a wildcard.
    #[error("not a topic name")]
    TopicName,
    /// Empty, too long, or with a misplaced wildcard.
    #[error("not a topic filter")]
    TopicFilter,
    /// A password without a user name (MQTT-3.1.2-22).
    #[error("a password needs a user name")]
    PasswordAlone,
    /// SUBSCRIBE, SUBACK or UNSUBSCRIBE without an entry.
    #[error("a list that must have an entry is empty")]
    EmptyList,
}

type Result<T> = std::result::Result<T, EncodeError>;

/// The largest remaining length that four bytes can write.
const MAX_REMAINING: usize = 268_435_455;

/// Writes `packet` at the end of `buffer`.
///
/// # Errors
/// When the packet breaks a rule of the standard; `buffer` is then as before.
pub fn encode(packet: &Packet<'_>, buffer: &mut BytesMut) -> Result<()> {
    match packet {
        Packet::Connect(packet) => connect(packet, buffer),
        Packet::ConnAck(packet) => {
            connack(*packet, buffer);
            Ok(())
        }
        Packet::Publish(packet) => publish(packet, buffer),
        Packet::Subscribe(packet) => subscribe(packet, buffer),
        Packet::SubAck(packet) => suback(packet, buffer),
        Packet::Unsubscribe(packet) => unsubscribe(packet, buffer),
        Packet::PubAck(id) => acknowledge(kind::PUBACK, *id, buffer),
        Packet::PubRec(id) => acknowledge(kind::PUBREC, *id, buffer),
        Packet::PubRel(id) => acknowledge(kind::PUBREL, *id, buffer),
        Packet::PubComp(id) => acknowledge(kind::PUBCOMP, *id, buffer),
        Packet::UnsubAck(id) => acknowledge(kind::UNSUBACK, *id, buffer),
        Packet::PingReq => header(kind::PINGREQ, 0, buffer),
        Packet::PingResp => header(kind::PINGRESP, 0, buffer),
        Packet::Disconnect => header(kind::DISCONNECT, 0, buffer),
    }
}

fn connect(packet: &Connect<'_>, buffer: &mut BytesMut) -> Result<()> {
    if packet.password.is_some() && packet.username.is_none() {
        return Err(EncodeError::PasswordAlone);
    }
    let client_id = Field::text(packet.client_id)?;
    let will = packet.will.as_ref().map(will_fields).transpose()?;
    let username = packet.username.map(Field::text).transpose()?;
    let password = packet.password.map(|it| Field::data(it.0)).transpose()?;
    let fields = [Some(client_id), will.map(|it| it.0), will.map(|it| it.1)];
    let fields = fields.into_iter().chain([username, password]).flatten();

    // Level, flags and keep alive (2) stand between the name and the fields.
    let name = Field::text(PROTOCOL_NAME)?;
    let length = total(4, [name].into_iter().chain(fields.clone()));
    header(kind::CONNECT, length, buffer)?;
    name.write(buffer);
    buffer.put_u8(PROTOCOL_LEVEL);
    buffer.put_u8(connect_flags(packet));
    buffer.put_u16(packet.keep_alive);
    fields.for_each(|field| field.write(buffer));
    Ok(())
}

fn will_fields<'a>(will: &Will<'a>) -> Result<(Field<'a>, Field<'a>)> {
    Ok((Field::topic_name(will.topic)?, Field::data(will.payload)?))
}

fn connect_flags(packet: &Connect<'_>) -> u8 {
    let will = packet.will.as_ref().map_or(0, |will| {
        connect_flag::WILL
            | will.qos.bits() << connect_flag::WILL_QOS_SHIFT
            | flag(will.retain, connect_flag::WILL_RETAIN)
    });
    will | flag(packet.clean_session, connect_flag::CLEAN_SESSION)
        | flag(packet.username.is_some(), connect_flag::USERNAME)
        | flag(packet.password.is_some(), connect_flag::PASSWORD)
}

fn connack(packet: ConnAck, buffer: &mut BytesMut) {
    let (flags, code) = match packet {
        ConnAck::Accepted { session_present } => (u8::from(session_present), 0),
        ConnAck::Refused(refusal) => (0, refusal.code()),
    };
    buffer.put_slice(&[kind::CONNACK << 4, 2, flags, code]);
}

fn publish(packet: &Publish<'_>, buffer: &mut BytesMut) -> Result<()> {
    let topic = Field::topic_name(packet.topic)?;
    let delivery = packet.delivery;
    let id = delivery.id();
    let id_size = if id.is_some() { 2 } else { 0 };
    let length = total(id_size, [topic]).saturating_add(packet.payload.len());
    let flags = delivery.qos().bits() << publish_flag::QOS_SHIFT
        | flag(delivery.dup(), publish_flag::DUP)
        | flag(packet.retain, publish_flag::RETAIN);

    header_with_flags(kind::PUBLISH, flags, length, buffer)?;
    topic.write(buffer);
    if let Some(id) = id {
        buffer.put_u16(id.get());
    }
    buffer.put_slice(packet.payload);
    Ok(())
}

fn subscribe(packet: &Subscribe<'_>, buffer: &mut BytesMut) -> Result<()> {
    let filters = filters(packet.filters.iter().map(|(filter, _)| *filter))?;
    let levels = packet.filters.iter().map(|(_, level)| level.bits());
    let fixed = packet.filters.len().saturating_add(2);
    let length = total(fixed, filters.iter().copied());

    header(kind::SUBSCRIBE, length, buffer)?;
    buffer.put_u16(packet.id.get());
    for (filter, level) in filters.iter().zip(levels) {
        filter.write(buffer);
        buffer.put_u8(level);
    }
    Ok(())
}

fn suback(packet: &SubAck, buffer: &mut BytesMut) -> Result<()> {
    if packet.granted.is_empty() {
        return Err(EncodeError::EmptyList);
    }
    header(kind::SUBACK, packet.granted.len().saturating_add(2), buffer)?;
    buffer.put_u16(packet.id.get());
    for granted in &packet.granted {
        buffer.put_u8(granted.map_or(SUBSCRIPTION_REFUSED, QoS::bits));
    }
    Ok(())
}

fn unsubscribe(packet: &Unsubscribe<'_>, buffer: &mut BytesMut) -> Result<()> {
    let filters = filters(packet.filters.iter().copied())?;
    header(kind::UNSUBSCRIBE, total(2, filters.iter().copied()), buffer)?;
    buffer.put_u16(packet.id.get());
    filters.iter().for_each(|filter| filter.write(buffer));
    Ok(())
}

fn acknowledge(kind: u8, id: PacketId, buffer: &mut BytesMut) -> Result<()> {
    header(kind, 2, buffer)?;
    buffer.put_u16(id.get());
    Ok(())
}

fn header(kind: u8, remaining: usize, buffer: &mut BytesMut) -> Result<()> {
    header_with_flags(kind, fixed_flags(kind), remaining, buffer)
}

fn header_with_flags(kind: u8, flags: u8, remaining: usize, buffer: &mut BytesMut) -> Result<()> {
    if remaining > MAX_REMAINING {
        return Err(EncodeError::PacketTooLarge(remaining));
    }
    buffer.reserve(remaining.saturating_add(5));
    buffer.put_u8(kind << 4 | flags);
    let mut rest = remaining;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        let more = flag(rest > 0, 0x80);
        buffer.put_u8(low & 0x7f | more);
        if more == 0 {
            return Ok(());
        }
    }
}

fn filters<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Field<'a>>> {
    let filters: Vec<_> = texts.map(Field::topic_filter).collect::<Result<_>>()?;
    if filters.is_empty() {
        return Err(EncodeError::EmptyList);
    }
    Ok(filters)
}

fn total<'a>(fixed: usize, fields: impl IntoIterator<Item = Field<'a>>) -> usize {
    fields.into_iter().fold(fixed, |sum, field| {
        sum.saturating_add(2).saturating_add(field.bytes.len())
    })
}

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

/// A string or binary field that has been checked, with its length as the wire writes it.
#[derive(Clone, Copy)]
struct Field<'a> {
    bytes: &'a [u8],
    length: u16,
}

impl<'a> Field<'a> {
    fn data(bytes: &'a [u8]) -> Result<Self> {
        let length =
            u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong(bytes.len()))?;
        Ok(Self { bytes, length })
    }

    fn text(text: &'a str) -> Result<Self> {
        if text.as_bytes().contains(&0) {
            return Err(EncodeError::Text);
        }
        Self::data(text.as_bytes())
    }

    fn topic_name(text: &'a str) -> Result<Self> {
        if !topic::is_name(text) {
            return Err(EncodeError::TopicName);
        }
        Self::data(text.as_bytes())
    }

    fn topic_filter(text: &'a str) -> Result<Self> {
        if !topic::is_filter(text) {
            return Err(EncodeError::TopicFilter);
        }
        Self::data(text.as_bytes())
    }

    fn write(self, buffer: &mut BytesMut) {
        buffer.put_u16(self.length);
        buffer.put_slice(self.bytes);
    }
}

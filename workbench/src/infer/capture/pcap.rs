//! pcap and pcapng files: blocks to packets, packets to TCP segments.

use std::io::Read;

use anyhow::bail;
use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice, ether_type};
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};

use super::tcp::{Assembler, Segment};
use super::{Capture, Room};

/// Bytes of a block at most: packets of full size and what a capturing program puts around them.
const BUFFER: usize = 1 << 20;

/// Interfaces of a section at most.
const MOST_INTERFACES: usize = 4096;

/// Whether a file with these first bytes is a pcap or pcapng file.
pub fn is_pcap(first: &[u8]) -> bool {
    [
        [0x0a, 0x0d, 0x0d, 0x0a],
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
    ]
    .iter()
    .any(|magic| first.starts_with(magic))
}

/// Reads a file up to its end, or to where it cannot be read any more: what came before counts.
pub fn read(input: impl Read + Send, capture: &mut Capture, room: &mut Room) -> anyhow::Result<()> {
    let mut reader = match create_reader(BUFFER, input) {
        Ok(reader) => reader,
        Err(error) => bail!(
            "the header of the capture file cannot be read: {}",
            word(&error)
        ),
    };
    let mut file = File::default();
    let mut looked_again = false;
    let end = loop {
        match reader.next() {
            Ok((size, block)) => {
                looked_again = false;
                file.block(block, room);
                reader.consume(size);
                continue;
            }
            Err(PcapError::Eof) => break None,
            Err(PcapError::Incomplete(_)) => {}
            Err(error) => break Some(word(&error)),
        }
        // The reader sees the end of the file only when it asks for more, and says so the next
        // time. What a hostile length asks for never comes: then the file ends inside of a block.
        if !refilled(&mut *reader) && std::mem::replace(&mut looked_again, true) {
            break Some("it ends inside of a block");
        }
    };
    if let Some(end) = end {
        capture.note(format!(
            "the capture file could be read up to packet {} only: {end}",
            file.packets
        ));
    }
    for note in file.notes() {
        capture.note(note);
    }
    file.assembler.finish(capture);
    Ok(())
}

/// Whether there are more bytes to look at than before.
fn refilled(reader: &mut dyn PcapReaderIterator) -> bool {
    let before = reader.data().len();
    reader.refill().is_ok() && reader.data().len() > before
}

fn word<I>(error: &PcapError<I>) -> &'static str {
    match error {
        PcapError::Eof => "it is empty",
        PcapError::BufferTooSmall => "a block is larger than 1 MiB",
        PcapError::UnexpectedEof | PcapError::Incomplete(_) => "it ends inside of a block",
        PcapError::ReadError => "it cannot be read",
        PcapError::HeaderNotRecognized => "this is no header of pcap or pcapng",
        PcapError::NomError(..) | PcapError::OwnedNomError(..) => "a block is malformed",
    }
}

/// What is known of the file so far.
#[derive(Default)]
struct File {
    links: Vec<Linktype>,
    packets: usize,
    /// Packets that are no TCP.
    other: usize,
    fragments: usize,
    /// Packets of links that are not known.
    unknown: usize,
    assembler: Assembler,
}

impl File {
    fn block(&mut self, block: PcapBlockOwned<'_>, room: &mut Room) {
        match block {
            PcapBlockOwned::LegacyHeader(header) => self.links = vec![header.network],
            PcapBlockOwned::Legacy(packet) => self.packet(0, packet.data, packet.caplen, room),
            PcapBlockOwned::NG(Block::SectionHeader(_)) => self.links.clear(),
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                if self.links.len() < MOST_INTERFACES {
                    self.links.push(interface.linktype);
                }
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                self.packet(packet.if_id, packet.data, packet.caplen, room);
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                self.packet(0, packet.data, packet.origlen, room);
            }
            PcapBlockOwned::NG(_) => {}
        }
    }

    fn packet(&mut self, interface: u32, data: &[u8], captured: u32, room: &mut Room) {
        self.packets += 1;
        let link = usize::try_from(interface).ok();
        let link = link
            .and_then(|interface| self.links.get(interface))
            .copied();
        let captured = usize::try_from(captured).unwrap_or(usize::MAX);
        let data = data.get(..captured).unwrap_or(data);
        let Some(packet) = link.and_then(|link| sliced(link, data)) else {
            self.unknown += 1;
            return;
        };
        let (addresses, fragment) = match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => (
                [
                    ip.header().source_addr().into(),
                    ip.header().destination_addr().into(),
                ],
                ip.is_payload_fragmented(),
            ),
            Some(LaxNetSlice::Ipv6(ip)) => (
                [
                    ip.header().source_addr().into(),
                    ip.header().destination_addr().into(),
                ],
                ip.is_payload_fragmented(),
            ),
            Some(LaxNetSlice::Arp(_)) | None => {
                self.other += 1;
                return;
            }
        };
        match &packet.transport {
            _ if fragment => self.fragments += 1,
            Some(TransportSlice::Tcp(tcp)) => {
                let [from, to] = addresses;
                self.assembler.push(
                    &Segment {
                        from: (from, tcp.source_port()),
                        to: (to, tcp.destination_port()),
                        sequence: tcp.sequence_number(),
                        syn: tcp.syn(),
                        ack: tcp.ack(),
                        payload: tcp.payload(),
                    },
                    room,
                );
            }
            _ => self.other += 1,
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.fragments > 0 {
            notes.push(format!(
                "{} fragments of IP packets were left out",
                self.fragments
            ));
        }
        if self.unknown > 0 {
            notes.push(format!(
                "{} packets of links that are not known were left out",
                self.unknown
            ));
        }
        if self.other == self.packets && self.packets > 0 {
            notes.push(format!("none of the {} packets is TCP", self.packets));
        }
        notes
    }
}

/// The headers of a packet, as far as they are there.
fn sliced(link: Linktype, data: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    let by_type = |header: usize, at: usize| {
        let kind = data.get(at..at.checked_add(2)?)?;
        let kind = u16::from_be_bytes(kind.try_into().ok()?);
        Some(LaxSlicedPacket::from_ether_type(
            EtherType(kind),
            data.get(header..)?,
        ))
    };
    match link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(data).ok(),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => LaxSlicedPacket::from_ip(data).ok(),
        // Four bytes that say the address family, in the order of bytes of whoever captured.
        Linktype::NULL | Linktype::LOOP => {
            let version = data.get(4)? >> 4;
            let kind = if version == 6 {
                ether_type::IPV6
            } else {
                ether_type::IPV4
            };
            Some(LaxSlicedPacket::from_ether_type(kind, data.get(4..)?))
        }
        Linktype::LINUX_SLL => by_type(16, 14),
        Linktype(276) => by_type(20, 0),
        _ => None,
    }
}

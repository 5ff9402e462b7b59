//! Segments to streams: in order, each byte once, gaps named.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::{Capture, Group, Room, Stretch};

/// Segments that wait for one before them, of one direction.
const MOST_WAITING: usize = 64;

/// Directions of connections at most.
const MOST_FLOWS: usize = 20_000;

type End = (IpAddr, u16);

/// One TCP segment.
#[derive(Debug)]
pub struct Segment<'p> {
    /// Who sent it.
    pub from: End,
    /// To whom.
    pub to: End,
    /// Number of its first byte.
    pub sequence: u32,
    /// It opens the connection.
    pub syn: bool,
    /// It acknowledges something; with `syn` it is the answer of the side that listens.
    pub ack: bool,
    /// What it carries.
    pub payload: &'p [u8],
}

/// One direction of one connection.
#[derive(Debug, Default)]
struct Flow {
    /// Number of the next byte.
    next: u32,
    /// What came before its turn, by number.
    waiting: BTreeMap<u32, Vec<u8>>,
    stretches: Vec<Stretch>,
    repeated: usize,
    gaps: Vec<u32>,
    began: bool,
}

/// Puts the segments of all connections together.
#[derive(Debug, Default)]
pub struct Assembler {
    flows: HashMap<(End, End), Flow>,
    /// The flows in the order of their first segment, so that the result is the same every time.
    order: Vec<(End, End)>,
    done: Vec<((End, End), Flow)>,
    /// Ends of which it is known that they listen.
    listens: HashMap<End, usize>,
    ignored: usize,
}

impl Assembler {
    /// Takes a segment.
    pub fn push(&mut self, segment: &Segment<'_>, room: &mut Room) {
        let key = (segment.from, segment.to);
        if segment.syn {
            let listener = if segment.ack {
                segment.from
            } else {
                segment.to
            };
            if self.listens.len() < MOST_FLOWS {
                *self.listens.entry(listener).or_default() += 1;
            }
            self.opens(key, segment.sequence);
        }
        if !self.flows.contains_key(&key) {
            if segment.payload.is_empty() {
                return;
            }
            if self.flows.len() >= MOST_FLOWS {
                self.ignored += 1;
                return;
            }
            self.order.push(key);
        }
        let flow = self.flows.entry(key).or_default();
        if !flow.began {
            flow.began = true;
            flow.next = segment.sequence;
        }
        let payload = room.take(segment.payload);
        if !payload.is_empty() {
            let first = segment.sequence.wrapping_add(u32::from(segment.syn));
            let repeated = flow.repeated;
            flow.take(first, payload);
            room.give_back(flow.repeated - repeated);
        }
    }

    /// A connection begins, perhaps between the ports of an earlier one.
    fn opens(&mut self, key: (End, End), sequence: u32) {
        let next = sequence.wrapping_add(1);
        let full = self.flows.len().max(self.done.len()) >= MOST_FLOWS;
        match self.flows.get_mut(&key) {
            // The same once more.
            Some(flow) if flow.next == next => return,
            _ if full => {
                self.ignored += 1;
                return;
            }
            Some(flow) => self.done.push((key, std::mem::take(flow))),
            None => self.order.push(key),
        }
        let flow = self.flows.entry(key).or_default();
        (flow.next, flow.began) = (next, true);
    }

    /// Hands all streams over, by the port that listens and the direction.
    pub fn finish(mut self, capture: &mut Capture) {
        let mut done = std::mem::take(&mut self.done);
        for key in std::mem::take(&mut self.order) {
            done.extend(self.flows.remove(&key).map(|flow| (key, flow)));
        }
        let mut repeated = 0;
        for ((from, to), mut flow) in done {
            flow.flush();
            repeated += flow.repeated;
            for gap in &flow.gaps {
                capture.note(format!(
                    "{}:{} to {}:{}: {gap} bytes are missing; what follows counts as a stream of its own",
                    from.0, from.1, to.0, to.1
                ));
            }
            let to_port = self.is_listener(to, from);
            let port = if to_port { to.1 } else { from.1 };
            let name = format!("{} port {port}", if to_port { "to" } else { "from" });
            capture.add(Group {
                name,
                port: Some(port),
                to_port,
                stretches: flow.stretches,
            });
        }
        if repeated > 0 {
            capture.note(format!("{repeated} bytes that came twice were dropped"));
        }
        if self.ignored > 0 {
            capture.note(format!(
                "{} segments of more than {MOST_FLOWS} connections were left out",
                self.ignored
            ));
        }
    }

    /// Whether that end listens: its connection was seen to open, or it has the smaller port.
    fn is_listener(&self, end: End, other: End) -> bool {
        let seen = |end: &End| self.listens.get(end).copied().unwrap_or_default();
        match seen(&end).cmp(&seen(&other)) {
            std::cmp::Ordering::Equal => end.1 <= other.1,
            order => order.is_gt(),
        }
    }
}

impl Flow {
    fn take(&mut self, sequence: u32, payload: &[u8]) {
        match self.ahead(sequence) {
            0 => self.append(payload),
            ahead if ahead > 0 => {
                let known = self.waiting.get(&sequence).map_or(0, Vec::len);
                self.repeated += known.min(payload.len());
                if known < payload.len() {
                    self.waiting.insert(sequence, payload.to_vec());
                }
                if self.waiting.len() > MOST_WAITING {
                    self.skip_gap();
                }
            }
            behind => {
                let known = usize::try_from(behind.unsigned_abs()).unwrap_or(usize::MAX);
                self.repeated += known.min(payload.len());
                if let Some(new) = payload.get(known..).filter(|new| !new.is_empty()) {
                    self.append(new);
                }
            }
        }
    }

    /// How far a number is ahead of the next byte; numbers begin again at 0.
    fn ahead(&self, sequence: u32) -> i32 {
        sequence.wrapping_sub(self.next).cast_signed()
    }

    fn append(&mut self, payload: &[u8]) {
        if self.stretches.is_empty() {
            self.stretches.push(Stretch::default());
        }
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.push(payload);
        }
        let count = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.next = self.next.wrapping_add(count);
        self.waited();
    }

    /// Takes what waited for these bytes.
    fn waited(&mut self) {
        let mut waiting = self.waiting.keys().copied();
        let ready = waiting.find(|sequence| self.ahead(*sequence) <= 0);
        if let Some(sequence) = ready
            && let Some(payload) = self.waiting.remove(&sequence)
        {
            self.take(sequence, &payload);
        }
    }

    /// Gives up the bytes that are missing before the nearest that wait.
    fn skip_gap(&mut self) {
        let waiting = self.waiting.keys().copied();
        let Some(nearest) = waiting.min_by_key(|sequence| self.ahead(*sequence)) else {
            return;
        };
        self.gaps.push(nearest.wrapping_sub(self.next));
        self.stretches.push(Stretch::default());
        self.next = nearest;
        self.waited();
    }

    fn flush(&mut self) {
        while !self.waiting.is_empty() {
            self.skip_gap();
        }
        self.stretches.retain(|stretch| !stretch.bytes.is_empty());
    }
}

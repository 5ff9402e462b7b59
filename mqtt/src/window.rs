//! What is sent and not acknowledged yet, in send order.

use std::collections::VecDeque;

use crate::PacketId;

/// Packet ids of publishes repeat after so many.
const IDS: u64 = 65_000;
/// Those of subscriptions begin above, so that no id is in flight twice (MQTT-2.3.1-2).
pub(crate) const FIRST_SUBSCRIBE: PacketId = PacketId::new(65_001).unwrap();

/// The unacknowledged publishes of one session.
#[derive(Debug)]
pub(crate) struct Window<T> {
    sent: VecDeque<Sent<T>>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
    count: u64,
}

#[derive(Debug)]
struct Sent<T> {
    /// The how-manieth publish of the session it is; its packet id follows from that.
    number: u64,
    bytes: usize,
    tag: T,
}

impl<T> Window<T> {
    pub(crate) fn new(most: usize, most_bytes: usize) -> Self {
        Window {
            sent: VecDeque::new(),
            bytes: 0,
            most,
            most_bytes,
            count: 0,
        }
    }

    /// How many more may be sent now. One that is larger than all room may go when nothing else is out.
    pub(crate) fn room(&self) -> usize {
        let ids_left = match self.sent.front() {
            Some(oldest) => IDS.saturating_sub(self.count.saturating_sub(oldest.number)),
            None => IDS,
        };
        if self.bytes >= self.most_bytes {
            return 0;
        }
        self.most
            .saturating_sub(self.sent.len())
            .min(usize::try_from(ids_left).unwrap_or(usize::MAX))
    }

    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// The packet id of the next publish.
    pub(crate) fn next_id(&self) -> PacketId {
        id(self.count)
    }

    pub(crate) fn push(&mut self, bytes: usize, tag: T) {
        self.sent.push_back(Sent {
            number: self.count,
            bytes,
            tag,
        });
        self.bytes = self.bytes.saturating_add(bytes);
        self.count = self.count.saturating_add(1);
    }

    /// Takes out what an acknowledgement means; `None` if nothing of that id is out.
    pub(crate) fn acknowledged(&mut self, acknowledged: PacketId) -> Option<T> {
        let at = self
            .sent
            .iter()
            .position(|sent| id(sent.number) == acknowledged)?;
        let sent = self.sent.remove(at)?;
        self.bytes = self.bytes.saturating_sub(sent.bytes);
        Some(sent.tag)
    }

    pub(crate) fn into_tags(self) -> Vec<T> {
        self.sent.into_iter().map(|sent| sent.tag).collect()
    }
}

fn id(number: u64) -> PacketId {
    let index = u16::try_from(number.checked_rem(IDS).unwrap_or(0)).unwrap_or(0);
    PacketId::MIN.saturating_add(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_in_any_order_take_out_what_they_mean() {
        let mut window = Window::new(4, 1000);
        let ids: Vec<_> = ["a", "b", "c", "d"]
            .into_iter()
            .map(|tag| {
                let id = window.next_id();
                window.push(10, tag);
                id
            })
            .collect();
        assert_eq!((window.room(), window.len()), (0, 4));
        assert_eq!(window.acknowledged(ids[2]), Some("c"));
        assert_eq!(
            window.acknowledged(ids[2]),
            None,
            "an unknown acknowledgement means nothing"
        );
        assert_eq!(window.acknowledged(ids[0]), Some("a"));
        assert_eq!(window.room(), 2);
        assert_eq!(window.into_tags(), ["b", "d"]);
    }

    #[test]
    fn bytes_bound_the_window_too() {
        let mut window = Window::new(100, 25);
        for _ in 0..3 {
            assert!(window.room() > 0);
            window.push(10, ());
        }
        assert_eq!(window.room(), 0);
    }

    #[test]
    fn an_id_in_flight_is_never_given_again() {
        let mut window = Window::new(10, 1 << 30);
        window.push(1, 0);
        let first = id(0);
        for n in 1..IDS {
            let id = window.next_id();
            assert_ne!(id, first);
            window.push(1, n);
            assert_eq!(window.acknowledged(id), Some(n));
        }
        assert_eq!(window.room(), 0, "the next id is the one still in flight");
        assert_eq!(window.acknowledged(first), Some(0));
        assert!(window.room() > 0);
    }
}

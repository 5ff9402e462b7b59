//! Who waits in quarantine: unknown devices and a sample of what they sent, for the operator to
//! see which to add.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::message::Name;

/// Devices that are remembered; of one more, the one that was heard longest ago is forgotten.
pub const MOST: usize = 20;
/// Bytes of a frame that are shown.
const SHOWN: usize = 64;
/// A device that sent nothing for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);
/// How often it is told that other devices wait than before.
const OTHERS: Duration = Duration::from_secs(60);
/// How often it is told that the same devices have sent more.
const MORE: Duration = Duration::from_secs(600);

/// The devices in quarantine. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Quarantine(Arc<Mutex<Waiting>>);

/// What is known of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The listener it spoke on last.
    pub listener: Name,
    /// Its address then.
    pub address: SocketAddr,
    /// Frames since it is here.
    pub frames: u64,
    /// The beginning of the last one, in hex; empty where it may not be shown.
    pub last_frame: String,
}

/// The samples by identity as spoken.
pub type Samples = BTreeMap<Name, Sample>;

#[derive(Debug, Default)]
struct Waiting {
    samples: Samples,
    heard: BTreeMap<Name, Instant>,
    others: bool,
    more: bool,
    told: Option<Instant>,
}

impl Quarantine {
    /// A frame came that is neither passed on nor acknowledged.
    pub fn note(
        &self,
        device: &Name,
        (listener, address): (&Name, SocketAddr),
        frame: &[u8],
        now: Instant,
    ) {
        let mut waiting = self.lock();
        if !waiting.samples.contains_key(device) {
            waiting.make_room();
            waiting.others = true;
        }
        waiting.more = true;
        waiting.heard.insert(Name::clone(device), now);
        let frames = waiting
            .samples
            .get(device)
            .map_or(0, |sample| sample.frames);
        let shown = frame.iter().take(SHOWN);
        let sample = Sample {
            listener: Name::clone(listener),
            address,
            frames: frames.saturating_add(1),
            last_frame: shown.map(|byte| format!("{byte:02x}")).collect(),
        };
        waiting.samples.insert(Name::clone(device), sample);
    }

    /// Forgets those that need not wait any more.
    pub fn keep(&self, waits: impl Fn(&Name, &Sample) -> bool) {
        self.lock().keep(|device, sample, _| waits(device, sample));
    }

    /// All samples, if it is time to tell them again.
    pub fn news(&self, now: Instant) -> Option<Samples> {
        let mut waiting = self.lock();
        let silent = |heard: &Instant| now.saturating_duration_since(*heard) >= FORGOTTEN;
        waiting.keep(|_, _, heard| !heard.is_some_and(silent));
        let since = waiting.told.map(|told| now.saturating_duration_since(told));
        let due = |pause| since.is_none_or(|since| since >= pause);
        let news = waiting.others && due(OTHERS) || waiting.more && due(MORE);
        news.then(|| {
            waiting.others = false;
            waiting.more = false;
            waiting.told = Some(now);
            waiting.samples.clone()
        })
    }

    /// Nobody knows any more what was told.
    pub fn tell_again(&self) {
        let mut waiting = self.lock();
        waiting.others |= !waiting.samples.is_empty();
        waiting.told = None;
    }

    /// How many devices wait.
    pub fn len(&self) -> usize {
        self.lock().samples.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn make_room(&mut self) {
        if self.samples.len() < MOST {
            return;
        }
        let longest_ago = self.heard.iter().min_by_key(|(_, heard)| **heard);
        if let Some(device) = longest_ago.map(|(device, _)| Name::clone(device)) {
            self.samples.remove(&device);
            self.heard.remove(&device);
        }
    }

    fn keep(&mut self, stays: impl Fn(&Name, &Sample, Option<&Instant>) -> bool) {
        let (before, heard) = (self.samples.len(), &self.heard);
        self.samples
            .retain(|device, sample| stays(device, sample, heard.get(device)));
        self.others |= self.samples.len() < before;
        let samples = &self.samples;
        self.heard.retain(|device, _| samples.contains_key(device));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        quarantine: Quarantine,
        now: Instant,
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock; tests count from it"
    )]
    fn bench() -> Bench {
        Bench {
            quarantine: Quarantine::default(),
            now: Instant::now(),
        }
    }

    impl Bench {
        fn note(&self, device: &str, frame: &[u8]) {
            let address = "10.0.0.7:4000".parse().unwrap();
            let from = (&Name::from("trackers"), address);
            self.quarantine.note(&device.into(), from, frame, self.now);
        }

        fn after(&mut self, seconds: u64) -> Option<String> {
            self.now += Duration::from_secs(seconds);
            let samples = self.quarantine.news(self.now)?;
            let shown = samples.iter();
            let shown: Vec<_> = shown
                .map(|(name, sample)| format!("{name}:{}", sample.frames))
                .collect();
            Some(shown.join(" "))
        }
    }

    #[test]
    fn others_are_told_every_minute_and_more_of_the_same_every_ten() {
        let mut bench = bench();
        assert_eq!(bench.after(1), None);
        bench.note("a", b"x");
        assert_eq!(bench.after(0).as_deref(), Some("a:1"));
        bench.note("a", b"y");
        bench.note("b", b"y");
        assert_eq!(bench.after(59), None);
        assert_eq!(bench.after(1).as_deref(), Some("a:2 b:1"));
        bench.note("a", b"z");
        assert_eq!(bench.after(599), None);
        assert_eq!(bench.after(1).as_deref(), Some("a:3 b:1"));
        assert_eq!(bench.after(6000), None);
        bench.quarantine.tell_again();
        assert_eq!(bench.after(0).as_deref(), Some("a:3 b:1"));
    }

    #[test]
    fn who_is_known_now_or_silent_for_a_day_is_taken_back() {
        let mut bench = bench();
        bench.note("a", b"x");
        bench.note("b", b"x");
        bench.after(0);
        bench.quarantine.keep(|device, _| &**device != "a");
        assert_eq!(bench.after(60).as_deref(), Some("b:1"));
        bench.note("c", b"x");
        assert_eq!(bench.after(24 * 3600 - 61).as_deref(), Some("b:1 c:1"));
        assert_eq!(bench.after(60).as_deref(), Some("c:1"));
        assert_eq!(bench.after(60).as_deref(), Some(""));
        assert_eq!(bench.after(1_000_000), None);
    }

    #[test]
    fn it_is_bounded_in_devices_and_bytes() {
        let mut bench = bench();
        for device in 0..1000 {
            bench.note("first", &[0xab; 1000]);
            bench.note(&device.to_string(), &[0xcd; 1000]);
            bench.now += Duration::from_millis(1);
        }
        let waiting = bench.quarantine.lock();
        assert_eq!((waiting.samples.len(), waiting.heard.len()), (MOST, MOST));
        assert_eq!(waiting.samples["first"].frames, 1000, "who speaks stays");
        assert!(
            waiting
                .samples
                .values()
                .all(|sample| sample.last_frame.len() == 128)
        );
    }
}

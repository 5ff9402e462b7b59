//! What became of every message, by output: `submitted + recovered = delivered + spooled + dropped +
//! deadLettered`, whenever it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::metrics::{Metrics, sample_name};
use crate::message::Name;

/// The account of one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages taken over from devices.
    pub submitted: u64,
    /// Messages that an earlier run had left on disk.
    pub recovered: u64,
    /// Messages that edgeHub acknowledged.
    pub delivered: u64,
    /// Messages given up.
    pub dropped: u64,
    /// Messages that can never be delivered, kept in a file.
    pub dead_lettered: u64,
    /// Messages kept for delivery now: counted where they are kept, not computed from the others.
    pub spooled: u64,
}

/// The accounts as they are read: one consistent state.
pub type Snapshot = BTreeMap<Name, Account>;

/// What a scrape reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<Mutex<Snapshot>>);

impl Shared {
    fn with<R>(&self, work: impl FnOnce(&mut Snapshot) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The names of all samples.
    pub(super) fn names(prefix: &str) -> BTreeSet<String> {
        let counters = COUNTERS.map(|(name, ..)| sample_name(prefix, name, MetricType::Counter));
        let spooled = sample_name(prefix, SPOOLED, MetricType::Gauge);
        counters.into_iter().chain([spooled]).collect()
    }

    pub(super) fn read(&self) -> Snapshot {
        self.with(|accounts| accounts.clone())
    }
}

/// The accounts as they are kept, by the one who moves the messages.
#[derive(Debug)]
pub struct Accounts {
    own: Snapshot,
    changed: bool,
    shared: Shared,
    forecast: Forecast,
    metrics: Metrics,
}

impl Accounts {
    /// Accounts that are read through these metrics.
    pub fn new(metrics: &Metrics) -> Self {
        Accounts {
            own: metrics.accounts(),
            changed: false,
            shared: metrics.shared_accounts(),
            forecast: Forecast::default(),
            metrics: metrics.clone(),
        }
    }

    /// An output's account, to be changed. It is read by others after the next [`Accounts::commit`].
    pub fn of(&mut self, output: &Name) -> &mut Account {
        self.changed = true;
        if !self.own.contains_key(output) {
            self.own.insert(Name::clone(output), Account::default());
        }
        self.own.entry(Name::clone(output)).or_default()
    }

    /// Messages were found on disk.
    pub fn recovered(&mut self, messages: &BTreeMap<Name, u64>) {
        for (output, count) in messages {
            self.of(output).recovered += count;
        }
    }

    /// IoT Hub will meter so many messages for what was delivered.
    pub fn metered(&mut self, units: u64, now: Instant) {
        self.metrics.metered(units);
        self.forecast.add(units, now);
    }

    /// Shows everything that changed, at once. `kept` is what is kept now. To be called from time
    /// to time also when nothing is delivered: that is what the forecast has to say then.
    pub fn commit(&mut self, kept: &BTreeMap<Name, u64>, now: Instant) {
        if let Some(per_day) = self.forecast.add(0, now) {
            self.metrics.metering_forecast(per_day);
        }
        if !std::mem::take(&mut self.changed) {
            return;
        }
        for (output, account) in &mut self.own {
            account.spooled = kept.get(output).copied().unwrap_or(0);
        }
        self.shared.with(|shared| shared.clone_from(&self.own));
    }
}

/// How many messages IoT Hub meters in a day if it goes on like this.
#[derive(Debug, Default)]
struct Forecast {
    began: Option<Instant>,
    units: u64,
    before: Option<f64>,
}

impl Forecast {
    const SPAN: Duration = Duration::from_secs(600);
    const DAY: f64 = 86_400.0;

    /// Adds some; gives the forecast where there is enough to go by.
    fn add(&mut self, units: u64, now: Instant) -> Option<f64> {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began);
        if passed >= Self::SPAN {
            self.before = Some(self.rate(passed));
            self.began = Some(now);
            self.units = 0;
        }
        self.units += units;
        let passed = now.saturating_duration_since(self.began?);
        match self.before {
            Some(before) if passed < Self::SPAN / 10 => Some(before),
            None if passed < Duration::from_secs(10) => None,
            _ => Some(self.rate(passed)),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a forecast")]
    fn rate(&self, passed: Duration) -> f64 {
        self.units as f64 / passed.as_secs_f64() * Self::DAY
    }
}

type Column = (&'static str, &'static str, fn(&Account) -> u64);
const COUNTERS: [Column; 5] = [
    (
        "messages_submitted",
        "Messages taken over for delivery",
        |account| account.submitted,
    ),
    (
        "messages_recovered",
        "Messages found on disk at the start; those that edgeHub had acknowledged are repeated",
        |account| account.recovered,
    ),
    (
        "messages_delivered",
        "Messages acknowledged by edgeHub",
        |account| account.delivered,
    ),
    (
        "messages_dropped",
        "Messages given up; the reasons stand in messages_dropped_reasons",
        |account| account.dropped,
    ),
    (
        "messages_dead_lettered",
        "Messages that can never be delivered, kept in dead-letters.jsonl",
        |account| account.dead_lettered,
    ),
];
const SPOOLED: &str = "messages_spooled";

impl Collector for Shared {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let accounts = self.read();
        for (name, help, column) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (output, account) in &accounts {
                let labels = [("output", &**output)];
                ConstCounter::new(column(account)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Messages kept for delivery, in memory and on disk";
        let mut family = encoder.encode_descriptor(SPOOLED, help, None, MetricType::Gauge)?;
        for (output, account) in &accounts {
            let labels = [("output", &**output)];
            let spooled = i64::try_from(account.spooled).unwrap_or(i64::MAX);
            ConstGauge::new(spooled).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_together_or_not_at_all() {
        let metrics = Metrics::default();
        let mut accounts = Accounts::new(&metrics);
        let output = Name::from("telemetry");
        accounts.of(&output).submitted += 3;
        assert_eq!(metrics.accounts().get(&output), None);
        accounts.of(&output).delivered += 1;
        let now = crate::clock::Clock::system().now().monotonic;
        accounts.commit(&BTreeMap::from([(Name::clone(&output), 2)]), now);
        let seen = metrics.accounts()[&output];
        assert_eq!((seen.submitted, seen.delivered, seen.spooled), (3, 1, 2));
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_spooled{output=\"telemetry\"}"),
            2.0
        );
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_submitted_total{output=\"telemetry\"}"),
            3.0
        );
    }

    #[test]
    fn a_forecast_goes_by_the_last_ten_minutes() {
        let start = crate::clock::Clock::system().now().monotonic;
        let mut forecast = Forecast::default();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(forecast.add(1, at(0)), None);
        assert_eq!(forecast.add(1, at(10)), Some(2.0 * 8640.0));
        forecast.add(598, at(599));
        assert_eq!(forecast.add(0, at(600)), Some(86_400.0));
        assert_eq!(forecast.add(60, at(720)), Some(60.0 * 720.0));
    }

    #[test]
    fn the_forecast_that_is_shown_falls_when_nothing_is_delivered_any_more() {
        let start = crate::clock::Clock::system().now().monotonic;
        let metrics = Metrics::default();
        let mut accounts = Accounts::new(&metrics);
        accounts.metered(100, start);
        let mut shown_at = |seconds: u64| {
            accounts.commit(&BTreeMap::new(), start + Duration::from_secs(seconds));
            metrics.sample("edge_tcp_gateway_metering_units_per_day")
        };
        assert_eq!(shown_at(100), 86_400.0);
        assert_eq!(shown_at(200), 43_200.0);
        shown_at(600);
        assert_eq!(shown_at(700), 0.0);
    }
}

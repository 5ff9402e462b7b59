//! Log lines in the shape edgeAgent's parser reads, and the one throttle for repeated lines.
//!
//! The shape is `<6> 2026-01-31 12:00:00.000 +00:00 [INF] - text`: a syslog digit, the time, and
//! one line per record (edge-agent `LogMessageParser.cs`).

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// The level that a `RuntimeLogLevel` word means; `None` for a word that edgeAgent does not use.
pub fn level(word: &str) -> Option<LevelFilter> {
    Some(match word.to_ascii_lowercase().as_str() {
        "fatal" | "error" => LevelFilter::ERROR,
        "warning" | "warn" => LevelFilter::WARN,
        "information" | "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "verbose" | "trace" => LevelFilter::TRACE,
        _ => return None,
    })
}

/// Installs the subscriber that writes lines to standard output: the process's only global.
///
/// # Errors
/// When a subscriber is installed already.
pub fn install(
    level: LevelFilter,
    clock: fn() -> Timestamp,
) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let lines = subscriber(level, clock, std::io::stdout);
    tracing::subscriber::set_global_default(lines)
}

/// What writes lines there.
pub(crate) fn subscriber<W>(
    level: LevelFilter,
    clock: fn() -> Timestamp,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_max_level(level)
        .event_format(EdgeAgentLine { clock })
        .with_writer(writer)
        .finish()
}

/// Writes one record as one line of edgeAgent's shape.
#[derive(Debug)]
struct EdgeAgentLine {
    clock: fn() -> Timestamp,
}

impl<S, N> FormatEvent<S, N> for EdgeAgentLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        for span in ctx
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            let extensions = span.extensions();
            match extensions.get::<FormattedFields<N>>() {
                Some(fields) if !fields.is_empty() => {
                    write!(text, "{} {}: ", span.name(), fields.fields)?
                }
                _ => write!(text, "{}: ", span.name())?,
            }
        }
        ctx.format_fields(Writer::new(&mut text), event)?;
        write_line(
            &mut writer,
            *event.metadata().level(),
            (self.clock)(),
            &text,
        )
    }
}

fn write_line(out: &mut impl fmt::Write, level: Level, time: Timestamp, text: &str) -> fmt::Result {
    let (digit, word) = match level {
        Level::ERROR => (3, "ERR"),
        Level::WARN => (4, "WRN"),
        Level::INFO => (6, "INF"),
        Level::DEBUG => (7, "DBG"),
        Level::TRACE => (7, "VRB"),
    };
    let time = time.strftime("%Y-%m-%d %H:%M:%S%.3f");
    write!(out, "<{digit}> {time} +00:00 [{word}] - ")?;
    // A device's text must not be able to start a line of its own.
    for c in text.chars() {
        if c.is_control() {
            write!(out, "{}", c.escape_default())?
        } else {
            out.write_char(c)?
        }
    }
    out.write_char('\n')
}

/// Lets a repeated line through at most once in ten seconds, and says how many it held back.
///
/// What is repeated is a kind of line about one source: a device, or an entry of the settings. So one
/// that makes much trouble hides no other.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    kinds: Arc<Mutex<HashMap<&'static str, Kind>>>,
}

/// Lines of one kind.
#[derive(Debug, Default)]
struct Kind {
    sources: HashMap<String, Seen>,
    /// All sources for which there is no place, together, and what was held back of those whose
    /// place is taken by another one.
    others: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    const INTERVAL: Duration = Duration::from_secs(10);
    /// Sources of one kind that have a line each within the interval. It bounds the memory, which
    /// foreign bytes can fill, and the log, when a thousand devices fail at once.
    const MOST_SOURCES: usize = 100;

    /// Whether a line of the kind `what` about `who` may be written now; if so, how many were held
    /// back before it.
    pub fn allows(&self, what: &'static str, who: &str, now: Instant) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.entry(what).or_default().allows(who, now)
    }
}

impl Kind {
    fn allows(&mut self, who: &str, now: Instant) -> Option<u64> {
        if let Some(seen) = self.sources.get_mut(who) {
            return seen.allows(now);
        }
        if self.sources.len() >= Throttle::MOST_SOURCES {
            self.forget(now);
        }
        if self.sources.len() >= Throttle::MOST_SOURCES {
            return self.others.allows(now);
        }
        let seen = Seen {
            last: Some(now),
            held_back: 0,
        };
        self.sources.insert(who.to_owned(), seen);
        Some(std::mem::take(&mut self.others.held_back))
    }

    /// Gives up the places of sources that could have a line again.
    fn forget(&mut self, now: Instant) {
        let others = &mut self.others.held_back;
        self.sources.retain(|_, seen| {
            let stays = !seen.is_due(now);
            if !stays {
                *others += seen.held_back;
            }
            stays
        });
    }
}

impl Seen {
    fn allows(&mut self, now: Instant) -> Option<u64> {
        if !self.is_due(now) {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }

    fn is_due(&self, now: Instant) -> bool {
        self.last
            .is_none_or(|last| now.saturating_duration_since(last) >= Throttle::INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_in_edge_agents_shape() {
        let mut line = String::new();
        let time: Timestamp = "2026-01-31T12:00:00.0421Z".parse().unwrap();
        write_line(&mut line, Level::WARN, time, "frame \"a\r\n<3> forged\"").unwrap();
        assert_eq!(
            line,
            "<4> 2026-01-31 12:00:00.042 +00:00 [WRN] - frame \"a\\r\\n<3> forged\"\n"
        );
    }

    #[test]
    fn level_words_are_those_of_edge_agent() {
        for (word, expected) in [
            ("fatal", Some(LevelFilter::ERROR)),
            ("Warning", Some(LevelFilter::WARN)),
            ("Information", Some(LevelFilter::INFO)),
            ("info", Some(LevelFilter::INFO)),
            ("debug", Some(LevelFilter::DEBUG)),
            ("Verbose", Some(LevelFilter::TRACE)),
            ("loud", None),
        ] {
            assert_eq!(level(word), expected, "{word}");
        }
    }

    fn start() -> Instant {
        crate::clock::Clock::system().now().monotonic
    }

    #[test]
    fn a_repeated_line_comes_once_in_ten_seconds_with_the_count_of_the_held_back() {
        let throttle = Throttle::default();
        let start = start();
        for (what, who, seconds, expected) in [
            ("checksum", "10.0.0.1", 0, Some(0)),
            ("checksum", "10.0.0.1", 1, None),
            ("checksum", "10.0.0.2", 1, Some(0)),
            ("too_long", "10.0.0.1", 1, Some(0)),
            ("checksum", "10.0.0.1", 9, None),
            ("checksum", "10.0.0.1", 10, Some(2)),
            ("checksum", "10.0.0.1", 11, None),
        ] {
            let now = start + Duration::from_secs(seconds);
            let allowed = throttle.allows(what, who, now);
            assert_eq!(allowed, expected, "{what} {who} {seconds}");
        }
    }

    #[test]
    fn of_many_sources_a_hundred_have_lines_of_their_own_the_others_share_one_and_all_are_counted()
    {
        let throttle = Throttle::default();
        let start = start();
        let mut written: Vec<u64> = Vec::new();
        let mut named = std::collections::BTreeSet::new();
        let mut asked = 0;
        for second in 0..200 {
            let now = start + Duration::from_secs(second);
            let before = written.len();
            // Most once in twenty seconds, and a few each second.
            let asks = |device: &u64| device % 20 == second % 20 || *device < 3;
            for device in (0..1000).rev().filter(asks) {
                asked += 1;
                let allowed = throttle.allows("poll_failed", &device.to_string(), now);
                if let Some(held_back) = allowed {
                    written.push(held_back);
                    named.insert(device);
                }
            }
            assert!(written.len() - before <= Throttle::MOST_SOURCES + 1);
            let kinds = throttle.kinds.lock().unwrap();
            assert!(kinds["poll_failed"].sources.len() <= Throttle::MOST_SOURCES);
        }
        assert!(
            written.len() <= 20 * (Throttle::MOST_SOURCES + 1),
            "{}",
            written.len()
        );
        assert!(named.len() >= Throttle::MOST_SOURCES, "{}", named.len());
        let kinds = throttle.kinds.lock().unwrap();
        let kind = &kinds["poll_failed"];
        let kept: u64 = kind.sources.values().map(|seen| seen.held_back).sum();
        let told: u64 = written.iter().map(|held_back| held_back + 1).sum();
        assert_eq!(told + kept + kind.others.held_back, asked);
    }
}

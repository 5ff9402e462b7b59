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
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
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
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .event_format(EdgeAgentLine { clock })
        .with_writer(std::io::stdout)
        .finish();
    tracing::subscriber::set_global_default(subscriber)
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
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    seen: Arc<Mutex<HashMap<(&'static str, String), Seen>>>,
}

#[derive(Debug)]
struct Seen {
    last: Instant,
    suppressed: u64,
}

impl Throttle {
    const INTERVAL: Duration = Duration::from_secs(10);
    /// Sources remembered at once; beyond it the table starts afresh, which lets lines through early.
    const CAPACITY: usize = 1024;

    /// Whether a line about `what` from `who` may be written now; if so, how many were held back before it.
    pub fn allows(&self, what: &'static str, who: &str, now: Instant) -> Option<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get_mut(&(what, who.to_owned())) {
            if now.saturating_duration_since(known.last) < Self::INTERVAL {
                known.suppressed += 1;
                return None;
            }
            let suppressed = std::mem::take(&mut known.suppressed);
            known.last = now;
            return Some(suppressed);
        }
        if seen.len() >= Self::CAPACITY {
            seen.clear();
        }
        seen.insert(
            (what, who.to_owned()),
            Seen {
                last: now,
                suppressed: 0,
            },
        );
        Some(0)
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

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock; the test moves it itself"
    )]
    fn a_repeated_line_comes_once_in_ten_seconds_with_the_count_of_the_held_back() {
        let throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.allows("checksum", "10.0.0.1", start), Some(0));
        assert_eq!(
            throttle.allows("checksum", "10.0.0.1", start + Duration::from_secs(1)),
            None
        );
        assert_eq!(
            throttle.allows("checksum", "10.0.0.2", start + Duration::from_secs(1)),
            Some(0)
        );
        assert_eq!(
            throttle.allows("checksum", "10.0.0.1", start + Duration::from_secs(9)),
            None
        );
        assert_eq!(
            throttle.allows("checksum", "10.0.0.1", start + Duration::from_secs(10)),
            Some(2)
        );
        for n in 0..5000 {
            throttle.allows("checksum", &n.to_string(), start);
        }
        assert!(throttle.seen.lock().unwrap().len() <= Throttle::CAPACITY);
    }
}

//! `/metrics` as Prometheus reads it, over HTTP.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::rig::PATIENCE;

/// The page that names every metric.
const SETTINGS_PAGE: &str = include_str!("../../docs/settings.md");
const COLUMNS: [&str; 6] = [
    "submitted",
    "recovered",
    "delivered",
    "spooled",
    "dropped",
    "dead_lettered",
];

/// One answer: the status line, the headers and the body.
pub async fn get(port: u16, request: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.to_owned(), body.to_owned()))
}

/// The body of `/metrics`, whole.
pub async fn metrics(port: u16) -> io::Result<String> {
    let request = "GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n";
    let (head, body) = get(port, request).await?;
    match head.starts_with("HTTP/1.1 200") && body.ends_with("# EOF\n") {
        true => Ok(body),
        false => Err(io::Error::other(head)),
    }
}

/// The value of one sample, named as in the text but for the prefix, labels included; 0 if it is not
/// there. A family that the documentation does not know is a mistake of the test.
pub fn sample(text: &str, name: &str) -> f64 {
    let family = name.split('{').next().unwrap_or(name);
    assert!(
        SETTINGS_PAGE.contains(&format!("`{family}`")),
        "there is no metric {family}"
    );
    let value = text.lines().find_map(|line| {
        let line = line.strip_prefix("edge_tcp_gateway_")?;
        line.strip_prefix(name)?.strip_prefix(' ')
    });
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

/// Each output's account, by the names of its columns.
pub fn accounts(text: &str) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut accounts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("edge_tcp_gateway_messages_") else {
            continue;
        };
        let Some((column, rest)) = rest.split_once("{output=\"") else {
            continue;
        };
        let Some((output, value)) = rest.split_once("\"} ") else {
            continue;
        };
        let column = column.trim_end_matches("_total").to_owned();
        let value = value.parse().expect("a count");
        accounts
            .entry(output.to_owned())
            .or_default()
            .insert(column, value);
    }
    accounts
}

/// Panics if an account of a scrape lacks a column or does not add up.
pub fn adds_up(text: &str) {
    for (output, account) in accounts(text) {
        let [submitted, recovered, rest @ ..] = COLUMNS.map(|column| {
            let value = account.get(column).copied();
            value.unwrap_or_else(|| panic!("{output} has no {column}: {account:?}"))
        });
        assert_eq!(
            submitted + recovered,
            rest.iter().sum::<u64>(),
            "{output}: {account:?}"
        );
    }
}

/// What a watch has seen of a module's accounts.
#[derive(Debug, Default)]
pub struct Seen {
    scrapes: AtomicU64,
    recovered: AtomicU64,
}

impl Seen {
    /// Scrapes that were answered.
    pub fn scrapes(&self) -> u64 {
        self.scrapes.load(Ordering::Relaxed)
    }

    /// The most messages that a run had found on disk.
    pub fn recovered(&self) -> u64 {
        self.recovered.load(Ordering::Relaxed)
    }
}

/// Scrapes for ever, through restarts too; panics if an account does not add up.
pub async fn watch(port: u16, seen: Arc<Seen>) {
    let mut look = interval(Duration::from_millis(5));
    loop {
        look.tick().await;
        let Ok(text) = metrics(port).await else {
            continue;
        };
        adds_up(&text);
        let recovered = accounts(&text)
            .values()
            .map(|account| account["recovered"])
            .sum();
        seen.recovered.fetch_max(recovered, Ordering::Relaxed);
        seen.scrapes.fetch_add(1, Ordering::Relaxed);
    }
}

/// Scrapes until the text is as wanted.
pub async fn until(port: u16, what: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut look = interval(Duration::from_millis(5));
    let mut last = String::new();
    let scraping = async {
        loop {
            look.tick().await;
            if let Ok(text) = metrics(port).await {
                last = text;
                if wanted(&last) {
                    return;
                }
            }
        }
    };
    let waited = timeout(PATIENCE, scraping).await;
    assert!(waited.is_ok(), "not so: {what}\n{last}");
    last
}

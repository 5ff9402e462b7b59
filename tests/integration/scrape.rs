//! `/metrics` as Prometheus reads it, over HTTP.

use std::collections::BTreeMap;
use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One answer: the status line, the headers and the body.
pub async fn get(port: u16, request: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.to_owned(), body.to_owned()))
}

/// The body of `/metrics`.
pub async fn metrics(port: u16) -> io::Result<String> {
    let request = "GET /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n";
    let (head, body) = get(port, request).await?;
    match head.starts_with("HTTP/1.1 200") {
        true => Ok(body),
        false => Err(io::Error::other(head)),
    }
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

/// Panics if an account of a scrape does not add up; gives how many messages are delivered.
pub fn adds_up(text: &str) -> u64 {
    let mut delivered = 0;
    for (output, account) in accounts(text) {
        let of = |column: &str| account.get(column).copied().unwrap_or(0);
        assert_eq!(
            of("submitted") + of("recovered"),
            of("delivered") + of("spooled") + of("dropped") + of("dead_lettered"),
            "{output}: {account:?}"
        );
        delivered += of("delivered");
    }
    delivered
}

//! What docs/settings.md says of the metrics, held against `/metrics`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use edge_tcp_gateway::ops::metrics::Metrics;
use regex::Regex;
use serde_json::json;

use crate::rig::{Device, Rig, free_port, lines};
use crate::scrape;

const PREFIX: &str = "edge_tcp_gateway_";

/// The part of the page on settings below such a heading.
fn section(heading: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = fs::read_to_string(page).expect("the page");
    let (_, rest) = page.split_once(heading).expect("the heading");
    let part = rest.split("\n## ").next();
    part.unwrap_or_default().to_owned()
}

/// The cells of each row of the first table.
fn rows(section: &str) -> Vec<Vec<String>> {
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let table = lines.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    table.map(cells).collect()
}

/// The words in code type.
fn words(text: &str) -> Vec<String> {
    let word = Regex::new("`(\\w+)`").expect("a pattern");
    let found = word.captures_iter(text);
    found.map(|found| found[1].to_owned()).collect()
}

/// The values of a metric, whatever its labels.
fn values(scrape: &str, name: &str) -> Vec<f64> {
    let sample =
        Regex::new(&format!(r"(?m)^{PREFIX}{name}(?:\{{.*\}})? (\S+)$")).expect("a pattern");
    let found = sample.captures_iter(scrape);
    found
        .map(|found| found[1].parse().expect("a number"))
        .collect()
}

async fn scraped() -> (Metrics, String) {
    let (port, metrics) = (free_port(), free_port());
    let mut rig = Rig::new().await;
    rig.metrics_port = Some(metrics);
    rig.start();
    let outcome = rig
        .set(json!({
            "listeners": {"a": {"port": port, "protocol": "lines", "maxConnections": 7}},
            "protocols": {"lines": lines()},
            "spool": {"maxBytes": 5_000_000, "minFreeBytes": 3, "maxMemoryBytes": 2_000_000}
        }))
        .await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let mut device = Device::connect(port).await;
    device.send("{\"n\":1}\n").await;
    rig.counted("messages_delivered_total{output=\"telemetry\"}", |count| {
        count == 1.0
    })
    .await;
    rig.counted("disk_free_bytes", |bytes| bytes > 0.0).await;
    let text = scrape::metrics(metrics).await.expect("a scrape");
    (rig.metrics.clone(), text)
}

#[tokio::test]
async fn every_bound_has_its_gauges_and_every_metric_its_line_on_the_page() {
    let (metrics, scrape) = scraped().await;
    let page = section("## What the module measures");
    let bounds = rows(&section("### Bounds"));
    assert!(bounds.len() >= 12, "the table was found");
    let mut named: BTreeSet<String> = rows(&page).iter().flat_map(|row| words(&row[1])).collect();
    for row in &bounds {
        for cell in &row[2..=3] {
            let name = words(cell).swap_remove(0);
            assert_eq!(values(&scrape, &name).len(), 1, "{name}:\n{scrape}");
            named.insert(name);
        }
    }
    // Those with two meanings.
    named.retain(|name| !["submitted", "recovered"].contains(&name.as_str()));
    let named: BTreeSet<_> = named.iter().map(|name| format!("{PREFIX}{name}")).collect();
    assert_eq!(&named, metrics.names(), "left: the page, right: the module");

    let explained: BTreeSet<String> = bounds.iter().flat_map(|row| words(&row[1])).collect();
    for heading in ["## Listeners", "## Spool"] {
        let members = rows(&section(heading));
        let members = members.iter().flat_map(|row| words(&row[1]));
        let is_bound = |name: &String| {
            (name.starts_with("max") || name.starts_with("min")) && !name.ends_with("Seconds")
        };
        for bound in members.filter(is_bound) {
            assert!(
                explained.contains(&bound),
                "{bound} has no gauges on the page"
            );
        }
    }
}

#[tokio::test]
async fn the_gauges_of_bounds_say_what_the_settings_say() {
    let (_, scrape) = scraped().await;
    for (name, value) in [
        ("connections", 1.0),
        ("connections_bound", 7.0),
        ("spool_bound_bytes", 5_000_000.0),
        ("disk_min_free_bytes", 3.0),
        ("memory_bound_bytes", 2_000_000.0),
        ("memory_bytes", 0.0),
        ("parcels_in_flight", 0.0),
        ("replies_waiting_bound", 7.0 * 256.0),
        ("metering_units_total", 1.0),
    ] {
        assert_eq!(values(&scrape, name), [value], "{name}:\n{scrape}");
    }
    assert_eq!(values(&scrape, "metering_units_per_day").len(), 1);
}

#[tokio::test]
async fn what_waits_is_shown_until_it_waits_no_more() {
    let port = free_port();
    let mut protocol = lines();
    protocol["replies"] = json!({"ok": {"send": "{n}\n", "when": "n"}});
    protocol["acknowledge"] = json!({"after": "delivered"});
    let rig = Rig::with(json!({
        "listeners": {"a": {"port": port, "protocol": "lines"}},
        "protocols": {"lines": protocol}
    }))
    .await;
    rig.hub.faults().hold_pubacks();
    let mut device = Device::connect(port).await;
    device.send("{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n").await;
    let waiting = "replies_waiting{listener=\"a\"}";
    let bytes = "waiting_bytes{listener=\"a\"}";
    rig.counted(waiting, |count| count == 3.0).await;
    rig.counted("parcels_in_flight", |count| count == 3.0).await;
    rig.counted("parcels_in_flight_bytes", |bytes| bytes > 300.0)
        .await;
    rig.counted(bytes, |bytes| bytes == 6.0).await;
    rig.hub.faults().release_pubacks();
    assert_eq!(device.receive(6).await, b"1\n2\n3\n");
    for gauge in [
        waiting,
        bytes,
        "parcels_in_flight",
        "parcels_in_flight_bytes",
    ] {
        rig.counted(gauge, |level| level == 0.0).await;
    }
    // A connection that is gone waits for nothing, whatever became of its messages.
    rig.hub.faults().hold_pubacks();
    device.send("{\"n\":4}\n").await;
    rig.counted(waiting, |count| count == 1.0).await;
    device.0.set_zero_linger().expect("a socket");
    drop(device);
    rig.counted(waiting, |count| count == 0.0).await;
    rig.counted("connections{listener=\"a\"}", |count| count == 0.0)
        .await;
}

/// The words of a file of the source that such a pattern finds.
fn source(file: &str, pattern: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    let source = fs::read_to_string(path).expect("the source");
    let pattern = Regex::new(pattern).expect("a pattern");
    let found = pattern.captures_iter(&source);
    found.map(|found| found[1].to_owned()).collect()
}

#[test]
fn every_trouble_has_its_line_on_the_page_with_what_to_do() {
    let mut troubles = source(
        "conversation/actions.rs",
        r#"Counted::\w+(?:\(.*\))? => "(\w+)""#,
    );
    assert!(troubles.len() >= 25, "they were found");
    // Those that are counted elsewhere.
    for counted in ["frame", "poll_answered"] {
        assert!(troubles.remove(counted), "{counted}");
    }
    troubles.extend(source(
        "southbound/connection.rs",
        r#"metrics\s*\.trouble\("(\w+)""#,
    ));
    let page = rows(&section("### Troubles"));
    let named: BTreeSet<String> = page.iter().flat_map(|row| words(&row[1])).collect();
    assert_eq!(named, troubles, "left: the page, right: the module");
    for row in &page {
        assert!(!row[2].is_empty() && !row[3].is_empty(), "{row:?}");
    }
}

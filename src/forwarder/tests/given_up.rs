//! What never arrives: refused, too old, or in the way of newer messages.

use super::*;

/// Tickets and what was said of them, in order of the tickets.
fn sorted(said: &Said) -> Vec<(u64, Progress)> {
    let mut said = said.lock().unwrap().clone();
    said.sort_by_key(|(ticket, _)| *ticket);
    said
}

fn dropped(metrics: &Metrics, reason: &str) -> f64 {
    metrics.sample(&format!(
        "edge_tcp_gateway_messages_dropped_reasons_total{{output=\"o\",reason=\"{reason}\"}}"
    ))
}

#[tokio::test]
async fn what_the_link_refuses_is_a_dead_letter() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[]), &disk).await;
    let link = bench.link.clone();
    let (mut outbox, said) = outbox(&bench.submitter);
    let script = async {
        let mut session = up(&link).await;
        submit(&mut outbox, "o", &["a", "b"], Some(Progress::Delivered)).await;
        let (first, _) = parcel(&mut session).await;
        let (second, _) = parcel(&mut session).await;
        let refused = LinkReport::Refused(first, "it cannot be said".to_owned());
        link.send(refused).await.unwrap();
        deliver(&link, second).await;
        until("both are told", || said.lock().unwrap().len() == 2).await;
    };
    beside(&mut bench.forwarder, script).await;
    assert_eq!(
        sorted(&said),
        [(1, Progress::Lost), (2, Progress::Delivered)]
    );
    let account = bench.metrics.accounts()["o"];
    assert_eq!((account.dead_lettered, account.delivered), (1, 1));
    let letters = disk.files()["dead-letters.jsonl"].clone();
    let letter: serde_json::Value = serde_json::from_slice(&letters).unwrap();
    assert_eq!(letter["reason"], "it cannot be said");
    assert_eq!(letter["body"]["n"], "a");
    assert!(letter["id"].as_str().unwrap().ends_with("-1-1"));
}

#[tokio::test]
async fn a_hundred_dead_letters_wait_for_the_disk_and_what_is_over_is_dropped() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[("o", batching(261_632, 0))]), &disk).await;
    let link = bench.link.clone();
    let (mut outbox, said) = outbox(&bench.submitter);
    let texts = ["x"; 150];
    submit(&mut outbox, "o", &texts, Some(Progress::Delivered)).await;
    let script = async {
        let mut session = up(&link).await;
        let (id, _) = parcel(&mut session).await;
        let refused = LinkReport::Refused(id, "no".to_owned());
        link.send(refused).await.unwrap();
        until("all are told", || said.lock().unwrap().len() == 150).await;
    };
    beside(&mut bench.forwarder, script).await;
    let account = bench.metrics.accounts()["o"];
    assert_eq!((account.dead_lettered, account.dropped), (100, 50));
    assert_eq!(dropped(&bench.metrics, "no_dead_letters"), 50.0);
    let letters = disk.files()["dead-letters.jsonl"].clone();
    assert_eq!(letters.iter().filter(|byte| **byte == b'\n').count(), 100);
    assert!(
        sorted(&said)
            .iter()
            .all(|(_, progress)| *progress == Progress::Lost)
    );
}

#[tokio::test]
async fn what_is_too_old_is_dropped_and_its_ticket_lost() {
    let disk = TrialDisk::default();
    let mut old = terms(&[]);
    old.limits.max_age = Some(Duration::from_millis(20));
    let mut bench = bench(old, &disk).await;
    let (mut outbox, said) = outbox(&bench.submitter);
    let script = async {
        submit(&mut outbox, "o", &["a", "b"], Some(Progress::Stored)).await;
        until("both are told", || said.lock().unwrap().len() == 2).await;
    };
    beside(&mut bench.forwarder, script).await;
    assert_eq!(sorted(&said), [(1, Progress::Lost), (2, Progress::Lost)]);
    let account = bench.metrics.accounts()["o"];
    assert_eq!(
        (account.submitted, account.dropped, account.spooled),
        (2, 2, 0)
    );
    assert_eq!(dropped(&bench.metrics, "spool_full_or_age"), 2.0);
}

#[tokio::test]
async fn drop_oldest_drops_the_oldest_in_memory_where_no_disk_takes_them() {
    let mut full = terms(&[]);
    full.limits.drop_oldest = true;
    full.limits.memory_bytes = 20_000;
    let mut bench = bench_over(full, Err("none".to_owned()), 1 << 20).await;
    let (mut outbox, said) = outbox(&bench.submitter);
    let texts = vec!["x".repeat(1000); 100];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let script = async {
        submit(&mut outbox, "o", &texts, Some(Progress::Stored)).await;
        taken_over(&bench.metrics, "o", 100).await;
    };
    beside(&mut bench.forwarder, script).await;
    let account = bench.metrics.accounts()["o"];
    assert!(account.spooled > 5 && account.spooled < 20, "{account:?}");
    assert_eq!(account.dropped + account.spooled, 100);
    assert_eq!(
        dropped(&bench.metrics, "spool_full_or_age"),
        account.dropped as f64
    );
    let lost: Vec<_> = (1..=account.dropped).map(|n| (n, Progress::Lost)).collect();
    assert_eq!(sorted(&said), lost);
}

//! A forwarder between real outboxes and a link that is played.

mod batches;
mod given_up;
mod window;

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::message::{Body, Message, Priority, Progress, Ticket};
use crate::outbox::{self, Outbox, Submitter};
use crate::spool::tests::TrialDisk;
use crate::spool::{Limits, Persist, Sizes};

const PATIENCE: Duration = Duration::from_secs(20);

fn message(output: &str, text: &str) -> Message {
    Message {
        output: output.into(),
        device: "scale-1".into(),
        id: None,
        body: Body::Contract(format!("{{\"n\":\"{text}\"}}").into()),
        properties: Vec::new(),
    }
}

fn terms(outputs: &[(&str, OutputTerms)]) -> Terms {
    Terms {
        limits: Limits {
            max_bytes: 1 << 30,
            min_free_bytes: 0,
            max_age: None,
            drop_oldest: false,
            memory_bytes: 1 << 20,
            persist: Persist::Interval,
            sizes: Sizes::default(),
        },
        settled: true,
        outputs: outputs
            .iter()
            .map(|(name, terms)| ((*name).into(), *terms))
            .collect(),
    }
}

fn batching(max_bytes: usize, millis: u64) -> OutputTerms {
    OutputTerms {
        priority: Priority::Normal,
        batching: Some(Batching {
            max_bytes,
            max_delay: Duration::from_millis(millis),
        }),
    }
}

type Said = Arc<Mutex<Vec<(u64, Progress)>>>;

struct Bench {
    forwarder: Forwarder,
    submitter: Submitter,
    link: mpsc::Sender<LinkReport>,
    metrics: Metrics,
    terms: watch::Sender<Arc<Terms>>,
}

async fn bench(terms: Terms, disk: &TrialDisk) -> Bench {
    bench_over(terms, Ok(disk.plugged()), 1 << 20).await
}

/// With another disk, or none, and so many bytes of room in memory.
async fn bench_over(terms: Terms, disk: Result<Box<dyn Disk>, String>, room: usize) -> Bench {
    let metrics = Metrics::default();
    let (submitter, submissions) = outbox::channel(room, metrics.clone());
    let (link, reports) = mpsc::channel(100);
    let (said_terms, terms) = watch::channel(Arc::new(terms));
    let parts = Parts {
        disk,
        whose: Whose {
            hub: "hub".to_owned(),
            device: "dev".to_owned(),
            module: "gw".to_owned(),
        },
        terms,
        dialect: Dialect::of("dev", "gw"),
        level: submitter.level(),
        submissions,
        reports,
        condition: watch::channel(Condition::Good).0,
        metrics: metrics.clone(),
        health: Health::new(Clock::system().now().monotonic),
        throttle: Throttle::default(),
        clock: Clock::system(),
    };
    Bench {
        forwarder: Forwarder::new(parts).await.unwrap(),
        submitter,
        link,
        metrics,
        terms: said_terms,
    }
}

fn outbox(submitter: &Submitter) -> (Outbox, Said) {
    let said = Said::default();
    let sink = Arc::clone(&said);
    let outbox = submitter.outbox(Arc::new(move |ticket, progress| {
        sink.lock().unwrap().push((ticket.0, progress))
    }));
    (outbox, said)
}

/// Submits messages of one output, a frame each.
async fn submit(outbox: &mut Outbox, output: &str, texts: &[&str], awaits: Option<Progress>) {
    for (n, text) in texts.iter().enumerate() {
        outbox.queue(Ticket(n as u64 + 1), vec![message(output, text)], awaits);
    }
    outbox.flush().await.unwrap();
}

/// A new session.
async fn up(link: &mpsc::Sender<LinkReport>) -> mpsc::Receiver<Parcel> {
    let (sender, session) = mpsc::channel(crate::northbound::MOST_OUTSTANDING);
    link.send(LinkReport::Up(sender)).await.unwrap();
    session
}

async fn parcel(session: &mut mpsc::Receiver<Parcel>) -> (ParcelId, String) {
    let parcel = tokio::time::timeout(PATIENCE, session.recv())
        .await
        .expect("a parcel in time")
        .unwrap();
    let body: serde_json::Value = serde_json::from_slice(&parcel.payload).unwrap();
    let texts = match &body {
        serde_json::Value::Array(elements) => {
            let texts = elements
                .iter()
                .map(|element| element["n"].as_str().unwrap());
            format!("[{}]", texts.collect::<Vec<_>>().join(" "))
        }
        body => body["n"].as_str().unwrap().to_owned(),
    };
    (parcel.id, texts)
}

async fn deliver(link: &mpsc::Sender<LinkReport>, id: ParcelId) {
    link.send(LinkReport::Delivered(vec![id])).await.unwrap();
}

/// Waits until a condition holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let condition = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, condition).await;
    waited.unwrap_or_else(|_| panic!("never came: {what}"));
}

/// Waits until the forwarder has taken over so many messages of an output, and done all it can with them.
async fn taken_over(metrics: &Metrics, output: &str, count: u64) {
    let submitted = || {
        metrics
            .accounts()
            .get(output)
            .map(|account| account.submitted)
    };
    until("all are taken over", || submitted() == Some(count)).await;
}

/// Runs the forwarder to its end. Whatever it has done, nothing that it could do at once is left.
async fn run(forwarder: &mut Forwarder) -> io::Result<Undelivered> {
    let mut group = Vec::new();
    loop {
        let now = forwarder.clock.now().monotonic;
        forwarder.work()?;
        if let Some(left) = forwarder.is_over() {
            return Ok(left);
        }
        let due = forwarder.deadline();
        assert!(due.is_none_or(|due| due > now), "it would turn for ever");
        if let Some(left) = forwarder.next(&mut group).await? {
            return Ok(left);
        }
    }
}

/// Runs the forwarder beside the script until the script is done.
async fn beside<T>(forwarder: &mut Forwarder, script: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        ended = run(forwarder) => panic!("the forwarder ended: {ended:?}"),
        done = script => done,
    }
}

use crate::northbound::ParcelId;

#[tokio::test]
async fn what_a_session_did_not_deliver_comes_first_on_the_next_in_order() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[]), &disk).await;
    let (mut outbox, said) = outbox(&bench.submitter);
    let link = bench.link.clone();
    let script = async {
        submit(
            &mut outbox,
            "o",
            &["a", "b", "c", "d"],
            Some(Progress::Delivered),
        )
        .await;
        let mut session = up(&link).await;
        let (_, a) = parcel(&mut session).await;
        let (b_id, b) = parcel(&mut session).await;
        assert_eq!((a.as_str(), b.as_str()), ("a", "b"));
        deliver(&link, b_id).await;
        link.send(LinkReport::Down).await.unwrap();
        drop(session);
        let mut session = up(&link).await;
        for expected in ["a", "c", "d"] {
            let (id, found) = parcel(&mut session).await;
            assert_eq!(found, expected);
            deliver(&link, id).await;
        }
        until("all are told", || said.lock().unwrap().len() == 4).await;
    };
    beside(&mut bench.forwarder, script).await;
    drop((outbox, bench.submitter));
    let left = run(&mut bench.forwarder).await.unwrap();
    assert_eq!((left.spooled, left.lost), (0, 0));
    let said: Vec<_> = said
        .lock()
        .unwrap()
        .iter()
        .map(|(ticket, _)| *ticket)
        .collect();
    assert_eq!(said, [2, 1, 3, 4]);
}

#[tokio::test]
async fn progress_is_said_once_with_the_last_message_of_a_frame() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[]), &disk).await;
    let (mut outbox, said) = outbox(&bench.submitter);
    let link = bench.link.clone();
    let large = Message {
        body: Body::Raw(vec![0; 300_000].into()),
        ..message("o", "x")
    };
    let awaits = Some(Progress::Delivered);
    outbox.queue(
        Ticket(1),
        vec![message("o", "a"), message("o", "b")],
        awaits,
    );
    outbox.queue(Ticket(2), vec![message("o", "c"), large], awaits);
    let script = async {
        outbox.flush().await.unwrap();
        let mut session = up(&link).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(parcel(&mut session).await.0);
        }
        deliver(&link, ids[1]).await;
        deliver(&link, ids[1]).await;
        drop(link.reserve_many(100).await);
        assert_eq!(*said.lock().unwrap(), []);
        deliver(&link, ids[0]).await;
        deliver(&link, ids[2]).await;
        until("both are told", || said.lock().unwrap().len() == 2).await;
    };
    beside(&mut bench.forwarder, script).await;
    drop((outbox, bench.submitter));
    run(&mut bench.forwarder).await.unwrap();
    let mut said = said.lock().unwrap().clone();
    said.sort_by_key(|(ticket, _)| *ticket);
    assert_eq!(said, [(1, Progress::Delivered), (2, Progress::Lost)]);
    let account = bench.metrics.accounts()["o"];
    assert_eq!((account.submitted, account.delivered), (4, 3));
    assert_eq!((account.dead_lettered, account.spooled), (1, 0));
    let letters = disk.files()["dead-letters.jsonl"].clone();
    let letter: serde_json::Value = serde_json::from_slice(&letters).unwrap();
    assert!(
        letter["reason"]
            .as_str()
            .unwrap()
            .contains("edgeHub takes 262144")
    );
}

#[tokio::test]
async fn with_edgehub_away_a_stored_promise_is_kept_by_the_disk_and_a_restart_delivers() {
    let disk = TrialDisk::default();
    let mut first = bench(terms(&[]), &disk).await;
    let (mut outbox1, said) = outbox(&first.submitter);
    let script = async {
        submit(&mut outbox1, "o", &["a", "b"], Some(Progress::Stored)).await;
        until("both are stored", || said.lock().unwrap().len() == 2).await;
    };
    beside(&mut first.forwarder, script).await;
    assert_eq!(
        *said.lock().unwrap(),
        [(1, Progress::Stored), (2, Progress::Stored)]
    );
    disk.lose_power(0);
    drop(first);
    let mut second = bench(terms(&[]), &disk).await;
    let (mut outbox2, _) = outbox(&second.submitter);
    let link = second.link.clone();
    let script = async {
        submit(&mut outbox2, "o", &["c"], None).await;
        let mut session = up(&link).await;
        let mut texts = Vec::new();
        for _ in 0..3 {
            let (id, text) = parcel(&mut session).await;
            texts.push(text);
            deliver(&link, id).await;
        }
        texts
    };
    assert_eq!(beside(&mut second.forwarder, script).await, ["a", "b", "c"]);
    let account = second.metrics.accounts()["o"];
    assert_eq!((account.recovered, account.submitted), (2, 1));
}

#[tokio::test]
async fn a_stop_with_edgehub_away_leaves_everything_on_disk() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[]), &disk).await;
    let (mut outbox, _) = outbox(&bench.submitter);
    submit(&mut outbox, "o", &["a", "b"], None).await;
    drop((outbox, bench.submitter));
    let left = run(&mut bench.forwarder).await.unwrap();
    assert_eq!((left.spooled, left.lost), (2, 0));
}

#[tokio::test]
async fn when_the_link_ends_what_is_never_forced_is_written_all_the_same() {
    let disk = TrialDisk::default();
    let mut terms = terms(&[]);
    terms.limits.persist = Persist::Never;
    let mut bench = bench(terms, &disk).await;
    let (mut outbox, _) = outbox(&bench.submitter);
    let submitted = submit(&mut outbox, "o", &["a", "b"], None);
    beside(&mut bench.forwarder, submitted).await;
    while bench.forwarder.undelivered().lost < 2 {
        let turn = tokio::time::sleep(Duration::from_millis(1));
        beside(&mut bench.forwarder, turn).await;
    }
    drop(bench.link);
    let left = bench.forwarder.run().await.unwrap();
    assert_eq!((left.spooled, left.lost, left.link_ended), (2, 0, true));
}

#[tokio::test]
async fn a_device_goes_on_where_the_oldest_are_dropped_though_the_disk_takes_nothing() {
    let disk = TrialDisk::default();
    let mut terms = terms(&[]);
    terms.limits.drop_oldest = true;
    let mut bench = bench(terms, &disk).await;
    disk.fail(true);
    let (mut outbox, _) = outbox(&bench.submitter);
    let texts: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let submitted = submit(&mut outbox, "o", &texts, None);
    let submitted = tokio::time::timeout(PATIENCE, submitted);
    let submitted = beside(&mut bench.forwarder, submitted).await;
    submitted.expect("it does not wait for ever");
    let dropped = bench
        .metrics
        .sample("edge_tcp_gateway_messages_dropped_total{output=\"o\"}");
    assert!((700.0..900.0).contains(&dropped), "{dropped}");
}

#[tokio::test]
async fn what_was_on_its_way_when_the_link_ended_is_kept_too() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[]), &disk).await;
    let (mut outbox, _) = outbox(&bench.submitter);
    submit(&mut outbox, "o", &["a", "b", "c"], None).await;
    drop(bench.link);
    let left = run(&mut bench.forwarder).await.unwrap();
    assert!(left.link_ended);
    assert_eq!((left.spooled, left.lost), (3, 0));
    outbox.queue(Ticket(4), vec![message("o", "d")], None);
    assert_eq!(outbox.flush().await, Err(outbox::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_long_does_not_look_as_if_it_hangs() {
    let clock = Clock::system();
    let health = Health::new(clock.now().monotonic - Duration::from_secs(3600));
    let hangs = |health: &Health| health.hangs(clock.now().monotonic) == Some("forwarder");
    health.beat(Loop::Gateway, clock.now().monotonic);
    assert!(hangs(&health));
    tokio::select! {
        () = beating(&health, clock, std::future::pending()) => unreachable!("it never ends"),
        () = tokio::time::sleep(BEAT * 2) => {}
    }
    assert!(!hangs(&health));
}

#[tokio::test]
async fn an_output_that_batches_always_sends_arrays_and_one_that_does_not_never() {
    let disk = TrialDisk::default();
    let outputs = [("b", batching(4096, 0)), ("full", batching(200, 3_600_000))];
    let mut bench = bench(terms(&outputs), &disk).await;
    let (mut outbox, _) = outbox(&bench.submitter);
    let link = bench.link.clone();
    let script = async {
        submit(&mut outbox, "b", &["1", "2", "3"], None).await;
        submit(&mut outbox, "o", &["4", "5"], None).await;
        let mut session = up(&link).await;
        let mut found = Vec::new();
        for _ in 0..3 {
            found.push(parcel(&mut session).await.1);
        }
        submit(&mut outbox, "b", &["6"], None).await;
        found.push(parcel(&mut session).await.1);
        // Full ones leave although they might be held for an hour.
        submit(&mut outbox, "full", &["7", "8", "9", "0", "1", "2"], None).await;
        found.push(parcel(&mut session).await.1);
        // So do those whose reply waits for edgeHub.
        submit(&mut outbox, "full", &["a"], Some(Progress::Delivered)).await;
        found.push(parcel(&mut session).await.1);
        found
    };
    let found = beside(&mut bench.forwarder, script).await;
    assert_eq!(found[..4], ["4", "5", "[1 2 3]", "[6]"]);
    assert!(found[4].starts_with("[7"), "{found:?}");
    assert!(found[5].ends_with("a]"), "{found:?}");
}

#[tokio::test]
async fn high_priority_overtakes_what_waits() {
    let disk = TrialDisk::default();
    let high = OutputTerms {
        priority: Priority::High,
        batching: None,
    };
    let mut bench = bench(terms(&[("alarms", high)]), &disk).await;
    let (mut outbox, _) = outbox(&bench.submitter);
    let link = bench.link.clone();
    let script = async {
        submit(&mut outbox, "o", &["1", "2"], None).await;
        submit(&mut outbox, "alarms", &["fire"], None).await;
        let mut session = up(&link).await;
        parcel(&mut session).await.1
    };
    assert_eq!(beside(&mut bench.forwarder, script).await, "fire");
}

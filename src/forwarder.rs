//! Owns the spool and sees every message through to edgeHub's acknowledgement: the only
//! at-least-once logic in the process.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::message::{Entry, Sequence};
use crate::northbound::LinkReport;
use crate::ops::metrics::Metrics;
use crate::outbox::{Claim, Permit, Submission};
use crate::spool::Spool;

/// The task between all outboxes and the link.
#[derive(Debug)]
pub struct Forwarder {
    spool: Spool,
    submissions: mpsc::Receiver<Submission>,
    reports: mpsc::Receiver<LinkReport>,
    session: Option<mpsc::Sender<Entry>>,
    /// Who waits for a message, and the room it takes until it is done.
    claims: HashMap<Sequence, (Arc<Claim>, Permit)>,
    metrics: Metrics,
}

/// What the forwarder could not deliver before it had to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// How many messages.
    pub messages: usize,
    /// Whether the link ended first, so that nobody was there to deliver to.
    pub link_ended: bool,
}

impl Forwarder {
    /// A forwarder over an empty spool.
    pub fn new(
        spool: Spool,
        submissions: mpsc::Receiver<Submission>,
        reports: mpsc::Receiver<LinkReport>,
        metrics: Metrics,
    ) -> Self {
        Forwarder {
            spool,
            submissions,
            reports,
            session: None,
            claims: HashMap::new(),
            metrics,
        }
    }

    /// Runs until every outbox is gone and every message is done, or until the link is gone.
    ///
    /// May be dropped at any time; [`Forwarder::undelivered`] then tells what was left.
    pub async fn run(&mut self) -> Undelivered {
        let mut open = true;
        while open || !self.spool.is_empty() {
            let session = self.session.as_ref().filter(|_| self.spool.has_unread());
            tokio::select! {
                biased;
                report = self.reports.recv() => match report {
                    Some(report) => self.reported(report),
                    None => return Undelivered { link_ended: true, ..self.undelivered() },
                },
                Some(place) = reserve(session) => match place {
                    Ok(place) => self.send(place),
                    // The session is over; its Down is on the way and will rewind.
                    Err(_) => self.session = None,
                },
                submission = self.submissions.recv(), if open => match submission {
                    Some(submission) => self.take_over(submission),
                    None => open = false,
                },
            }
        }
        self.undelivered()
    }

    /// What is not delivered now.
    pub fn undelivered(&self) -> Undelivered {
        Undelivered {
            messages: self.spool.len(),
            link_ended: false,
        }
    }

    fn reported(&mut self, report: LinkReport) {
        match report {
            LinkReport::Up(session) => {
                self.spool.rewind();
                self.session = Some(session);
            }
            LinkReport::Delivered(sequence) => {
                if let Some((message, claim)) = self.done(sequence) {
                    self.metrics.delivered(&message);
                    claim.delivered();
                }
            }
            LinkReport::Refused(sequence, reason) => {
                if let Some((output, claim)) = self.done(sequence) {
                    tracing::error!(%output, %reason, "a message can never be delivered and was dropped");
                    self.metrics.undeliverable(&output);
                    claim.lost();
                }
            }
            LinkReport::Down => self.session = None,
        }
    }

    fn done(&mut self, sequence: Sequence) -> Option<(crate::message::Name, Arc<Claim>)> {
        let message = self.spool.done(sequence)?;
        self.metrics.spool(self.spool.len(), self.spool.bytes());
        let (claim, _room) = self.claims.remove(&sequence)?;
        Some((Arc::clone(&message.output), claim))
    }

    fn take_over(&mut self, submission: Submission) {
        let Submission {
            message,
            claim,
            permit,
        } = submission;
        self.metrics.submitted(&message.output);
        let sequence = self.spool.append(message);
        self.claims.insert(sequence, (claim, permit));
        self.metrics.spool(self.spool.len(), self.spool.bytes());
    }

    fn send(&mut self, place: mpsc::OwnedPermit<Entry>) {
        if let Some(entry) = self.spool.read() {
            drop(place.send(entry));
        }
    }
}

/// Waits for a place in the session's channel; without a session it gives nothing.
async fn reserve(
    session: Option<&mpsc::Sender<Entry>>,
) -> Option<Result<mpsc::OwnedPermit<Entry>, mpsc::error::SendError<()>>> {
    Some(session?.clone().reserve_owned().await)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::message::{Body, Message, Progress, Ticket};
    use crate::outbox::{self, Bounds, Outbox, Submitter};

    fn message(text: &str) -> Message {
        Message {
            output: "telemetry".into(),
            device: "scale-1".into(),
            id: None,
            body: Body::Raw(text.to_owned().into()),
            properties: Vec::new(),
        }
    }

    type Said = Arc<Mutex<Vec<(u64, Progress)>>>;

    struct Bench {
        forwarder: Forwarder,
        submitter: Submitter,
        link: mpsc::Sender<LinkReport>,
        metrics: Metrics,
    }

    fn bench(messages: usize) -> Bench {
        let metrics = Metrics::default();
        let (submitter, submissions) = outbox::channel(
            Bounds {
                messages,
                bytes: 1 << 20,
            },
            metrics.clone(),
        );
        let (link, reports) = mpsc::channel(100);
        let forwarder = Forwarder::new(
            Spool::new("s".into()),
            submissions,
            reports,
            metrics.clone(),
        );
        Bench {
            forwarder,
            submitter,
            link,
            metrics,
        }
    }

    fn outbox(submitter: &Submitter) -> (Outbox, Said) {
        let said = Said::default();
        let sink = Arc::clone(&said);
        (
            submitter.outbox(Arc::new(move |ticket, progress| {
                sink.lock().unwrap().push((ticket.0, progress))
            })),
            said,
        )
    }

    async fn text(session: &mut mpsc::Receiver<Entry>) -> (Sequence, String) {
        let entry = session.recv().await.unwrap();
        (
            entry.sequence,
            String::from_utf8(entry.message.body.bytes().to_vec()).unwrap(),
        )
    }

    /// Runs the forwarder beside the script until the script is done.
    async fn beside<T>(forwarder: &mut Forwarder, script: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            ended = forwarder.run() => panic!("the forwarder ended: {ended:?}"),
            done = script => done,
        }
    }

    #[tokio::test]
    async fn what_a_session_did_not_deliver_comes_first_on_the_next_in_order() {
        let Bench {
            mut forwarder,
            submitter,
            link,
            ..
        } = bench(100);
        let (mut outbox, said) = outbox(&submitter);
        let script = async {
            for (n, body) in ["a", "b", "c", "d"].into_iter().enumerate() {
                outbox.queue(Ticket(n as u64), vec![message(body)]);
            }
            outbox.flush().await.unwrap();
            let (up, mut session) = mpsc::channel(3);
            link.send(LinkReport::Up(up)).await.unwrap();
            let (_, a) = text(&mut session).await;
            let (b_at, b) = text(&mut session).await;
            assert_eq!((a.as_str(), b.as_str()), ("a", "b"));
            link.send(LinkReport::Delivered(b_at)).await.unwrap();
            link.send(LinkReport::Down).await.unwrap();
            drop(session);
            let (up, mut session) = mpsc::channel(3);
            link.send(LinkReport::Up(up)).await.unwrap();
            for expected in ["a", "c", "d"] {
                let (sequence, found) = text(&mut session).await;
                assert_eq!(found, expected);
                link.send(LinkReport::Delivered(sequence)).await.unwrap();
            }
        };
        beside(&mut forwarder, script).await;
        drop((outbox, submitter));
        assert_eq!(
            forwarder.run().await,
            Undelivered {
                messages: 0,
                link_ended: false
            }
        );
        let said = said.lock().unwrap().clone();
        let tickets: Vec<_> = said
            .iter()
            .filter(|(_, p)| *p == Progress::Delivered)
            .map(|(t, _)| *t)
            .collect();
        assert_eq!(tickets, [1, 0, 2, 3]);
    }

    #[tokio::test]
    async fn progress_is_said_once_with_the_last_message_of_a_frame() {
        let Bench {
            mut forwarder,
            submitter,
            link,
            metrics,
        } = bench(100);
        let (mut outbox, said) = outbox(&submitter);
        outbox.queue(Ticket(1), vec![message("a"), message("b")]);
        outbox.queue(Ticket(2), vec![message("c"), message("d")]);
        outbox.flush().await.unwrap();
        let script = async {
            let (up, mut session) = mpsc::channel(9);
            link.send(LinkReport::Up(up)).await.unwrap();
            let mut sequences = Vec::new();
            for _ in 0..4 {
                sequences.push(text(&mut session).await.0);
            }
            link.send(LinkReport::Delivered(sequences[1]))
                .await
                .unwrap();
            link.send(LinkReport::Refused(sequences[2], "too large".into()))
                .await
                .unwrap();
            link.reserve_many(100).await.map(drop).unwrap();
            assert_eq!(*said.lock().unwrap(), []);
            link.send(LinkReport::Delivered(sequences[0]))
                .await
                .unwrap();
            link.send(LinkReport::Delivered(sequences[0]))
                .await
                .unwrap();
            link.send(LinkReport::Delivered(sequences[3]))
                .await
                .unwrap();
        };
        beside(&mut forwarder, script).await;
        drop((outbox, submitter));
        forwarder.run().await;
        assert_eq!(
            *said.lock().unwrap(),
            [
                (1, Progress::Stored),
                (1, Progress::Delivered),
                (2, Progress::Lost)
            ]
        );
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_submitted_total{output=\"telemetry\"}"),
            4.0
        );
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_delivered_total{output=\"telemetry\"}"),
            3.0
        );
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_undeliverable_total{output=\"telemetry\"}"),
            1.0
        );
    }

    #[tokio::test]
    async fn without_room_an_outbox_waits_and_keeps_its_place() {
        let Bench {
            mut forwarder,
            submitter,
            link,
            ..
        } = bench(2);
        let (mut flood, _) = outbox(&submitter);
        let (mut honest, _) = outbox(&submitter);
        flood.queue(
            Ticket(1),
            vec![message("f1"), message("f2"), message("f3"), message("f4")],
        );
        honest.queue(Ticket(1), vec![message("h1")]);
        // Both wait in line: the flood for its third message, then the honest one for its first.
        assert!(futures_pending(flood.flush()).await);
        assert!(futures_pending(honest.flush()).await);
        assert!(
            futures_pending(flood.flush()).await,
            "asking again does not lose the place"
        );
        let script = async {
            let (up, mut session) = mpsc::channel(1);
            link.send(LinkReport::Up(up)).await.unwrap();
            let drain = async {
                let mut order = Vec::new();
                for _ in 0..5 {
                    let (sequence, body) = text(&mut session).await;
                    order.push(body);
                    link.send(LinkReport::Delivered(sequence)).await.unwrap();
                }
                order
            };
            let (flooded, served, order) = tokio::join!(flood.flush(), honest.flush(), drain);
            flooded.unwrap();
            served.unwrap();
            order
        };
        assert_eq!(
            beside(&mut forwarder, script).await,
            ["f1", "f2", "f3", "h1", "f4"]
        );
    }

    /// Whether a future is still waiting after it was asked once.
    async fn futures_pending(future: impl Future) -> bool {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(future.as_mut().poll(context).is_pending())
        })
        .await
    }

    #[tokio::test]
    async fn an_outbox_that_ends_early_counts_what_nobody_took_over() {
        let Bench {
            forwarder,
            submitter,
            metrics,
            ..
        } = bench(1);
        let (mut outbox, _) = outbox(&submitter);
        outbox.queue(Ticket(1), vec![message("a"), message("b"), message("c")]);
        assert!(futures_pending(outbox.flush()).await);
        drop(outbox);
        drop(forwarder);
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_abandoned_total{output=\"telemetry\"}"),
            2.0
        );
    }
}

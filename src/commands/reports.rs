//! The output of what became of commands that came as messages.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::results::Answer;
use crate::journal::{Accepted, Journal, Record};
use crate::message::{Body, COMMAND_RESULTS, Message, Name, Progress, Ticket};
use crate::northbound::dialect::CORRELATION_ID;
use crate::ops::metrics::Metrics;
use crate::outbox::{Outbox, Submitter};

/// Results that wait for room in memory.
const WAITING: usize = 64;
/// How long a stop waits until the results are safe; those that are not are told again.
const LAST: Duration = Duration::from_millis(1500);
/// The longest message id that IoT Hub takes.
const MOST_ID: usize = 128;
/// What the id of a result begins with.
const ID: &str = "result-";

/// Tells outcomes. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Teller {
    journal: Option<Journal>,
    reports: mpsc::Sender<Report>,
    module: Name,
    metrics: Metrics,
}

/// A message on its way, and the command that it is about.
#[derive(Debug)]
struct Report {
    id: String,
    message: Message,
}

impl Teller {
    /// The way to the output, and the task that publishes. What is about no device is from `module`.
    pub fn new(
        journal: Option<Journal>,
        (submitter, module): (Submitter, Name),
        metrics: Metrics,
    ) -> (Self, Reporter) {
        let (reports, received) = mpsc::channel(WAITING);
        let settled = Arc::new(Settled::default());
        let sink = Arc::clone(&settled);
        let reporter = Reporter {
            journal: journal.clone(),
            reports: received,
            outbox: submitter.outbox(Arc::new(move |ticket, _: Progress| sink.add(ticket))),
            settled,
            tickets: HashMap::new(),
            last: 0,
        };
        let teller = Teller {
            journal,
            reports,
            module,
            metrics,
        };
        (teller, reporter)
    }

    /// Tells an outcome. From here on no other can be told of the same command.
    pub async fn tell(&self, accepted: &Accepted, answer: Answer) {
        self.metrics.command("input", answer.outcome);
        let status = answer.status;
        let mut answer = answer.with("status", status);
        if let Some(correlation) = &accepted.correlation {
            answer = answer.with("correlationId", correlation.as_str());
        }
        if !accepted.nameless {
            answer = answer.with("messageId", accepted.id.as_str());
        }
        let result = Value::Object(answer.payload).to_string();
        if let Some(journal) = &self.journal {
            let record = Record::Ended {
                id: accepted.id.clone(),
                result: result.clone(),
            };
            if let Err(error) = journal.force(record).await {
                tracing::warn!(
                    error,
                    "the outcome of a command is told and not in the journal: after a kill it would be told again as interrupted"
                );
            }
        }
        self.tell_again(accepted, result).await;
    }

    /// Tells an outcome that stands in the journal.
    pub async fn tell_again(&self, accepted: &Accepted, result: String) {
        let report = Report {
            id: accepted.id.clone(),
            message: message(accepted, result, &self.module),
        };
        if self.reports.send(report).await.is_err() {
            tracing::debug!("nobody is left to tell an outcome");
        }
    }
}

fn message(accepted: &Accepted, result: String, module: &Name) -> Message {
    let device = accepted.device.as_deref().unwrap_or(module);
    let said: Value = serde_json::from_str(&result).unwrap_or_default();
    let text = |name: &str| match said.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let properties = [
        ("device", Some(device.to_owned())),
        ("outcome", text("outcome")),
        ("status", text("status")),
        (CORRELATION_ID, accepted.correlation.clone()),
    ];
    let properties = properties
        .into_iter()
        .filter_map(|(name, value)| Some((Name::from(name), printable(&value?))));
    Message {
        output: COMMAND_RESULTS.into(),
        device: device.into(),
        id: Some(result_id(&accepted.id)),
        properties: properties.collect(),
        body: Body::Contract(result.into()),
    }
}

/// The same for the same command, also after a restart. Of a long id the end is what differs.
fn result_id(id: &str) -> String {
    let left_out = id.chars().count().saturating_sub(MOST_ID - ID.len());
    let kept = id.chars().skip(left_out);
    ID.chars().chain(kept).collect()
}

/// Text as IoT Hub takes it in a property.
fn printable(text: &str) -> Name {
    let printable = text.chars().take(MOST_ID).map(|c| match c {
        ' '..='~' => c,
        _ => '_',
    });
    printable.collect::<String>().into()
}

/// Tickets of which nobody has to know more: their messages are safe, or are lost and counted.
#[derive(Debug, Default)]
struct Settled {
    tickets: Mutex<Vec<Ticket>>,
    added: Notify,
}

impl Settled {
    fn add(&self, ticket: Ticket) {
        let tickets = self.tickets.lock();
        tickets.unwrap_or_else(PoisonError::into_inner).push(ticket);
        self.added.notify_one();
    }

    async fn take(&self) -> Vec<Ticket> {
        loop {
            let tickets = {
                let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *tickets)
            };
            if !tickets.is_empty() {
                return tickets;
            }
            self.added.notified().await;
        }
    }
}

/// The task that hands results to the spool, and notes which of them are safe.
pub(super) struct Reporter {
    journal: Option<Journal>,
    reports: mpsc::Receiver<Report>,
    outbox: Outbox,
    settled: Arc<Settled>,
    /// Results on their way, and their commands.
    tickets: HashMap<Ticket, String>,
    last: u64,
}

impl Reporter {
    /// Publishes until no more results can come, and waits for a while until they are safe.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                report = self.reports.recv(), if self.outbox.is_empty() => match report {
                    Some(report) => self.queue(report),
                    None => break,
                },
                flushed = self.outbox.flush(), if !self.outbox.is_empty() => if flushed.is_err() {
                    return;
                },
                tickets = self.settled.take() => self.note(&tickets),
            }
        }
        let settled = async {
            while !self.tickets.is_empty() {
                let tickets = self.settled.take().await;
                self.note(&tickets);
            }
        };
        if timeout(LAST, settled).await.is_err() {
            tracing::info!("results of commands are not safe yet; the next start tells them again");
        }
    }

    fn queue(&mut self, report: Report) {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.tickets.insert(ticket, report.id);
        let awaits = Some(Progress::Stored);
        self.outbox.queue(ticket, vec![report.message], awaits);
    }

    fn note(&mut self, tickets: &[Ticket]) {
        for ticket in tickets {
            let id = self.tickets.remove(ticket);
            if let (Some(id), Some(journal)) = (id, &self.journal) {
                journal.note(Record::Reported(id));
            }
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("tickets", &self.tickets.len())
            .finish_non_exhaustive()
    }
}

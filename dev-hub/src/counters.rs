//! Everything that edgeHub does silently, counted, so that a test can ask for zero.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::wait::Changes;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What the stand-in has counted since it started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct Counters { $($(#[$doc])* pub $name: u64,)* }

        #[derive(Debug, Default)]
        struct Cells { $($name: AtomicU64,)* }

        impl Cells {
            fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        /// Which counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(non_camel_case_types, reason = "one list of names serves fields and words")]
        pub(crate) enum Count { $($name,)* }

        impl Cells {
            fn cell(&self, which: Count) -> &AtomicU64 {
                match which { $(Count::$name => &self.$name,)* }
            }
        }
    };
}

counters! {
    /// TCP connections accepted.
    accepted,
    /// TLS handshakes that failed.
    tls_failed,
    /// Connections that sent no CONNECT, or something else first, or a broken one.
    no_connect,
    /// CONNECT answered with 0.
    connected,
    /// Answered with 0 and dead, because more clients are connected than allowed.
    connected_dead,
    /// CONNECT answered with 1: another protocol level.
    refused_level,
    /// CONNECT answered with 3: user name or client id cannot be read.
    refused_unreadable,
    /// CONNECT answered with 5: not let in.
    refused_unauthorized,
    /// CONNECT refused, delayed or left unanswered on request.
    connects_disturbed,
    /// Connections that ended, for whatever reason.
    closed,
    /// Closed because the same identity connected again.
    taken_over,
    /// Closed because the token had expired.
    token_expired,
    /// Closed because nothing came within one and a half keep-alive times.
    keep_alive_missed,
    /// Closed because of bytes that are no MQTT, or too many of them.
    protocol_error,
    /// Closed after a PUBLISH with QoS 2.
    qos_2,
    /// Closed because of a twin topic that edgeHub cannot read.
    bad_twin_topic,
    /// Closed because a telemetry topic names another identity than the connected one.
    /// edgeHub itself would not look, and upstream would drop the message.
    foreign_topic,
    /// Closed without PUBACK because the message could not be stored (on request).
    store_failed,
    /// Closed instead of a PUBACK, behind the message's storage (on request).
    pubacks_lost,
    /// PUBLISH received, of any kind.
    publishes,
    /// PUBACK sent.
    pubacks,
    /// Telemetry messages that were stored for at least one endpoint.
    telemetry_stored,
    /// Telemetry at QoS 0, which nobody acknowledges.
    telemetry_at_most_once,
    /// Silent loss with PUBACK: the topic matches no template.
    dropped_topic,
    /// Silent loss with PUBACK: the property bag cannot be read.
    dropped_bag,
    /// Silent loss with PUBACK: two property names differ only by case.
    dropped_same_name,
    /// Silent loss with PUBACK: body and properties are larger than 262,144 bytes.
    dropped_size,
    /// Silent loss with PUBACK: the output name is blank.
    dropped_blank_output,
    /// Silent loss with PUBACK: no route matches.
    dropped_no_route,
    /// Messages whose property `deviceId` or `moduleId` took over the sender.
    sender_overwritten,
    /// Not taken upstream: the sender is not of this edge device.
    upstream_out_of_scope,
    /// Not taken upstream: `$.ctime` has not exactly seven digits of a second's fraction.
    upstream_bad_creation_time,
    /// Not taken upstream: IoT Hub allows message ids of up to 128 ASCII characters.
    upstream_bad_message_id,
    /// Not taken upstream: sent on a connection over the limit of clients.
    upstream_dead_connection,
    /// Messages recorded as arrived upstream.
    upstream,
    /// Recorded messages forgotten because the record was full.
    upstream_forgotten,
    /// Twin changes that a route sent upstream; they are counted, not recorded.
    upstream_twin_changes,
    /// PUBLISH with the DUP flag, which becomes a property `mqtt-dup`.
    dup_received,
    /// PUBLISH with the RETAIN flag, which becomes a property `mqtt-retain`.
    retain_received,
    /// Wills published because a connection broke.
    wills,
    /// Twin documents asked for.
    twin_gets,
    /// Reported patches taken.
    reported_accepted,
    /// Reported patches refused with 400.
    reported_refused,
    /// Reported patches answered with 500, because they are no JSON object.
    reported_unreadable,
    /// Desired patches sent.
    desired_sent,
    /// Desired patches not sent: not connected, not subscribed, or lost on request.
    desired_lost,
    /// Direct methods sent to a client.
    methods_sent,
    /// Answers to direct methods that nobody waits for.
    method_answers_unknown,
    /// Input messages put into a queue.
    inputs_queued,
    /// Input messages sent, repeats included.
    inputs_sent,
    /// Input messages acknowledged by the module.
    inputs_consumed,
    /// Input messages lost because no subscription matches them.
    inputs_dropped_no_filter,
    /// Input messages lost because the queue was full.
    inputs_dropped_full,
    /// Input messages sent again because no PUBACK came in time.
    inputs_timed_out,
    /// Answers lost because the client has no subscription for them.
    rejected_no_filter,
    /// PUBACK from a client for nothing that was sent.
    pubacks_unexpected,
    /// PUBACK from a client with another packet id than 1.
    pubacks_wrong_id,
    /// Requests at the workload API.
    workload_requests,
    /// Requests at the workload API that were answered with an error.
    workload_errors,
}

/// The counters while they count.
#[derive(Debug)]
pub(crate) struct Counting {
    cells: Cells,
    changes: Changes,
}

impl Counting {
    pub(crate) fn new(changes: Changes) -> Self {
        Counting {
            cells: Cells::default(),
            changes,
        }
    }

    pub(crate) fn add(&self, which: Count) {
        self.cells.cell(which).fetch_add(1, Ordering::Relaxed);
        self.changes.notify();
    }

    pub(crate) fn snapshot(&self) -> Counters {
        self.cells.snapshot()
    }
}

impl Counters {
    /// Messages that were acknowledged to the client and are lost all the same.
    pub fn silent_losses(&self) -> u64 {
        [
            self.dropped_topic,
            self.dropped_bag,
            self.dropped_same_name,
            self.dropped_size,
            self.dropped_blank_output,
            self.dropped_no_route,
            self.upstream_out_of_scope,
            self.upstream_bad_creation_time,
            self.upstream_bad_message_id,
            self.upstream_dead_connection,
        ]
        .iter()
        .sum()
    }
}

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::edge::{Credentials, Gateway, Identity, WorkloadAddress};
use crate::northbound::{
    Inbound, Link, LinkChannels, LinkEnded, LinkReport, LinkSettings, Outgoing, Timeouts,
};
use crate::ops::metrics::Metrics;

struct Bench {
    link: Link,
    _reports: mpsc::Receiver<LinkReport>,
    _inbound: mpsc::Receiver<Inbound>,
    _outgoing: mpsc::Sender<Outgoing>,
}

/// A link whose workload socket does not exist.
fn bench(timeouts: Timeouts) -> Bench {
    let identity = Identity {
        iot_hub: "hub".to_owned(),
        device_id: "dev".to_owned(),
        module_id: "gw".to_owned(),
        gateway: Gateway {
            host: "localhost".to_owned(),
            port: 1,
        },
        credentials: Credentials::Workload(crate::edge::environment::WorkloadIdentity {
            address: WorkloadAddress::Unix("/nonexistent/workload.sock".into()),
            generation_id: "1".to_owned(),
            api_version: "2022-08-03".to_owned(),
        }),
    };
    let (forwarder, reports) = mpsc::channel(8);
    let (inbound, inbound_end) = mpsc::channel(8);
    let (outgoing_end, outgoing) = mpsc::channel(8);
    let mut settings = LinkSettings::new(identity, None);
    settings.timeouts = timeouts;
    let channels = LinkChannels {
        forwarder,
        inbound,
        inputs: mpsc::channel(1).0,
        outgoing,
    };
    Bench {
        link: Link::new(settings, channels, Metrics::default(), Clock::system()),
        _reports: reports,
        _inbound: inbound_end,
        _outgoing: outgoing_end,
    }
}

fn short() -> Timeouts {
    let millis = Duration::from_millis;
    Timeouts {
        first_retry: millis(1),
        longest_retry: millis(5),
        stale_socket: millis(20),
        shortest_life: millis(40),
        ..Timeouts::default()
    }
}

#[tokio::test]
async fn a_socket_that_refuses_for_too_long_ends_the_link() {
    let bench = bench(short());
    let ended = timeout(
        Duration::from_secs(20),
        bench.link.run(CancellationToken::new()),
    )
    .await;
    assert!(matches!(ended, Ok(Err(LinkEnded::WorkloadStale(_)))));
}

#[tokio::test]
async fn within_patience_it_only_ends_when_told_to() {
    let bench = bench(Timeouts {
        stale_socket: Duration::from_secs(3600),
        ..short()
    });
    let stop = CancellationToken::new();
    let mut run = Box::pin(bench.link.run(stop.clone()));
    assert!(
        timeout(Duration::from_millis(200), &mut run).await.is_err(),
        "it goes on trying"
    );
    stop.cancel();
    assert!(run.await.is_ok());
}

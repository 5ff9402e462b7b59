use super::*;

#[test]
fn every_clone_counts_into_the_same_numbers() {
    let metrics = Metrics::default();
    let scales = metrics.listener(&"scales".into());
    scales.clone().trouble("checksum", 2);
    metrics.listener(&"scales".into()).trouble("checksum", 1);
    metrics.abandoned(&"telemetry".into());
    for (name, count) in [
        (
            "frame_troubles_total{listener=\"scales\",trouble=\"checksum\"}",
            3.0,
        ),
        ("messages_abandoned_total{output=\"telemetry\"}", 1.0),
        ("messages_abandoned_total{output=\"alarms\"}", 0.0),
    ] {
        assert_eq!(metrics.sample(&format!("{PREFIX}_{name}")), count, "{name}");
    }
}

#[test]
fn connections_and_what_waits_on_them_are_summed_up_beside_their_bounds() {
    let metrics = Metrics::default();
    let scales = metrics.listener(&"scales".into());
    let each = Backlog {
        replies: 256,
        commands: 32,
        bytes: 65_536,
    };
    scales.bounds(1000, each);
    let (mut one, mut other) = (Backlog::default(), Backlog::default());
    for _ in 0..3 {
        scales.accepted();
    }
    scales.closed("fin");
    scales.panicked();
    scales.backlog(
        &mut one,
        Backlog {
            replies: 3,
            commands: 1,
            bytes: 10,
        },
    );
    scales.backlog(
        &mut other,
        Backlog {
            replies: 2,
            ..Backlog::default()
        },
    );
    scales.backlog(
        &mut one,
        Backlog {
            replies: 1,
            ..Backlog::default()
        },
    );
    for (name, value) in [
        ("connections", 1.0),
        ("connections_bound", 1000.0),
        ("replies_waiting", 3.0),
        ("replies_waiting_bound", 256_000.0),
        ("commands_waiting", 0.0),
        ("commands_waiting_bound", 32_000.0),
        ("waiting_bytes", 0.0),
        ("waiting_bound_bytes", 65_536_000.0),
    ] {
        let sample = format!("{PREFIX}_{name}{{listener=\"scales\"}}");
        assert_eq!(metrics.sample(&sample), value, "{name}");
    }
}

#[test]
#[should_panic(expected = "there is no metric edge_tcp_gateway_conections")]
fn a_sample_that_there_is_not_is_no_zero() {
    Metrics::default().sample("edge_tcp_gateway_conections{listener=\"scales\"}");
}

#[test]
#[should_panic(expected = "there is no metric edge_tcp_gateway_frames")]
fn the_samples_of_a_counter_end_in_total() {
    Metrics::default().sample("edge_tcp_gateway_frames{listener=\"scales\"}");
}

//! `logger` of util-linux.

use tokio::process::Command;

use super::{Peer, module_with};

/// The lines of `logger` with these options, which say the framing and the structured data.
async fn lines_arrive(options: &[&str], data: Option<&str>) {
    let (rig, port) = module_with("syslog@1").await;
    let port = port.to_string();
    let mut command = Command::new("logger");
    command
        .args(["--tcp", "--server", "127.0.0.1", "--port", &port])
        .args(["--tag", "press", "--msgid", "TEMP"])
        .args(["--priority", "local0.warning"])
        .args(options);
    let mut logger = Peer::start(command);
    let texts = ["23.5 degrees", "über 100 %", "[not data] - x", "7 <14>1 -"];
    logger.write(&format!("{}\n", texts.join("\n"))).await;
    logger.finish().await;

    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    for (message, text) in rig.messages(texts.len()).await.iter().zip(texts) {
        let body = message.json().expect("JSON");
        assert_eq!(message.property("device"), Some(host.trim()), "{body}");
        assert_eq!(body["device"], host.trim());
        let values = &body["values"];
        assert_eq!(values["text"], text);
        assert_eq!(values["app"], "press");
        assert_eq!(values["kind"], "TEMP");
        assert_eq!(values["priority"], 16 * 8 + 4, "local0.warning");
        let begin = values["data"].as_str().map(|data| data.split(' ').next());
        assert_eq!(begin.flatten(), data, "{body}");
        let time = body["time"].as_str().expect("a time");
        assert!(time.ends_with('Z'), "{time}");
    }
}

#[tokio::test]
async fn logger_counts_octets() {
    lines_arrive(&["--octet-count", "--rfc5424=notq"], None).await;
}

#[tokio::test]
async fn logger_ends_lines() {
    lines_arrive(&["--rfc5424"], Some("[timeQuality")).await;
}

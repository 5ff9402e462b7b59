//! The workload API, spoken to by hand.

use dev_hub::DevHub;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::client::hub;

async fn ask(hub: &DevHub, method: &str, path: &str, body: &str) -> (u16, String) {
    let path_of_socket = hub.workload_uri().replace("unix://", "");
    let mut stream = UnixStream::connect(path_of_socket).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: sock\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn requests_and_their_answers() {
    let hub = hub().await;
    let environment = hub.module_env("gateway").unwrap();
    let generation = &environment
        .iter()
        .find(|(name, _)| name == "IOTEDGE_MODULEGENERATIONID")
        .unwrap()
        .1;
    let sign = format!("/modules/gateway/genid/{generation}/sign");
    let version = "?api-version=2022-08-03";
    let rows = [
        (
            "POST",
            format!("{sign}{version}"),
            r#"{"keyId":"primary","algo":"HMACSHA256","data":"YQ=="}"#,
            200,
        ),
        (
            "POST",
            format!("{sign}?api-version=2018-06-28"),
            r#"{"data":"YQ=="}"#,
            200,
        ),
        ("POST", sign.clone(), r#"{"data":"YQ=="}"#, 400),
        (
            "POST",
            format!("{sign}?api-version=2000-01-01"),
            r#"{"data":"YQ=="}"#,
            400,
        ),
        ("GET", format!("{sign}{version}"), "", 400),
        ("POST", format!("{sign}{version}"), "", 400),
        ("POST", format!("{sign}{version}"), r#"{"data":"?"}"#, 400),
        ("POST", format!("{sign}{version}"), "{", 422),
        (
            "POST",
            format!("/modules/stranger/genid/1/sign{version}"),
            r#"{"data":"YQ=="}"#,
            403,
        ),
        ("GET", format!("/nothing{version}"), "", 404),
        ("GET", format!("/trust-bundle{version}"), "", 200),
    ];
    for (method, path, body, expected) in rows {
        let (status, answer) = ask(&hub, method, &path, body).await;
        assert_eq!(status, expected, "{method} {path} {answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let member = if status == 200 {
            answer.get("digest").or(answer.get("certificate"))
        } else {
            answer.get("message")
        };
        assert!(member.is_some_and(serde_json::Value::is_string), "{answer}");
    }
    hub.stop().await;
}

#[tokio::test]
async fn the_socket_refuses_goes_stale_goes_and_comes_back() {
    let hub = hub().await;
    let path = hub.workload_uri().replace("unix://", "");
    let bundle = "/trust-bundle?api-version=2022-08-03";
    hub.faults().refuse_workload(true);
    assert_eq!(ask(&hub, "GET", bundle, "").await.0, 403);
    hub.faults().refuse_workload(false);
    hub.faults().leave_stale_socket();
    tokio::task::yield_now().await;
    let stale = UnixStream::connect(&path)
        .await
        .map(|_| ())
        .map_err(|error| error.kind());
    assert_eq!(stale, Err(std::io::ErrorKind::ConnectionRefused));
    hub.faults().stop_workload();
    let gone = UnixStream::connect(&path)
        .await
        .map(|_| ())
        .map_err(|error| error.kind());
    assert_eq!(gone, Err(std::io::ErrorKind::NotFound));
    hub.faults().start_workload().unwrap();
    assert_eq!(ask(&hub, "GET", bundle, "").await.0, 200);
    hub.stop().await;
}

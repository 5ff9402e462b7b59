use super::*;

const RUNTIME: [(&str, &str); 8] = [
    ("IOTEDGE_IOTHUBHOSTNAME", "contoso.azure-devices.net"),
    ("IOTEDGE_GATEWAYHOSTNAME", "edge-1"),
    ("IOTEDGE_DEVICEID", "press-line"),
    ("IOTEDGE_MODULEID", "tcpgw"),
    ("IOTEDGE_MODULEGENERATIONID", "637"),
    (
        "IOTEDGE_WORKLOADURI",
        "unix:///var/run/iotedge/workload.sock",
    ),
    ("IOTEDGE_APIVERSION", "2022-08-03"),
    ("IOTEDGE_AUTHSCHEME", "sasToken"),
];
const STRING: &str =
    "HostName=h;GatewayHostName=localhost:18883;DeviceId=d;ModuleId=m;SharedAccessKey=a2V5MQ==";

fn read(changes: &[(&str, &str)]) -> Result<Identity, EnvironmentError> {
    Identity::from_environment(&|name| {
        let base = RUNTIME.iter().rev().chain(changes);
        let found = base.rev().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn gateway(text: &str) -> Option<(String, u16)> {
    Gateway::parse(text).map(|gateway| (gateway.host, gateway.port))
}

#[test]
fn the_variables_of_the_runtime_make_an_identity() {
    let identity = read(&[]).unwrap();
    assert_eq!(identity.iot_hub, "contoso.azure-devices.net");
    assert_eq!(identity.device_id, "press-line");
    assert_eq!(identity.module_id, "tcpgw");
    assert_eq!(identity.gateway.to_string(), "edge-1:8883");
    let Credentials::Workload(workload) = identity.credentials else {
        panic!("not the workload API");
    };
    assert_eq!(workload.generation_id, "637");
    assert_eq!(workload.api_version, "2022-08-03");
    assert_eq!(
        workload.address.to_string(),
        "unix:///var/run/iotedge/workload.sock"
    );
}

#[test]
fn a_connection_string_wins_over_the_runtime() {
    let identity = read(&[
        ("EdgeHubConnectionString", STRING),
        ("EdgeModuleCACertificateFile", "/ca.pem"),
    ])
    .unwrap();
    assert_eq!(identity.gateway.to_string(), "localhost:18883");
    assert_eq!(
        identity.credentials,
        Credentials::SharedKey {
            key: Secret::new(*b"key1"),
            ca_file: "/ca.pem".into()
        }
    );
}

#[test]
fn exactly_the_missing_variables_are_named() {
    let error = read(&[("IOTEDGE_DEVICEID", ""), ("IOTEDGE_WORKLOADURI", " ")]).unwrap_err();
    assert_eq!(
        error,
        EnvironmentError::Missing {
            names: vec!["IOTEDGE_DEVICEID", "IOTEDGE_WORKLOADURI"]
        }
    );
    let text = error.to_string();
    assert!(text.contains("IOTEDGE_DEVICEID, IOTEDGE_WORKLOADURI not set"));
    assert!(text.contains("EdgeHubConnectionString"), "the remedy");
}

#[test]
fn values_that_cannot_be_used_are_refused_with_their_name() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (
            &[("IOTEDGE_AUTHSCHEME", "x509")],
            "IOTEDGE_AUTHSCHEME is `x509`",
        ),
        (
            &[("IOTEDGE_WORKLOADURI", "/run/a.sock")],
            "IOTEDGE_WORKLOADURI is",
        ),
        (
            &[("IOTEDGE_WORKLOADURI", "unix://relative")],
            "IOTEDGE_WORKLOADURI is",
        ),
        (
            &[("IOTEDGE_WORKLOADURI", "http://:80")],
            "IOTEDGE_WORKLOADURI is",
        ),
        (
            &[("IOTEDGE_GATEWAYHOSTNAME", "edge:port")],
            "IOTEDGE_GATEWAYHOSTNAME is",
        ),
        (
            &[("IOTEDGE_GATEWAYHOSTNAME", ":8883")],
            "IOTEDGE_GATEWAYHOSTNAME is",
        ),
        (
            &[("EdgeHubConnectionString", STRING)],
            "EdgeModuleCACertificateFile is not",
        ),
        (&[("EdgeHubConnectionString", "a|b")], "several modules"),
        (
            &[(
                "EdgeHubConnectionString",
                "SharedAccessKey=a2V5MQ==;HostName=h;GatewayHostName=g;DeviceId=d",
            )],
            "lacks ModuleId",
        ),
        (
            &[(
                "EdgeHubConnectionString",
                "SharedAccessKey=a2V5MQ==;HostName=h;GatewayHostName=g:x;DeviceId=d;ModuleId=m",
            )],
            "names the gateway `g:x`",
        ),
        (
            &[("EdgeHubConnectionString", "SharedAccessKey=??;HostName=h")],
            "not base64",
        ),
    ];
    for (changes, expected) in rows {
        let text = read(changes).unwrap_err().to_string();
        assert!(text.contains(expected), "{changes:?} said: {text}");
    }
}

#[test]
fn gateway_hosts_in_every_form() {
    let rows = [
        ("edge", Some(("edge", 8883))),
        ("edge:1883", Some(("edge", 1883))),
        ("10.0.0.1", Some(("10.0.0.1", 8883))),
        ("10.0.0.1:99", Some(("10.0.0.1", 99))),
        ("fd00::1", Some(("fd00::1", 8883))),
        ("[fd00::1]:99", Some(("fd00::1", 99))),
        ("[fd00::1]", Some(("fd00::1", 8883))),
        ("[fd00::1]x", None),
        ("[fd00::1", None),
        ("edge:65536", None),
        ("", None),
    ];
    for (text, expected) in rows {
        let expected = expected.map(|(host, port)| (host.to_owned(), port));
        assert_eq!(gateway(text), expected, "{text}");
    }
}

#[test]
fn no_log_shows_the_key() {
    let identity = read(&[
        ("EdgeHubConnectionString", STRING),
        ("EdgeModuleCACertificateFile", "/ca.pem"),
    ]);
    let shown = format!("{identity:?}");
    assert!(
        !shown.contains("key1") && !shown.contains("a2V5MQ") && !shown.contains("107"),
        "{shown}"
    );
}

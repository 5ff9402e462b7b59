//! The library pynmea2 as a satellite receiver.

use serde_json::{Value, json};

use super::{Peer, module_with};

/// Sentences: talker, name and fields.
fn sentences() -> [(&'static str, &'static str, &'static str); 9] {
    [
        (
            "GP",
            "RMC",
            "081836.50,A,3751.65,S,14507.36,E,000.0,360.0,130998,011.3,E",
        ),
        (
            "GN",
            "RMC",
            "235959,A,0000.0001,N,17959.9999,W,022.4,084.4,311225,003.1,W,A",
        ),
        ("GP", "RMC", "081837,V,,,,,,,130998,,,N"),
        // What the pack says nothing of is passed over.
        ("GP", "GSV", "1,1,01,07,79,048,42"),
        (
            "GN",
            "GGA",
            "123519,4807.038,N,01131.000,W,1,08,0.9,545.4,M,46.9,M,,",
        ),
        (
            "GL",
            "GGA",
            "000000.00,8959.99999,S,00000.5,E,4,12,1.05,-12.75,M,0.0,M,1.0,0042",
        ),
        ("GP", "GLL", "4916.45,N,12311.12,W,225444,A"),
        ("GP", "GGA", "123520,,,,,0,00,,,M,,M,,"),
        (
            "GP",
            "RMC",
            "120000,A,5231.79283,N,01324.61800,E,1.07,179.5,010100,,,A",
        ),
    ]
}

#[tokio::test]
async fn sentences_that_pynmea2_writes_are_read_as_it_reads_them_itself() {
    let (rig, port) = module_with("nmea@1").await;
    let mut receiver = Peer::script("nmea_sender.py", &[&port.to_string()]);
    let mut expected = Vec::new();
    for (talker, name, fields) in sentences() {
        let fields: Vec<&str> = fields.split(',').collect();
        receiver.tell(&json!([talker, name, fields])).await;
        let said = receiver.hear().await;
        assert_eq!(said["sentence"] == name, !said.is_null(), "{said}");
        expected.extend(Some(said).filter(Value::is_object));
    }
    receiver.finish().await;
    assert_eq!(expected.len(), 7);

    for (message, mut values) in rig.messages(expected.len()).await.iter().zip(expected) {
        let body = message.json().expect("JSON");
        let time = values.as_object_mut().and_then(|own| own.remove("time"));
        assert_eq!(body["values"], values);
        assert_eq!(moment(&body["time"]), time.as_ref().and_then(moment));
        assert_eq!(body["device"], "127.0.0.1");
    }
}

fn moment(time: &Value) -> Option<jiff::Timestamp> {
    time.as_str().map(|time| time.parse().expect("a time"))
}

//! The library hl7 as a patient monitor.

use serde_json::json;

use super::{Peer, module_with};

const HEART_RATE: &str = "MSH|^~\\&|MON1|ICU|LAB|HOSP|20240105120000.25+0100||ORU^R01|4711|P|2.3\r\
                          PID|1||555^^^HOSP||Müller^Änne\r\
                          OBR|1|||VITAL\r\
                          OBX|1|NM|HR^Heart rate^L||72.5|bpm|||||F\r";
const ADMISSION: &str = "MSH|^~\\&|ADM|WARD 3|||202401051200||ADT^A01|A-78/2|P|2.3\r\
                         EVN|A01|20240105120001\r";

#[tokio::test]
async fn hl7_parses_the_acknowledgement_of_each_message() {
    let (rig, port) = module_with("hl7@1").await;
    let mut sender = Peer::script("hl7_sender.py", &[&port.to_string()]);
    let rows = [
        (HEART_RATE, ["MON1", "ICU"], ["LAB", "HOSP"], "4711"),
        (ADMISSION, ["ADM", "WARD 3"], ["EDGE", "GW"], "A-78/2"),
    ];
    for (message, from, to, control) in rows {
        sender.tell(&json!(message)).await;
        let mut said = sender.hear().await;
        let time = said["time"].take();
        let time = time.as_str().expect("a text");
        assert!(time.len() == 14 && time.starts_with("20"), "{time}");
        let expected = json!({
            "from": to, "to": from, "time": null, "message": "ACK", "version": "2.3", "code": "AA", "control": control
        });
        assert_eq!(said, expected);
    }
    sender.finish().await;

    let times = ["2024-01-05T11:00:00.25Z", "2024-01-05T12:00:00Z"];
    let expected = [
        json!({
            "app": "MON1", "facility": "ICU", "message": "ORU^R01", "control": "4711",
            "patient": "555", "code": "HR", "value": 72.5, "unit": "bpm"
        }),
        json!({
            "app": "ADM", "facility": "WARD 3", "message": "ADT^A01", "control": "A-78/2"
        }),
    ];
    let messages = rig.messages(expected.len()).await;
    for ((message, values), time) in messages.iter().zip(expected).zip(times) {
        let body = message.json().expect("JSON");
        assert_eq!(body["values"], values);
        assert_eq!(body["time"], time);
        assert_eq!(body["device"], values["app"]);
    }
}

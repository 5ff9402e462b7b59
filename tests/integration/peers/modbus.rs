//! The library pymodbus as the server of a field bus.

use dev_hub::UpstreamMessage;
use serde_json::{Value, json};

use super::{Peer, module_with};

/// Answers by the name of their class, what they are made of, and what is read.
fn answers() -> Vec<(&'static str, Value, Value)> {
    let flags = [
        true, false, true, true, false, false, true, true, false, true, true,
    ];
    let long: Vec<u16> = (0..125).map(|n| 65_535 - 523 * n).collect();
    vec![
        (
            "ReadHoldingRegistersResponse",
            json!({"registers": [235, 65_526], "dev_id": 1}),
            json!({"unit": 1, "function": 3, "values": [235, 65_526]}),
        ),
        (
            "ReadInputRegistersResponse",
            json!({"registers": [0], "dev_id": 17}),
            json!({"unit": 17, "function": 4, "values": [0]}),
        ),
        (
            "ReadHoldingRegistersResponse",
            json!({"registers": long, "dev_id": 247}),
            json!({"unit": 247, "function": 3, "values": long}),
        ),
        (
            "ReadCoilsResponse",
            json!({"bits": flags, "dev_id": 2}),
            json!({"unit": 2, "function": 1, "bits": [0b1100_1101, 0b110]}),
        ),
        (
            "ReadDiscreteInputsResponse",
            json!({"bits": [false, true], "dev_id": 2}),
            json!({"unit": 2, "function": 2, "bits": [0b10]}),
        ),
        (
            "WriteSingleCoilResponse",
            json!({"address": 172, "bits": [true], "dev_id": 3}),
            json!({"unit": 3, "function": 5, "address": 172, "value": 0xff00}),
        ),
        (
            "WriteSingleRegisterResponse",
            json!({"address": 65_535, "registers": [4_660], "dev_id": 3}),
            json!({"unit": 3, "function": 6, "address": 65_535, "value": 4_660}),
        ),
        (
            "WriteMultipleCoilsResponse",
            json!({"address": 19, "count": 10, "dev_id": 3}),
            json!({"unit": 3, "function": 15, "address": 19, "value": 10}),
        ),
        (
            "WriteMultipleRegistersResponse",
            json!({"address": 1, "count": 123, "dev_id": 3}),
            json!({"unit": 3, "function": 16, "address": 1, "value": 123}),
        ),
        (
            "ExceptionResponse",
            json!({"function_code": 3, "exception_code": 2, "device_id": 9}),
            json!({"unit": 9, "function": 0x83, "exception": 2}),
        ),
    ]
}

/// Checks a message: these values, of the unit that they say.
fn is_read(message: &UpstreamMessage, class: &str, values: &Value) {
    let body = message.json().expect("JSON");
    assert_eq!(body["values"], *values, "{class}");
    let unit = format!("127.0.0.1/{}", values["unit"]);
    assert_eq!(body["device"], unit, "{class}");
}

#[tokio::test]
async fn pymodbus_frames_of_modbus_rtu_are_read_exactly() {
    let (rig, port) = module_with("modbus-rtu@1").await;
    let mut server = Peer::script("modbus_server.py", &[&port.to_string(), "rtu"]);
    for (class, arguments, _) in answers() {
        server.tell(&json!([class, arguments])).await;
    }
    server.finish().await;

    let messages = rig.messages(answers().len()).await;
    for (message, (class, _, values)) in messages.iter().zip(answers()) {
        is_read(message, class, &values);
    }
}

#[tokio::test]
async fn pymodbus_frames_of_modbus_tcp_are_read_exactly() {
    let (rig, port) = module_with("modbus-tcp@1").await;
    let mut server = Peer::script("modbus_server.py", &[&port.to_string(), "socket"]);
    for ((class, mut arguments, _), transaction) in answers().into_iter().zip(65_526..) {
        let name = match class {
            "ExceptionResponse" => "transaction",
            _ => "transaction_id",
        };
        arguments[name] = json!(transaction);
        server.tell(&json!([class, arguments])).await;
    }
    server.finish().await;

    let messages = rig.messages(answers().len()).await;
    let expected = answers().into_iter().zip(65_526..);
    for (message, ((class, _, mut values), transaction)) in messages.iter().zip(expected) {
        values["transaction"] = json!(transaction);
        is_read(message, class, &values);
    }
}

//! Lines of real devices as columns.

use serde_json::json;

use super::columns::{decode, read};
use super::{decoder, values};

#[test]
fn queclink() {
    let position = json!([
        "skip 4",
        "hdop: integer",
        "speed: number unit km/h",
        "course: integer",
        "altitude: number",
        "longitude: number",
        "latitude: number",
        "time: time %Y%m%d%H%M%S",
        "mcc: integer",
        "mnc: integer",
        "lac: hexadecimal",
        "cell: hexadecimal"
    ]);
    let decoder = decoder(
        json!({"type": "csv", "fields": ["head", "version", "imei", "sequence: at -1"],
            "select": {"by": "head", "cases": [["+RESP:GTRTL|+RESP:GTIGL|+RESP:GTSOS", "position"]], "default": "other"}}),
        json!({"position": {"fields": position}, "other": {}}),
    );
    let line = "+RESP:GTRTL,DF0200,868487004353181,cv700,,00,1,0,0.0,0,102.2,114.015295,22.537250,20210608063942,0460,0001,\
        25F8,061A7D70,,0.0,20210608144939,32CF";
    let reading = decode(&decoder, line);
    assert_eq!(
        (reading.undecoded.as_deref(), reading.kind.as_deref()),
        (None, Some("position"))
    );
    assert_eq!(
        values(&reading),
        json!({"head": "+RESP:GTRTL", "version": "DF0200", "imei": "868487004353181",
        "sequence": "32CF", "hdop": 0, "speed": 0.0, "course": 0, "altitude": 102.2, "longitude": 114.015295,
        "latitude": 22.53725, "mcc": 460, "mnc": 1, "lac": 9720, "cell": 102_399_344})
    );
    assert_eq!(reading.time.unwrap().to_string(), "2021-06-08T06:39:42Z");
    let reading = decode(
        &decoder,
        "+ACK:GTHBD,1A0401,135790246811220,,20100214093254,11F0",
    );
    assert_eq!(
        values(&reading),
        json!({"head": "+ACK:GTHBD", "version": "1A0401", "imei": "135790246811220",
        "sequence": "11F0"})
    );
}

#[test]
fn h02_and_nmea() {
    let h02 = decoder(
        json!({"type": "csv", "fields": ["maker", "id", "type"],
            "select": {"by": "type", "cases": [["V1", "position"], ["HTBT", "heartbeat"]]}}),
        json!({
            "position": {"fields": ["hms", "valid: enum A=true V=false", "latitude", "ns", "longitude", "ew",
                "speed: number", "course: number", "dmy", "status: hexadecimal"]},
            "heartbeat": {"fields": ["batteryLevel: integer"]}}),
    );
    let line = "HQ,355488020113911,V1,012945,A,5231.79283,N,01324.10718,E,0.05,0,170217,FFFFFFFF";
    assert_eq!(
        read(&h02, line),
        Ok(
            json!({"maker": "HQ", "id": "355488020113911", "type": "V1", "hms": "012945",
        "valid": true, "latitude": "5231.79283", "ns": "N", "longitude": "01324.10718", "ew": "E", "speed": 0.05,
        "course": 0.0, "dmy": "170217", "status": 4_294_967_295_u32})
        )
    );
    assert_eq!(
        read(&h02, "HQ,355488020113911,HTBT,87"),
        Ok(json!({"maker": "HQ", "id": "355488020113911", "type": "HTBT", "batteryLevel": 87}))
    );

    let nmea = decoder(
        json!({"type": "csv", "fields": ["sentence"], "select": {"by": "sentence", "cases": [["$GPRMC|$GNRMC", "rmc"]]}}),
        json!({"rmc": {"fields": ["hms", "valid: enum A=true V=false", "latitude", "ns", "longitude", "ew",
            "speed: number * 1.852 unit km/h", "course: number", "dmy"]}}),
    );
    let line = "$GPRMC,081836,A,3751.65,S,14507.36,E,000.0,360.0,130998,011.3,E*62";
    assert_eq!(
        read(&nmea, line),
        Ok(json!({"sentence": "$GPRMC", "hms": "081836", "valid": true,
        "latitude": "3751.65", "ns": "S", "longitude": "14507.36", "ew": "E", "speed": 0.0, "course": 360.0,
        "dmy": "130998"}))
    );
    assert_eq!(
        read(&nmea, "$GPGSV,1").unwrap_err(),
        "no layout for this sentence"
    );
}

#[test]
fn meitrack() {
    let decoder = decoder(
        json!({"type": "csv", "fields": ["head", "imei", "command", "event: integer", "latitude: number",
            "longitude: number", "time: time %y%m%d%H%M%S", "valid: enum A=true V=false", "satellites: integer",
            "gsm: integer", "speed: number"]}),
        json!({}),
    );
    let line = "$$D149,867047043162018,AAA,35,-1.264865,36.800705,211001105240,A,9,20,41.0,323,1,1697,1,0,000|0||0,,0000,\
        4.33|12.96|1.92|2.72|2.69,0.000000|0|0.000000,*E1";
    let reading = decode(&decoder, line);
    assert_eq!(
        values(&reading),
        json!({"head": "$$D149", "imei": "867047043162018", "command": "AAA", "event": 35,
        "latitude": -1.264865, "longitude": 36.800705, "valid": true, "satellites": 9, "gsm": 20, "speed": 41.0})
    );
    assert_eq!(reading.time.unwrap().to_string(), "2021-10-01T10:52:40Z");
}

#[test]
fn wialon_is_a_head_in_bytes_and_columns_behind_it() {
    let decoder = decoder(
        json!({"type": "binary", "fields": ["skip 1", "type: ascii until #"],
            "select": {"by": "type", "cases": [["L", "login"], ["SD", "data"], ["P", "ping"]]}}),
        json!({
            "login": {"type": "csv", "separator": ";", "fields": ["imei", "password"]},
            "data": {"type": "csv", "separator": ";", "fields": ["dmy", "hms", "latitude", "ns", "longitude", "ew",
                "speed: number", "course: number", "altitude: number", "satellites: integer"]},
            "ping": {}}),
    );
    for (line, expected) in [
        (
            "#L#123456789012345;test",
            json!({"type": "L", "imei": "123456789012345", "password": "test"}),
        ),
        (
            "#SD#270413;205601;5544.6025;N;03739.6834;E;1;2;3;4",
            json!({"type": "SD", "dmy": "270413", "hms": "205601",
            "latitude": "5544.6025", "ns": "N", "longitude": "03739.6834", "ew": "E", "speed": 1.0, "course": 2.0,
            "altitude": 3.0, "satellites": 4}),
        ),
        ("#P#", json!({"type": "P"})),
    ] {
        assert_eq!(read(&decoder, line), Ok(expected));
    }
}

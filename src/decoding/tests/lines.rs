//! Lines of real devices as columns.

use serde_json::{Value as Json, json};

use super::columns::{decode, read};
use super::{decoder, values};
use crate::decoding::Decoder;

fn check(decoder: &Decoder, line: &str, expected: Json, time: Option<&str>) {
    let reading = decode(decoder, line);
    assert_eq!(reading.undecoded, None, "{line}");
    assert_eq!(values(&reading), expected, "{line}");
    let found = reading.time.map(|time| time.to_string());
    assert_eq!(found.as_deref(), time, "{line}");
}

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
    assert_eq!(decode(&decoder, line).kind.as_deref(), Some("position"));
    check(
        &decoder,
        line,
        json!({"head": "+RESP:GTRTL", "version": "DF0200", "imei": "868487004353181", "sequence": "32CF", "hdop": 0,
            "speed": 0.0, "course": 0, "altitude": 102.2, "longitude": 114.015295, "latitude": 22.53725, "mcc": 460,
            "mnc": 1, "lac": 9720, "cell": 102_399_344}),
        Some("2021-06-08T06:39:42Z"),
    );
    check(
        &decoder,
        "+ACK:GTHBD,1A0401,135790246811220,,20100214093254,11F0",
        json!({"head": "+ACK:GTHBD", "version": "1A0401", "imei": "135790246811220", "sequence": "11F0"}),
        None,
    );
}

#[test]
fn h02_and_nmea() {
    let h02 = decoder(
        json!({"type": "csv", "fields": ["maker", "id", "type"],
            "select": {"by": "type", "cases": [["V1", "position"], ["HTBT", "heartbeat"]]}}),
        json!({
            "position": {"fields": ["hms: drop", "valid: enum A=true V=false", "latitude: dm round 7 neg south", "ns",
                "longitude: dm round 7 neg west", "ew", "speed: number", "course: number", "dmy: drop",
                "status: hexadecimal", "south: at 6 enum S=true N=false drop", "west: at 8 enum W=true E=false drop",
                "time: join dmy hms time %d%m%y%H%M%S"]},
            "heartbeat": {"fields": ["batteryLevel: integer"]}}),
    );
    check(
        &h02,
        "HQ,355488020113911,V1,012945,A,5231.79283,N,01324.10718,E,0.05,0,170217,FFFFFFFF",
        json!({"maker": "HQ", "id": "355488020113911", "type": "V1", "valid": true, "latitude": 52.5298805, "ns": "N",
            "longitude": 13.4017863, "ew": "E", "speed": 0.05, "course": 0.0, "status": 4_294_967_295_u32}),
        Some("2017-02-17T01:29:45Z"),
    );
    check(
        &h02,
        "HQ,355488020113911,HTBT,87",
        json!({"maker": "HQ", "id": "355488020113911", "type": "HTBT", "batteryLevel": 87}),
        None,
    );

    let nmea = decoder(
        json!({"type": "csv", "fields": ["sentence"], "select": {"by": "sentence", "cases": [["$GPRMC|$GNRMC", "rmc"]]}}),
        json!({"rmc": {"fields": ["hms: drop", "valid: enum A=true V=false", "latitude: dm round 7 neg south", "ns",
            "longitude: dm round 7 neg west", "ew", "speed: number * 1.852 unit km/h", "course: number", "dmy: drop",
            "south: at 4 enum S=true N=false drop", "west: at 6 enum W=true E=false drop",
            "time: join dmy hms time %d%m%y%H%M%S"]}}),
    );
    check(
        &nmea,
        "$GPRMC,081836,A,3751.65,S,14507.36,E,000.0,360.0,130998,011.3,E*62",
        json!({"sentence": "$GPRMC", "valid": true, "latitude": -37.860_833_3, "ns": "S", "longitude": 145.122_666_7,
            "ew": "E", "speed": 0.0, "course": 360.0}),
        Some("1998-09-13T08:18:36Z"),
    );
    // Without a position nothing is missing.
    check(
        &nmea,
        "$GPRMC,081836,V,,,,,,,130998,,*2A",
        json!({"sentence": "$GPRMC", "valid": false}),
        Some("1998-09-13T08:18:36Z"),
    );
    assert_eq!(
        read(&nmea, "$GPGSV,1").unwrap_err(),
        "no layout for this sentence"
    );
}

#[test]
fn tk103_is_a_pattern() {
    let decoder = decoder(
        json!({"type": "regex", "pattern": "^(?P<id>\\d{12})(?P<type>[A-Z]{2}\\d\\d)",
            "select": {"by": "type", "cases": [["BR00", "position"]], "default": "other"}}),
        json!({"other": {}, "position": {
            "pattern": "^.{16}(?P<ymd>\\d{6})(?P<valid>[AV])(?P<latitude>\\d{4}\\.\\d{4})(?P<ns>[NS])\
                (?P<longitude>[\\d ]{5}\\.\\d{4})(?P<ew>[EW])(?P<speed>[\\d.]{5})(?P<hms>\\d{6})(?P<course>[\\d.]{6})",
            "fields": ["ymd: drop", "hms: drop", "time: join ymd hms time %y%m%d%H%M%S", "valid: enum A=true V=false",
                "latitude: dm round 7 neg south", "longitude: dm round 7 neg west", "ns", "ew",
                "south: at ns enum S=true N=false drop", "west: at ew enum W=true E=false drop",
                "speed: number", "course: number"]}}),
    );
    check(
        &decoder,
        "013612345678BR00080612A2232.9806N11404.9355E000.1101241323.8700000000L000450AC",
        json!({"id": "013612345678", "type": "BR00", "valid": true, "latitude": 22.549_676_7, "ns": "N",
            "longitude": 114.082_258_3, "ew": "E", "speed": 0.1, "course": 323.87}),
        Some("2008-06-12T10:12:41Z"),
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
    check(
        &decoder,
        "$$D149,867047043162018,AAA,35,-1.264865,36.800705,211001105240,A,9,20,41.0,323,1,1697,1,0,000|0||0,,0000,\
            4.33|12.96|1.92|2.72|2.69,0.000000|0|0.000000,*E1",
        json!({"head": "$$D149", "imei": "867047043162018", "command": "AAA", "event": 35, "latitude": -1.264865,
            "longitude": 36.800705, "valid": true, "satellites": 9, "gsm": 20, "speed": 41.0}),
        Some("2021-10-01T10:52:40Z"),
    );
    check(
        &decoder,
        "$$F153,867144025101013,AAA,35,25.219431,55.279918,200916155923,V,0,25,0,0,0.0,0,249701532,98374503,\
            424|2|101C|A3AE,0800,0000|0000|0000|02D3|0103,00000011,*A0",
        json!({"head": "$$F153", "imei": "867144025101013", "command": "AAA", "event": 35, "latitude": 25.219431,
            "longitude": 55.279918, "valid": false, "satellites": 0, "gsm": 25, "speed": 0.0}),
        Some("2020-09-16T15:59:23Z"),
    );
}

#[test]
fn wialon_is_a_head_in_bytes_and_columns_behind_it() {
    let decoder = decoder(
        json!({"type": "binary", "fields": ["skip 1", "type: ascii until #"],
            "select": {"by": "type", "cases": [["L", "login"], ["SD", "data"], ["P", "ping"]]}}),
        json!({
            "login": {"type": "csv", "separator": ";", "fields": ["imei", "password"]},
            "data": {"type": "csv", "separator": ";", "fields": ["dmy: drop", "hms: drop", "latitude: dm round 7 neg south",
                "ns", "longitude: dm round 7 neg west", "ew", "speed: number", "course: number", "altitude: number",
                "satellites: integer", "south: at 3 enum S=true N=false drop", "west: at 5 enum W=true E=false drop",
                "time: join dmy hms time %d%m%y%H%M%S"]},
            "ping": {}}),
    );
    for (line, expected, time) in [
        (
            "#L#123456789012345;test",
            json!({"type": "L", "imei": "123456789012345", "password": "test"}),
            None,
        ),
        (
            "#SD#270413;205601;5544.6025;N;03739.6834;E;1;2;3;4",
            json!({"type": "SD", "latitude": 55.743375, "ns": "N", "longitude": 37.66139, "ew": "E", "speed": 1.0,
                "course": 2.0, "altitude": 3.0, "satellites": 4}),
            Some("2013-04-27T20:56:01Z"),
        ),
        ("#P#", json!({"type": "P"}), None),
    ] {
        check(&decoder, line, expected, time);
    }
}

/// Segments are columns of the message, and columns themselves.
#[test]
fn hl7() {
    let message = |observations: &str| json!({"type": "csv", "separator": "\r", "fields": ["msh: with msh drop", observations]});
    let layouts = json!({
        "msh": {"separator": "|", "fields": ["skip 2", "application", "facility", "skip 2", "time: time %Y%m%d%H%M%S",
            "skip 1", "message", "control"]},
        "segment": {"fields": ["line: with columns drop"]},
        "columns": {"separator": "|", "fields": ["segment: drop"],
            "select": {"by": "segment", "cases": [["PID", "patient"], ["OBX", "observation"]], "default": "other"}},
        "patient": {"separator": "|", "fields": ["patient: at 3"]},
        "observation": {"separator": "|", "fields": ["skip 2", "code: until ^", "skip 1", "value: number", "unit"]},
        "other": {}
    });
    let frame = "MSH|^~\\&|MON1|ICU|||20240105120000||ORU^R01|77|P|2.3\rPID|||555\rOBR|1\r\
        OBX|1|NM|HR^Heart rate||72|bpm||||F\rOBX|2|NM|SPO2^Saturation||98.5|%||||F\r";
    for (field, name, expected) in [
        (
            "segments: repeat rest segment",
            "segments",
            json!([{"patient": "555"}, {}, {"code": "HR", "value": 72.0, "unit": "bpm"},
                {"code": "SPO2", "value": 98.5, "unit": "%"}]),
        ),
        (
            "vitals: repeat rest segment map code value",
            "vitals",
            json!({"HR": 72.0, "SPO2": 98.5}),
        ),
    ] {
        let mut values = json!({"application": "MON1", "facility": "ICU", "message": "ORU^R01", "control": "77"});
        values[name] = expected;
        let decoder = decoder(message(field), layouts.clone());
        check(&decoder, frame, values, Some("2024-01-05T12:00:00Z"));
    }
    let decoder = decoder(message("segments: repeat rest segment split"), layouts);
    let parts = decode(&decoder, frame).parts.unwrap();
    assert_eq!(parts.len(), 4);
}

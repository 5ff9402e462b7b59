//! The notations inside of texts. A pattern sees what an editor can say while one types; it never
//! refuses what the reader of the notation takes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Lines of type, name in the schema, pattern and examples, below what the notation says.
macro_rules! notations {
    ($($(#[doc = $doc:literal])+ $type:ident $name:literal $pattern:literal [$($example:literal),*];)*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $type {}

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                text($pattern, &[$($doc),+], &[$($example),*])
            }
        }
    )*};
}

fn text(pattern: &str, description: &[&str], examples: &[&str]) -> Schema {
    let description: Vec<&str> = description.iter().map(|line| line.trim()).collect();
    json_schema!({
        "type": "string",
        "description": description.join(" "),
        "pattern": pattern,
        "examples": examples,
    })
}

notations! {
    /// Bytes: a text as it stands, with JSON's escapes, or hex behind `0x`, where spaces are
    /// allowed. A text that really begins with 0x is written `text:0x…`.
    Bytes "bytes"
        r"^(?:0[xX]\s*(?:[0-9A-Fa-f]\s*[0-9A-Fa-f]\s*)*|(?!0[xX])[\s\S]*)$"
        ["\r\n", "0x 7878"];

    /// At least one byte, in the notation of bytes.
    Marker "marker"
        r"^(?:0[xX]\s*(?:[0-9A-Fa-f]\s*[0-9A-Fa-f]\s*)+|(?!0[xX])[\s\S]+)$"
        ["\r\n", "0x7e"];

    /// One byte, in the notation of bytes.
    Byte "byte"
        r"^(?:[\s\S]|0[xX]\s*[0-9A-Fa-f]\s*[0-9A-Fa-f]\s*|text:[\s\S])$"
        ["0x00", "\""];

    /// Bytes with holes `{WHAT [steps] [: TYPE]}`, in which values are put; in text `{{` is a brace.
    HoleText "template"
        r"^(?:0x(?:[0-9A-Fa-f\s]|\{(?:[^}']|'[^']*')*\})*|(?!0x)(?:[^{]|\{\{|\{(?:[^}']|'[^']*')*\})*)$"
        ["0x06", "OK {seq}\r\n"];

    /// An argument of a command: `integer [A..B]`, `number [A..B]`, `text [A..B]` (characters),
    /// `boolean`, `hex [N]` (bytes), `enum WORD=VALUE …`; with `default VALUE` it may be left out.
    ArgumentText "argument"
        r"^\s*(?:integer|number|text|boolean|hex|enum)\b[\s\S]*$"
        ["integer 0..7", "enum on=1 off=0 default off"];

    /// A field of bytes: `name: type [at N] [steps…]`, or `skip N`.
    BinaryField "field"
        r"^(?=[^']*(?:'[^']*'[^']*)*$)\s*(?:skip\s+\S|[^\s:][^:]*:\s*\S|'[^']*'\s*:\s*\S)"
        ["speed: u16 / 10 unit km/h"];

    /// A register of Modbus: `name: type at ADDRESS [steps…]`, ADDRESS being of 5 or 6 digits, or a
    /// table (`coil`, `discrete`, `input`, `holding`) and a number from 0.
    RegisterText "register"
        r"^(?=[^']*(?:'[^']*'[^']*)*$)\s*(?:[^\s:][^:]*|'[^']*')\s*:\s*\S[\s\S]*\sat\s+\S"
        ["temperature: i16 at 40001 / 10 unit °C", "level: f32 cdab at holding 0"];

    /// A field of text: `name: [type] [at 'KEY'] [steps…]`; without a type it is text.
    TextField "text-field"
        r"^(?=[^']*(?:'[^']*'[^']*)*$)\s*\S"
        ["weight: number unit kg"];

    /// A decoded field and what is done with its value: `NAME [steps]`.
    ValueField "value-field"
        r"^(?=[^']*(?:'[^']*'[^']*)*$)\s*\S"
        ["imei ltrim 0"];

    /// The type of a field, such as `u8` or `ascii 2`.
    TypeText "type" r"^\s*[A-Za-z]" ["u8", "u16le"];

    /// `WHAT [& MASK] [OP VALUES]`, several joined by `and`. WHAT is a field, `TYPE at N` on the
    /// frame, or `length`; OP one of `= != < >`; VALUES one value, several with `|`, or `A..B`.
    /// Without OP: there, and not false, zero or empty. `!` in front negates.
    ConditionText "condition"
        r"^(?=[^']*(?:'[^']*'[^']*)*$)\s*\S"
        ["type = 16|18 and flags & 0x04"];

    /// A number in the frame: `TYPE [at N] [& MASK] [>> N]`, at an offset from the first byte.
    LengthField "length-field"
        r"^\s*(?:[ui][0-9]{1,2}(?:le|be)?|decimal|hexadecimal|bcd|varint)(?:\s|$)"
        ["u16 at 2", "decimal until ' '"];

    /// `A..B`: from offset A up to B, which does not belong to it; negative offsets count from the
    /// end, and without B it goes to the end.
    Range "range" r"\.\." ["2..-4"];

    /// `NAME [over A..B] [& MASK] [at N] [le] [as TYPE] [if CONDITION]`, or
    /// `NAME [le] [as TYPE] per N from A [removed]`.
    ChecksumText "checksum-text"
        r"^(?=[^']*(?:'[^']*'[^']*)*$)\s*['A-Za-z]"
        ["crc-16/modbus at -2 le", "xor", "nmea"];

    /// A regular expression. It works on bytes, matches anywhere unless it is anchored, and `.` is every byte.
    PatternText "pattern" r"^[\s\S]*$" [];

    /// 1 to 64 letters, digits, `-` and `_`.
    EntryName "name" r"^[A-Za-z0-9_-]{1,64}$" [];

    /// A name without `.`, `$`, `#`, spaces and control characters.
    Key "key" r"^[^.$#\s]{1,1024}$" [];

    /// 1 to 128 printable ASCII characters.
    DeviceName "device-name" r"^[ -~]{1,128}$" [];

    /// An IPv4 or IPv6 address.
    Address "address" r"^[0-9A-Fa-f:.]+$" ["10.0.0.5"];

    /// An address, or a network with the length of its prefix.
    Network "network" r"^[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?$" ["10.20.0.0/16"];

    /// `HOST:PORT`: a name or an IPv4 address, or an IPv6 address in brackets, and a port.
    HostPort "host-port"
        r"^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,253}):[0-9]{1,5}$"
        ["10.0.0.7:502", "plc.local:502", "[fd00::7]:502"];

    /// The plain name of a file in the mounted folder.
    FileName "file-name" r"^[^./\\:][^/\\:]*$" ["scale.json"];

    /// A text, `sha256:` and the digest of it in 64 hex digits, or `file:` and the plain name of a
    /// file in the mounted folder that holds it.
    SecretText "secret" r"^[\s\S]+$" ["file:secret.txt"];
}

/// A whole number, or a text of one such as `0x1021`.
#[derive(Debug)]
pub enum NumberText {}

impl JsonSchema for NumberText {
    fn schema_name() -> Cow<'static, str> {
        "number-text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number, or a text of one such as `0x1021`.",
            "anyOf": [
                { "type": "integer" },
                { "type": "string", "pattern": "^-?(?:0x[0-9A-Fa-f]+|[0-9]+)$" },
            ],
        })
    }
}

/// A unit behind a device.
#[derive(Debug)]
pub enum UnitName {}

impl JsonSchema for UnitName {
    fn schema_name() -> Cow<'static, str> {
        "unit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A unit behind a device: a whole number, or a text without spaces and `/`.",
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": u32::MAX },
                { "type": "string", "pattern": "^[!-.0-~]{1,64}$" },
            ],
        })
    }
}

/// A value of a field.
#[derive(Debug)]
pub enum Scalar {}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A value: a number, a flag, or a text, in which numbers may be hex (`0x30`).",
            "type": ["string", "number", "boolean"],
        })
    }
}

//! One decoded value.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::{Fields, Text};

/// One decoded value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Known to be absent (a device's "no value" code, or a float that JSON cannot say).
    Null,
    /// A flag.
    Bool(bool),
    /// An exact integer. Decoders keep it within `i64::MIN..=u64::MAX`, which JSON readers can take.
    Integer(Integer),
    /// A float. NaN and the infinities become `null` in JSON.
    Float(f64),
    /// Text, already valid UTF-8; most are so short that they need no memory of their own.
    Text(Text),
    /// Bytes that no step turned into something else; base64 in JSON.
    Bytes(Arc<[u8]>),
    /// Values in a row.
    List(Box<[Value]>),
    /// Named values.
    Object(Box<Fields>),
}

/// An exact integer that does not make a value larger than a text makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(8))]
pub struct Integer(i128);

impl Integer {
    /// The number.
    #[inline]
    pub fn get(self) -> i128 {
        self.0
    }
}

impl<T: Into<i128>> From<T> for Integer {
    #[inline]
    fn from(number: T) -> Self {
        Integer(number.into())
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.get(), f)
    }
}

impl Value {
    /// A text.
    #[inline]
    pub fn text(text: impl Into<Text>) -> Self {
        Value::Text(text.into())
    }

    /// An exact integer.
    #[inline]
    pub fn integer(number: impl Into<i128>) -> Self {
        Value::Integer(number.into().into())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Integer(value) => match i64::try_from(value.get()) {
                Ok(small) => serializer.serialize_i64(small),
                Err(_) => serializer.serialize_i128(value.get()),
            },
            Value::Float(value) if value.is_finite() => serializer.serialize_f64(*value),
            Value::Float(_) => serializer.serialize_unit(),
            Value::Text(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.serialize_str(&base64(value)),
            Value::List(values) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Value::Object(fields) => fields.serialize(serializer),
        }
    }
}

/// Standard base64 with padding (RFC 4648), the form in which bytes stand in JSON.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

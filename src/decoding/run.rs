//! What the decoding of one frame has come to.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::steps::{Steps, integer};
use crate::cursor::Cursor;
use crate::message::{Frame, Name, Reading, Value};
use crate::notation::Condition;

/// One frame on its way to a reading.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub frame: Frame<'a>,
    /// Where the next field is read.
    pub cursor: Cursor<'a>,
    pub reading: Reading,
    /// Negations, which are done when every field has been read.
    late: Vec<(&'a Name, &'a (String, bool))>,
}

impl<'a> Run<'a> {
    /// At the beginning of the frame's body; the reading comes back from a frame that has none.
    pub fn new(frame: Frame<'a>, reading: Reading) -> Result<Self, Box<Reading>> {
        match Cursor::at(frame.bytes, frame.body) {
            None => Err(Box::new(reading)),
            Some(cursor) => Ok(Run {
                frame,
                cursor,
                reading,
                late: Vec::new(),
            }),
        }
    }

    /// The whole body, whatever has been read of it.
    pub fn body(&self) -> &'a [u8] {
        self.frame.bytes.get(self.frame.body..).unwrap_or_default()
    }

    /// Whether a field's condition lets it be read.
    pub fn wants(&self, condition: Option<&Condition>) -> bool {
        condition.is_none_or(|condition| condition.holds(&self.reading.fields, self.frame.bytes))
    }

    /// Takes a value through its steps and sets it.
    pub fn set(
        &mut self,
        name: &'a Name,
        steps: &'a Steps,
        mut value: Value,
    ) -> Result<(), String> {
        for step in &steps.steps {
            value = step.apply(value).map_err(|why| format!("{name} {why}"))?;
        }
        if matches!(&value, Value::Text(text) if text.is_empty()) {
            return Ok(());
        }
        if let Value::Integer(number) = value {
            in_range(name, number)?;
        }
        if !steps.bits.is_empty() {
            let whole = integer(&value).map_err(|why| format!("{name} {why}"))?;
            for bits in &steps.bits {
                self.reading.fields.set(bits.name.clone(), bits.of(whole));
            }
        }
        if let Some(negate) = &steps.negate {
            self.late.push((name, negate));
        }
        if steps.dropped {
            self.hide(name);
        }
        if &**name == "time" {
            self.set_time(name, &value, steps.zone)?;
        }
        self.reading.fields.set(name.clone(), value);
        Ok(())
    }

    /// Does what had to wait for all fields.
    pub fn finish(&mut self) -> Result<(), String> {
        for (name, (flag, inverted)) in std::mem::take(&mut self.late) {
            let set = match self.reading.fields.get(flag) {
                None => {
                    return Err(format!(
                        "{name} needs `{flag}` to know its sign, which is missing"
                    ));
                }
                Some(value) => is_set(value),
            };
            if set != *inverted {
                let negated = match self.reading.fields.get(name) {
                    Some(Value::Integer(value)) => Value::Integer(value.saturating_neg()),
                    Some(Value::Float(value)) => Value::Float(-value),
                    Some(Value::Null) | None => continue,
                    Some(_) => return Err(format!("{name} is not a number, which `neg` needs")),
                };
                if let Value::Integer(number) = negated {
                    in_range(name, number)?;
                }
                self.reading.fields.set(name.clone(), negated);
            }
        }
        Ok(())
    }

    /// Sets the field `time` that a decoder with free names has found.
    pub fn set_own_time(&mut self, value: Value) -> Result<(), String> {
        let name = Name::from("time");
        self.set_time(&name, &value, None)?;
        self.reading.fields.set(name, value);
        Ok(())
    }

    fn hide(&mut self, name: &Name) {
        if !self.reading.dropped.contains(name) {
            self.reading.dropped.push(name.clone());
        }
    }

    /// The device's own time is the message's and no value.
    fn set_time(&mut self, name: &Name, value: &Value, zone: Option<Offset>) -> Result<(), String> {
        self.hide(name);
        self.reading.time = match value {
            Value::Null => None,
            Value::Text(text) => {
                let wrong =
                    || format!("{name} is not an RFC 3339 time; see the steps `time` and `unix`");
                Some(moment(text, zone.unwrap_or(Offset::UTC)).ok_or_else(wrong)?)
            }
            _ => {
                return Err(format!(
                    "{name} is not a text; see the steps `unix` and `unixms`"
                ));
            }
        };
        Ok(())
    }
}

/// A moment, in the given zone where the text has none.
fn moment(text: &str, zone: Offset) -> Option<Timestamp> {
    let with_zone = text.parse::<Timestamp>().ok();
    with_zone.or_else(|| zone.to_timestamp(text.parse::<DateTime>().ok()?).ok())
}

fn in_range(name: &Name, number: i128) -> Result<(), String> {
    if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number) {
        return Ok(());
    }
    Err(format!("{name} is too large"))
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Bool(set) => *set,
        Value::Integer(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::Null | Value::Bytes(_) | Value::List(_) | Value::Object(_) => false,
    }
}

//! `script`: a function of the protocol's script says the fields; and the functions that change
//! what other kinds have read.

use super::Inherited;
use super::json::JsonDecoder;
use super::run::Run;
use crate::document::{Problems, Section};
use crate::message::{Label, Name, Value};
use crate::script::{Call, DECODE, First};

/// Which layouts cannot call a function.
pub(super) const FRAMES_ONLY: &str =
    "a script is called for whole frames, not for parts of them and not for the elements of lists";

/// `decode(bytes, ctx)` gives an object, whose members are taken as those of a JSON text are.
#[derive(Clone, Debug)]
pub(super) struct ScriptDecoder {
    members: JsonDecoder,
}

impl ScriptDecoder {
    /// Builds it.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let members = JsonDecoder::read(section, without, inherited, problems)?;
        Some(ScriptDecoder { members })
    }

    /// Sets a field for each member.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        let first = First::Bytes(run.body(), Some(&run.reading.fields));
        let Value::Object(members) = ask(DECODE, first, run)? else {
            return Err(no_object(DECODE));
        };
        let known = members
            .into_iter()
            .filter(|(_, value)| *value != Value::Null);
        run.own(run.body(), || "what the script decodes".to_owned());
        self.members
            .set(Value::Object(Box::new(known.collect())), "", run)
    }

    /// What its field strings say of members.
    pub fn members(&self) -> &JsonDecoder {
        &self.members
    }
}

/// Calls a function with the fields read so far; what it gives is merged into them, and `null`
/// takes one away; nothing changes nothing. Behind the `last` layout signs are right already.
pub(super) fn change(function: &Name, last: bool, run: &mut Run<'_>) -> Result<(), String> {
    if last {
        run.finish()?;
    }
    let members = match ask(function, First::Fields(&run.reading.fields), run)? {
        Value::Object(members) => members,
        Value::Null => return Ok(()),
        _ => return Err(no_object(function)),
    };
    for (name, value) in *members {
        match value {
            Value::Null => run.take_away(&name),
            value => {
                run.found(&name, &value);
                run.put(&Label::own(name), value)?;
            }
        }
    }
    Ok(())
}

fn no_object(function: &str) -> String {
    format!("{function}: expected an object of fields")
}

fn ask(function: &str, first: First<'_>, run: &Run<'_>) -> Result<Value, String> {
    if run.is_inside() {
        // As many calls as a frame has elements would have no bound that a frame may take.
        return Err(format!("{function}: {FRAMES_ONLY}"));
    }
    let caller = run.caller.ok_or("the script is not called for it")?;
    let call = Call {
        function,
        first,
        frame: Some(run.frame.bytes),
        device: None,
    };
    caller
        .call(&call)
        .map_err(|failure| format!("{function}: {failure}"))
}

//! From a command of the cloud to the question that it is.

use std::sync::Arc;

use super::actions::{Action, Asked, Outcome, Reason, Request};
use super::exchange::{Exchange, UNIT};
use super::line::{Asker, Question};
use super::{Conversation, arguments};
use crate::message::{CommandId, Fields, Now, Text};
use crate::modbus;
use crate::template::Template;

impl Conversation {
    /// A command of the cloud.
    pub(super) fn command(
        &mut self,
        now: Now,
        (id, request): (CommandId, Request),
        actions: &mut Vec<Action>,
    ) {
        let bounds = &self.settings.bounds;
        let full = self.line.commands() >= bounds.waiting_commands
            || self.writes.bytes() >= bounds.waiting_bytes;
        let outcome = if self.closed || self.ending.is_some() || self.identity.is_none() {
            let reason = self.ending.as_ref().map(|ending| ending.reason);
            reason.unwrap_or(Reason::Reset).outcome(0)
        } else if full {
            Outcome::Busy("too many commands wait for this connection")
        } else {
            match self.question(now, id, request) {
                Ok(question) => return self.line.make().wait(question),
                Err(outcome) => outcome,
            }
        };
        actions.push(Action::Answer(id, outcome));
    }

    fn question(&self, now: Now, id: CommandId, request: Request) -> Result<Question, Outcome> {
        let unit = self.unit_of(&request.device);
        let (exchange, arguments, waits) = match request.what {
            Asked::Raw { bytes, answer } => {
                if bytes.is_empty() && answer.is_none() {
                    return Err(Outcome::Sent { written: 0 });
                }
                let waits = answer.is_some();
                let within = request.deadline.saturating_duration_since(now.monotonic);
                let exchange = Exchange::raw(bytes, answer.as_ref(), within);
                (Arc::new(exchange), Fields::new(), waits)
            }
            Asked::Command {
                name,
                arguments,
                answer,
            } => {
                let (exchange, arguments) = self.named(&name, &arguments)?;
                (exchange, arguments, answer)
            }
        };
        let names_unit = exchange
            .templates()
            .flat_map(Template::field_names)
            .any(|name| name == UNIT);
        let unit = match unit {
            None if names_unit => Some(self.only_unit(&request.device)?),
            unit => unit,
        };
        let retries = exchange.retries;
        Ok(Question {
            asker: Asker::Command(id),
            exchange,
            unit,
            arguments,
            deadline: Some(request.deadline),
            waits,
            retries,
        })
    }

    fn named(
        &self,
        name: &str,
        arguments: &serde_json::Value,
    ) -> Result<(Arc<Exchange>, Fields), Outcome> {
        let commands = &self.protocol.questions.commands;
        let nothing = serde_json::Map::new();
        let given = match arguments {
            serde_json::Value::Null => &nothing,
            serde_json::Value::Object(given) => given,
            _ => {
                let message = "the arguments must be an object: {\"NAME\": VALUE}";
                return Err(Outcome::Invalid(message.to_owned()));
            }
        };
        let registers = self.protocol.questions.registers.as_ref();
        let Some(command) = commands.get(name) else {
            if let Some(registers) = registers.filter(|_| modbus::is_command(name)) {
                let question = registers.command(name, given).map_err(Outcome::Invalid)?;
                let exchange = Exchange::of_registers(name, question)
                    .map_err(|error| Outcome::Invalid(error.to_string()))?;
                let exchange = Exchange {
                    within: self.protocol.questions.registers_within,
                    ..exchange
                };
                return Ok((Arc::new(exchange), Fields::new()));
            }
            let of_registers = registers.into_iter().flat_map(|_| modbus::COMMANDS);
            let known = commands.keys().map(|name| &**name);
            let known: Vec<&str> = known.chain(of_registers.map(|(name, _)| name)).collect();
            let protocol = &self.protocol.name;
            return Err(Outcome::Invalid(match known.as_slice() {
                [] => format!("protocol \"{protocol}\" has no commands"),
                known => crate::notation::unknown_word("command", name, known),
            }));
        };
        let arguments = arguments::check(&command.arguments, given).map_err(Outcome::Invalid)?;
        Ok((Arc::clone(&command.asks), arguments))
    }

    /// The unit that is meant where a command for one names the device that it stands behind.
    fn only_unit(&self, device: &str) -> Result<Text, Outcome> {
        let bound = self.identity.as_ref().and_then(|identity| identity.bound());
        let is_own = bound.is_some_and(|bound| **bound == *device);
        match &*self.settings.units {
            _ if !is_own => Err(Outcome::NotConnected { written: 0 }),
            [only] => Ok(only.clone()),
            _ => Err(Outcome::Invalid(format!(
                "the command is for a unit: name it behind the device, `{device}/UNIT`"
            ))),
        }
    }

    /// The unit behind the connection's device that has that name.
    fn unit_of(&self, device: &str) -> Option<Text> {
        let units = self.units.iter();
        units
            .clone()
            .find(|(name, _)| **name == *device)
            .map(|(_, unit)| unit.clone())
    }
}

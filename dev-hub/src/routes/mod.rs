//! Routes: from which source, under which condition, into which sink.

mod condition;
mod grammar;

use std::collections::BTreeMap;

use crate::error::HubError;
use crate::message::Message;
use condition::Condition;

pub use grammar::RouteError;

/// One route.
#[derive(Debug)]
struct Route {
    /// Prefix of the source, lower case, ended by a slash.
    source: String,
    condition: Option<Condition>,
    sink: Sink,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sink {
    Upstream,
    Input { module: String, input: String },
}

/// All routes of a hub.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    /// Reads all routes; one that is wrong spoils all, as in edgeHub.
    pub(crate) fn parse(routes: &BTreeMap<String, String>) -> Result<Self, HubError> {
        let parsed = routes.iter().map(|(name, text)| {
            grammar::parse(text).map_err(|source| HubError::Route {
                name: name.clone(),
                source,
            })
        });
        parsed.collect::<Result<_, _>>().map(Routes)
    }

    /// The sinks of a message, each once.
    pub(crate) fn sinks(&self, message: &Message) -> Vec<&Sink> {
        let source = message.source().to_lowercase();
        let matching = self.0.iter().filter(|route| route.takes(message, &source));
        let mut sinks: Vec<&Sink> = matching.map(|route| &route.sink).collect();
        sinks.sort_unstable();
        sinks.dedup();
        sinks
    }
}

impl Route {
    fn takes(&self, message: &Message, source: &str) -> bool {
        source.starts_with(&self.source)
            && self
                .condition
                .as_ref()
                .is_none_or(|condition| condition.holds(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identities::IdentityId;
    use crate::message;
    use bytes::Bytes;

    fn message(module: Option<&str>, bag: &[(&str, &str)], body: &str) -> Message {
        let id = match module {
            Some(module) => IdentityId::module("edge", module),
            None => IdentityId::device("leaf"),
        };
        let bag = bag
            .iter()
            .map(|(name, value)| ((*name).into(), Some((*value).into())))
            .collect();
        message::read(&id, bag, Bytes::copy_from_slice(body.as_bytes()))
            .unwrap()
            .message
    }

    fn takes(route: &str, message: &Message) -> bool {
        let routes = Routes::parse(&BTreeMap::from([("r".into(), route.into())])).unwrap();
        !routes.sinks(message).is_empty()
    }

    #[test]
    fn sources_are_prefixes_without_case() {
        let output = message(Some("GateWay"), &[("$.on", "up")], "");
        let bare = message(Some("gateway"), &[], "");
        let leaf = message(None, &[], "");
        for (path, expected) in [
            ("/*", [true, true, true]),
            ("/messages/*", [true, true, true]),
            ("/messages", [true, true, true]),
            ("/messages/modules/gateway/outputs/*", [true, false, false]),
            ("/messages/modules/gateway/outputs/UP", [true, false, false]),
            ("/messages/modules/gateway/*", [true, true, false]),
            ("/messages/modules/*/outputs/*", [false, false, false]),
            ("/twinChangeNotifications/*", [false, false, false]),
        ] {
            let route = format!("FROM {path} INTO $upstream");
            let found = [&output, &bare, &leaf].map(|message| takes(&route, message));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn conditions() {
        let json = [
            ("$.ct", "application/json"),
            ("$.ce", "utf-8"),
            ("kind", "alarm"),
        ];
        let body = r#"{"a":{"b":[5,"x"]},"on":true,"n":null}"#;
        let good = message(Some("m"), &json, body);
        let plain = message(Some("m"), &[("kind", "Alarm")], body);
        for (condition, expected) in [
            ("kind = 'alarm'", [true, false]),
            ("KIND = \"alarm\"", [true, false]),
            ("kind != 'alarm'", [false, true]),
            ("kind <> 'alarm' or true", [true, true]),
            ("missing = 'x'", [false, false]),
            ("NOT (missing = 'x')", [false, false]),
            ("NOT (kind = 'alarm')", [false, true]),
            ("$body.a.b[0] > 4 AND $body.a.b[0] <= 5", [true, false]),
            ("$body.a.b[1] = 'x'", [true, false]),
            ("$body.on = true", [true, false]),
            ("$body.n = null", [true, false]),
            ("$body.a.b[0] = '5'", [false, false]),
            ("$contentType = 'application/json'", [true, false]),
            ("{$connectionModuleId} = 'm'", [true, true]),
            (
                "kind = 'x' OR kind = 'alarm' AND $body.on = true",
                [true, false],
            ),
            (
                "(kind = 'x' OR kind = 'alarm') AND $body.on = false",
                [false, false],
            ),
        ] {
            let route = format!("FROM /* WHERE {condition} INTO $upstream");
            assert_eq!(
                [takes(&route, &good), takes(&route, &plain)],
                expected,
                "{condition}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for route in [
            "FROM /* INTO nowhere",
            "FROM /* WHERE is_defined(a) INTO $upstream",
            "FROM /* WHERE as_number(a) > 5 INTO $upstream",
            "FROM /* WHERE a > 5 INTO $upstream",
            "FROM /* WHERE a || b = 'c' INTO $upstream",
            "FROM /* WHERE NOT a = 'b' INTO $upstream",
            "FROM /* WHERE a = 'b' = 'c' INTO $upstream",
            "FROM /* WHERE a INTO $upstream",
            "FROM /* WHERE a = 'b INTO $upstream",
            "FROM /* WHERE INTO $upstream",
            "FROM messages INTO $upstream",
            "FROM /* INTO BrokeredEndpoint(\"/modules/a\")",
            "FROM /* INTO $upstream and more",
            "SELECT a FROM /* INTO $upstream",
            "",
        ] {
            let refused = Routes::parse(&BTreeMap::from([("r".into(), route.into())]));
            assert!(refused.is_err(), "{route}");
        }
    }

    #[test]
    fn a_sink_is_served_once() {
        let text =
            "SELECT * FROM /messages/* /* all */ INTO BrokeredEndpoint('/modules/b/inputs/i')";
        let routes = BTreeMap::from([
            ("one".into(), text.to_owned()),
            ("two".into(), text.to_owned()),
        ]);
        let routes = Routes::parse(&routes).unwrap();
        let message = message(Some("m"), &[], "");
        assert_eq!(
            routes.sinks(&message),
            [&Sink::Input {
                module: "b".into(),
                input: "i".into()
            }]
        );
    }
}

//! edgeHub's routes, as far as it takes to say whether an output's messages go anywhere.

use crate::document::Section;

/// A route.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// What a message's source has to begin with: lower case, ends with a slash.
    source: String,
    /// Whether only messages of leaf devices are taken.
    leaf_devices_only: bool,
    /// Where to: lower case, without spaces.
    sink: String,
    /// Its own time-to-live.
    pub seconds_to_live: Option<i64>,
}

impl Route {
    /// Reads an entry of `routes`: a text or an object with `route`.
    pub fn read(entry: &Section<'_>) -> Result<Self, String> {
        let object = entry.member("route");
        let text = object.as_ref().unwrap_or(entry).value.as_str();
        let mut route =
            Route::parse(text.ok_or("expected a text such as FROM /messages/* INTO $upstream")?)?;
        // 0 is edgeHub's word for "as all the others".
        route.seconds_to_live = entry
            .member("timeToLiveSecs")
            .and_then(|seconds| seconds.value.as_i64())
            .filter(|seconds| *seconds != 0);
        Ok(route)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let mut words = lower
            .split_whitespace()
            .skip_while(|word| matches!(*word, "select" | "*"));
        if words.next() != Some("from") {
            return Err("a route begins with FROM".into());
        }
        let path = words.next().filter(|path| path.starts_with('/'));
        let path = path.ok_or("after FROM a source such as /messages/* is expected")?;
        let rest: Vec<&str> = words.collect();
        if !rest.contains(&"into") {
            return Err("a route ends with INTO and where to".into());
        }
        let condition = rest.concat();
        let sink = rest.iter().skip_while(|word| **word != "into").skip(1);
        Ok(Route {
            source: format!("{}/", path.trim_end_matches('*').trim_end_matches('/')),
            sink: sink.copied().collect::<String>().replace('\'', "\""),
            leaf_devices_only: condition.starts_with("wherenotis_defined($connectionmoduleid)"),
            seconds_to_live: None,
        })
    }

    /// The input of that module into which it leads, in lower case; `None` if it leads elsewhere.
    pub fn input_of(&self, module: &str) -> Option<&str> {
        let inputs = format!("brokeredendpoint(\"/modules/{module}/inputs/").to_ascii_lowercase();
        self.sink.strip_prefix(&inputs)?.strip_suffix("\")")
    }

    /// Whether messages of that output can take this route. What a condition says of them is not known here.
    pub fn takes(&self, module: &str, output: &str) -> bool {
        let source = format!("/messages/modules/{module}/outputs/{output}/").to_ascii_lowercase();
        !self.leaf_devices_only && source.starts_with(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_takes_what_begins_with_its_source() {
        let rows = [
            ("FROM /messages/* INTO $upstream", true),
            ("from /* into $upstream", true),
            (
                "SELECT * FROM /messages/modules/tcpgw/outputs/* INTO $upstream",
                true,
            ),
            (
                "FROM /messages/modules/TCPGW/outputs/Telemetry INTO BrokeredEndpoint(\"/modules/a/inputs/b\")",
                true,
            ),
            (
                "FROM /messages/modules/tcpgw/* WHERE type = 'x' INTO $upstream",
                true,
            ),
            ("FROM /messages/modules/tcp INTO $upstream", false),
            ("FROM /messages/modules/*/outputs/* INTO $upstream", false),
            (
                "FROM /messages/modules/tcpgw/outputs/alarms INTO $upstream",
                false,
            ),
            ("FROM /twinChangeNotifications/* INTO $upstream", false),
            (
                "FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO $upstream",
                false,
            ),
        ];
        for (text, takes) in rows {
            assert_eq!(
                Route::parse(text).map(|route| route.takes("tcpgw", "telemetry")),
                Ok(takes),
                "{text}"
            );
        }
    }

    #[test]
    fn a_route_leads_into_an_input_of_one_module() {
        for (sink, input) in [
            ("$upstream", None),
            (
                "BrokeredEndpoint(\"/modules/tcpgw/inputs/commands\")",
                Some("commands"),
            ),
            (
                "BrokeredEndpoint( '/modules/TCPGW/inputs/Other' )",
                Some("other"),
            ),
            (
                "BrokeredEndpoint(\"/modules/tcpgw2/inputs/commands\")",
                None,
            ),
        ] {
            let route = Route::parse(&format!("FROM /messages/* INTO {sink}")).unwrap();
            assert_eq!(route.input_of("tcpgw"), input, "{sink}");
        }
    }

    #[test]
    fn a_route_that_edge_hub_would_refuse_is_no_route() {
        for text in [
            "",
            "/messages/* INTO $upstream",
            "FROM INTO $upstream",
            "FROM /messages/*",
        ] {
            assert!(Route::parse(text).is_err(), "{text}");
        }
    }
}

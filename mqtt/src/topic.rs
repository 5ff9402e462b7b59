//! Topic names and topic filters (4.7 of the standard).

/// Whether `text` may be the topic of a PUBLISH: not empty, no wildcard, no U+0000, at most
/// 65,535 bytes.
#[must_use]
pub fn is_name(text: &str) -> bool {
    is_text(text) && !text.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}

/// Whether `text` may be a filter: `+` alone in its level, `#` alone in the last one.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    if !is_text(text) {
        return false;
    }
    let mut levels = text.split('/').peekable();
    while let Some(level) = levels.next() {
        let allowed = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            _ => !level.contains(['+', '#']),
        };
        if !allowed {
            return false;
        }
    }
    true
}

/// Whether `filter` takes in `name`. Both are taken as valid. A filter that begins with a
/// wildcard takes in no name that begins with `$` (MQTT-4.7.2-1); `a/#` takes in `a`.
#[must_use]
pub fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = name.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (_, Some(level)) if level == wanted => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= usize::from(u16::MAX) && !text.as_bytes().contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, valid) in [
            ("a", true),
            ("/", true),
            ("$iothub/twin/GET/?$rid=1", true),
            ("a b/ü", true),
            ("", false),
            ("a/+", false),
            ("a#", false),
            ("a\0b", false),
        ] {
            assert_eq!(is_name(text), valid, "{text:?}");
        }
        assert!(is_name(&"x".repeat(65_535)));
        assert!(!is_name(&"x".repeat(65_536)));
    }

    #[test]
    fn filters() {
        for (text, valid) in [
            ("#", true),
            ("+", true),
            ("/", true),
            ("+/+", true),
            ("/+", true),
            ("sport/tennis/#", true),
            ("+/tennis/#", true),
            ("$SYS/#", true),
            ("", false),
            ("sport/tennis#", false),
            ("sport/#/ranking", false),
            ("sport+", false),
            ("+sport/x", false),
            ("a/##", false),
            ("a/++", false),
            ("a\0", false),
        ] {
            assert_eq!(is_filter(text), valid, "{text:?}");
        }
    }

    /// The examples of 4.7.1 to 4.7.3, and what edgeHub's clients subscribe to.
    #[test]
    fn matching() {
        for (filter, name, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/ranking",
                true,
            ),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/#", "sport", true),
            ("sport/#", "sports", false),
            ("#", "a/b/c", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("a/b", "a/b", true),
            ("a/b", "a/B", false),
            ("a/b", "a/b/", false),
            ("a/b/", "a/b", false),
            ("a//b", "a//b", true),
            ("a/+/b", "a//b", true),
            ("+/#", "a", true),
            ("$iothub/twin/res/#", "$iothub/twin/res/200/?$rid=1", true),
            (
                "$iothub/methods/POST/#",
                "$iothub/methods/POST/send/?$rid=7",
                true,
            ),
        ] {
            assert_eq!(matches(filter, name), expected, "{filter:?} {name:?}");
        }
    }
}

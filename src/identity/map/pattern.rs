//! Ids of entries: exact, or with `*` for any characters.

/// An id, exact or with `*` for any characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern(Vec<String>);

impl Pattern {
    /// Reads it.
    pub fn new(text: &str) -> Self {
        Pattern(text.split('*').map(str::to_owned).collect())
    }

    /// The id, if it is exact.
    pub fn exact(&self) -> Option<&str> {
        match self.0.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    /// Whether it is exact, and how many characters it has beside `*`.
    pub fn precision(&self) -> (bool, usize) {
        let characters = self.0.iter().map(|part| part.chars().count());
        (self.exact().is_some(), characters.sum())
    }

    /// Whether it is that of an identity.
    pub fn matches(&self, id: &str) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.exact() == Some(id);
        };
        let Some(mut rest) = id.strip_prefix(first.as_str()) else {
            return false;
        };
        for part in middle {
            let Some((_, behind)) = rest.split_once(part.as_str()) else {
                return false;
            };
            rest = behind;
        }
        rest.ends_with(last.as_str())
    }
}

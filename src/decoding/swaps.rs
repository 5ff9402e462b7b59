//! Numbers of several words of 16 bits, about whose order devices disagree: `u32 cdab`, `f64 badc`.

use super::types::Type;
use crate::cursor::{Cursor, Endian};
use crate::notation::{IntegerKind, NotationError, Word, Words};

/// The widest number.
const MOST: usize = 8;

/// The order of a number's bytes, named by where the first four stand; `a` is the highest.
const ORDERS: [&str; 4] = ["abcd", "badc", "cdab", "dcba"];

/// What stands out of its place in bytes of which the highest should come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swap {
    /// `cdab`: the lowest word comes first.
    Words,
    /// `badc`: in each word the lower byte comes first.
    Bytes,
}

impl Swap {
    /// The next bytes, the highest first.
    pub fn take(self, width: usize, cursor: &mut Cursor<'_>) -> Option<[u8; MOST]> {
        let taken = cursor.take(width)?;
        let mut bytes = [0; MOST];
        let places = bytes.get_mut(..width)?;
        places.copy_from_slice(taken);
        self.apply(places);
        Some(bytes)
    }

    /// Puts the highest byte first; done again it is undone.
    pub fn apply(self, bytes: &mut [u8]) {
        match self {
            Swap::Words => bytes.reverse(),
            Swap::Bytes => {}
        }
        bytes.chunks_mut(2).for_each(<[u8]>::reverse);
    }
}

/// Reads the order that may stand behind a type.
pub(super) fn ordered(
    kind: Type,
    first: &Word<'_>,
    words: &mut Words<'_>,
) -> Result<Type, NotationError> {
    let is_order = |word: &Word<'_>| ORDERS.iter().any(|order| word.is(order));
    let Some(order) = words.peek().filter(is_order) else {
        return Ok(kind);
    };
    words.next();
    let Some(width) = number_width(&kind) else {
        let message = format!("`{}` is an order of numbers such as `u32`", order.raw);
        return Err(order.error(message));
    };
    if crate::notation::split_endian(first.raw, Endian::Big).0 != first.raw {
        let message = format!(
            "`{}` says its order already, so that `{}` says nothing",
            first.raw, order.raw
        );
        return Err(order.error(message));
    }
    if width < 4 || width % 2 == 1 {
        let message = format!(
            "`{}` is an order of words of 16 bits, of which `{1}` has not several; `{1}le` has the lowest byte first",
            order.raw, first.raw
        );
        return Err(order.error(message));
    }
    let (swap, endian) = match order.raw {
        "badc" => (Some(Swap::Bytes), Endian::Big),
        "cdab" => (Some(Swap::Words), Endian::Big),
        "dcba" => (None, Endian::Little),
        _ => (None, Endian::Big),
    };
    let kind = kind.in_order(endian);
    Ok(match swap {
        Some(swap) => Type::Swapped {
            kind: Box::new(kind),
            width,
            swap,
        },
        None => kind,
    })
}

/// What is wrong with a word that is, or looks like, an order, where none is expected.
pub(super) fn misplaced(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    if let Some(order) = ORDERS.iter().find(|order| **order == lower) {
        return Some(if lower == word {
            format!(
                "`{order}` is an order of bytes and stands right behind its type, before `at`: `f32 {order}`"
            )
        } else {
            format!("unknown order \"{word}\", did you mean \"{order}\"?")
        });
    }
    let mut letters: Vec<char> = lower.chars().collect();
    letters.sort_unstable();
    let is_order = letters == ['a', 'b', 'c', 'd'];
    let orders = ORDERS.join(", ");
    is_order.then(|| format!("unknown order \"{word}\", expected one of {orders}"))
}

/// The bytes of a number that is no text of digits.
fn number_width(kind: &Type) -> Option<usize> {
    match kind {
        Type::Integer(IntegerKind::Binary { .. })
        | Type::SignMagnitude { .. }
        | Type::Float { .. } => kind.width(),
        _ => None,
    }
}

impl Type {
    /// The same number with its bytes in that order.
    fn in_order(self, endian: Endian) -> Self {
        match self {
            Type::Integer(IntegerKind::Binary { width, signed, .. }) => {
                Type::Integer(IntegerKind::Binary {
                    width,
                    signed,
                    endian,
                })
            }
            Type::SignMagnitude { width, .. } => Type::SignMagnitude { width, endian },
            Type::Float { double, .. } => Type::Float { double, endian },
            other => other,
        }
    }
}

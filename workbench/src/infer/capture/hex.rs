//! Hex text: plain lines, `xxd`, `hexdump -C`, and what Wireshark copies and saves.

use super::{Room, Stretch};

/// Bytes of a line of a dump that has text beside the hex.
const DUMP_LINE: usize = 16;

/// The streams of both sides; the second one is what a dump of a conversation indents.
pub fn parse(text: &str, room: &mut Room) -> Result<[Vec<Stretch>; 2], String> {
    let mut sides = [Side::default(), Side::default()];
    for (index, line) in text.lines().enumerate() {
        let plain = line.trim();
        if plain.is_empty() || plain.starts_with('#') || plain.starts_with("//") {
            sides.iter_mut().for_each(Side::cut);
            continue;
        }
        if plain == "*" {
            sides.iter_mut().for_each(|side| side.repeats = true);
            continue;
        }
        let indented = usize::from(line.starts_with("    "));
        let Some(side) = sides.get_mut(indented) else {
            continue;
        };
        let read = match side.offset(plain) {
            Some((offset, rest)) => side.dump_line(offset, rest, room),
            None => side.plain_line(plain, room),
        };
        read.map_err(|message| format!("line {}: {message}", index + 1))?;
    }
    Ok(sides.map(Side::finish))
}

/// What one side has said so far.
#[derive(Default)]
struct Side {
    stretch: Stretch,
    /// The piece that is not complete yet.
    piece: Vec<u8>,
    /// Offset of the next line of a dump.
    next: usize,
    /// The lines of a dump that were left out are like the last one.
    repeats: bool,
    last: Vec<u8>,
}

impl Side {
    /// The offset with which a line of a dump begins, and what follows it.
    fn offset<'l>(&self, line: &'l str) -> Option<(usize, &'l str)> {
        let end = line.find(|character: char| !character.is_ascii_hexdigit());
        let (digits, rest) = line.split_at(end.unwrap_or(line.len()));
        if !(4..=16).contains(&digits.len()) {
            return None;
        }
        let offset = usize::from_str_radix(digits, 16).ok()?;
        let follows = offset == 0 || offset == self.next || self.repeats;
        let separated = rest.starts_with(": ") || rest.starts_with("  ");
        let last = rest.is_empty() && offset == self.next && offset > 0;
        ((separated || last) && follows).then_some((offset, rest))
    }

    fn dump_line(&mut self, offset: usize, rest: &str, room: &mut Room) -> Result<(), String> {
        if offset == 0 {
            self.cut();
        } else if self.repeats {
            self.repeat(offset, room);
        }
        self.repeats = false;
        let (rest, gap) = match rest.strip_prefix(':') {
            Some(rest) => (rest.trim_start(), "  "),
            None => (rest.trim_start(), "   "),
        };
        let hex = rest.split('|').next().unwrap_or_default();
        let hex = hex.split(gap).next().unwrap_or_default();
        let mut bytes = Vec::new();
        for word in hex.split_whitespace() {
            match digits(word) {
                Ok(more) if bytes.len() + more.len() <= DUMP_LINE || gap == "  " => {
                    bytes.extend(more);
                }
                Ok(_) => break,
                Err(_) if !bytes.is_empty() => break,
                Err(message) => return Err(message),
            }
        }
        self.next = offset.saturating_add(bytes.len());
        self.piece.extend_from_slice(room.take(&bytes));
        self.last = bytes;
        Ok(())
    }

    /// The lines up to that offset, which the dump has left out.
    fn repeat(&mut self, offset: usize, room: &mut Room) {
        while self.next < offset && !self.last.is_empty() {
            let taken = room.take(&self.last);
            if taken.is_empty() {
                break;
            }
            self.piece.extend_from_slice(taken);
            self.next += self.last.len();
        }
    }

    fn plain_line(&mut self, line: &str, room: &mut Room) -> Result<(), String> {
        self.cut();
        self.next = 0;
        let bytes = digits(line)?;
        self.piece.extend_from_slice(room.take(&bytes));
        self.cut();
        Ok(())
    }

    fn cut(&mut self) {
        self.stretch.push(&self.piece);
        self.piece.clear();
    }

    fn finish(mut self) -> Vec<Stretch> {
        self.cut();
        vec![self.stretch]
    }
}

/// Bytes of hex digits; `0x`, `\x` and what stands between bytes do not matter.
fn digits(text: &str) -> Result<Vec<u8>, String> {
    let bare = text
        .replace("0x", " ")
        .replace("0X", " ")
        .replace("\\x", " ");
    let mut bytes = Vec::with_capacity(bare.len() / 2);
    let between = |character: char| character.is_whitespace() || ",;:-{}[]\"'".contains(character);
    for word in bare.split(between).filter(|word| !word.is_empty()) {
        if let Some(wrong) = word
            .chars()
            .find(|character| !character.is_ascii_hexdigit())
        {
            return Err(format!("`{wrong}` is no hex digit"));
        }
        if word.len() % 2 == 1 {
            return Err(format!("`{word}` has an odd number of hex digits"));
        }
        for pair in word.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            bytes.extend(u8::from_str_radix(pair, 16));
        }
    }
    Ok(bytes)
}

//! The bytes of an input as choices: what is changed in one changes what is made of it a little.

/// Bytes that choose; where none are left, the first of everything is chosen.
#[derive(Debug)]
pub struct Choices<'d>(&'d [u8]);

impl<'d> Choices<'d> {
    pub fn new(bytes: &'d [u8]) -> Self {
        Choices(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// A number below that one.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    /// True once in so many times, and never where no bytes are left.
    pub fn once_in(&mut self, times: u8) -> bool {
        self.byte() % times.max(2) == 1
    }

    /// One of these, of which there is at least one.
    pub fn of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }
}

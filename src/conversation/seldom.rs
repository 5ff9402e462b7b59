//! What most connections never need.

use std::ops::Deref;

/// Takes no memory until it is changed, and is as if new until then: an idle connection must stay
/// small.
#[derive(Debug)]
pub(super) struct Seldom<T: 'static> {
    own: Option<Box<T>>,
    new: &'static T,
}

impl<T: Default> Seldom<T> {
    /// `new` is what it is as long as nothing has changed it.
    pub(super) fn new(new: &'static T) -> Self {
        Seldom { own: None, new }
    }

    /// To be changed.
    pub(super) fn make(&mut self) -> &mut T {
        self.own.get_or_insert_default()
    }

    /// To be changed where it is no more as if new.
    pub(super) fn used(&mut self) -> Option<&mut T> {
        self.own.as_deref_mut()
    }
}

impl<T> Deref for Seldom<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.own.as_deref().unwrap_or(self.new)
    }
}

//! Bytes that belong to no frame, told of once for as many as follow each other.

use std::ops::Range;

use bytes::Bytes;

use crate::conversation::Counted;
use crate::framing::Broken;

/// Bytes that are shown of those that were skipped.
const MOST_SHOWN: usize = 16;

/// Bytes that follow each other and belong to no frame for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Where in the stream they are.
    pub place: Range<usize>,
    /// The first of them.
    pub first: Vec<u8>,
    /// Why no frame could begin with them, where one seemed to.
    pub why: Option<Broken>,
    /// Whether what is left of the broken frame is in it.
    is_whole: bool,
}

/// The run that may still go on.
#[derive(Debug, Default)]
pub(super) struct Skipped(Option<Run>);

impl Run {
    /// `prefix` has at least as many of the bytes there as are shown; more than they are is left out.
    pub fn new(place: Range<usize>, prefix: &[u8], why: Option<Broken>) -> Self {
        let first = prefix.iter().take(place.len().min(MOST_SHOWN));
        Run {
            first: first.copied().collect(),
            place,
            why,
            is_whole: false,
        }
    }

    /// What the module would log of it.
    pub fn counted(&self) -> Counted {
        let first = Bytes::copy_from_slice(&self.first);
        Counted::Skipped(self.place.len(), first, self.why)
    }

    /// What is left of a broken frame belongs to it; another broken frame does not.
    fn goes_on_with(&self, next: &Run) -> bool {
        let belongs = next.why.is_none() || next.why == self.why && !self.is_whole;
        self.place.end == next.place.start && belongs
    }
}

impl Skipped {
    /// Adds bytes; gives the run before them, if they do not belong to it.
    pub fn add(&mut self, next: Run) -> Option<Run> {
        match &mut self.0 {
            Some(run) if run.goes_on_with(&next) => {
                run.is_whole |= next.why.is_none();
                run.place.end = next.place.end;
                let missing = MOST_SHOWN.saturating_sub(run.first.len());
                run.first.extend(next.first.into_iter().take(missing));
                None
            }
            before => before.replace(next),
        }
    }

    /// The run, of which nothing more comes.
    pub fn take(&mut self) -> Option<Run> {
        self.0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_follow_each_other_are_one_run() {
        let (none, end, length) = (None, Some(Broken::End), Some(Broken::Length));
        let cases = [
            (vec![(0..1, none), (1..5, none)], vec![(0..5, none)]),
            (
                vec![(0..1, none), (2..5, none)],
                vec![(0..1, none), (2..5, none)],
            ),
            (vec![(0..1, length), (1..2, length)], vec![(0..2, length)]),
            (
                vec![(0..1, end), (1..2, length)],
                vec![(0..1, end), (1..2, length)],
            ),
            // What is left of a broken frame, before the next one.
            (
                vec![
                    (0..2, none),
                    (2..3, end),
                    (3..9, none),
                    (9..10, end),
                    (10..12, none),
                ],
                vec![(0..2, none), (2..9, end), (9..12, end)],
            ),
        ];
        for (pieces, expected) in cases {
            let mut skipped = Skipped::default();
            let added = pieces
                .into_iter()
                .filter_map(|(place, why)| skipped.add(Run::new(place, &[], why)));
            let mut runs: Vec<Run> = added.collect();
            runs.extend(skipped.take());
            let runs: Vec<_> = runs.into_iter().map(|run| (run.place, run.why)).collect();
            assert_eq!(runs, expected);
        }
    }

    #[test]
    fn the_first_bytes_of_a_run_are_kept_and_no_others() {
        let mut skipped = Skipped::default();
        // What is seen of a broken frame goes further than what is dropped of it.
        let pieces = [(0..1, "abcdef"), (1..3, "bc"), (3..40, "defghijklmnopqrs")];
        for (place, prefix) in pieces {
            let run = Run::new(place, prefix.as_bytes(), None);
            assert_eq!(skipped.add(run), None);
        }
        let run = skipped.take().unwrap();
        assert_eq!(
            (run.place, run.first.as_slice()),
            (0..40, &b"abcdefghijklmnop"[..])
        );
    }
}

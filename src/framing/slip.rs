//! SLIP, RFC 1055: frames end with C0; DB DC stands for C0 in them, and DB DD for DB.

use super::bounded::Common;
use super::escapes::Escapes;
use super::needles::Needles;
use super::stuffed::Stuffed;
use super::{only, refuse_start};
use crate::document::{Problems, Section};

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Stuffed> {
    only(section, without, &[], problems);
    refuse_start(section, problems);
    let end = Needles::new(vec![vec![0xc0]])?;
    let escapes = Escapes::pairs(&[(&[0xdb, 0xdc], &[0xc0]), (&[0xdb, 0xdd], &[0xdb])]);
    Stuffed::without_start(common, end, escapes)
}

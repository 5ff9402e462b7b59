//! Whose spool it is, and how often it was opened.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Note, Whose, parse_name};
use crate::message::Sequence;
use crate::spool::disk::Disk;

/// File that says whose spool it is.
const OWNER: &str = "spool.json";
const OWNER_DRAFT: &str = "spool.json.new";
const VERSION: u32 = 1;
/// It never has so many bytes.
const MOST_BYTES: usize = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Owner {
    version: u32,
    /// Twelve hexadecimal digits.
    name: String,
    /// How often it was opened.
    runs: u32,
    #[serde(flatten)]
    whose: Whose,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The spool that is there, if it is this module's; any other is set aside.
pub(super) fn find(
    disk: &mut dyn Disk,
    whose: &Whose,
    notes: &mut Vec<Note>,
) -> io::Result<Option<Owner>> {
    let files = disk.list()?;
    let why = if files.iter().any(|name| name == OWNER) {
        match read(&disk.read(OWNER, 0, MOST_BYTES)?, whose) {
            Ok(owner) => return Ok(Some(owner)),
            Err(why) => why,
        }
    } else if files.iter().any(|name| parse_name(name).is_some()) {
        format!("a spool without {OWNER}")
    } else {
        return Ok(None);
    };
    let prefix = set_all_aside(disk, &files)?;
    notes.push(Note::new(format!(
        "{why} was set aside: its files are named {prefix}*"
    )));
    Ok(None)
}

/// Reads the file that says whose spool it is, or says what is wrong with it.
fn read(text: &[u8], whose: &Whose) -> Result<Owner, String> {
    let version = serde_json::from_slice::<Version>(text).map_or(VERSION, |found| found.version);
    if version > VERSION {
        return Err(format!(
            "a spool of version {version}, which this module cannot read,"
        ));
    }
    let owner = serde_json::from_slice::<Owner>(text).ok();
    let owner = owner.filter(|owner| name_of(&owner.name).is_some());
    let Some(owner) = owner.filter(|owner| owner.runs < Sequence::LAST_RUN) else {
        return Err(format!("a spool with an unreadable {OWNER}"));
    };
    if owner.whose != *whose {
        let Whose {
            hub,
            device,
            module,
        } = owner.whose;
        return Err(format!(
            "the spool of module {module} on device {device} of {hub}"
        ));
    }
    Ok(owner)
}

fn name_of(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// A prefix that no file has yet.
pub(super) fn free_prefix(files: &[String]) -> String {
    let prefixes = (1_u32..).map(|number| format!("aside-{number}-"));
    let mut free = prefixes.skip_while(|prefix| files.iter().any(|name| name.starts_with(prefix)));
    free.next().unwrap_or_default()
}

/// The file that says whose spool it is goes last, so that an interrupted move is taken up again.
fn set_all_aside(disk: &mut dyn Disk, files: &[String]) -> io::Result<String> {
    let prefix = free_prefix(files);
    let (owner, others): (Vec<_>, Vec<_>) = files
        .iter()
        .filter(|name| !name.starts_with("aside-"))
        .partition(|name| *name == OWNER);
    for name in others.into_iter().chain(owner) {
        disk.rename(name, &format!("{prefix}{name}"))?;
    }
    Ok(prefix)
}

/// Notes that the spool was opened once more. Gives its name and the first sequence of this run,
/// behind all of `last_run`.
///
/// A run that cannot be noted may have the number of another that could not: its sequences begin by
/// chance, so that no id is given twice, and it leaves its number in the names of its segments and
/// in the position, so that later runs come behind it.
pub(super) fn begin_run(
    disk: &mut dyn Disk,
    whose: &Whose,
    (owner, last_run): (Option<Owner>, u32),
    notes: &mut Vec<Note>,
) -> io::Result<(u64, Sequence)> {
    let known = owner.as_ref().and_then(|owner| name_of(&owner.name));
    let name = match known {
        Some(name) => name,
        None => random()? & 0xffff_ffff_ffff,
    };
    let last_run = owner.map_or(0, |owner| owner.runs).max(last_run);
    if last_run >= Sequence::LAST_RUN {
        return Err(io::Error::other("the spool was opened too often"));
    }
    let run = last_run + 1;
    let noted = Owner {
        version: VERSION,
        name: format!("{name:012x}"),
        runs: run,
        whose: whose.clone(),
    };
    let text = serde_json::to_vec_pretty(&noted)?;
    let Err(error) = replace(disk, &text) else {
        return Ok((name, Sequence::first(run)));
    };
    if known.is_none() {
        return Err(error);
    }
    notes.push(Note::new(format!(
        "{OWNER} cannot be written ({error}); message ids of this run begin at a random number"
    )));
    Ok((name, Sequence::scattered(run, random()?)))
}

fn replace(disk: &mut dyn Disk, text: &[u8]) -> io::Result<()> {
    disk.delete(OWNER_DRAFT)?;
    disk.write(OWNER_DRAFT, 0, text)?;
    disk.sync(OWNER_DRAFT)?;
    disk.rename(OWNER_DRAFT, OWNER)
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(bytes))
}

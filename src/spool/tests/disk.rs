//! A disk that can lose its power, fail and be full.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Disk;

/// Cheap to clone; every clone is the same disk.
#[derive(Clone, Debug)]
pub struct TrialDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: BTreeMap<String, Content>,
    free: u64,
    failing: bool,
    /// Operations until one fails.
    fails_in: Option<usize>,
    syncs: usize,
    /// Counts up, so that a disk that lost its power is not written by who used it before.
    owner: usize,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a loss of power leaves for certain; `None` if even the name goes.
    forced: Option<Vec<u8>>,
}

impl Default for TrialDisk {
    fn default() -> Self {
        TrialDisk(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            free: u64::MAX,
            failing: false,
            fails_in: None,
            syncs: 0,
            owner: 0,
        })))
    }
}

#[allow(dead_code, reason = "two test programs use different parts")]
impl TrialDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a process uses; after the next loss of power it reaches nothing any more.
    pub fn plugged(&self) -> Box<dyn Disk> {
        let owner = self.state().owner;
        Box::new(Plugged {
            disk: self.clone(),
            owner,
        })
    }

    /// Discards what is not forced, but for a part of it that `chance` (of 256) decides.
    pub fn lose_power(&self, chance: u8) {
        let mut state = self.state();
        state.owner += 1;
        state.failing = false;
        state.fails_in = None;
        state.free = u64::MAX;
        state.files.retain(|_, content| content.forced.is_some());
        for content in state.files.values_mut() {
            let forced = content.forced.clone().unwrap_or_default();
            let reached = (content.bytes.len() - forced.len().min(content.bytes.len()))
                * usize::from(chance)
                / 255;
            let torn = content.bytes.split_off(0);
            content.bytes = forced.clone();
            content
                .bytes
                .extend(torn.iter().skip(forced.len()).take(reached));
            content.forced = Some(content.bytes.clone());
        }
    }

    pub fn fail(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// One operation fails, after so many that do not.
    pub fn fail_once_in(&self, operations: usize) {
        self.state().fails_in = Some(operations);
    }

    pub fn set_free(&self, free: u64) {
        self.state().free = free;
    }

    pub fn syncs(&self) -> usize {
        self.state().syncs
    }

    /// Names and contents.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.state().files.clone();
        files
            .into_iter()
            .map(|(name, content)| (name, content.bytes))
            .collect()
    }

    /// Names, and what a loss of power leaves for certain.
    pub fn forced(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.state().files.clone();
        let forced = |(name, content): (String, Content)| Some((name, content.forced?));
        files.into_iter().filter_map(forced).collect()
    }

    /// Gives a file this content.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let forced = Some(bytes.clone());
        let content = Content { bytes, forced };
        self.state().files.insert(name.to_owned(), content);
    }
}

/// A process's hold on the disk.
#[derive(Debug)]
struct Plugged {
    disk: TrialDisk,
    owner: usize,
}

impl Plugged {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.disk.state();
        if state.owner != self.owner {
            return Err(io::Error::other("the power is gone"));
        }
        match &mut state.fails_in {
            Some(0) => {
                state.fails_in = None;
                return Err(io::Error::other("this operation fails"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        match state.failing {
            true => Err(io::Error::other("the disk fails")),
            false => Ok(state),
        }
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for Plugged {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.state()?.files.keys().cloned().collect())
    }

    fn read(&mut self, file: &str, from: u64, most: usize) -> io::Result<Vec<u8>> {
        let state = self.state()?;
        let bytes = &state.files.get(file).ok_or_else(missing)?.bytes;
        let from = usize::try_from(from).map_or(bytes.len(), |from| from.min(bytes.len()));
        let rest = &bytes[from..];
        Ok(rest[..rest.len().min(most)].to_vec())
    }

    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(at).map_err(io::Error::other)?;
        // A failing write may have written a part.
        let failed = self.state().err();
        let mut state = self.disk.state();
        if state.owner != self.owner {
            return failed.map_or(Ok(()), Err);
        }
        let room = usize::try_from(state.free).unwrap_or(usize::MAX);
        let part = if failed.is_some() {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        let part = part.min(room);
        let content = state.files.entry(file.to_owned()).or_default();
        if content.bytes.len() < at + part {
            content.bytes.resize(at + part, 0);
        }
        content.bytes[at..at + part].copy_from_slice(&bytes[..part]);
        match failed {
            Some(failed) => Err(failed),
            None if part < bytes.len() => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        let mut state = self.state()?;
        state.syncs += 1;
        let content = state.files.get_mut(file).ok_or_else(missing)?;
        content.forced = Some(content.bytes.clone());
        Ok(())
    }

    fn delete(&mut self, file: &str) -> io::Result<()> {
        self.state()?.files.remove(file);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state()?;
        let content = state.files.remove(from).ok_or_else(missing)?;
        state.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn free(&mut self) -> io::Result<u64> {
        Ok(self.state()?.free)
    }
}

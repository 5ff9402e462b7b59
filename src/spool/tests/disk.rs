//! A disk that can lose its power, fail and be full.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::Disk;

/// Cheap to clone; every clone is the same disk.
#[derive(Clone, Debug)]
pub struct TrialDisk(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug)]
struct State {
    files: BTreeMap<String, Content>,
    free: u64,
    failing: bool,
    failing_reads: bool,
    failing_deletes: bool,
    /// Of this file nothing is read, and it is not deleted.
    failing_file: Option<String>,
    /// Renames are done, and told as failed.
    failing_names: bool,
    /// Nothing is changed.
    read_only: bool,
    /// Bytes of all files at most, of which `free` says nothing.
    quota: usize,
    /// Operations until one fails.
    fails_in: Option<usize>,
    syncs: usize,
    holds_syncs: bool,
    operations: usize,
    /// How often each file was written.
    writes: BTreeMap<String, usize>,
    /// Counts up, so that a disk that lost its power is not written by who used it before.
    owner: usize,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a loss of power leaves for certain; `None` if even the name goes.
    forced: Option<Vec<u8>>,
    /// A sync has failed: what had been written behind this offset is clean to the system and not
    /// on the disk, until it is written again.
    doomed_from: Option<usize>,
}

impl Default for TrialDisk {
    fn default() -> Self {
        let state = State {
            files: BTreeMap::new(),
            free: u64::MAX,
            failing: false,
            failing_reads: false,
            failing_deletes: false,
            failing_file: None,
            failing_names: false,
            read_only: false,
            quota: usize::MAX,
            fails_in: None,
            syncs: 0,
            operations: 0,
            writes: BTreeMap::new(),
            holds_syncs: false,
            owner: 0,
        };
        TrialDisk(Arc::new((Mutex::new(state), Condvar::new())))
    }
}

#[allow(dead_code, reason = "two test programs use different parts")]
impl TrialDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
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
            let reachable = content.doomed_from.unwrap_or(content.bytes.len());
            let reached = (reachable - forced.len().min(reachable)) * usize::from(chance) / 255;
            let torn = content.bytes.split_off(0);
            content.bytes = forced.clone();
            content
                .bytes
                .extend(torn.iter().skip(forced.len()).take(reached));
            content.forced = Some(content.bytes.clone());
            content.doomed_from = None;
        }
    }

    /// Another disk with the same content, as forced as here.
    pub fn copy(&self) -> TrialDisk {
        let state = self.state();
        let copy = State {
            files: state.files.clone(),
            writes: state.writes.clone(),
            failing_file: state.failing_file.clone(),
            ..*state
        };
        TrialDisk(Arc::new((Mutex::new(copy), Condvar::new())))
    }

    /// From now on it works.
    pub fn mend(&self) {
        let mut state = self.state();
        state.failing = false;
        state.fails_in = None;
        state.free = u64::MAX;
    }

    pub fn fail(&self, failing: bool) {
        self.state().failing = failing;
    }

    /// One operation fails, after so many that do not.
    pub fn fail_once_in(&self, operations: usize) {
        self.state().fails_in = Some(operations);
    }

    /// From now on nothing can be deleted, or it can.
    pub fn fail_deletes(&self, failing: bool) {
        self.state().failing_deletes = failing;
    }

    /// From now on one file cannot be read and not be deleted, or all can.
    pub fn fail_file(&self, file: Option<&str>) {
        self.state().failing_file = file.map(str::to_owned);
    }

    /// From now on a file that gets another name is said not to have got it, or no more.
    pub fn fail_names(&self, failing: bool) {
        self.state().failing_names = failing;
    }

    /// From now on nothing is changed, or it is.
    pub fn read_only(&self, read_only: bool) {
        self.state().read_only = read_only;
    }

    /// So many bytes all files have at most, whatever the disk says that it has left.
    pub fn set_quota(&self, bytes: usize) {
        self.state().quota = bytes;
    }

    pub fn set_free(&self, free: u64) {
        self.state().free = free;
    }

    /// From now on nothing is forced, and whoever asks for it waits.
    pub fn hold_syncs(&self, hold: bool) {
        self.state().holds_syncs = hold;
        self.0.1.notify_all();
    }

    /// How often something was to be forced.
    pub fn syncs(&self) -> usize {
        self.state().syncs
    }

    /// How often the disk was used.
    pub fn operations(&self) -> usize {
        self.state().operations
    }

    /// How often a file was written.
    pub fn writes(&self, file: &str) -> usize {
        self.state().writes.get(file).copied().unwrap_or(0)
    }

    /// From now on only reads fail, or no more.
    pub fn fail_reads(&self, failing: bool) {
        self.state().failing_reads = failing;
    }

    /// Names of the files of segments that are in use.
    pub fn segments(&self) -> Vec<String> {
        let names = self.files().into_keys();
        let used = |name: &String| name.ends_with(".segment") && !name.starts_with("aside-");
        names.filter(used).collect()
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
        let content = Content {
            bytes,
            forced,
            doomed_from: None,
        };
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
        state.operations += 1;
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

    fn length(&mut self, file: &str) -> io::Result<u64> {
        let state = self.state()?;
        Ok(state
            .files
            .get(file)
            .map_or(0, |content| content.bytes.len() as u64))
    }

    fn read(&mut self, file: &str, from: u64, most: usize) -> io::Result<Vec<u8>> {
        let state = self.state()?;
        if state.failing_reads || state.failing_file.as_deref() == Some(file) {
            return Err(io::Error::other("reads fail"));
        }
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
        if state.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let others = state.files.iter().filter(|(name, _)| *name != file);
        let others: usize = others.map(|(_, content)| content.bytes.len()).sum();
        let room = usize::try_from(state.free).unwrap_or(usize::MAX);
        let room = room.min(state.quota.saturating_sub(others + at));
        let part = if failed.is_some() {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        let part = part.min(room);
        *state.writes.entry(file.to_owned()).or_default() += 1;
        let content = state.files.entry(file.to_owned()).or_default();
        if content.bytes.len() < at + part {
            content.bytes.resize(at + part, 0);
        }
        content.bytes[at..at + part].copy_from_slice(&bytes[..part]);
        content.doomed_from = content.doomed_from.filter(|doomed| *doomed < at);
        match failed {
            Some(failed) => Err(failed),
            None if part < bytes.len() => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        let failed = self.state().err();
        let mut state = self.disk.state();
        if state.owner != self.owner {
            return failed.map_or(Ok(()), Err);
        }
        state.syncs += 1;
        let gate = &self.disk.0.1;
        let state = gate.wait_while(state, |state| state.holds_syncs);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let content = state.files.get_mut(file).ok_or_else(missing)?;
        let forced = content.forced.as_ref().map_or(0, Vec::len);
        if let Some(failed) = failed {
            content.doomed_from.get_or_insert(forced);
            return Err(failed);
        }
        let reaches = content.doomed_from.unwrap_or(content.bytes.len());
        content.forced = Some(content.bytes[..reaches].to_vec());
        Ok(())
    }

    fn delete(&mut self, file: &str) -> io::Result<()> {
        let mut state = self.state()?;
        if state.failing_deletes || state.failing_file.as_deref() == Some(file) || state.read_only {
            return Err(io::Error::other("deletes fail"));
        }
        state.files.remove(file);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state()?;
        let content = state.files.remove(from).ok_or_else(missing)?;
        state.files.insert(to.to_owned(), content);
        match state.failing_names {
            true => Err(io::Error::other("names are not forced")),
            false => Ok(()),
        }
    }

    fn free(&mut self) -> io::Result<u64> {
        Ok(self.state()?.free)
    }
}

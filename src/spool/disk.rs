//! The files of the spool: the one door to the operating system.

use std::collections::HashMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A folder of files. It exists as a trait so that a loss of power, a full disk and a failing one
/// can be shown.
pub trait Disk: Debug + Send {
    /// Names of all files.
    fn list(&mut self) -> io::Result<Vec<String>>;
    /// Bytes of a file; 0 if it is not there.
    fn length(&mut self, file: &str) -> io::Result<u64>;
    /// At most so many bytes from an offset; fewer only at the end of the file.
    fn read(&mut self, file: &str, from: u64, most: usize) -> io::Result<Vec<u8>>;
    /// Writes at an offset; makes the file if it is not there.
    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Forces a file, and that it exists, to the disk.
    fn sync(&mut self, file: &str) -> io::Result<()>;
    /// Deletes a file; one that is not there is deleted already.
    fn delete(&mut self, file: &str) -> io::Result<()>;
    /// Gives a file another name, at once and forced to the disk; replaces what has that name.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Bytes that the disk has left for us.
    fn free(&mut self) -> io::Result<u64>;
}

/// A folder of the operating system, locked for this process.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The segments that are written to, at most one for each log.
    open: HashMap<String, File>,
    /// Files whose entry in the folder is not forced yet.
    fresh: Vec<String>,
    _lock: File,
}

/// Name of the file that is locked.
const LOCK: &str = "lock";
/// Files kept open for writing.
const MOST_OPEN: usize = 4;

impl Folder {
    /// Opens a folder, making it if it is not there.
    ///
    /// # Errors
    /// When it cannot be written, or another process has it ([`io::ErrorKind::WouldBlock`]).
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = File::create(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            // Some network file systems know no locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Folder {
            path: path.to_owned(),
            open: HashMap::new(),
            fresh: Vec::new(),
            _lock: lock,
        })
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.open.contains_key(name) {
            if self.open.len() >= MOST_OPEN {
                self.open.clear();
            }
            let path = self.path.join(name);
            let is_new = !path.exists();
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            if is_new {
                self.fresh.push(name.to_owned());
            }
            self.open.insert(name.to_owned(), file);
        }
        self.open
            .get(name)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        self.fresh.clear();
        Ok(())
    }
}

impl Disk for Folder {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            names.extend(
                name.to_str()
                    .filter(|name| *name != LOCK)
                    .map(str::to_owned),
            );
        }
        Ok(names)
    }

    fn length(&mut self, file: &str) -> io::Result<u64> {
        match fs::metadata(self.path.join(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            found => found.map(|metadata| metadata.len()),
        }
    }

    fn read(&mut self, file: &str, from: u64, most: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(file))?;
        let mut bytes = vec![0; most];
        let mut filled = 0;
        while let Some(place) = bytes.get_mut(filled..).filter(|place| !place.is_empty()) {
            let at = from.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match file.read_at(place, at) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(file)?.write_all_at(bytes, at)
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        self.file(file)?.sync_data()?;
        if self.fresh.iter().any(|fresh| fresh == file) {
            self.sync_names()?;
        }
        Ok(())
    }

    fn delete(&mut self, file: &str) -> io::Result<()> {
        self.open.remove(file);
        self.fresh.retain(|fresh| fresh != file);
        match fs::remove_file(self.path.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open.remove(from);
        self.open.remove(to);
        fs::rename(self.path.join(from), self.path.join(to))?;
        self.sync_names()
    }

    fn free(&mut self) -> io::Result<u64> {
        free_bytes(&self.path)
    }
}

/// Bytes that the disk of a folder has left for us.
///
/// # Errors
/// What the system says.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_process_and_keeps_what_is_written_where_it_is_written() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("spool");
        let mut folder = Folder::open(&path).unwrap();
        let second = Folder::open(&path).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        folder.write("a", 0, b"12345").unwrap();
        folder.write("a", 3, b"67").unwrap();
        folder.sync("a").unwrap();
        assert_eq!(folder.read("a", 1, 100).unwrap(), b"2367");
        assert_eq!(
            (folder.length("a").unwrap(), folder.length("b").unwrap()),
            (5, 0)
        );
        folder.rename("a", "b").unwrap();
        assert_eq!(folder.list().unwrap(), ["b"]);
        folder.delete("b").unwrap();
        folder.delete("b").unwrap();
        assert!(folder.list().unwrap().is_empty());
        assert!(folder.free().unwrap() > 0);
        drop(folder);
        Folder::open(&path).unwrap();
    }
}

//! The journal's file.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::book::{Book, State};
use super::record::{self, Record};

/// Bytes of the file at most, but for one write: results that wait for edgeHub and a full spool.
pub(super) const MOST_BYTES: u64 = 64 << 20;
/// Below this a file is not written anew to make it smaller.
const SMALL_BYTES: u64 = 1 << 20;

/// What a start found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Commands that are not done, in the order in which they were accepted.
    pub open: Vec<State>,
    /// Bytes that could not be read, without those that a loss of power has torn.
    pub damaged: usize,
    /// Where the file of another module was set aside.
    pub set_aside: Option<PathBuf>,
}

/// The file, and what stands in it.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    owner: String,
    book: Book,
    /// None after a write or a sync that failed: nobody knows what is on disk then, and all of it
    /// is written again into a new file.
    pub(crate) file: Option<File>,
    bytes: u64,
    rewrite_at: u64,
}

impl Store {
    /// Opens the journal of that owner in a folder, making both if they are not there. What cannot be
    /// read is kept beside it.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn open(folder: &Path, owner: &str) -> io::Result<(Self, Found)> {
        fs::create_dir_all(folder)?;
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
        let path = folder.join("journal");
        let read = record::read(&content(&path)?);
        let mut found = Found {
            damaged: read.damaged,
            ..Found::default()
        };
        let mut book = Book::default();
        let foreign = |record: &Record| matches!(record, Record::Owner(name) if name != owner);
        if read.records.iter().any(foreign) {
            let aside = folder.join("journal.aside");
            fs::rename(&path, &aside)?;
            found.set_aside = Some(aside);
        } else {
            if read.damaged > 0 {
                fs::copy(&path, folder.join("journal.damaged"))?;
            }
            read.records.iter().for_each(|record| book.take(record));
        }
        found.open = book.open().cloned().collect();
        let mut store = Store {
            folder: folder.to_owned(),
            owner: owner.to_owned(),
            book,
            file: None,
            bytes: 0,
            rewrite_at: 0,
        };
        store.rewrite()?;
        Ok((store, found))
    }

    /// What stands in it.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes records, and forces them to disk.
    ///
    /// # Errors
    /// When they may not be there. They are written again with the next ones.
    pub fn write(&mut self, records: &[Record], force: bool) -> io::Result<()> {
        records.iter().for_each(|record| self.book.take(record));
        let mut lines = Vec::new();
        records.iter().for_each(|record| record.push(&mut lines));
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let bytes = self.bytes.saturating_add(length);
        let Some(mut file) = self.file.take().filter(|_| bytes <= self.rewrite_at) else {
            return self.rewrite();
        };
        file.write_all(&lines)?;
        if force {
            file.sync_data()?;
        }
        self.file = Some(file);
        self.bytes = bytes;
        Ok(())
    }

    /// Writes a new file in place of the one that is there: after a loss of power there is either.
    fn rewrite(&mut self) -> io::Result<()> {
        let mut lines = Vec::new();
        Record::Owner(self.owner.clone()).push(&mut lines);
        self.book
            .records()
            .for_each(|record| record.push(&mut lines));
        let bytes = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if bytes > MOST_BYTES {
            let full = "64 MiB of results wait for edgeHub";
            return Err(io::Error::new(io::ErrorKind::StorageFull, full));
        }
        let fresh = self.folder.join("journal.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&lines)?;
        file.sync_all()?;
        fs::rename(&fresh, self.folder.join("journal"))?;
        File::open(&self.folder)?.sync_all()?;
        self.file = Some(file);
        self.bytes = bytes;
        self.rewrite_at = bytes.saturating_mul(2).clamp(SMALL_BYTES, MOST_BYTES);
        Ok(())
    }
}

/// The file's bytes, as far as a journal can be long.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => {
            file.take(2 * MOST_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(bytes),
        Err(error) => Err(error),
    }
}

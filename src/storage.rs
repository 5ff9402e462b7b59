//! The documents the module keeps in its storage directory: what the twin asked for, and the last
//! settings that could be run. Each is one small JSON file, replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// A settings document and the twin version it had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// `$version` of the desired properties; `None` if they came without one.
    pub version: Option<i64>,
    /// The whole document.
    pub document: Value,
}

/// Which of the kept documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// The desired properties as the twin has them, also when they were refused: patches merge onto these.
    Desired,
    /// The last document that was applied: what runs when edgeHub is away at the start.
    LastGood,
}

impl Document {
    fn file_name(self) -> &'static str {
        match self {
            Document::Desired => "desired.json",
            Document::LastGood => "last-good.json",
        }
    }
}

/// Why a document could not be kept or read, and where.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The directory cannot be written.
    #[error(
        "the storage directory {} cannot be written ({source}): mount a volume there that the module's user owns, or set STORAGE_DIR; running without it, settings are not remembered over a restart",
        folder.display()
    )]
    NotWritable {
        /// The directory.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file in it cannot be read or written.
    #[error("{} cannot be used ({source})", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file in it is not what the module wrote.
    #[error("{} is not readable as a settings document ({source}); it is ignored and replaced at the next change", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The storage directory, or none where it cannot be written.
#[derive(Clone, Debug)]
pub struct Storage {
    folder: Option<PathBuf>,
}

impl Storage {
    /// Uses a directory, making it if it is not there. With the error comes a storage that keeps nothing.
    pub fn open(folder: &Path) -> (Self, Option<StorageError>) {
        let probe = folder.join(".writable");
        let tried = fs::create_dir_all(folder)
            .and_then(|()| File::create(&probe))
            .and_then(|_| fs::remove_file(&probe));
        match tried {
            Ok(()) => (
                Storage {
                    folder: Some(folder.to_owned()),
                },
                None,
            ),
            Err(source) => (
                Storage { folder: None },
                Some(StorageError::NotWritable {
                    folder: folder.to_owned(),
                    source,
                }),
            ),
        }
    }

    /// Reads a document; `None` if it was never kept.
    ///
    /// # Errors
    /// When the file is there but cannot be read, or is damaged.
    pub fn load(&self, which: Document) -> Result<Option<Stored>, StorageError> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let path = folder.join(which.file_name());
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StorageError::File { path, source }),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| StorageError::Damaged { path, source })
    }

    /// Keeps a document: after a loss of power there is either the one before or this one. Waits for the disk.
    ///
    /// # Errors
    /// When it could not be written; the one before is then still there.
    pub fn keep(&self, which: Document, stored: &Stored) -> Result<(), StorageError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let path = folder.join(which.file_name());
        replace(folder, &path, stored).map_err(|source| StorageError::File { path, source })
    }
}

fn replace(folder: &Path, path: &Path, stored: &Stored) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(stored)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_come_back_as_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (storage, error) = Storage::open(&folder.path().join("data"));
        assert!(error.is_none());
        assert_eq!(storage.load(Document::Desired).unwrap(), None);
        for version in [Some(3), None] {
            let stored = Stored {
                version,
                document: json!({"listeners": {}}),
            };
            storage.keep(Document::Desired, &stored).unwrap();
            assert_eq!(storage.load(Document::Desired).unwrap(), Some(stored));
        }
        assert_eq!(storage.load(Document::LastGood).unwrap(), None);
    }

    #[test]
    fn a_damaged_document_is_an_error_that_names_the_file_and_can_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (storage, _) = Storage::open(folder.path());
        fs::write(folder.path().join("last-good.json"), "{\"version\":1,").unwrap();
        let error = storage.load(Document::LastGood).unwrap_err().to_string();
        assert!(error.contains("last-good.json"), "{error}");
        let stored = Stored {
            version: Some(1),
            document: json!({}),
        };
        storage.keep(Document::LastGood, &stored).unwrap();
        assert_eq!(storage.load(Document::LastGood).unwrap(), Some(stored));
    }

    #[test]
    fn without_a_writable_directory_it_says_so_once_and_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("file");
        fs::write(&taken, "").unwrap();
        let (storage, error) = Storage::open(&taken.join("data"));
        let error = error.unwrap().to_string();
        assert!(
            error.contains("STORAGE_DIR") && error.contains("file/data"),
            "{error}"
        );
        storage
            .keep(
                Document::Desired,
                &Stored {
                    version: None,
                    document: json!({}),
                },
            )
            .unwrap();
        assert_eq!(storage.load(Document::Desired).unwrap(), None);
    }
}

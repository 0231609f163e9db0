//! Owns where the source is: the file as configured, the file it really is, and the names beside it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sqlite::error::SourceError;

/// What is found where `webui.db` should be.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing (ENOENT, and nothing else).
    Absent,
    /// A file.
    File(Location),
}

/// An existing file that may be the source.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    /// The path as configured, for messages.
    pub(super) name: String,
    /// Where the file really is; SQLite looks for the WAL there.
    pub(super) real: PathBuf,
}

/// Looks for the source.
///
/// # Errors
/// Anything but "no such file": a missing permission or a dangling link must not pass for a fresh start.
pub(crate) fn locate(path: &Path) -> Result<Found, SourceError> {
    let name = path.display().to_string();
    let unreadable = |source| SourceError::Unreadable {
        path: name.clone(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !leads_nowhere(path) => {
            return Ok(Found::Absent);
        }
        Err(error) => return Err(unreadable(error)),
        Ok(_) => {}
    }
    let real = fs::canonicalize(path).map_err(unreadable)?;
    if !fs::metadata(&real).map_err(unreadable)?.is_file() {
        return Err(SourceError::NotUsable {
            path: name,
            what: "is not a file".to_owned(),
        });
    }
    Ok(Found::File(Location { name, real }))
}

/// Whether a folder on the way to `path` is a link to something that is not there.
fn leads_nowhere(path: &Path) -> bool {
    path.ancestors()
        .skip(1)
        .any(|folder| folder.is_symlink() && !folder.exists())
}

impl Location {
    /// Bytes of the database and its WAL.
    pub(crate) fn bytes(&self) -> u64 {
        let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        size(&self.real) + size(&self.beside("-wal"))
    }

    /// The path as configured, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name: OsString = self.real.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    pub(super) fn unreadable(&self) -> impl Fn(io::Error) -> SourceError {
        let path = self.name.clone();
        move |source| SourceError::Unreadable {
            path: path.clone(),
            source,
        }
    }

    pub(super) fn sqlite(&self) -> impl Fn(rusqlite::Error) -> SourceError {
        let path = self.name.clone();
        move |source| SourceError::Sqlite {
            path: path.clone(),
            source,
        }
    }

    pub(super) fn not_usable(&self, what: impl Into<String>) -> SourceError {
        SourceError::NotUsable {
            path: self.name.clone(),
            what: what.into(),
        }
    }
}

//! Owns what can be wrong with the old database, in words.

use std::io;

use rusqlite::ffi;
use thiserror::Error;

use crate::sqlite::scratch::ScratchError;

/// Why the source cannot be moved.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    /// The operating system refuses.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file.
        path: String,
        /// Its answer.
        source: io::Error,
    },
    /// The file is no SQLite database that can be moved.
    #[error("{path} {what}")]
    NotUsable {
        /// The file.
        path: String,
        /// What it is instead.
        what: String,
    },
    /// The write-ahead log holds commits that SQLite passes over.
    #[error("{} in {path}-wal cannot be read because of a damaged frame", lost(*.commits))]
    LostCommits {
        /// The file.
        path: String,
        /// How many; 0 where they cannot be counted.
        commits: u64,
    },
    /// It was written by a newer Open WebUI.
    #[error("{path} is at revision {revision}, which the Open WebUI of this image does not know{}", .head.as_ref().map(|head| format!(" (its head is {head})")).unwrap_or_default())]
    Newer {
        /// The file.
        path: String,
        /// Its revision.
        revision: String,
        /// The image's head, where known.
        head: Option<String>,
    },
    /// A private copy is needed and has no place.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// Another process holds the file open.
    #[error("{path} is still open in another process")]
    Busy {
        /// The file.
        path: String,
    },
    /// The file changed while it was read.
    #[error("{path} was written to by another process while it was being moved")]
    Changed {
        /// The file.
        path: String,
    },
    /// SQLite's own complaint.
    #[error("reading {path} failed")]
    Sqlite {
        /// The file.
        path: String,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// Row ids do not ascend: a damaged table tree that SQLite reads without noticing.
    #[error("{path} is damaged: row ids of table {table} do not ascend")]
    Disordered {
        /// The file.
        path: String,
        /// The table.
        table: String,
    },
    /// The thread that waits for SQLite is gone.
    #[error("the thread that reads the old database ended without a result")]
    ThreadLost(#[source] tokio::task::JoinError),
}

fn lost(commits: u64) -> String {
    match commits {
        0 => "commits".to_owned(),
        1 => "1 commit".to_owned(),
        commits => format!("{commits} commits"),
    }
}

/// Whether SQLite says that the content, not the reading of it, is at fault.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(ffi::Error { code, .. }, _) = error else {
        return false;
    };
    matches!(
        code,
        rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase
    )
}

//! Owns what can be wrong with a file that is to be made from the old database, and its rows.

use std::io::{self, ErrorKind};

use thiserror::Error;

use crate::failure::codes::{EX_CANTCREAT, EX_CONFIG, EX_NOPERM};
use crate::failure::row::{Row, Safe};
use crate::sqlite::scratch::ScratchError;

/// Why a file was not made. Nothing of it is left then.
#[derive(Debug, Error)]
pub(crate) enum FileError {
    /// There is no old database.
    #[error("there is no {0} to copy")]
    NothingToCopy(String),
    /// The folder cannot be written, or its disk is too small.
    #[error("no backup can be made")]
    NoPlace(#[source] ScratchError),
    /// Something has the name already.
    #[error("{0} is there already, and nothing is ever overwritten")]
    Exists(String),
    /// The operating system refuses.
    #[error("{path} cannot be written")]
    CannotWrite {
        /// The file.
        path: String,
        /// Its answer.
        source: io::Error,
    },
}

/// The row of a file that was not made.
pub(crate) fn of_file(error: &FileError) -> Row {
    let (code, next) = match error {
        FileError::NothingToCopy(_) => (
            EX_CONFIG,
            "mount the data volume, or set WEBUI_INIT_SQLITE_PATH to webui.db.",
        ),
        FileError::NoPlace(_) => (
            EX_CANTCREAT,
            "name a folder that exists, that this container's user may write to, and that has room for the copy. Where \
             WEBUI_INIT_BACKUP asks for a backup, there is no move without it.",
        ),
        FileError::Exists(_) => (
            EX_CANTCREAT,
            "name a file that is not there yet, or move that one away.",
        ),
        FileError::CannotWrite { source, .. } => (
            if source.kind() == ErrorKind::PermissionDenied {
                EX_NOPERM
            } else {
                EX_CANTCREAT
            },
            "check that the folder is there, that this container's user may write to it, and that its disk has room.",
        ),
    };
    Row::new(code, Safe::Both, next)
}

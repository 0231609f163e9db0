//! Owns the starts that are refused although nothing broke: what was found says that Open WebUI would come up without the
//! data that people expect in it.

use thiserror::Error;

use crate::failure::codes::{EX_CONFIG, EX_DATAERR};
use crate::failure::row::{Row, Safe};
use crate::output::words::count;

/// Why a start is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// The record of a move is there, what it records is not, and the source has it still.
    #[error(
        "the data of {source_path} was moved into {target} at {at}, and its users are gone from there: the table of users is \
         missing or empty, while {source_path} has {users}"
    )]
    UsersGone {
        /// Database, host and role.
        target: String,
        /// When it was moved.
        at: String,
        /// Users in the source.
        users: i64,
        /// The source.
        source_path: String,
    },
    /// The record says that the data has gone back to SQLite.
    #[error(
        "the data in {target} has gone back to {source_path} since it was moved at {at}, so what PostgreSQL holds is older"
    )]
    Returned {
        /// Database, host and role.
        target: String,
        /// When it was moved.
        at: String,
        /// The source.
        source_path: String,
    },
    /// A receipt says that the data was moved, and PostgreSQL has no record of it.
    #[error(
        "the data of {source_path} was moved at {at}, {} into {place}, and {target} has no record of that{}",
        count(*rows, "row"),
        if *restored { ", but has the same users" } else { "" }
    )]
    MovedBefore {
        /// The source.
        source_path: String,
        /// When it was moved.
        at: String,
        /// Where to.
        place: String,
        /// How many rows.
        rows: i64,
        /// Database, host and role of this start.
        target: String,
        /// Whether everybody who has an account in the source has one in PostgreSQL.
        restored: bool,
    },
    /// A receipt is there, and nobody knows what it says.
    #[error(
        "a receipt beside {source_path} says that its data was moved before, and {target} has no record of a move: {why}"
    )]
    ReceiptUnreadable {
        /// The source.
        source_path: String,
        /// Database, host and role of this start.
        target: String,
        /// Why it cannot be read.
        why: String,
    },
    /// `adopt` in front of a PostgreSQL that is not known to hold the moved data.
    #[error("no move is recorded in {target}, and none was recorded now: {why}")]
    NothingToAdopt {
        /// Database, host and role.
        target: String,
        /// What is missing.
        why: String,
    },
    /// The tables in PostgreSQL are another application's.
    #[error("{target} is another application's database: {why}")]
    Strangers {
        /// Database, host and role.
        target: String,
        /// What shows it.
        why: String,
    },
    /// `WEBUI_INIT_SQLITE_PATH` names a file that is not there.
    #[error("WEBUI_INIT_SQLITE_PATH names {source_path}, and there is no such file")]
    NamedAbsent {
        /// The source.
        source_path: String,
    },
    /// The data folder is missing.
    #[error("the data folder {folder} does not exist, and PostgreSQL has no users yet")]
    NoFolder {
        /// The folder.
        folder: String,
    },
    /// People have used the app here, and the file is not there.
    #[error(
        "there is no {source_path}, but people have used Open WebUI here: {traces} is there. PostgreSQL has no users yet"
    )]
    Traces {
        /// The source.
        source_path: String,
        /// What they left.
        traces: String,
    },
    /// `WEBUI_INIT_SOURCE=required`, and there is no data to move.
    #[error(
        "WEBUI_INIT_SOURCE=required asks for data to move, and {source_path} {}. PostgreSQL has no users yet",
        if *there { "has no users" } else { "is not there" }
    )]
    Required {
        /// The source.
        source_path: String,
        /// Whether the file is there.
        there: bool,
    },
}

/// How a fresh start is asked for.
const FRESH: &str = "If Open WebUI is to start empty: WEBUI_INIT_SOURCE=none.";

impl Refusal {
    /// Its row.
    pub(crate) fn row(&self) -> Row {
        let code = match self {
            Self::NamedAbsent { .. } | Self::NoFolder { .. } => EX_CONFIG,
            _ => EX_DATAERR,
        };
        Row::new(code, Safe::Both, self.next())
    }

    fn next(&self) -> String {
        match self {
            Self::UsersGone { source_path, .. } => format!(
                "if PostgreSQL should still hold the data, restore it from its backup, or correct DATABASE_URL: everything written \
                 since the move is there alone. If {source_path} is to be moved once more, as it is: WEBUI_INIT_MOVE_AGAIN=true for \
                 one start."
            ),
            Self::Returned { .. } => {
                "remove DATABASE_URL to start on webui.db. To move it once more: WEBUI_INIT_MOVE_AGAIN=true and \
                 WEBUI_INIT_ON_CONFLICT=replace for one start."
                    .to_owned()
            }
            Self::MovedBefore { restored: true, .. } => {
                "if this is the moved database, restored from a backup: webui-init adopt records that, and the next start goes on \
                 with it. To start on it without that record: WEBUI_INIT_MOVE_AGAIN=true."
                    .to_owned()
            }
            Self::MovedBefore { place, .. } => format!(
                "everything written since the move is in {place} alone: correct DATABASE_URL, or restore that database from its \
                 backup. If webui.db is to be moved once more, as it is: WEBUI_INIT_MOVE_AGAIN=true for one start."
            ),
            Self::ReceiptUnreadable { .. } => {
                "find out where the data was moved to: everything written since is there alone. If webui.db is to be moved, as it \
                 is: WEBUI_INIT_MOVE_AGAIN=true for one start."
                    .to_owned()
            }
            Self::NothingToAdopt { .. } => {
                "adopt is for the moved database, restored from a backup without schema webui_init. What else stands there, \
                 webui-init plan tells."
                    .to_owned()
            }
            Self::Strangers { .. } => {
                "correct DATABASE_URL, or give Open WebUI a database of its own: CREATE DATABASE openwebui. If a newer Open WebUI \
                 has used this one, start that version or a newer one."
                    .to_owned()
            }
            Self::NamedAbsent { .. } => format!(
                "correct WEBUI_INIT_SQLITE_PATH, or mount the volume that holds the file. {FRESH}"
            ),
            Self::NoFolder { .. } => format!(
                "mount the volume that holds webui.db there, or let DATA_DIR name its folder. {FRESH}"
            ),
            Self::Traces { .. } => format!(
                "find webui.db and put it back: WEBUI_INIT_SQLITE_PATH names the file, if it lies elsewhere. {FRESH}"
            ),
            Self::Required { .. } => format!(
                "mount the volume that holds webui.db, or let WEBUI_INIT_SQLITE_PATH name the file. {FRESH}"
            ),
        }
    }
}

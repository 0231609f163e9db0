//! Owns the starts that are refused although nothing broke: what was found says that Open WebUI would come up without the
//! data that people expect in it.

use thiserror::Error;

use crate::failure::codes::EX_DATAERR;
use crate::failure::row::{Row, Safe};

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
}

impl Refusal {
    /// Its row.
    pub(crate) fn row(&self) -> Row {
        Row::new(EX_DATAERR, Safe::Both, self.next())
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
        }
    }
}

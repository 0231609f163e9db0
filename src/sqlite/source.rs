//! Owns the open source: its tables, how many people's data it holds, and whether it still is what was opened. What is
//! done with its rows is `load`'s.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

pub(crate) use crate::sqlite::error::{SourceError, is_damage};
pub(crate) use crate::sqlite::locate::{Found, Location, locate};
pub(crate) use crate::sqlite::schema::{Column, Table};
use crate::sqlite::scratch::Scratch;
pub(crate) use crate::sqlite::watch::Fingerprint;
use crate::sqlite::watch::Watch;

/// How many people's data this is, for the log and for telling whether it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(crate) struct Census {
    /// Rows of `user`.
    pub users: i64,
    /// Rows of `chat`.
    pub chats: i64,
    /// The newest `updated_at` of a chat, in the unit of the column (seconds).
    pub newest: Option<i64>,
}

/// An open source, with its schema read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) connection: Connection,
    pub(super) location: Location,
    /// Its Alembic revision; none in the Peewee era.
    pub revision: Option<String>,
    /// Its tables but SQLite's own, sorted by name.
    pub tables: Vec<Table>,
    /// The file whose content this is, as it was when it was opened or copied.
    pub(super) original: (Location, Watch),
    /// Where the private copy lives, if this is one.
    pub(super) scratch: Option<Arc<Scratch>>,
}

impl Source {
    /// The path as configured.
    pub(crate) fn name(&self) -> &str {
        &self.location.name
    }

    /// Bytes of the database and its WAL.
    pub(crate) fn bytes(&self) -> u64 {
        self.location.bytes()
    }

    /// The scratch directory, if this is a private copy in one.
    pub(crate) fn scratch(&self) -> Option<Arc<Scratch>> {
        self.scratch.clone()
    }

    /// The connection, for the reader.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Turns SQLite's error into ours.
    pub(crate) fn failed(&self, source: rusqlite::Error) -> SourceError {
        self.location.sqlite()(source)
    }

    /// The error for a table whose row ids do not ascend.
    pub(crate) fn disordered(&self, table: &str) -> SourceError {
        SourceError::Disordered {
            path: self.location.name.clone(),
            table: table.to_owned(),
        }
    }

    /// Counts users and chats.
    ///
    /// # Errors
    /// SQLite cannot read them.
    pub(crate) fn census(&self) -> Result<Census, SourceError> {
        let has = |table: &str, column: &str| {
            self.tables
                .iter()
                .any(|t| t.name == table && t.columns.iter().any(|c| c.name == column))
        };
        let one = |sql: &str| {
            self.connection
                .query_row(sql, [], |row| row.get(0))
                .map_err(self.location.sqlite())
        };
        let newest = if has("chat", "updated_at") {
            self.connection
                .query_row(
                    "SELECT max(updated_at) FROM chat WHERE typeof(updated_at) = 'integer'",
                    [],
                    |row| row.get(0),
                )
                .map_err(self.location.sqlite())?
        } else {
            None
        };
        Ok(Census {
            users: if has("user", "id") {
                one("SELECT count(*) FROM user")?
            } else {
                0
            },
            chats: if has("chat", "id") {
                one("SELECT count(*) FROM chat")?
            } else {
                0
            },
            newest,
        })
    }

    /// A time in the unit of `chat.updated_at` (seconds since 1970) as people write it, in UTC.
    pub(crate) fn date(&self, time: Option<i64>) -> Option<String> {
        let sql = "SELECT strftime('%Y-%m-%d %H:%M UTC', ?1, 'unixepoch')";
        self.connection
            .query_row(sql, [time?], |row| row.get(0))
            .ok()
            .flatten()
    }

    /// What the marker will remember.
    ///
    /// # Errors
    /// SQLite cannot read it.
    pub(crate) fn fingerprint(&self) -> Result<Fingerprint, SourceError> {
        Ok(Fingerprint {
            stamp: self.original.1.stamp.clone(),
            census: self.census()?,
        })
    }

    /// Checks that nobody wrote to the file since it was opened. A commit by somebody else need not change
    /// size or time of the database, but it cannot avoid all of the WAL, its index and the locks.
    ///
    /// # Errors
    /// Somebody did, or has it open.
    pub(crate) fn check_unchanged(&self) -> Result<(), SourceError> {
        let (original, watch) = &self.original;
        if original.watch()? != *watch || original.open_elsewhere()? {
            return Err(SourceError::Changed {
                path: original.name.clone(),
            });
        }
        Ok(())
    }

    /// Copies everything, the WAL's rows included, into `path` by SQLite's backup API.
    ///
    /// # Errors
    /// A page cannot be read, or `path` not be written.
    pub(crate) fn back_up(&self, path: &Path) -> Result<(), SourceError> {
        let mut copy = Connection::open(path).map_err(self.location.sqlite())?;
        let backup = rusqlite::backup::Backup::new(&self.connection, &mut copy)
            .map_err(self.location.sqlite())?;
        backup
            .run_to_completion(4096, Duration::ZERO, None)
            .map_err(self.location.sqlite())?;
        Ok(())
    }
}

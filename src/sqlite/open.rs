//! Owns how the source is opened without changing a byte on disk, as the table in `sqlite` says, and the refusal of a
//! write-ahead log that is another database's.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::sqlite::error::SourceError;
use crate::sqlite::locate::Location;
use crate::sqlite::schema::tables;
use crate::sqlite::scratch::{Scratch, ScratchError};
use crate::sqlite::source::Source;
use crate::sqlite::wal;
use crate::sqlite::watch::{Fingerprint, Watch};

/// Up to this size a database is checked against its WAL: bytes that take about a second.
const CHECKED_BELOW: u64 = 200_000_000;
/// A larger one only if it is this much younger than its WAL, as after a restore from a backup. An ordinary
/// checkpoint follows its commit at once.
const RESTORED_AFTER_NS: i128 = 60_000_000_000;

impl Location {
    /// Opens the file for reading, as this module's table says. `scratch` is asked for a directory only
    /// where a private copy is needed.
    ///
    /// # Errors
    /// It is not a database, or damaged.
    pub(crate) fn open(
        &self,
        scratch: impl FnOnce() -> Result<Arc<Scratch>, ScratchError>,
    ) -> Result<Source, SourceError> {
        self.check_header()?;
        let watch = self.watch()?;
        if watch.journal {
            return self.open_rolled_back(watch, scratch()?);
        }
        let parameters = if watch.stamp.wal.is_some() {
            "mode=ro&vfs=unix-none"
        } else {
            "immutable=1"
        };
        let has_wal = watch.stamp.wal.is_some();
        let worth_checking = watch.stamp.wal.as_ref().is_some_and(|(_, mtime_ns, _)| {
            watch.stamp.size < CHECKED_BELOW || watch.stamp.mtime_ns > mtime_ns + RESTORED_AFTER_NS
        });
        let committed = if has_wal {
            self.check_commits(&watch)?
        } else {
            None
        };
        let source = self.connect(parameters, (self.clone(), watch), None)?;
        if has_wal {
            source.check_wal(committed, worth_checking)?;
        }
        Ok(source)
    }

    /// Refuses a WAL with commits that SQLite would pass over, before it is asked for anything; says what else cannot be
    /// read. Tells how large the database is after the last commit, in pages.
    fn check_commits(&self, watch: &Watch) -> Result<Option<u32>, SourceError> {
        let path = self.beside("-wal");
        let reading = wal::read(&path, watch.stamp.page_size()).map_err(self.unreadable())?;
        let index = watch.wal_index.as_deref().and_then(wal::index);
        let index = index.filter(|index| index.salts == reading.salts);
        let mixed = index
            .as_ref()
            .is_some_and(|index| index.copied > reading.frames);
        if reading.lost > 0 || mixed {
            return Err(SourceError::LostCommits {
                path: self.name.clone(),
                commits: reading.lost,
            });
        }
        let committed = index.map_or(0, |index| index.frames);
        if committed > reading.frames {
            tracing::warn!(
                "{}-wal is cut off: of {committed} pages that were written to it and committed, {} can be read. What the others held \
                 is lost, for Open WebUI too",
                self.name,
                reading.frames
            );
        } else if reading.torn {
            tracing::warn!(
                "the last transaction in {}-wal is not whole, as after a power failure: it is left out, as Open WebUI would",
                self.name
            );
        }
        Ok(reading.pages)
    }

    /// SQLite must roll an unfinished transaction back before anything can be read. It does so on a copy.
    fn open_rolled_back(&self, watch: Watch, scratch: Arc<Scratch>) -> Result<Source, SourceError> {
        tracing::info!(
            "{} was left in the middle of a transaction; it is rolled back on a private copy",
            self.name
        );
        let path = scratch.path().join("rolled-back.db");
        fs::copy(&self.real, &path).map_err(self.unreadable())?;
        fs::copy(
            self.beside("-journal"),
            scratch.path().join("rolled-back.db-journal"),
        )
        .map_err(self.unreadable())?;
        let copy = Location {
            name: self.name.clone(),
            real: path,
        };
        copy.connect("mode=rw", (self.clone(), watch), Some(scratch))
    }

    pub(super) fn connect(
        &self,
        parameters: &str,
        original: (Location, Watch),
        scratch: Option<Arc<Scratch>>,
    ) -> Result<Source, SourceError> {
        let uri = format!("file:{}?{parameters}", percent_encode(&self.real));
        let flags = OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_READ_ONLY;
        let flags = if parameters == "mode=rw" {
            (flags | OpenFlags::SQLITE_OPEN_READ_WRITE) & !OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            flags
        };
        let connection = Connection::open_with_flags(uri, flags).map_err(self.sqlite())?;
        // Closing must neither checkpoint nor remove a WAL, not even one that holds nothing.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(self.sqlite())?;
        // Exclusive locking keeps the WAL index on the heap: no -shm is made. Temporary tables stay in
        // memory. Nothing in the schema of a file from elsewhere is trusted to call functions.
        connection
            .execute_batch(
                "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;
                 PRAGMA cell_size_check=ON; PRAGMA cache_size=-8192;",
            )
            .map_err(self.sqlite())?;
        let tables = tables(&connection).map_err(self.sqlite())?;
        let revision = if tables.iter().any(|table| table.name == "alembic_version") {
            connection
                .query_row("SELECT version_num FROM alembic_version", [], |row| {
                    row.get(0)
                })
                .optional()
                .map_err(self.sqlite())?
        } else {
            None
        };
        let ours = |name: &str| tables.iter().any(|table| table.name == name);
        if !tables.is_empty() && !ours("alembic_version") && !ours("migratehistory") {
            return Err(self.not_usable(
                "is a SQLite database of another application: it has no history of Open WebUI's migrations",
            ));
        }
        Ok(Source {
            connection,
            location: self.clone(),
            revision,
            tables,
            original,
            scratch,
        })
    }

    /// Whether this file still is what `fingerprint` describes. Equal stamps answer without opening it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn matches(&self, fingerprint: &Fingerprint) -> Result<bool, SourceError> {
        if self.stamp()? == fingerprint.stamp {
            return Ok(true);
        }
        let no_copy = || {
            Err(ScratchError::Unwritable {
                dir: "nowhere".to_owned(),
                source: io::ErrorKind::Unsupported.into(),
            })
        };
        Ok(self.open(no_copy)?.census()? == fingerprint.census)
    }
}

impl Source {
    /// Opens the private copy at `path`, made by [`Source::back_up`], after the app has upgraded it.
    ///
    /// # Errors
    /// As [`Location::open`].
    pub(crate) fn upgraded(
        &self,
        path: &Path,
        scratch: Arc<Scratch>,
    ) -> Result<Source, SourceError> {
        let copy = Location {
            name: self.location.name.clone(),
            real: path.to_owned(),
        };
        copy.connect("mode=rw", self.original.clone(), Some(scratch))
    }

    /// Refuses a WAL that another database has left. SQLite believes it whoever wrote it; but it speaks of
    /// another size, or leaves trees of pages that do not fit together.
    fn check_wal(&self, committed: Option<u32>, pages_too: bool) -> Result<(), SourceError> {
        let failed = self.location.sqlite();
        let pages: u32 = self
            .connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .map_err(&failed)?;
        // The header of a database with a WAL of its own says so (bytes 18 and 19).
        let has_own = &self.original.1.stamp.header[36..40] == "0202";
        let whole = committed.is_none_or(|committed| committed == pages && has_own)
            && (!pages_too
                || self
                    .connection
                    .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
                    .map_err(&failed)?
                    == "ok");
        if whole {
            return Ok(());
        }
        Err(self.location.not_usable(
            "and the write-ahead log (-wal) beside it do not belong together, or one of them is damaged",
        ))
    }
}

/// A path inside a SQLite URI.
pub(super) fn percent_encode(path: &Path) -> String {
    let mut encoded = String::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

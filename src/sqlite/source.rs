//! Owns the source, `webui.db`: finding it, opening it without changing a byte on disk, telling what it is,
//! and noticing that somebody else has it open. What is done with its rows is `plan`'s and `copy`'s.
//!
//! How it is opened follows from what lies beside it (SQLite's documentation, "URI filenames" and
//! "Write-Ahead Logging", 8 and 9):
//!
//! | beside the file | opened as | because |
//! | --- | --- | --- |
//! | nothing | `immutable=1` | no locks, no `-shm`; works on a read-only disk |
//! | a `-wal` with content | `mode=ro&vfs=unix-none`, exclusive | the WAL's rows count, its index stays in memory, nothing is checkpointed |
//! | a hot `-journal` | a private copy | SQLite must roll back before it can read |

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, ffi};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::sqlite::scratch::{Scratch, ScratchError};
use crate::sqlite::wal;

/// Up to this size a database is checked against its WAL: bytes that take about a second.
const CHECKED_BELOW: u64 = 200_000_000;
/// A larger one only if it is this much younger than its WAL, as after a restore from a backup. An ordinary
/// checkpoint follows its commit at once.
const RESTORED_AFTER_NS: i128 = 60_000_000_000;

/// Why the source cannot be moved.
#[derive(Debug, Error)]
pub enum SourceError {
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

/// A table of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its stored columns, in their order.
    pub columns: Vec<Column>,
    /// The name by which the row id can be read; none for `WITHOUT ROWID` tables.
    pub rowid: Option<&'static str>,
}

/// A column of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Whether it is part of the primary key.
    pub key: bool,
    /// Its declared type, which SQLite does not enforce.
    pub declared: String,
    /// Whether it is declared `NOT NULL`.
    pub not_null: bool,
    /// Whether it has a default.
    pub has_default: bool,
}

/// How many people's data this is, for the log and for telling whether it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Census {
    /// Rows of `user`.
    pub users: i64,
    /// Rows of `chat`.
    pub chats: i64,
    /// The newest `updated_at` of a chat, in the unit of the column (seconds).
    pub newest: Option<i64>,
}

/// What the file system and the headers say. Two equal stamps mean the same content, but for a writer that
/// has the file open at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    mtime_ns: i128,
    /// The database header, which holds the change counter, in hexadecimal.
    header: String,
    /// Size, time and header (with its salts) of the WAL.
    wal: Option<(u64, i128, String)>,
}

/// What the marker remembers of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    stamp: Stamp,
    census: Census,
}

/// What is found where `webui.db` should be.
#[derive(Debug)]
pub enum Found {
    /// Nothing (ENOENT, and nothing else).
    Absent,
    /// A file.
    File(Location),
}

/// An existing file that may be the source.
#[derive(Debug, Clone)]
pub struct Location {
    /// The path as configured, for messages.
    name: String,
    /// Where the file really is; SQLite looks for the WAL there.
    real: PathBuf,
}

/// An open source, with its schema read.
#[derive(Debug)]
pub struct Source {
    connection: Connection,
    location: Location,
    /// Its Alembic revision; none in the Peewee era.
    pub revision: Option<String>,
    /// Its tables but SQLite's own, sorted by name.
    pub tables: Vec<Table>,
    /// The file whose content this is, as it was when it was opened or copied.
    original: (Location, Watch),
    /// Where the private copy lives, if this is one.
    scratch: Option<Arc<Scratch>>,
}

/// What must not change between opening and COMMIT: the stamp, and the WAL index that a writer in another
/// process keeps in `-shm`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watch {
    stamp: Stamp,
    wal_index: Option<String>,
    journal: bool,
}

/// Looks for the source.
///
/// # Errors
/// Anything but "no such file": a missing permission or a dangling link must not pass for a fresh start.
pub fn locate(path: &Path) -> Result<Found, SourceError> {
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
    pub fn bytes(&self) -> u64 {
        let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        size(&self.real) + size(&self.beside("-wal"))
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name: OsString = self.real.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    fn unreadable(&self) -> impl Fn(io::Error) -> SourceError {
        let path = self.name.clone();
        move |source| SourceError::Unreadable {
            path: path.clone(),
            source,
        }
    }

    fn sqlite(&self) -> impl Fn(rusqlite::Error) -> SourceError {
        let path = self.name.clone();
        move |source| SourceError::Sqlite {
            path: path.clone(),
            source,
        }
    }

    fn not_usable(&self, what: impl Into<String>) -> SourceError {
        SourceError::NotUsable {
            path: self.name.clone(),
            what: what.into(),
        }
    }

    /// Waits until no other process has the file open.
    ///
    /// # Errors
    /// It still has after `patience`.
    pub fn wait_until_closed(&self, patience: Duration) -> Result<(), SourceError> {
        let deadline = Instant::now() + patience;
        let mut told = false;
        while self.open_elsewhere()? {
            if Instant::now() >= deadline {
                return Err(SourceError::Busy {
                    path: self.name.clone(),
                });
            }
            if !told {
                tracing::info!(
                    "{} is still open in another process; waiting for it to stop",
                    self.name
                );
                told = true;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Whether another process holds SQLite's locks. A connection in WAL mode keeps a shared lock on byte
    /// 128 of `-shm` while it is open ("WAL-mode File Format", 2.3.1); in the other modes a transaction
    /// keeps one on the lock page of the database.
    fn open_elsewhere(&self) -> Result<bool, SourceError> {
        const DEAD_MAN_SWITCH: i64 = 128;
        const PENDING_BYTE: i64 = 0x4000_0000;
        const LOCK_BYTES: i64 = 512;
        Ok(
            locked(&self.beside("-shm"), DEAD_MAN_SWITCH, 1).map_err(self.unreadable())?
                || locked(&self.real, PENDING_BYTE, LOCK_BYTES).map_err(self.unreadable())?,
        )
    }

    /// Reads size, times and headers.
    fn stamp(&self) -> Result<Stamp, SourceError> {
        let (size, mtime_ns, header) = head(&self.real, 0, 100)
            .map_err(self.unreadable())?
            .unwrap_or_default();
        let wal = head(&self.beside("-wal"), 0, 32)
            .map_err(self.unreadable())?
            .filter(|(size, ..)| *size > 0);
        Ok(Stamp {
            size,
            mtime_ns,
            header,
            wal,
        })
    }

    fn watch(&self) -> Result<Watch, SourceError> {
        Ok(Watch {
            stamp: self.stamp()?,
            wal_index: head(&self.beside("-shm"), 0, 96)
                .map_err(self.unreadable())?
                .map(|(.., header)| header),
            journal: self.has_hot_journal()?,
        })
    }

    /// A rollback journal with a valid first byte sequence belongs to a transaction that never ended
    /// ("Database File Format", 3).
    fn has_hot_journal(&self) -> Result<bool, SourceError> {
        const MAGIC: &str = "d9d505f920a163d7";
        let journal = head(&self.beside("-journal"), 0, 8).map_err(self.unreadable())?;
        Ok(journal.is_some_and(|(.., header)| header == MAGIC))
    }

    /// Recognises by its header what SQLite would only call "not a database".
    fn check_header(&self) -> Result<(), SourceError> {
        let mut header = [0; 100];
        let mut file = File::open(&self.real).map_err(self.unreadable())?;
        let size = file.metadata().map_err(self.unreadable())?.len();
        let has_wal = fs::metadata(self.beside("-wal")).is_ok_and(|wal| wal.len() > 0);
        if size == 0 {
            return if has_wal {
                Err(self.not_usable(
                    "is empty, but has a write-ahead log beside it: it was a SQLite database once",
                ))
            } else {
                Ok(())
            };
        }
        let read = file.read(&mut header).map_err(self.unreadable())?;
        if read < 100 {
            return Err(self.not_usable(format!(
                "is not a SQLite database, or cut off: {size} bytes are less than its header"
            )));
        }
        if &header[..16] != b"SQLite format 3\0" {
            // SQLCipher encrypts whole pages, so its files are a multiple of a page of what looks like noise.
            let noise = header
                .iter()
                .filter(|byte| !byte.is_ascii_graphic() && **byte != 0)
                .count()
                > 30;
            return Err(self.not_usable(if size.is_multiple_of(512) && noise {
                "is not a plain SQLite database: its header is not readable, as in a file encrypted with SQLCipher"
            } else {
                "is not a SQLite database: its header says something else"
            }));
        }
        let page_size = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
            1 => 65536,
            size => size,
        };
        let word = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let pages_valid = word(24) == word(92);
        if pages_valid && !has_wal && u64::from(word(28)) * page_size > size {
            return Err(self.not_usable(format!(
                "is cut off: its header speaks of {} bytes, there are {size}",
                u64::from(word(28)) * page_size
            )));
        }
        Ok(())
    }

    /// Opens the file for reading, as this module's table says. `scratch` is asked for a directory only
    /// where a private copy is needed.
    ///
    /// # Errors
    /// It is not a database, or damaged.
    pub fn open(
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
        let source = self.connect(parameters, (self.clone(), watch), None)?;
        if has_wal {
            source.check_wal(worth_checking)?;
        }
        Ok(source)
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

    fn connect(
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
    pub fn matches(&self, fingerprint: &Fingerprint) -> Result<bool, SourceError> {
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
    /// The path as configured.
    pub fn name(&self) -> &str {
        &self.location.name
    }

    /// Bytes of the database and its WAL.
    pub fn bytes(&self) -> u64 {
        self.location.bytes()
    }

    /// The scratch directory, if this is a private copy in one.
    pub fn scratch(&self) -> Option<Arc<Scratch>> {
        self.scratch.clone()
    }

    /// The connection, for the reader.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Turns SQLite's error into ours.
    pub fn failed(&self, source: rusqlite::Error) -> SourceError {
        self.location.sqlite()(source)
    }

    /// The error for a table whose row ids do not ascend.
    pub fn disordered(&self, table: &str) -> SourceError {
        SourceError::Disordered {
            path: self.location.name.clone(),
            table: table.to_owned(),
        }
    }

    /// Counts users and chats.
    ///
    /// # Errors
    /// SQLite cannot read them.
    pub fn census(&self) -> Result<Census, SourceError> {
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
    pub fn date(&self, time: Option<i64>) -> Option<String> {
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
    pub fn fingerprint(&self) -> Result<Fingerprint, SourceError> {
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
    pub fn check_unchanged(&self) -> Result<(), SourceError> {
        let (original, watch) = &self.original;
        if original.watch()? != *watch || original.open_elsewhere()? {
            return Err(SourceError::Changed {
                path: original.name.clone(),
            });
        }
        Ok(())
    }

    /// Opens the private copy at `path`, made by [`Source::back_up`], after the app has upgraded it.
    ///
    /// # Errors
    /// As [`Location::open`].
    pub fn upgraded(&self, path: &Path, scratch: Arc<Scratch>) -> Result<Source, SourceError> {
        let copy = Location {
            name: self.location.name.clone(),
            real: path.to_owned(),
        };
        copy.connect("mode=rw", self.original.clone(), Some(scratch))
    }

    /// Refuses a WAL that another database has left. SQLite believes it whoever wrote it; but it speaks of
    /// another size, or leaves trees of pages that do not fit together.
    fn check_wal(&self, pages_too: bool) -> Result<(), SourceError> {
        let failed = self.location.sqlite();
        let pages: u32 = self
            .connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .map_err(&failed)?;
        let committed = wal::pages_after_last_commit(&self.location.beside("-wal"))
            .map_err(self.location.unreadable())?;
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

    /// Copies everything, the WAL's rows included, into `path` by SQLite's backup API.
    ///
    /// # Errors
    /// A page cannot be read, or `path` not be written.
    pub fn back_up(&self, path: &Path) -> Result<(), SourceError> {
        let mut copy = Connection::open(path).map_err(self.location.sqlite())?;
        let backup = rusqlite::backup::Backup::new(&self.connection, &mut copy)
            .map_err(self.location.sqlite())?;
        backup
            .run_to_completion(4096, Duration::ZERO, None)
            .map_err(self.location.sqlite())?;
        Ok(())
    }
}

/// Whether SQLite says that the content, not the reading of it, is at fault.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(ffi::Error { code, .. }, _) = error else {
        return false;
    };
    matches!(
        code,
        rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase
    )
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM sqlite_schema
         WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name",
    )?;
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    names
        .into_iter()
        .map(|name| table(connection, name))
        .collect()
}

fn table(connection: &Connection, name: String) -> rusqlite::Result<Table> {
    let mut statement = connection
        .prepare("SELECT name, pk, type, \"notnull\", dflt_value IS NOT NULL FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid")?;
    let columns: Vec<Column> = statement
        .query_map([&name], |row| {
            Ok(Column {
                name: row.get(0)?,
                key: row.get::<_, i64>(1)? > 0,
                declared: row.get(2)?,
                not_null: row.get(3)?,
                has_default: row.get(4)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let without: bool = connection.query_row(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1",
        [&name],
        |row| row.get(0),
    )?;
    // A real column may hide one of the three names of the row id.
    let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(|alias| {
        !without
            && !columns
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(alias))
    });
    Ok(Table {
        name,
        columns,
        rowid,
    })
}

/// Whether another process holds any lock on the given bytes. `F_GETLK` takes none itself.
fn locked(path: &Path, start: i64, length: i64) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut lock = libc::flock {
        l_type: narrow(libc::F_WRLCK),
        l_whence: narrow(libc::SEEK_SET),
        l_start: start,
        l_len: length,
        l_pid: 0,
    };
    match fcntl(&file, FcntlArg::F_GETLK(&mut lock)) {
        Ok(_) => Ok(lock.l_type != narrow(libc::F_UNLCK)),
        // A file system without POSIX locks cannot tell; SQLite's own users of it could not lock either.
        Err(
            nix::errno::Errno::ENOLCK | nix::errno::Errno::ENOSYS | nix::errno::Errno::EOPNOTSUPP,
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The system's constants are wider than the fields they are for.
fn narrow(constant: libc::c_int) -> libc::c_short {
    libc::c_short::try_from(constant).unwrap_or_default()
}

/// Size, modification time and the first `length` bytes in hexadecimal; none if there is no such file.
fn head(path: &Path, offset: u64, length: u64) -> io::Result<Option<(u64, i128, String)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    let mtime = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok(Some((metadata.len(), mtime, hex)))
}

/// A path inside a SQLite URI.
fn percent_encode(path: &Path) -> String {
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

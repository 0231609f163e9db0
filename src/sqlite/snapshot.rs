//! Owns a consistent copy of the source, also while somebody else has it open: the app is not disturbed, and not a byte
//! of its files is changed.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use crate::sqlite::error::SourceError;
use crate::sqlite::locate::Location;
use crate::sqlite::open::percent_encode;
use crate::sqlite::scratch::{Scratch, ScratchError};
use crate::sqlite::source::Source;

/// Pages that are copied at once.
const PAGES: i32 = 4096;
/// How often the app may open, close or change the file before it is given up.
const TRIES: u32 = 5;
/// How long the app may keep readers out.
const PATIENCE: Duration = Duration::from_secs(30);

impl Location {
    /// Copies everything, the WAL's rows included, as it is at one moment, into the new file at `path`, and lets SQLite
    /// check the copy. `progress` hears of pages: copied, and all. `scratch` is asked for a directory only where a
    /// transaction that never ended must be rolled back first.
    ///
    /// # Errors
    /// It cannot be read, `path` cannot be written, or the copy does not pass.
    pub(crate) fn copy_to(
        &self,
        path: &Path,
        scratch: impl Fn() -> Result<Arc<Scratch>, ScratchError>,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(), SourceError> {
        let mut tries = 0;
        // Without a WAL, an app that has the file open holds no lock between two transactions.
        let mut in_use = false;
        loop {
            tries += 1;
            let before = self.stamp()?;
            let live = in_use || self.open_elsewhere()?;
            let copied = self.check_header().and_then(|()| {
                if live {
                    self.copy_live(path, progress)
                } else {
                    self.copy_resting(path, &scratch, progress)
                }
            });
            let copied = copied.and_then(|()| self.seal(path));
            match copied {
                // The app was started, or writes.
                Err(SourceError::Changed { .. }) if tries < TRIES => in_use = true,
                // What was read is no one state of the file: it grew between two looks at it, or the app was stopped.
                Err(SourceError::Sqlite { .. } | SourceError::NotUsable { .. })
                    if tries < TRIES && (self.open_elsewhere()? || self.stamp()? != before) =>
                {
                    in_use = !live;
                }
                copied => return copied,
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Opens the source as it is at one moment, for a command that only reads: the file itself where nobody has it open,
    /// else a copy in the directory that `scratch` gives. Tells whether it is a copy.
    ///
    /// # Errors
    /// As [`Location::open`] and [`Location::copy_to`].
    pub(crate) fn open_to_read(
        &self,
        scratch: impl Fn() -> Result<Arc<Scratch>, ScratchError>,
    ) -> Result<(Source, bool), SourceError> {
        if !self.open_elsewhere()? {
            match self.open(&scratch) {
                // It was started at this moment.
                Err(_) if self.open_elsewhere()? => {}
                opened => return Ok((opened?, false)),
            }
        }
        let place = scratch()?;
        let path = place.path().join("snapshot.db");
        self.copy_to(&path, || Ok(Arc::clone(&place)), &|_, _| {})?;
        let copy = Location {
            name: self.name.clone(),
            real: path,
        };
        let original = (self.clone(), self.watch()?);
        Ok((copy.connect("immutable=1", original, Some(place))?, true))
    }

    /// Nobody has it open: it is read as for a move.
    fn copy_resting(
        &self,
        path: &Path,
        scratch: impl FnOnce() -> Result<Arc<Scratch>, ScratchError>,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(), SourceError> {
        let source = self.open(scratch)?;
        self.copy_pages(&source.connection, path, PAGES, progress)?;
        source.check_unchanged()
    }

    /// Somebody has it open. With a WAL, a read transaction sees one moment while others write; without one, each step
    /// locks the file for an instant, and SQLite begins again where somebody wrote between two steps.
    fn copy_live(&self, path: &Path, progress: &dyn Fn(u64, u64)) -> Result<(), SourceError> {
        let uri = format!("file:{}?mode=ro", percent_encode(&self.real));
        let flags = OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_READ_ONLY;
        let live = Connection::open_with_flags(uri, flags).map_err(self.sqlite())?;
        live.busy_timeout(PATIENCE).map_err(self.sqlite())?;
        // The app may stop while this is open: its WAL is left alone all the same.
        live.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(self.sqlite())?;
        live.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;")
            .map_err(self.sqlite())?;
        let mode: String = live
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .map_err(self.sqlite())?;
        if mode == "wal" {
            live.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")
                .map_err(self.sqlite())?;
            return self.copy_pages(&live, path, PAGES, progress);
        }
        match self.copy_pages(&live, path, PAGES, progress) {
            // Somebody writes faster than it is copied: all at once, then, under one lock.
            Err(SourceError::Changed { .. }) => self.copy_pages(&live, path, -1, progress),
            copied => copied,
        }
    }

    fn copy_pages(
        &self,
        source: &Connection,
        path: &Path,
        pages: i32,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(), SourceError> {
        let mut copy = Connection::open(path).map_err(self.sqlite())?;
        let backup = Backup::new(source, &mut copy).map_err(self.sqlite())?;
        let deadline = Instant::now() + PATIENCE;
        let (mut copied, mut restarts) = (0, 0);
        loop {
            let step = backup.step(pages).map_err(self.sqlite())?;
            let seen = backup.progress();
            let now = seen.pagecount.saturating_sub(seen.remaining);
            restarts += u32::from(now < copied);
            copied = now;
            progress(from(copied), from(seen.pagecount));
            match step {
                StepResult::Done => return Ok(()),
                StepResult::More if restarts < TRIES => {}
                StepResult::Busy | StepResult::Locked if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                StepResult::More => {
                    return Err(SourceError::Changed {
                        path: self.name.clone(),
                    });
                }
                _ => {
                    return Err(SourceError::Busy {
                        path: self.name.clone(),
                    });
                }
            }
        }
    }

    /// Makes one file of the copy that needs no WAL, lets SQLite check it, and waits until it is on the disk.
    fn seal(&self, path: &Path) -> Result<(), SourceError> {
        let copy = Connection::open(path).map_err(self.sqlite())?;
        copy.execute_batch("PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF")
            .map_err(self.sqlite())?;
        let mode: String = copy
            .query_row("PRAGMA journal_mode=DELETE", [], |row| row.get(0))
            .map_err(self.sqlite())?;
        let verdict: String = copy
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(self.sqlite())?;
        drop(copy);
        if (mode.as_str(), verdict.as_str()) != ("delete", "ok") {
            return Err(self.not_usable(format!(
                "is damaged: a copy of it does not pass SQLite's integrity check ({verdict})"
            )));
        }
        File::open(path)
            .and_then(|file| file.sync_all())
            .map_err(self.unreadable())
    }
}

impl Source {
    /// Copies everything into the new file at `path`, as [`Location::copy_to`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn copy_to(
        &self,
        path: &Path,
        progress: &dyn Fn(u64, u64),
    ) -> Result<(), SourceError> {
        let original = &self.original.0;
        original.copy_pages(&self.connection, path, PAGES, progress)?;
        original.seal(path)
    }

    /// A file name that tells which content it is: the day of the last change, and a digest of what tells this file's
    /// state from any other.
    ///
    /// # Errors
    /// SQLite cannot format a time.
    pub(crate) fn backup_name(&self) -> Result<String, SourceError> {
        let stamp = &self.original.1.stamp;
        let written = stamp
            .wal
            .as_ref()
            .map_or(stamp.mtime_ns, |wal| wal.1.max(stamp.mtime_ns));
        let seconds = i64::try_from(written / 1_000_000_000).unwrap_or_default();
        let sql = "SELECT strftime('%Y-%m-%d', ?1, 'unixepoch')";
        let day: String = self
            .connection
            .query_row(sql, [seconds], |row| row.get(0))
            .map_err(self.location.sqlite())?;
        let state = serde_json::to_string(stamp).unwrap_or_default();
        let digest = Sha256::digest(state);
        let short = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Ok(format!("webui-{day}-{short:08x}.db"))
    }
}

fn from(pages: i32) -> u64 {
    u64::try_from(pages).unwrap_or_default()
}

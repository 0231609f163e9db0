//! Owns noticing that somebody else has the source open, or has written to it: locks, sizes, times and headers.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};

use crate::sqlite::error::SourceError;
use crate::sqlite::locate::Location;
use crate::sqlite::source::Census;

/// What the file system and the headers say. Two equal stamps mean the same content, but for a writer that
/// has the file open at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) mtime_ns: i128,
    /// The database header, which holds the change counter, in hexadecimal.
    pub(super) header: String,
    /// Size, time and header (with its salts) of the WAL.
    pub(super) wal: Option<(u64, i128, String)>,
}

impl Stamp {
    /// Bytes of a page of the database; 0 where its header does not say.
    pub(super) fn page_size(&self) -> usize {
        let digits = self.header.get(32..36).unwrap_or_default();
        match usize::from_str_radix(digits, 16) {
            Ok(1) => 65536,
            Ok(size) => size,
            Err(_) => 0,
        }
    }
}

/// What the marker remembers of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub(super) stamp: Stamp,
    pub(super) census: Census,
}

/// What must not change between opening and COMMIT: the stamp, and the WAL index that a writer in another
/// process keeps in `-shm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) stamp: Stamp,
    /// The header of the WAL's index, and how far the WAL has been copied into the database.
    pub(super) wal_index: Option<Vec<u8>>,
    pub(super) journal: bool,
}

impl Location {
    /// Waits until no other process has the file open.
    ///
    /// # Errors
    /// It still has after `patience`.
    pub(crate) fn wait_until_closed(&self, patience: Duration) -> Result<(), SourceError> {
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
    pub(super) fn open_elsewhere(&self) -> Result<bool, SourceError> {
        const DEAD_MAN_SWITCH: i64 = 128;
        const PENDING_BYTE: i64 = 0x4000_0000;
        const LOCK_BYTES: i64 = 512;
        Ok(
            locked(&self.beside("-shm"), DEAD_MAN_SWITCH, 1).map_err(self.unreadable())?
                || locked(&self.real, PENDING_BYTE, LOCK_BYTES).map_err(self.unreadable())?,
        )
    }

    /// Reads size, times and headers.
    pub(super) fn stamp(&self) -> Result<Stamp, SourceError> {
        let (size, mtime_ns, header) = head(&self.real, 100)
            .map_err(self.unreadable())?
            .unwrap_or_default();
        let wal = head(&self.beside("-wal"), 32)
            .map_err(self.unreadable())?
            .filter(|(size, ..)| *size > 0);
        Ok(Stamp {
            size,
            mtime_ns,
            header: hex(&header),
            wal: wal.map(|(size, mtime_ns, header)| (size, mtime_ns, hex(&header))),
        })
    }

    pub(super) fn watch(&self) -> Result<Watch, SourceError> {
        Ok(Watch {
            stamp: self.stamp()?,
            wal_index: head(&self.beside("-shm"), 100)
                .map_err(self.unreadable())?
                .map(|(.., header)| header),
            journal: self.has_hot_journal()?,
        })
    }

    /// A rollback journal with a valid first byte sequence belongs to a transaction that never ended
    /// ("Database File Format", 3).
    fn has_hot_journal(&self) -> Result<bool, SourceError> {
        const MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
        let journal = head(&self.beside("-journal"), 8).map_err(self.unreadable())?;
        Ok(journal.is_some_and(|(.., header)| header == MAGIC))
    }
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

/// Size, modification time and the first `length` bytes; none if there is no such file.
fn head(path: &Path, length: u64) -> io::Result<Option<(u64, i128, Vec<u8>)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    let mtime = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Ok(Some((metadata.len(), mtime, bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

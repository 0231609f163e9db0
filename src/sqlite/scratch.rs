//! Owns the scratch directory: where the private copy of the source is upgraded. It is removed when its
//! value goes out of scope, and what an earlier crash left of it is removed before a new one is made.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use thiserror::Error;

const PREFIX: &str = ".webui-init-scratch-";

/// Why there is no place for the copy.
#[derive(Debug, Error)]
pub(crate) enum ScratchError {
    /// The disk is too small.
    #[error("{dir} has {free} bytes free, the private copy of the old database needs {needed}")]
    NoSpace {
        /// The directory.
        dir: String,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// No candidate can be written.
    #[error("no scratch directory can be made in {dir}")]
    Unwritable {
        /// The last candidate.
        dir: String,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// An empty directory of our own, with mode 0700.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    /// Tells others that this directory is in use, for as long as this process lives.
    _lock: File,
}

/// Removes what earlier processes left in `parent`. Another one may be at work there, for another target: its
/// directory is locked.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        match File::open(entry.path()).map(|folder| folder.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => fs::remove_dir_all(entry.path())?,
        }
    }
    Ok(())
}

/// Removes a scratch directory, in which another thread may still be at work, or be removing it too.
pub(crate) fn remove(path: &Path) {
    const PAUSE: Duration = Duration::from_millis(10);
    let mut tries = 30;
    loop {
        match fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) if tries == 0 => {
                return tracing::warn!(
                    "{} could not be removed: {error}; the next start tries again",
                    path.display()
                );
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
        tries -= 1;
    }
}

/// A name that no other process makes at the same time, in whatever PID namespace it lives.
fn unique() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{random:016x}")
}

/// Makes sure that `needed` bytes are free in `folder`.
fn room_in(folder: &Path, needed: u64) -> Result<(), ScratchError> {
    let dir = folder.display().to_string();
    let free = statvfs(folder).map_err(|error| ScratchError::Unwritable {
        dir: dir.clone(),
        source: error.into(),
    })?;
    let free = free.blocks_available() * free.fragment_size();
    if free < needed {
        return Err(ScratchError::NoSpace { dir, free, needed });
    }
    Ok(())
}

impl Scratch {
    /// Removes what processes that are gone left in these places; what cannot be removed is left to the next start.
    pub(crate) fn remove_abandoned(places: &[PathBuf]) {
        for place in places {
            if let Err(error) = sweep(place) {
                tracing::debug!(
                    "no looking for scratch directories in {}: {error}",
                    place.display()
                );
            }
        }
    }

    /// Makes the directory in the first candidate that is writable and has `needed` bytes free.
    ///
    /// # Errors
    /// None has; the last candidate's reason is told.
    pub(crate) fn prepare(candidates: &[PathBuf], needed: u64) -> Result<Self, ScratchError> {
        let mut failure = None;
        for candidate in candidates {
            match Self::prepare_in(candidate, needed) {
                Ok(scratch) => return Ok(scratch),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| ScratchError::Unwritable {
            dir: "nowhere".to_owned(),
            source: io::ErrorKind::NotFound.into(),
        }))
    }

    /// Whether [`Scratch::prepare`] would find a place, asked without making anything.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn foresee(candidates: &[PathBuf], needed: u64) -> Result<(), ScratchError> {
        let mut failure = Err(ScratchError::Unwritable {
            dir: "nowhere".to_owned(),
            source: io::ErrorKind::NotFound.into(),
        });
        for candidate in candidates {
            let may_write = access(candidate, AccessFlags::W_OK | AccessFlags::X_OK);
            let foreseen = match may_write {
                Ok(()) => room_in(candidate, needed),
                Err(error) => Err(ScratchError::Unwritable {
                    dir: candidate.display().to_string(),
                    source: error.into(),
                }),
            };
            if foreseen.is_ok() {
                return Ok(());
            }
            failure = foreseen;
        }
        failure
    }

    fn prepare_in(parent: &Path, needed: u64) -> Result<Self, ScratchError> {
        let unwritable = |source| ScratchError::Unwritable {
            dir: parent.display().to_string(),
            source,
        };
        sweep(parent).map_err(unwritable)?;
        let path = parent.join(format!("{PREFIX}{}", unique()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(unwritable)?;
        let lock = File::open(&path).map_err(unwritable)?;
        // Where the file system knows no locks, nobody else can tell either.
        let _ = lock.try_lock();
        let scratch = Self { path, _lock: lock };
        scratch.require(needed)?;
        Ok(scratch)
    }

    /// Makes sure that `needed` bytes are free here.
    ///
    /// # Errors
    /// They are not.
    pub(crate) fn require(&self, needed: u64) -> Result<(), ScratchError> {
        room_in(&self.path, needed)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_a_crash_left_and_itself() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("webui.db"), "left").unwrap();
        let scratch = Scratch::prepare(&[parent.path().to_owned()], 0).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        assert!(!left.exists());
        // Another process at work is left alone.
        let other = Scratch::prepare(&[parent.path().to_owned()], 0).unwrap();
        assert!(scratch.path().exists());
        drop((scratch, other));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn skips_a_candidate_that_is_not_there_and_tells_of_a_full_one() {
        let parent = tempfile::tempdir().unwrap();
        let candidates = ["/nonexistent".into(), parent.path().to_owned()];
        assert!(Scratch::prepare(&candidates, 0).is_ok());
        assert!(matches!(
            Scratch::prepare(&candidates, u64::MAX),
            Err(ScratchError::NoSpace { .. })
        ));
    }
}

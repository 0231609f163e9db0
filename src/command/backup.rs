//! Owns backups of the old database: a proven copy in a file of its own, whole or not there at all. `webui-init backup`
//! makes one at any time, `WEBUI_INIT_BACKUP` one before a move.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::command::frame::Controls;
use crate::failpoint;
use crate::failure::Failure;
use crate::failure::file::FileError;
use crate::output::progress::{self, Reporter};
use crate::settings::SourceSettings;
use crate::sqlite::source::{self, Found, Source, SourceError};
use crate::sqlite::thread::{off_thread, on_source};

/// A copy that is complete.
#[derive(Debug, Serialize)]
pub(crate) struct Backup {
    /// The database that was copied.
    pub source: String,
    /// The copy.
    pub path: String,
    /// Bytes of the copy.
    pub bytes: u64,
    /// Whether it is compressed (gzip).
    pub compressed: bool,
}

impl Backup {
    fn of(source: &str, path: &Path, compressed: bool) -> Self {
        Self {
            source: source.to_owned(),
            path: path.display().to_string(),
            bytes: fs::metadata(path).map_or(0, |metadata| metadata.len()),
            compressed,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        format!(
            "{} was copied to {} ({}{}), and the copy passed SQLite's integrity check",
            self.source,
            self.path,
            progress::bytes(self.bytes),
            if self.compressed { ", gzip" } else { "" },
        )
    }
}

/// Copies the old database to `to`, which must not be there yet.
///
/// # Errors
/// There is none, no room or no permission, or the copy does not pass SQLite's check. Nothing is left at `to` then.
pub(crate) async fn back_up(
    settings: &SourceSettings,
    controls: &Controls,
    to: &Path,
    compressed: bool,
) -> Result<Backup, Failure> {
    let to = std::path::absolute(to).map_err(|error| cannot_write(to, error))?;
    if fs::symlink_metadata(&to).is_ok() {
        return Err(FileError::Exists(to.display().to_string()).into());
    }
    let Found::File(location) = source::locate(&settings.source)? else {
        let name = settings.source.display().to_string();
        return Err(FileError::NothingToCopy(name).into());
    };
    let name = location.name().to_owned();
    let bytes = location.bytes();
    // A compressed copy lies beside the plain one until it is complete.
    let room = bytes.saturating_mul(1 + u64::from(compressed));
    let work = controls
        .make_scratch_in(&[folder_of(&to)], room)
        .map_err(FileError::NoPlace)?;
    let copy = work.path().join("backup.db");
    let (path, reporter) = (copy.clone(), entered(controls, bytes));
    let rolled_back_in = Arc::clone(&work);
    off_thread(move || {
        let scratch = || {
            rolled_back_in
                .require(bytes)
                .map(|()| rolled_back_in.clone())
        };
        location.copy_to(&path, scratch, &|copied, all| {
            tell(&reporter, bytes, copied, all);
        })
    })
    .await?;
    let whole = if compressed {
        controls.reporter.stage("compressing the copy");
        pack(copy, work.path().join("backup.db.gz")).await?
    } else {
        copy
    };
    publish(&whole, &to)?;
    Ok(Backup::of(&name, &to, compressed))
}

/// Copies the source of a move into `folder`, under a name that tells which content it is: a move that is tried again finds
/// its backup there.
///
/// # Errors
/// As [`back_up`].
pub(crate) async fn back_up_source(
    controls: &Controls,
    source: Source,
    folder: &Path,
) -> Result<Source, Failure> {
    let to = folder.join(source.backup_name()?);
    if fs::symlink_metadata(&to).is_ok_and(|metadata| metadata.is_file()) {
        tracing::info!("the backup {} is there already", to.display());
        return Ok(source);
    }
    let bytes = source.bytes();
    let work = controls
        .make_scratch_in(&[folder.to_owned()], bytes)
        .map_err(FileError::NoPlace)?;
    let copy = work.path().join("backup.db");
    let (path, reporter) = (copy.clone(), entered(controls, bytes));
    let (source, ()) = on_source(source, move |source| {
        source.copy_to(&path, &|copied, all| tell(&reporter, bytes, copied, all))
    })
    .await?;
    publish(&copy, &to)?;
    tracing::info!("{}", Backup::of(source.name(), &to, false).text());
    Ok(source)
}

fn entered(controls: &Controls, bytes: u64) -> Reporter {
    controls.reporter.stage("copying the old database");
    controls.reporter.update(|seen| seen.source_bytes = bytes);
    controls.reporter.clone()
}

fn tell(reporter: &Reporter, bytes: u64, copied: u64, all: u64) {
    reporter.update(|seen| seen.bytes = bytes.saturating_mul(copied) / all.max(1));
}

async fn pack(copy: PathBuf, packed: PathBuf) -> Result<PathBuf, Failure> {
    let path = packed.clone();
    let work = move || -> io::Result<()> {
        let mut plain = BufReader::with_capacity(1 << 20, File::open(&copy)?);
        let file = BufWriter::new(File::create_new(&packed)?);
        let mut encoder = GzEncoder::new(file, Compression::default());
        io::copy(&mut plain, &mut encoder)?;
        let mut file = encoder.finish()?;
        file.flush()?;
        file.get_ref().sync_all()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => Ok(path),
        Ok(Err(error)) => Err(cannot_write(&path, error).into()),
        Err(lost) => Err(SourceError::ThreadLost(lost).into()),
    }
}

/// Gives the complete file its name, unless that is taken: a hard link never replaces anything.
fn publish(whole: &Path, to: &Path) -> Result<(), Failure> {
    failpoint::or_fail(failpoint::BACKUP_COMPLETE).map_err(|error| cannot_write(to, error))?;
    let linked = match fs::hard_link(whole, to) {
        // A file system without hard links: an empty file of ours holds the name until the rename.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            File::create_new(to).and_then(|_| fs::rename(whole, to))
        }
        linked => linked,
    };
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(FileError::Exists(to.display().to_string()).into())
        }
        Err(error) => Err(cannot_write(to, error).into()),
        Ok(()) => File::open(folder_of(to))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| cannot_write(to, error).into()),
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

fn cannot_write(path: &Path, source: io::Error) -> FileError {
    FileError::CannotWrite {
        path: path.display().to_string(),
        source,
    }
}

//! Owns the rows of `webui.db` and of the scratch directory.

use std::io::ErrorKind;

use crate::failure::codes::{
    EX_CANTCREAT, EX_DATAERR, EX_IOERR, EX_NOPERM, EX_SOFTWARE, EX_TEMPFAIL,
};
use crate::failure::row::{Row, Safe};
use crate::output::progress::bytes;
use crate::sqlite::scratch::ScratchError;
use crate::sqlite::source::{SourceError, is_damage};

const RESTORE: &str = "copy webui.db again, together with webui.db-wal, while Open WebUI is stopped; or restore both from one backup. \
                       Without a backup, `sqlite3 webui.db .recover` makes a new file of what can be read in a copy.";

const LOST_COMMITS: &str = "restore webui.db and webui.db-wal, both from one backup. Without one, keep a copy of both, start the Open WebUI \
                            that last ran on them without DATABASE_URL, and look at what is missing (SQLite drops those commits \
                            without a word); stop it, and start again: what is left is moved then.";

/// The row of an error of the source.
pub(super) fn of_source(error: &SourceError) -> Row {
    match error {
        SourceError::Unreadable { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            Row::new(
                EX_NOPERM,
                Safe::Both,
                format!(
                    "let this container's user (uid {}) read webui.db, webui.db-wal and their folder: chown or chmod them, or set the \
                     container's user to the one that Open WebUI ran as.",
                    nix::unistd::geteuid()
                ),
            )
        }
        SourceError::Unreadable { .. } => Row::new(
            EX_IOERR,
            Safe::Both,
            "check that the data volume is mounted where DATA_DIR says, and that webui.db is no link to something that is gone.",
        ),
        SourceError::Scratch(error) => of_scratch(error),
        SourceError::NotUsable { what, .. } => Row::new(EX_DATAERR, Safe::Both, not_usable(what)),
        SourceError::LostCommits { .. } => Row::new(EX_DATAERR, Safe::Both, LOST_COMMITS),
        SourceError::Newer { .. } => Row::new(
            EX_DATAERR,
            Safe::Both,
            "use the Open WebUI version that last ran on this webui.db, or a newer one; older versions cannot read it.",
        ),
        SourceError::Busy { .. } | SourceError::Changed { .. } => Row::new(
            EX_TEMPFAIL,
            Safe::Both,
            "stop the other container or process that uses this data volume (on a deploy, the old instance has to stop first); the \
             next start tries again by itself.",
        ),
        SourceError::Disordered { .. } => Row::new(EX_DATAERR, Safe::Both, RESTORE),
        SourceError::Sqlite { source, .. } if is_damage(source) => {
            Row::new(EX_DATAERR, Safe::Both, RESTORE)
        }
        SourceError::Sqlite { source, .. }
            if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
        {
            Row::new(EX_CANTCREAT, Safe::Both, ROOM)
        }
        SourceError::Sqlite { .. } => Row::new(
            EX_IOERR,
            Safe::Both,
            "check the disk that holds webui.db; the system's log may say more.",
        ),
        SourceError::ThreadLost(_) => {
            Row::new(EX_SOFTWARE, Safe::Both, "please report this with the log.")
        }
    }
}

const ROOM: &str = "make room there, or point WEBUI_INIT_SCRATCH_DIR at a disk that has it: the private copy needs room for three times \
                    webui.db, until the move is done.";

/// The row of a scratch directory that cannot be made.
pub(super) fn of_scratch(error: &ScratchError) -> Row {
    match error {
        ScratchError::NoSpace { dir, free, needed } => Row::new(EX_CANTCREAT, Safe::Both, ROOM)
            .because(format!(
                "{dir} has {} free, and the private copy of webui.db needs {}",
                bytes(*free),
                bytes(*needed)
            )),
        ScratchError::Unwritable { .. } => Row::new(
            EX_CANTCREAT,
            Safe::Both,
            "point WEBUI_INIT_SCRATCH_DIR at a folder that exists and that this container's user may write to.",
        ),
    }
}

fn not_usable(what: &str) -> &'static str {
    let is = |words: &str| what.contains(words);
    if is("SQLCipher") {
        "if the file is encrypted, decrypt a copy (`sqlcipher`, then `sqlcipher_export`) and point WEBUI_INIT_SQLITE_PATH to it. If it \
         is not, restore webui.db from a backup."
    } else if is("cut off") || is("write-ahead log") {
        RESTORE
    } else if is("not a file") {
        "Docker makes an empty folder where a bind mount names a file that is absent: correct the mount, remove the folder, and put \
         webui.db in its place."
    } else if is("another application") {
        "set WEBUI_INIT_SQLITE_PATH to Open WebUI's own webui.db."
    } else {
        "put the right webui.db in place (keep this file and its webui.db-wal until you know what they are), or set \
         WEBUI_INIT_SQLITE_PATH to it."
    }
}

//! Owns the end that is not good: the one place that turns an error into an exit code (sysexits), what was
//! left untouched, and the next step to take.

mod refusal;

use std::fmt;

use thiserror::Error;

use crate::app::AppError;
use crate::app::names;
use crate::app::upgrade::UpgradeError;
use crate::ledger::LedgerError;
use crate::load::error::CopyError;
use crate::load::other_types::InputError;
use crate::load::proof::VerifyError;
use crate::postgres::error::{Class, TargetError, classify};
use crate::process::exec::ExecError;
use crate::settings::SettingsError;
use crate::sqlite::scratch::ScratchError;
use crate::sqlite::source::{self, SourceError};

pub use refusal::Refusal;

/// Wrong usage of the command line.
pub const EX_USAGE: u8 = 64;
/// The data is at fault.
pub const EX_DATAERR: u8 = 65;
/// PostgreSQL cannot be reached.
pub const EX_UNAVAILABLE: u8 = 69;
/// A fault of this program.
pub const EX_SOFTWARE: u8 = 70;
/// No space for the scratch copy.
pub const EX_CANTCREAT: u8 = 73;
/// An I/O error on the way.
pub const EX_IOERR: u8 = 74;
/// Another instance, or process, was in the way too long.
pub const EX_TEMPFAIL: u8 = 75;
/// The app's own schema step failed.
pub const EX_PROTOCOL: u8 = 76;
/// Refused: password, role or privilege.
pub const EX_NOPERM: u8 = 77;
/// Configuration.
pub const EX_CONFIG: u8 = 78;
/// The command to exec cannot be run.
pub const CANNOT_RUN: u8 = 126;
/// The command to exec is not there.
pub const NOT_FOUND: u8 = 127;

/// Why this instance does not move what there is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// `ENABLE_DB_MIGRATIONS=false`.
    MayNot,
    /// A move was begun, and this instance does not see the old database, or one without users.
    SeesNoSource,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MayNot => {
                "there is data to move, and ENABLE_DB_MIGRATIONS=false leaves that to another instance"
            }
            Self::SeesNoSource => {
                "a move into this database was begun and is not complete, and this instance sees no old database with users, so it is left \
                 to another one"
            }
        })
    }
}

/// Everything that can end the program but success.
#[derive(Debug, Error)]
pub enum Failure {
    /// The command line.
    #[error("{0}")]
    Usage(String),
    /// The environment.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The marker, or the lock.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The scratch directory.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The app's own schema step.
    #[error(transparent)]
    App(#[from] AppError),
    /// The move.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The proof.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The app's command.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// `WEBUI_INIT_ON_CONFLICT=fail`.
    #[error(
        "PostgreSQL is in use ({tables} hold rows), has no marker of a move, and {source_path} has users too"
    )]
    Conflict {
        /// Tables that hold rows.
        tables: String,
        /// The source.
        source_path: String,
    },
    /// What was found speaks against a start.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A command that needs PostgreSQL, and `DATABASE_URL` names none.
    #[error("DATABASE_URL names no PostgreSQL")]
    NoTarget,
    /// `verify` without a source.
    #[error("there is no {0} to compare PostgreSQL with")]
    NothingToCompare(String),
    /// `backup` without a source.
    #[error("there is no {0} to copy")]
    NothingToCopy(String),
    /// No place for a backup.
    #[error("no backup can be made")]
    NoBackup(#[source] ScratchError),
    /// A file to be made is there already.
    #[error("{0} is there already, and nothing is ever overwritten")]
    FileExists(String),
    /// A file to be made cannot be written.
    #[error("{path} cannot be written")]
    CannotWrite {
        /// The file.
        path: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// `verify` found rows missing.
    #[error("{0} rows of the old database are missing in PostgreSQL")]
    Missing(u64),
    /// `verify` found no record of a move.
    #[error(
        "nothing has been moved into {target}: it has no record of a move ({missing} rows of the old database are not there)"
    )]
    NeverMoved {
        /// Database, host and role.
        target: String,
        /// Rows that PostgreSQL does not hold.
        missing: u64,
    },
    /// Another instance was to move the data, and none did.
    #[error("{why}, but none has completed it within {waited} s")]
    NotThisInstance {
        /// Seconds waited.
        waited: u64,
        /// Why it was left to another one.
        why: Absent,
    },
    /// Accounts at which the app's own upgrade would stop.
    #[error(
        "in {source_path}, accounts share an e-mail address but for its case, and this image's upgrade takes an address once only: {accounts}"
    )]
    SharedAddresses {
        /// The source.
        source_path: String,
        /// Their ids.
        accounts: String,
    },
    /// What would be committed has lost people.
    #[error("{source_path} has {had} users, but {left} would be left after {step}")]
    UsersLost {
        /// The source.
        source_path: String,
        /// Users in it.
        had: i64,
        /// Users that would be left.
        left: i64,
        /// Where they were lost.
        step: &'static str,
    },
    /// `WEBUI_INIT_LEFTOVERS=fail`.
    #[error(
        "{count} rows or values cannot be stored as they are, and WEBUI_INIT_LEFTOVERS=fail\n{summary}"
    )]
    Leftovers {
        /// How many.
        count: u64,
        /// Which.
        summary: String,
    },
    /// A signal.
    #[error("ended by signal {name}")]
    Interrupted {
        /// Its name.
        name: &'static str,
        /// Its number.
        number: u8,
    },
    /// The operating system refused something basic.
    #[error("the program could not start its runtime")]
    Runtime(#[from] std::io::Error),
    /// What was found could not be written.
    #[error("the answer could not be written to stdout")]
    Output(#[source] std::io::Error),
}

impl Failure {
    /// The exit code of the contract.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EX_USAGE,
            Self::Target(error) => of_target(error),
            Self::Ledger(error) => of_ledger(error),
            Self::Source(error) => of_source(error),
            Self::Refused(refusal) => refusal.code(),
            Self::CannotWrite { source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                EX_NOPERM
            }
            Self::Scratch(_)
            | Self::NoBackup(_)
            | Self::FileExists(_)
            | Self::CannotWrite { .. } => EX_CANTCREAT,
            Self::Copy(error) => of_copy(error),
            Self::Verify(VerifyError::Target(error)) => during_the_move(error),
            Self::Verify(VerifyError::Differs { .. }) | Self::Runtime(_) => EX_SOFTWARE,
            Self::Exec(ExecError::NotFound(_)) => NOT_FOUND,
            Self::Exec(ExecError::CannotRun { .. }) => CANNOT_RUN,
            Self::Conflict { .. }
            | Self::Leftovers { .. }
            | Self::Missing(_)
            | Self::NeverMoved { .. }
            | Self::SharedAddresses { .. }
            | Self::UsersLost { .. } => EX_DATAERR,
            Self::Settings(_)
            | Self::NothingToCompare(_)
            | Self::NothingToCopy(_)
            | Self::NoTarget
            | Self::App(AppError::SchemaUnknown { .. }) => EX_CONFIG,
            Self::App(_) => EX_PROTOCOL,
            Self::NotThisInstance { .. } => EX_TEMPFAIL,
            Self::Output(_) => EX_IOERR,
            Self::Interrupted { number, .. } => 128 + number,
        }
    }

    /// What the operator should do now.
    pub fn advice(&self) -> String {
        match self {
            Self::Usage(_) => "webui-init --help shows the commands.".to_owned(),
            Self::Settings(_) => "Correct these variables and start again.".to_owned(),
            Self::Target(error) | Self::Verify(VerifyError::Target(error)) => advice_on_target(error),
            Self::Ledger(error) => advice_on_ledger(error),
            Self::Source(error) => advice_on_source(error),
            Self::Refused(refusal) => refusal.next(),
            Self::Scratch(_) => {
                "Make room, or point WEBUI_INIT_SCRATCH_DIR at a disk with room for twice the old database.".to_owned()
            }
            Self::App(error) => advice_on_app(error).to_owned(),
            Self::Copy(error) => advice_on_copy(error),
            Self::Verify(VerifyError::Differs { .. }) => {
                "This should be impossible; please report it with the log. Removing DATABASE_URL brings the old database back.".to_owned()
            }
            Self::Exec(_) => "Correct the container's command (CMD); the database is not at fault.".to_owned(),
            Self::Conflict { .. } => "Decide which database is the right one: WEBUI_INIT_ON_CONFLICT=keep starts on PostgreSQL as it \
                 is, =replace moves the old database in and keeps what is in PostgreSQL in a schema of its own."
                .to_owned(),
            Self::NoTarget => "Set DATABASE_URL to postgresql://USER:PASSWORD@HOST/DATABASE.".to_owned(),
            Self::NoBackup(_) | Self::FileExists(_) | Self::CannotWrite { .. } => {
                self.advice_on_file().to_owned()
            }
            Self::NothingToCompare(_) | Self::NothingToCopy(_) => {
                "Mount the data volume, or set WEBUI_INIT_SQLITE_PATH to the old database.".to_owned()
            }
            Self::Missing(_) => "If they were deleted in Open WebUI after the move, all is well. Otherwise the old database still \
                 has them: it is untouched."
                .to_owned(),
            Self::NeverMoved { .. } => "Check that DATABASE_URL and DATABASE_SCHEMA name the database that the data was moved to. If no \
                 move was made yet, the next start of Open WebUI with this configuration makes it."
                .to_owned(),
            Self::NotThisInstance { why, .. } => {
                let mut advice = "Start one instance, and only one, with ENABLE_DB_MIGRATIONS=true (the default) and the data volume \
                     mounted; the others follow by themselves."
                    .to_owned();
                if *why == Absent::SeesNoSource {
                    advice.push_str(
                        " If the old database is gone for good and a fresh start is wanted: DELETE FROM webui_init.attempt.",
                    );
                }
                advice
            }
            Self::SharedAddresses { .. } => "Remove DATABASE_URL and start the image that ran before, sign in as an admin, and change the \
                 address of one account of each pair, or delete it; then set DATABASE_URL again. webui-init never merges accounts."
                .to_owned(),
            Self::UsersLost { .. } => "Whoever opens an empty Open WebUI first becomes its admin, so it is not started. Look at the lines \
                 above for what the users were refused for, or at the tables that Open WebUI's schema step made."
                .to_owned(),
            Self::Leftovers { .. } => {
                "Repair these rows in the old database, or accept them with WEBUI_INIT_LEFTOVERS=keep: their originals are then kept \
                 in webui_init.leftover."
                    .to_owned()
            }
            Self::Interrupted { .. } => "The next start begins again from the untouched old database.".to_owned(),
            Self::Output(_) => "Check where stdout leads: a disk may be full.".to_owned(),
            Self::Runtime(_) => "Look at the container's limits for processes, threads and open files.".to_owned(),
        }
    }

    /// What to do about a file that could not be made.
    fn advice_on_file(&self) -> &'static str {
        match self {
            Self::NoBackup(_) => {
                "Name a folder that is there, that this user may write to, and that has room for the copy. Where \
                 WEBUI_INIT_BACKUP asks for a backup, there is no move without it."
            }
            Self::FileExists(_) => "Name a file that is not there yet, or move that one away.",
            _ => {
                "Check that the folder is there, that this user may write to it, and that its disk has room."
            }
        }
    }

    /// What a failure to talk to PostgreSQL is once the move has begun: the app's tables may be there by then.
    #[must_use]
    pub fn in_the_move(self) -> Self {
        match self {
            Self::Target(error) => Self::Copy(CopyError::Target(error)),
            Self::Ledger(error) => Self::Copy(CopyError::Ledger(error)),
            other => other,
        }
    }

    /// What was left as it was.
    pub fn untouched(&self) -> &'static str {
        match self {
            Self::Usage(_)
            | Self::Settings(_)
            | Self::Runtime(_)
            | Self::Output(_)
            | Self::NoTarget
            | Self::NothingToCompare(_)
            | Self::NothingToCopy(_)
            | Self::FileExists(_)
            | Self::NeverMoved { .. }
            | Self::Missing(_) => "Nothing was touched.",
            Self::CannotWrite { .. } => "The old database is untouched, and no half file was left.",
            Self::Copy(CopyError::OutcomeUnknown(_)) => {
                "The old database is untouched. PostgreSQL holds either all of the move or nothing of it."
            }
            Self::Exec(_) => "The databases are in order; only the command could not be started.",
            Self::Interrupted { .. } => {
                "The old database is untouched. PostgreSQL rolls back, unless it was told to commit already: the next start finds out."
            }
            Self::Copy(CopyError::AlreadyMoved) => {
                "The old database is untouched, and its data is in PostgreSQL."
            }
            Self::App(_)
            | Self::Copy(_)
            | Self::Verify(_)
            | Self::Leftovers { .. }
            | Self::UsersLost { .. } => {
                "The old database is untouched, PostgreSQL holds nothing of the move, and Open WebUI was not started."
            }
            // Before that nothing is known of PostgreSQL: the move may have been done long ago.
            _ => "Nothing was changed on either side, and Open WebUI was not started.",
        }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Source(error) => error.into(),
            InputError::Target(error) => error.into(),
        }
    }
}

impl From<UpgradeError> for Failure {
    fn from(error: UpgradeError) -> Self {
        match error {
            UpgradeError::Source(error) => error.into(),
            UpgradeError::Scratch(error) => error.into(),
            UpgradeError::App(error) => error.into(),
            UpgradeError::Injected(error) => error.into(),
        }
    }
}

fn of_class(class: Class, otherwise: u8) -> u8 {
    match class {
        Class::Transient => EX_UNAVAILABLE,
        Class::Busy => EX_TEMPFAIL,
        Class::Refused => EX_NOPERM,
        Class::Configuration => EX_CONFIG,
        Class::Other => otherwise,
    }
}

fn of_target(error: &TargetError) -> u8 {
    of_class(error.class(), EX_SOFTWARE)
}

fn of_ledger(error: &LedgerError) -> u8 {
    match error {
        LedgerError::Unreachable { .. } => EX_UNAVAILABLE,
        LedgerError::Locked { .. } => EX_TEMPFAIL,
        error => of_class(error.class(), EX_SOFTWARE),
    }
}

/// A connection that breaks once the move is under way, or a disk that fills up, is an I/O error.
fn during_the_move(error: &TargetError) -> u8 {
    if error.class() == Class::Transient {
        EX_IOERR
    } else {
        of_target(error)
    }
}

fn of_source(error: &SourceError) -> u8 {
    match error {
        SourceError::Unreadable { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            EX_NOPERM
        }
        SourceError::Scratch(_) => EX_CANTCREAT,
        SourceError::NotUsable { .. }
        | SourceError::Disordered { .. }
        | SourceError::Newer { .. } => EX_DATAERR,
        SourceError::Busy { .. } | SourceError::Changed { .. } => EX_TEMPFAIL,
        SourceError::Sqlite { source, .. } if source::is_damage(source) => EX_DATAERR,
        SourceError::Sqlite { source, .. }
            if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
        {
            EX_CANTCREAT
        }
        SourceError::Unreadable { .. } | SourceError::Sqlite { .. } => EX_IOERR,
        SourceError::ThreadLost(_) => EX_SOFTWARE,
    }
}

fn of_copy(error: &CopyError) -> u8 {
    match error {
        CopyError::Target(error) => during_the_move(error),
        CopyError::Source(error) => of_source(error),
        CopyError::Ledger(error) if error.class() == Class::Transient => EX_IOERR,
        CopyError::Ledger(error) => of_ledger(error),
        CopyError::Refused { source, .. } => match classify(source) {
            Class::Transient => EX_IOERR,
            class => of_class(class, EX_SOFTWARE),
        },
        CopyError::RowsRefused { .. } => EX_DATAERR,
        CopyError::CameIntoUse(_) | CopyError::AlreadyMoved => EX_TEMPFAIL,
        CopyError::OutcomeUnknown(_) => EX_UNAVAILABLE,
        CopyError::NotRestored(_) | CopyError::ReaderLost => EX_SOFTWARE,
    }
}

fn advice_on_class(class: Class) -> &'static str {
    match class {
        Class::Transient => {
            "Look whether PostgreSQL is running and reachable from here; the next start tries again by itself."
        }
        Class::Busy => {
            "Something else holds the app's tables, perhaps an Open WebUI that was started without webui-init, or an open \
             transaction of an administrator. Stop it; the next start tries again by itself."
        }
        Class::Refused => {
            "Check user and password in DATABASE_URL, and that the role may create schemas and tables in this database \
             (GRANT CREATE ON DATABASE …; it should own it)."
        }
        Class::Configuration => "Check DATABASE_URL: host, port, database name and TLS parameters.",
        Class::Other => {
            "Please report this with the log. Removing DATABASE_URL brings the old database back."
        }
    }
}

fn advice_on_app(error: &AppError) -> &'static str {
    match error {
        AppError::Start { .. } => {
            "Set WEBUI_INIT_PYTHON to the interpreter that runs Open WebUI and WEBUI_INIT_APP_DIR to the folder that holds the \
             open_webui package."
        }
        AppError::SchemaUnknown { .. } => {
            "As an administrator, set the search_path of this role, so that the schema comes first: \
             ALTER ROLE … IN DATABASE … SET search_path TO …; and leave DATABASE_SCHEMA as it is. Or use an image of Open WebUI 0.12 \
             or later, or leave DATABASE_SCHEMA out."
        }
        AppError::Failed { complaint, .. } if complaint.names("No module named alembic") => {
            "Set WEBUI_INIT_PYTHON to the interpreter that runs Open WebUI: this one has no Alembic."
        }
        AppError::Failed { complaint, .. } if complaint.names(names::HALF_UPGRADED) => {
            "webui.db was upgraded by half before this start: Open WebUI 0.9.6, 0.10.0 and 0.10.1 leave a file with several users \
             so, and so does an upgrade that was interrupted. Restore the backup that was made before that upgrade, and use an image \
             up to 0.9.5, or 0.10.2 or later."
        }
        AppError::Failed { complaint, .. }
            if complaint.names(names::CANNOT_UPGRADE_SEVERAL_USERS) =>
        {
            "Open WebUI 0.9.6, 0.10.0 and 0.10.1 cannot upgrade a webui.db of this age that has several users: a fault of these \
             versions. Use an image up to 0.9.5, or 0.10.2 or later."
        }
        AppError::Failed { .. } => {
            "The message above is Open WebUI's own; an ordinary start of this image on this database would meet it \
             too. Search Open WebUI's issues for it, or use the image version that last ran here; removing DATABASE_URL brings \
             the old database back meanwhile."
        }
        AppError::WrongRevision { .. } => {
            "The schema step did not do its work. If WEBUI_INIT_SCHEMA_COMMAND is set, look at what it does; otherwise look at \
             Open WebUI's output above."
        }
    }
}

fn advice_on_target(error: &TargetError) -> String {
    match error {
        TargetError::Unsupported(_) => {
            "Use a database on PostgreSQL 13 or later, created with ENCODING 'UTF8'."
        }
        TargetError::Unable { .. } => {
            "Use PostgreSQL itself, version 13 or later. If it is PostgreSQL, an administrator has taken that away \
             from this role: give it back."
        }
        TargetError::NoSuchSchema(_) => {
            "Create the schema (CREATE SCHEMA …), or correct DATABASE_SCHEMA."
        }
        TargetError::Tls(_) => "Correct sslmode, sslrootcert, sslcert and sslkey in DATABASE_URL.",
        error => advice_on_class(error.class()),
    }
    .to_owned()
}

fn advice_on_ledger(error: &LedgerError) -> String {
    match error {
        LedgerError::Target(error) => return advice_on_target(error),
        LedgerError::Unreachable { .. } => {
            "Look whether PostgreSQL is running and whether host and port in DATABASE_URL are right; WEBUI_INIT_WAIT_SECS sets how long \
             to wait. The next start tries again by itself."
        }
        LedgerError::Locked { .. } => {
            "Look at the other instance's log. If it needs longer, raise WEBUI_INIT_LOCK_WAIT_SECS; if it hangs, stop it: its work is \
             then undone and the next start begins again."
        }
        error => advice_on_class(error.class()),
    }
    .to_owned()
}

fn advice_on_source(error: &SourceError) -> String {
    match error {
        SourceError::Newer { .. } => {
            "Use the Open WebUI version that last ran on this database, or a newer one; older versions cannot read it."
        }
        SourceError::Scratch(_) => "Make room, or set WEBUI_INIT_SCRATCH_DIR.",
        SourceError::Unreadable { .. } => {
            "Check that the data volume is mounted and that this user may read webui.db and its folder."
        }
        SourceError::Busy { .. } | SourceError::Changed { .. } => {
            "Stop the other Open WebUI that uses this data volume; the next start tries again by itself."
        }
        SourceError::NotUsable { .. } => {
            "Put the right webui.db in place, or set WEBUI_INIT_SQLITE_PATH to it. If there is nothing to keep, move the file away and \
             the app starts fresh on PostgreSQL. An encrypted file must be decrypted first."
        }
        SourceError::Sqlite { .. } | SourceError::Disordered { .. } => {
            "If the file is damaged: restore it from a backup, or let `sqlite3 webui.db .recover` make a new one from a copy, and start \
             again. Otherwise look at the disk."
        }
        SourceError::ThreadLost(_) => advice_on_class(Class::Other),
    }
    .to_owned()
}

fn advice_on_copy(error: &CopyError) -> String {
    match error {
        CopyError::Target(error) => advice_on_target(error),
        CopyError::Source(error) => advice_on_source(error),
        CopyError::Ledger(error) => advice_on_ledger(error),
        CopyError::Refused { source, .. } => advice_on_class(classify(source)).to_owned(),
        CopyError::CameIntoUse(_) => {
            "Something else writes to this database, perhaps an Open WebUI that was started without webui-init. Stop it and start again."
                .to_owned()
        }
        CopyError::RowsRefused { .. } => {
            "Look at PostgreSQL's words above, repair these rows in a copy of the old database, and point WEBUI_INIT_SQLITE_PATH to \
             it."
                .to_owned()
        }
        CopyError::AlreadyMoved => "Start again: the data is there.".to_owned(),
        CopyError::OutcomeUnknown(_) => "Start again when PostgreSQL is reachable: the next start finds out by itself.".to_owned(),
        CopyError::NotRestored(_) | CopyError::ReaderLost => advice_on_class(Class::Other).to_owned(),
    }
}

#[cfg(test)]
mod tests;

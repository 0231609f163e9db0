//! Owns the end that is not good: one row for each failure, in which exit code, what is safe and what to do next stand
//! side by side. The rows of PostgreSQL's, the source's, the app's and the move's errors have files of their own.

mod app;
pub(crate) mod codes;
pub(crate) mod file;
mod moving;
mod postgres;
pub(crate) mod refusal;
pub(crate) mod row;
mod source;

use std::fmt;

use thiserror::Error;

use crate::app::AppError;
use crate::app::upgrade::UpgradeError;
use crate::failure::codes::{
    CANNOT_RUN, EX_CONFIG, EX_DATAERR, EX_IOERR, EX_SOFTWARE, EX_TEMPFAIL, EX_USAGE, NOT_FOUND,
};
use crate::failure::file::FileError;
use crate::failure::postgres::When;
use crate::failure::row::{Context, Left, Row, Safe};
use crate::ledger::LedgerError;
use crate::load::error::CopyError;
use crate::load::other_types::OtherTypesError;
use crate::load::proof::VerifyError;
use crate::output::log;
use crate::output::words::count;
use crate::postgres::error::{TargetError, chain};
use crate::process::exec::ExecError;
use crate::settings::SettingsError;
use crate::sqlite::scratch::ScratchError;
use crate::sqlite::source::SourceError;

pub(crate) use refusal::Refusal;

/// Why this instance does not move what there is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
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
                "a move into this database was begun and is not complete, and this instance sees no webui.db with users, so it is left to \
                 another one"
            }
        })
    }
}

/// Everything that can end the program but success.
#[derive(Debug, Error)]
pub(crate) enum Failure {
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
    /// A file that was to be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// The app's command.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// `WEBUI_INIT_ON_CONFLICT=fail`.
    #[error(
        "both databases hold data, and no move is recorded: PostgreSQL has rows in {tables}{}, and {source_path} has users",
        if *users { "" } else { " but no user" }
    )]
    Conflict {
        /// Tables that hold rows.
        tables: String,
        /// Whether accounts are among them.
        users: bool,
        /// The source.
        source_path: String,
    },
    /// What was found speaks against a start.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A command that needs PostgreSQL, and `DATABASE_URL` names none.
    #[error("DATABASE_URL is not set, or names no PostgreSQL")]
    NoTarget,
    /// `verify` without a source.
    #[error("there is no {0} to compare PostgreSQL with")]
    NothingToCompare(String),
    /// `verify` found rows missing.
    #[error("{} of webui.db {} missing in PostgreSQL", count(*.0, "row"), if *.0 == 1 { "is" } else { "are" })]
    Missing(u64),
    /// `verify` found no record of a move.
    #[error(
        "nothing has been moved into {target}: no move is recorded there, and it lacks {} of webui.db", count(*missing, "row")
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
        "in {source_path}, accounts share an e-mail address, except for upper and lower case, and this image's upgrade takes an address once only: {accounts}"
    )]
    SharedAddresses {
        /// The source.
        source_path: String,
        /// Their ids.
        accounts: String,
    },
    /// What would be committed has lost people.
    #[error("{source_path} has {}, but {left} would be left after {step}", count(*had, "user"))]
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
        "{}, and WEBUI_INIT_LEFTOVERS=fail forbids that{summary}",
        cannot_be_stored(*.count)
    )]
    Leftovers {
        /// How many.
        count: u64,
        /// Which.
        summary: String,
    },
    /// A signal.
    #[error("stopped from outside ({name}){}", while_doing(.doing))]
    Interrupted {
        /// Its name.
        name: &'static str,
        /// Its number.
        number: u8,
        /// The stage that it ended; empty if there was none.
        doing: &'static str,
    },
    /// A failure of a start that leaves something behind in PostgreSQL.
    #[error("{failure}")]
    Late {
        /// What.
        left: Left,
        /// The failure.
        #[source]
        failure: Box<Failure>,
    },
    /// The operating system refused something basic.
    #[error("the program could not start its runtime")]
    Runtime(#[from] std::io::Error),
    /// What was found could not be written.
    #[error("the answer could not be written to stdout")]
    Output(#[source] std::io::Error),
}

/// What is said of a failure, wherever it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The exit code.
    pub code: u8,
    /// What happened.
    pub cause: String,
    /// What was left as it was.
    pub safe: String,
    /// What to do now.
    pub next: String,
    /// What Open WebUI's schema step said, where it failed.
    pub output: Option<String>,
}

impl Told {
    /// Writes it to the log, as one event that no filter holds back.
    pub(crate) fn log(&self) {
        tracing::error!(
            target: log::FATAL,
            exit_code = self.code,
            safe = self.safe,
            next = self.next,
            output = self.output.as_deref().filter(|output| !output.is_empty()),
            "{}",
            self.cause
        );
    }
}

impl Failure {
    /// The exit code of the contract.
    pub(crate) fn exit_code(&self) -> u8 {
        self.row(&Context::default()).code
    }

    /// What is said of it.
    pub(crate) fn told(&self, context: &Context) -> Told {
        let mut context = context.clone();
        if let Self::Late { left, .. } = self {
            context.left = *left;
        }
        let row = self.row(&context);
        Told {
            code: row.code,
            cause: row.cause.unwrap_or_else(|| chain(self)),
            safe: row.safe.text(&context),
            next: row.next,
            output: self.output(),
        }
    }

    /// What a failure to talk to PostgreSQL is once the move has begun: the app's tables may be there by then.
    #[must_use]
    pub(crate) fn in_the_move(self) -> Self {
        match self {
            Self::Target(error) => Self::Copy(CopyError::Target(error)),
            Self::Ledger(error) => Self::Copy(CopyError::Ledger(error)),
            other => other,
        }
    }

    /// The same, of a start that leaves something behind.
    #[must_use]
    pub(crate) fn leaving(self, left: Left) -> Self {
        match (left, self) {
            (Left::Nothing, failure) | (_, failure @ Self::Late { .. }) => failure,
            (left, failure) => Self::Late {
                left,
                failure: Box::new(failure),
            },
        }
    }

    /// The failure itself, without what it leaves behind.
    pub(crate) fn innermost(&self) -> &Self {
        match self {
            Self::Late { failure, .. } => failure.innermost(),
            failure => failure,
        }
    }

    /// What Open WebUI's schema step said, where it failed.
    fn output(&self) -> Option<String> {
        match self.innermost() {
            Self::App(AppError::Failed { complaint, .. }) => Some(complaint.output()),
            _ => None,
        }
    }

    fn row(&self, context: &Context) -> Row {
        match self {
            Self::Late { failure, .. } => failure.row(context),
            Self::Target(error) => postgres::of_target(error, When::Before, context),
            Self::Ledger(error) => postgres::of_ledger(error, When::Before, context),
            Self::Source(error) => source::of_source(error),
            Self::Scratch(error) => source::of_scratch(error),
            Self::App(error) => app::of_app(error, context),
            Self::Copy(error) => moving::of_copy(error, context),
            Self::Verify(error) => moving::of_proof(error, context),
            Self::Refused(refusal) => refusal.row(),
            Self::File(error) => file::of_file(error),
            Self::Conflict { .. }
            | Self::Missing(_)
            | Self::NeverMoved { .. }
            | Self::SharedAddresses { .. }
            | Self::UsersLost { .. }
            | Self::Leftovers { .. } => Row::new(EX_DATAERR, Safe::Both, self.about_the_data()),
            Self::Usage(_)
            | Self::Settings(_)
            | Self::NoTarget
            | Self::Exec(_)
            | Self::Interrupted { .. }
            | Self::Runtime(_)
            | Self::Output(_)
            | Self::NotThisInstance { .. }
            | Self::NothingToCompare(_) => self.of_the_run(),
        }
    }

    /// The row of what is neither a database's nor a file's.
    fn of_the_run(&self) -> Row {
        match self {
            Self::Usage(_) => Row::new(
                EX_USAGE,
                Safe::NothingBegun,
                "webui-init --help shows the commands.",
            ),
            Self::Settings(_) => Row::new(
                EX_CONFIG,
                Safe::NothingBegun,
                "correct what is named above and start again.",
            ),
            Self::NoTarget => Row::new(
                EX_CONFIG,
                Safe::NothingBegun,
                "set DATABASE_URL to postgresql://USER:PASSWORD@HOST/DATABASE, as for Open WebUI itself.",
            ),
            Self::Exec(error) => {
                let code = match error {
                    ExecError::NotFound(_) => NOT_FOUND,
                    ExecError::CannotRun { .. } => CANNOT_RUN,
                };
                Row::new(
                    code,
                    Safe::Databases,
                    "correct the container's command (CMD).",
                )
            }
            Self::Interrupted { number, .. } => self.interrupted(*number),
            Self::Runtime(_) => Row::new(
                EX_SOFTWARE,
                Safe::NothingBegun,
                "check the container's limits for processes, threads and open files.",
            ),
            Self::Output(_) => Row::new(
                EX_IOERR,
                Safe::Both,
                "check where stdout leads: a disk may be full.",
            ),
            Self::NotThisInstance { why, .. } => not_this_instance(*why),
            Self::NothingToCompare(_) => Row::new(
                EX_CONFIG,
                Safe::Both,
                "mount the data volume, or set WEBUI_INIT_SQLITE_PATH to webui.db or a copy of it.",
            ),
            // The others have rows of their own.
            _ => Row::new(EX_SOFTWARE, Safe::Both, "please report this with the log."),
        }
    }

    /// What to do about data that cannot be moved, or is not there.
    fn about_the_data(&self) -> String {
        match self {
            Self::Conflict { tables, users: false, .. } => format!(
                "WEBUI_INIT_ON_CONFLICT=replace moves webui.db in, and sets what these tables hold aside in a schema of its own. Or \
                 empty them: TRUNCATE {tables};"
            ),
            Self::Conflict { .. } => "decide which database is the right one. WEBUI_INIT_ON_CONFLICT=keep starts on PostgreSQL as it is; \
                 =replace moves webui.db in, and sets what PostgreSQL holds aside in a schema of its own."
                .to_owned(),
            Self::Missing(_) => "if they were deleted in Open WebUI or by hand since the move, all is well. Otherwise keep webui.db: it \
                 still has them."
                .to_owned(),
            Self::NeverMoved { .. } => "keep webui.db. If the data was moved, check that DATABASE_URL and DATABASE_SCHEMA name the database \
                 that it was moved to; if not, the next start of Open WebUI with this configuration moves it."
                .to_owned(),
            Self::SharedAddresses { .. } => "remove DATABASE_URL and start the image that ran before, sign in as an administrator, and change the \
                 address of one account of each pair, or delete it; then set DATABASE_URL again. webui-init never merges accounts."
                .to_owned(),
            Self::UsersLost { .. } => "read above for what the users were refused, or look at the tables that Open WebUI's schema step \
                 made. Whoever opens an empty Open WebUI first becomes its administrator, so it is not started."
                .to_owned(),
            Self::Leftovers { .. } => "accept that with WEBUI_INIT_LEFTOVERS=keep (the originals stay readable in webui_init.leftover), or \
                 correct these rows in webui.db. `webui-init plan` lists them."
                .to_owned(),
            _ => String::new(),
        }
    }

    fn interrupted(&self, number: u8) -> Row {
        let committing = matches!(
            self,
            Self::Interrupted {
                doing: "committing",
                ..
            }
        );
        let safe = if committing {
            Safe::Unknown
        } else {
            Safe::Both
        };
        Row::new(
            128 + number,
            safe,
            "start again: the next start begins anew.",
        )
    }
}

fn not_this_instance(why: Absent) -> Row {
    let mut next = "start one instance, and only one, with ENABLE_DB_MIGRATIONS=true (the default) and the data volume mounted; the \
                    others follow by themselves."
        .to_owned();
    if why == Absent::SeesNoSource {
        next.push_str(
            " If webui.db is gone for good and a fresh start is wanted: DELETE FROM webui_init.attempt.",
        );
    }
    Row::new(EX_TEMPFAIL, Safe::Both, next)
}

impl From<OtherTypesError> for Failure {
    fn from(error: OtherTypesError) -> Self {
        match error {
            OtherTypesError::Source(error) => error.into(),
            OtherTypesError::Target(error) => error.into(),
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

fn cannot_be_stored(number: u64) -> String {
    match number {
        1 => "1 row or value cannot be stored exactly as it is".to_owned(),
        number => format!(
            "{} cannot be stored exactly as they are",
            count(number, "row or value/rows or values")
        ),
    }
}

fn while_doing(stage: &str) -> String {
    if stage.is_empty() {
        String::new()
    } else {
        format!(" while {stage}")
    }
}

#[cfg(test)]
mod tests;

//! Owns the environment: which database is meant, and how the move should behave. Everything that is
//! wrong is reported at once, by variable name and without its value. Connection strings are `dsn`'s.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tracing_subscriber::filter::Targets;

pub use crate::output::log::LogFormat;
use crate::postgres::dsn::Dsn;
use crate::process::exec::EnvironmentChanges;

mod database;
mod expected;
mod read;
mod source_only;
mod values;
pub mod variables;

pub use self::database::DATABASE_PARTS;
pub use self::expected::{Expectation, Expected};
pub use self::read::read;
pub use self::source_only::{SourceSettings, read_source};

/// `WEBUI_INIT_ON_CONFLICT`: PostgreSQL is in use, has no marker, and `webui.db` has users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Touch nothing, warn, start the app on PostgreSQL as it is.
    Keep,
    /// Exit 65.
    Fail,
    /// Move what is there out of the way, then move `webui.db` in.
    Replace,
}

/// `WEBUI_INIT_ON_FAILURE`: what follows a failed move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The app is not started.
    Exit,
    /// The app is started on its old SQLite file.
    Sqlite,
}

/// `WEBUI_INIT_LEFTOVERS`: whether rows may be kept aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// Keep them in `webui_init.leftover` and go on.
    Keep,
    /// Any of them fails the move.
    Fail,
}

/// `WEBUI_INIT_VERIFY`: how much is read back before COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Row counts and a digest of every value.
    Full,
    /// Row counts.
    Count,
}

/// How Open WebUI's own commands are run.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// The folder that holds the `open_webui` package.
    pub dir: PathBuf,
    /// The interpreter for the app's Alembic.
    pub python: PathBuf,
    /// A shell command that brings `DATABASE_URL` to head, instead of the app's Alembic.
    pub schema_command: Option<String>,
    /// `DATABASE_SCHEMA`, for PostgreSQL only.
    pub schema: Option<String>,
    /// `WEBUI_ADMIN_EMAIL`: for whom the app makes an account by itself, where there is none yet.
    pub admin_email: Option<String>,
    /// Where the app keeps its data if it is started by its own command, `open-webui serve`, and nothing says otherwise.
    pub own_data: Option<PathBuf>,
    /// Whether the app will have a secret key; its Alembic refuses to load without one.
    pub has_secret_key: bool,
}

/// Everything that the flow needs to know, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The target.
    pub dsn: Dsn,
    /// `DATABASE_SCHEMA`; without it, the server's `current_schema()`.
    pub schema: Option<String>,
    /// The source: `webui.db`.
    pub source: PathBuf,
    /// What is expected there.
    pub expectation: Expectation,
    /// Whether the app would find the source there by itself.
    pub source_is_the_apps_default: bool,
    /// Open WebUI's own commands.
    pub app: AppSettings,
    /// Where the private copy goes; without it, beside the source or in the temporary directory.
    pub scratch: Option<PathBuf>,
    /// A folder for a backup of the source; without it, none is made.
    pub backup: Option<PathBuf>,
    /// How long to wait for PostgreSQL.
    pub wait: Duration,
    /// How long to wait for another instance's move.
    pub lock_wait: Duration,
    /// What to do about a target that is in use.
    pub on_conflict: OnConflict,
    /// What to do after a failed move.
    pub on_failure: OnFailure,
    /// Whether rows may be kept aside.
    pub leftovers: Leftovers,
    /// How much is read back.
    pub verify: Verify,
    /// `ENABLE_DB_MIGRATIONS`: whether this instance may change the schema, and so move.
    pub migrations_enabled: bool,
    /// The log's filter.
    pub log: Targets,
    /// The log's format.
    pub log_format: LogFormat,
    /// What the app's environment gets or loses.
    pub changes: EnvironmentChanges,
    /// Things worth a warning once the log is there.
    pub warnings: Vec<String>,
}

/// What the environment asks for.
#[derive(Debug)]
pub enum Start {
    /// No PostgreSQL, or `WEBUI_INIT_DISABLE`: start the app at once.
    PassThrough(PassThrough),
    /// PostgreSQL is configured.
    Prepare(Box<Settings>),
}

/// A start that looks at no PostgreSQL.
#[derive(Debug)]
pub struct PassThrough {
    /// What the app's environment gets or loses.
    pub changes: EnvironmentChanges,
    /// What is worth a warning all the same.
    pub warnings: Vec<String>,
    /// Where the old database would be.
    pub source: PathBuf,
    /// Whether `WEBUI_INIT_DISABLE` asks for it, and not the lack of a PostgreSQL.
    pub disabled: bool,
}

/// Everything that is wrong with the environment, a line each.
#[derive(Debug, Error)]
pub struct SettingsError {
    /// `VARIABLE: what is wrong with it`, never a value.
    pub problems: Vec<String>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the configuration is wrong: {}",
            self.problems.join("; ")
        )
    }
}

impl Settings {
    /// The source's path for messages.
    pub fn source_name(&self) -> String {
        self.source.display().to_string()
    }

    /// The directory of the source.
    pub fn data_dir(&self) -> &Path {
        self.source
            .parent()
            .filter(|dir| *dir != OsStr::new(""))
            .unwrap_or(Path::new("."))
    }

    /// Where the scratch directory may be, the preferred place first.
    pub fn scratch_places(&self) -> Vec<PathBuf> {
        match &self.scratch {
            Some(chosen) => vec![chosen.clone()],
            None => vec![self.data_dir().to_owned(), std::env::temp_dir()],
        }
    }
}

#[cfg(test)]
mod tests;

//! Owns the environment: which database is meant, and how the move should behave. Everything that is
//! wrong is reported at once, by variable name and without its value. Connection strings are `dsn`'s.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tracing_subscriber::filter::Targets;

use crate::output::log;
pub use crate::output::log::LogFormat;
use crate::output::secret::Secret;
use crate::postgres::dsn::{self, Backend, Dsn, LibpqEnv, Parts};
use crate::process::exec::EnvironmentChanges;

mod expected;
mod source_only;

pub use expected::{Expectation, Expected};
pub use source_only::{SourceSettings, read_source};

const PREFIX: &str = "WEBUI_INIT_";

/// The variables that override `DATABASE_URL` when all of them are set. The app does the same, and a
/// child process that must see one particular database is started without them.
pub const DATABASE_PARTS: [&str; 6] = [
    "DATABASE_TYPE",
    "DATABASE_USER",
    "DATABASE_PASSWORD",
    "DATABASE_HOST",
    "DATABASE_PORT",
    "DATABASE_NAME",
];

/// The environment as text; an empty variable counts as unset, as compose files produce them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Environment {
    database_url: Option<String>,
    database_url_file: Option<String>,
    database_type: Option<String>,
    database_user: Option<String>,
    database_password: Option<String>,
    database_password_file: Option<String>,
    database_host: Option<String>,
    database_port: Option<String>,
    database_name: Option<String>,
    database_schema: Option<String>,
    database_enable_iam_token_auth: Option<String>,
    data_dir: Option<String>,
    enable_db_migrations: Option<String>,
    webui_secret_key: Option<String>,
    webui_secret_key_file: Option<String>,
    webui_jwt_secret_key: Option<String>,
    webui_init_sqlite_path: Option<String>,
    webui_init_app_dir: Option<String>,
    webui_init_python: Option<String>,
    webui_init_schema_command: Option<String>,
    webui_init_scratch_dir: Option<String>,
    webui_init_wait_secs: Option<String>,
    webui_init_lock_wait_secs: Option<String>,
    webui_init_on_conflict: Option<String>,
    webui_init_on_failure: Option<String>,
    webui_init_leftovers: Option<String>,
    webui_init_verify: Option<String>,
    webui_init_log: Option<String>,
    webui_init_log_format: Option<String>,
    webui_init_disable: Option<String>,
    webui_init_backup: Option<String>,
    webui_init_source: Option<String>,
    webui_init_move_again: Option<String>,
}

/// The names of our own variables; any other `WEBUI_INIT_…` is a typo worth a warning.
const OWN: [&str; 16] = [
    "BACKUP",
    "SOURCE",
    "MOVE_AGAIN",
    "SQLITE_PATH",
    "APP_DIR",
    "PYTHON",
    "SCHEMA_COMMAND",
    "SCRATCH_DIR",
    "WAIT_SECS",
    "LOCK_WAIT_SECS",
    "ON_CONFLICT",
    "ON_FAILURE",
    "LEFTOVERS",
    "VERIFY",
    "LOG",
    "LOG_FORMAT",
];

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
    PassThrough(EnvironmentChanges),
    /// PostgreSQL is configured.
    Prepare(Box<Settings>),
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

/// Reads the environment.
///
/// # Errors
/// All problems together, if PostgreSQL is configured and anything is wrong.
pub fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Start, SettingsError> {
    let mut problems = Vec::new();
    let variables = texts(variables, &mut problems);
    let environment: Environment =
        envy::from_iter(variables.clone()).map_err(|error| SettingsError {
            problems: vec![error.to_string()],
        })?;

    let disabled = boolean(
        "WEBUI_INIT_DISABLE",
        environment.webui_init_disable.as_deref(),
        false,
        &mut problems,
    );
    let mut changes = EnvironmentChanges::default();
    let url = secret(
        "DATABASE_URL",
        environment.database_url.as_ref(),
        environment.database_url_file.as_ref(),
        &mut changes,
        &mut problems,
    );
    let password = secret(
        "DATABASE_PASSWORD",
        environment.database_password.as_ref(),
        environment.database_password_file.as_ref(),
        &mut changes,
        &mut problems,
    );
    if disabled {
        return Ok(Start::PassThrough(changes));
    }
    let parts = parts(&environment, password.as_ref());
    let backend = match (&parts, &url) {
        (Some(parts), _) => dsn::backend(&format!("{}://", parts.db_type)),
        (None, Some(url)) => dsn::backend(url.expose()),
        (None, None) => Backend::Sqlite,
    };
    if backend == Backend::Sqlite && problems.is_empty() {
        return Ok(Start::PassThrough(changes));
    }
    let libpq = LibpqEnv::from_lookup(|name| variables.get(name).cloned());
    let dsn = match (&backend, &parts, &url) {
        (Backend::Postgres, Some(parts), _) => Dsn::from_parts(parts, &libpq)
            .map_err(|error| problems.push(format!("DATABASE_TYPE, DATABASE_HOST, …: {error}")))
            .ok(),
        (Backend::Postgres, None, Some(url)) => Dsn::parse(url.expose(), &libpq)
            .map_err(|error| problems.push(format!("DATABASE_URL: {error}")))
            .ok(),
        (Backend::Other(_), ..) => {
            let name = if parts.is_some() {
                "DATABASE_TYPE"
            } else {
                "DATABASE_URL"
            };
            problems.push(format!(
                "{name}: names neither PostgreSQL (postgresql://…) nor SQLite; WEBUI_INIT_DISABLE=true starts the app regardless"
            ));
            None
        }
        _ => None,
    };
    if boolean(
        "DATABASE_ENABLE_IAM_TOKEN_AUTH",
        environment.database_enable_iam_token_auth.as_deref(),
        false,
        &mut problems,
    ) {
        problems.push(
            "DATABASE_ENABLE_IAM_TOKEN_AUTH: AWS IAM tokens are not supported yet; give this start a password, or set \
             WEBUI_INIT_DISABLE=true"
                .to_owned(),
        );
    }
    let settings = assemble(&environment, dsn, changes, &mut problems);
    match settings {
        Some(mut settings) if problems.is_empty() => {
            settings
                .warnings
                .extend(unknown_variables(variables.keys()));
            Ok(Start::Prepare(Box::new(settings)))
        }
        _ => Err(SettingsError { problems }),
    }
}

/// The variables that are set, as text. Names are told apart by case, though envy would not.
fn texts(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<String>,
) -> HashMap<String, String> {
    let mut texts = HashMap::new();
    for (name, value) in variables {
        let Some(name) = name
            .into_string()
            .ok()
            .filter(|name| *name == name.to_ascii_uppercase())
        else {
            continue;
        };
        match value.into_string() {
            Ok(value) if !value.is_empty() => drop(texts.insert(name, value)),
            // Taken for unset, it would start the app on the wrong database.
            Err(_)
                if name.starts_with("DATABASE_")
                    || name.starts_with(PREFIX)
                    || name == "DATA_DIR" =>
            {
                problems.push(format!("{name}: its value is not UTF-8"));
            }
            _ => {}
        }
    }
    texts
}

fn assemble(
    environment: &Environment,
    dsn: Option<Dsn>,
    mut changes: EnvironmentChanges,
    problems: &mut Vec<String>,
) -> Option<Settings> {
    let (data_dir, source) = data_dir_and_source(environment);
    let has_secret_key =
        environment.webui_secret_key.is_some() || environment.webui_jwt_secret_key.is_some();
    let log = filter(environment.webui_init_log.as_deref(), problems);
    let wait = seconds(
        "WEBUI_INIT_WAIT_SECS",
        environment.webui_init_wait_secs.as_deref(),
        60,
        problems,
    );
    let lock_wait = seconds(
        "WEBUI_INIT_LOCK_WAIT_SECS",
        environment.webui_init_lock_wait_secs.as_deref(),
        900,
        problems,
    );
    let on_conflict = choice(
        "WEBUI_INIT_ON_CONFLICT",
        environment.webui_init_on_conflict.as_deref(),
        &[
            ("keep", OnConflict::Keep),
            ("fail", OnConflict::Fail),
            ("replace", OnConflict::Replace),
        ],
        problems,
    );
    let expectation = Expectation::read(environment, problems);
    let on_failure = choice(
        "WEBUI_INIT_ON_FAILURE",
        environment.webui_init_on_failure.as_deref(),
        &[("exit", OnFailure::Exit), ("sqlite", OnFailure::Sqlite)],
        problems,
    );
    let leftovers = choice(
        "WEBUI_INIT_LEFTOVERS",
        environment.webui_init_leftovers.as_deref(),
        &[("keep", Leftovers::Keep), ("fail", Leftovers::Fail)],
        problems,
    );
    let verify = choice(
        "WEBUI_INIT_VERIFY",
        environment.webui_init_verify.as_deref(),
        &[("full", Verify::Full), ("count", Verify::Count)],
        problems,
    );
    let log_format = choice(
        "WEBUI_INIT_LOG_FORMAT",
        environment.webui_init_log_format.as_deref(),
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        problems,
    );
    let migrations_enabled = boolean(
        "ENABLE_DB_MIGRATIONS",
        environment.enable_db_migrations.as_deref(),
        true,
        problems,
    );
    let dsn = dsn?;
    let keeps_a_key = has_secret_key || environment.webui_secret_key_file.is_some();
    let warnings = warnings(&dsn, keeps_a_key, &mut changes);
    Some(Settings {
        schema: environment.database_schema.clone(),
        source_is_the_apps_default: source == data_dir.join("webui.db"),
        expectation,
        source,
        app: app_settings(environment, has_secret_key),
        scratch: environment.webui_init_scratch_dir.as_ref().map(absolute),
        backup: environment.webui_init_backup.as_ref().map(absolute),
        wait,
        lock_wait,
        on_conflict,
        on_failure,
        leftovers,
        verify,
        migrations_enabled,
        log: log?,
        log_format,
        changes,
        warnings,
        dsn,
    })
}

/// The app's data folder, and the old database.
fn data_dir_and_source(environment: &Environment) -> (PathBuf, PathBuf) {
    let data_dir = environment
        .data_dir
        .as_deref()
        .unwrap_or("/app/backend/data");
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.into());
    let source = environment
        .webui_init_sqlite_path
        .as_ref()
        .map_or_else(|| data_dir.join("webui.db"), absolute);
    (data_dir, source)
}

/// Children have another working directory.
fn absolute(path: &String) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

fn app_settings(environment: &Environment, has_secret_key: bool) -> AppSettings {
    AppSettings {
        dir: environment
            .webui_init_app_dir
            .as_deref()
            .unwrap_or("/app/backend")
            .into(),
        python: environment
            .webui_init_python
            .as_deref()
            .unwrap_or("python3")
            .into(),
        schema_command: environment.webui_init_schema_command.clone(),
        schema: environment.database_schema.clone(),
        has_secret_key,
    }
}

/// What is worth a warning. An address that the app would misread is translated for it.
fn warnings(dsn: &Dsn, keeps_a_key: bool, changes: &mut EnvironmentChanges) -> Vec<String> {
    let mut warnings = Vec::new();
    if !keeps_a_key {
        warnings.push(
            "WEBUI_SECRET_KEY is not set: the key that the app makes for itself is outside the data volume, so sign-ins and \
             encrypted tokens are lost with the container. Set it to a long random value and keep it."
                .to_owned(),
        );
    }
    if !dsn.misreadings().is_empty() {
        warnings.push(format!(
            "Open WebUI would misread the database's address ({}); it is started with an equivalent one",
            dsn.misreadings().join(", ")
        ));
        changes.set.retain(|(name, _)| name != "DATABASE_URL");
        changes
            .set
            .push(("DATABASE_URL".to_owned(), dsn.app_url().into()));
        changes.remove.extend(DATABASE_PARTS.map(str::to_owned));
    }
    if !dsn.ignored().is_empty() {
        let ignored = dsn.ignored().join(", ");
        warnings.push(format!(
            "DATABASE_URL: parameters passed over here: {ignored}"
        ));
    }
    warnings
}

/// The app lets these override `DATABASE_URL` when a type, a host, a port, a name and a credential are all there.
fn parts<'a>(environment: &'a Environment, password: Option<&'a Secret>) -> Option<Parts<'a>> {
    let user = environment.database_user.as_deref();
    let password = password.map(Secret::expose);
    (user.is_some() || password.is_some()).then_some(())?;
    Some(Parts {
        db_type: environment.database_type.as_deref()?,
        user,
        password,
        host: environment.database_host.as_deref()?,
        port: environment.database_port.as_deref()?,
        name: environment.database_name.as_deref()?,
    })
}

/// A variable or the file that `NAME_FILE` names. The app gets the value and does not see `NAME_FILE`.
fn secret(
    name: &str,
    value: Option<&String>,
    file: Option<&String>,
    changes: &mut EnvironmentChanges,
    problems: &mut Vec<String>,
) -> Option<Secret> {
    match (value, file) {
        (Some(_), Some(_)) => {
            problems.push(format!(
                "{name} and {name}_FILE: both are set; set one of them"
            ));
            None
        }
        (Some(value), None) => Some(Secret::new(value)),
        (None, Some(file)) => match std::fs::read_to_string(file) {
            Ok(content) => {
                let content = content.trim_end_matches(['\n', '\r']);
                changes.set.push((name.to_owned(), content.into()));
                changes.remove.push(format!("{name}_FILE"));
                if content.is_empty() {
                    problems.push(format!("{name}_FILE: the file it names is empty"));
                    return None;
                }
                Some(Secret::new(content))
            }
            Err(error) => {
                problems.push(format!(
                    "{name}_FILE: the file it names cannot be read ({})",
                    error.kind()
                ));
                None
            }
        },
        (None, None) => None,
    }
}

fn boolean(name: &str, value: Option<&str>, default: bool, problems: &mut Vec<String>) -> bool {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None => default,
        Some("true" | "1" | "yes" | "on") => true,
        Some("false" | "0" | "no" | "off") => false,
        Some(_) => {
            problems.push(format!("{name}: not true or false"));
            default
        }
    }
}

fn seconds(name: &str, value: Option<&str>, default: u64, problems: &mut Vec<String>) -> Duration {
    // A century is as good as for ever, and keeps deadlines within what a clock can add.
    let parsed = value.map_or(Some(default), |text| {
        text.parse().ok().filter(|secs| *secs <= 3_153_600_000)
    });
    Duration::from_secs(parsed.unwrap_or_else(|| {
        problems.push(format!("{name}: not a whole number of seconds"));
        default
    }))
}

fn choice<T: Copy>(
    name: &str,
    value: Option<&str>,
    choices: &[(&str, T)],
    problems: &mut Vec<String>,
) -> T {
    let Some(value) = value else {
        return choices[0].1;
    };
    choices.iter().find(|(text, _)| *text == value).map_or_else(
        || {
            let known: Vec<_> = choices.iter().map(|(text, _)| *text).collect();
            problems.push(format!("{name}: not one of {}", known.join(", ")));
            choices[0].1
        },
        |(_, choice)| *choice,
    )
}

fn filter(value: Option<&str>, problems: &mut Vec<String>) -> Option<Targets> {
    log::parse_filter(value.unwrap_or("info"))
        .map_err(|error| problems.push(format!("WEBUI_INIT_LOG: {error}")))
        .ok()
}

fn unknown_variables<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut unknown: Vec<_> = names
        .filter(|name| {
            name.strip_prefix(PREFIX)
                .is_some_and(|rest| rest != "DISABLE" && !OWN.contains(&rest))
        })
        .map(|name| format!("{name} is not a variable of webui-init; it has no effect"))
        .collect();
    unknown.sort();
    unknown
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
mod tests {
    use super::*;

    fn read_from(pairs: &[(&str, &str)]) -> Result<Start, SettingsError> {
        read(
            pairs
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        )
    }

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        match read_from(pairs) {
            Ok(Start::Prepare(settings)) => *settings,
            other => panic!("expected settings, got {other:?}"),
        }
    }

    #[test]
    fn nothing_or_sqlite_passes_through() {
        for pairs in [
            &[][..],
            &[("DATABASE_URL", "")],
            &[("DATABASE_URL", "sqlite:////data/webui.db")],
            &[
                ("DATABASE_URL", "postgresql://u:p@h/d"),
                ("WEBUI_INIT_DISABLE", "TRUE"),
            ],
        ] {
            assert!(
                matches!(read_from(pairs), Ok(Start::PassThrough(_))),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn all_problems_at_once_without_values() {
        let error = read_from(&[
            ("DATABASE_URL", "postgresql://u:canary@h/d"),
            ("WEBUI_INIT_WAIT_SECS", "canary"),
            ("WEBUI_INIT_ON_CONFLICT", "canary"),
            ("WEBUI_INIT_LOG_FORMAT", "canary"),
        ])
        .unwrap_err()
        .to_string();
        for name in [
            "WEBUI_INIT_WAIT_SECS",
            "WEBUI_INIT_ON_CONFLICT",
            "WEBUI_INIT_LOG_FORMAT",
        ] {
            assert!(error.contains(name), "{error}");
        }
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn defaults_are_the_contract() {
        let settings = settings(&[("DATABASE_URL", "postgresql://u:p@h/d")]);
        assert_eq!(settings.source, Path::new("/app/backend/data/webui.db"));
        assert_eq!(settings.app.dir, Path::new("/app/backend"));
        assert_eq!(
            (settings.wait.as_secs(), settings.lock_wait.as_secs()),
            (60, 900)
        );
        assert_eq!(settings.on_conflict, OnConflict::Keep);
        assert!(settings.migrations_enabled);
    }

    #[test]
    fn parts_override_the_url_when_complete() {
        let parts = [
            ("DATABASE_URL", "sqlite:///x"),
            ("DATABASE_TYPE", "postgresql"),
            ("DATABASE_USER", "u"),
            ("DATABASE_HOST", "h"),
            ("DATABASE_PORT", "5432"),
            ("DATABASE_NAME", "d"),
        ];
        assert!(matches!(read_from(&parts), Ok(Start::Prepare(_))));
        assert!(matches!(read_from(&parts[..5]), Ok(Start::PassThrough(_))));
    }

    #[test]
    fn a_typo_is_named() {
        let settings = settings(&[
            ("DATABASE_URL", "postgresql://u:p@h/d"),
            ("WEBUI_INIT_WAIT_SEC", "5"),
            ("WEBUI_SECRET_KEY", "k"),
        ]);
        assert_eq!(
            settings.warnings,
            ["WEBUI_INIT_WAIT_SEC is not a variable of webui-init; it has no effect"]
        );
    }

    #[test]
    fn names_in_other_letters_are_other_variables() {
        let settings = settings(&[
            ("DATABASE_URL", "postgresql://u:p@h/d"),
            ("data_dir", "/elsewhere"),
            ("DATA_DIR", "/data"),
        ]);
        assert_eq!(settings.source, Path::new("/data/webui.db"));
        let pairs = [("database_url", "postgresql://u:p@h/d")];
        assert!(matches!(read_from(&pairs), Ok(Start::PassThrough(_))));
    }

    #[test]
    fn a_secret_and_its_file_exclude_each_other() {
        let error = read_from(&[
            ("DATABASE_URL", "postgresql://u@h/d"),
            ("DATABASE_URL_FILE", "/nowhere"),
        ])
        .unwrap_err();
        assert!(error.to_string().contains("both are set"));
    }
}

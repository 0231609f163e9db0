//! Owns the way from the variables that are set to checked settings.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;
use tracing_subscriber::filter::Targets;

use super::database::Named;
use super::values::{absolute, boolean, choice, filter, seconds, secret};
use super::variables::{self, PREFIX};
use super::{
    AppSettings, Expectation, Leftovers, LogFormat, OnConflict, OnFailure, PassThrough, Settings,
    SettingsError, Start, Verify,
};
use crate::output::secret::Secret;
use crate::postgres::dsn::{Backend, Dsn};
use crate::process::exec::EnvironmentChanges;

/// The environment as text; an empty variable counts as unset, as compose files produce them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Environment {
    pub(super) database_url: Option<String>,
    pub(super) database_url_file: Option<String>,
    pub(super) database_type: Option<String>,
    pub(super) database_user: Option<String>,
    pub(super) database_password: Option<String>,
    pub(super) database_password_file: Option<String>,
    pub(super) database_host: Option<String>,
    pub(super) database_port: Option<String>,
    pub(super) database_name: Option<String>,
    pub(super) database_schema: Option<String>,
    pub(super) database_enable_iam_token_auth: Option<String>,
    pub(super) data_dir: Option<String>,
    pub(super) enable_db_migrations: Option<String>,
    pub(super) webui_admin_email: Option<String>,
    pub(super) webui_secret_key: Option<String>,
    pub(super) webui_secret_key_file: Option<String>,
    pub(super) webui_jwt_secret_key: Option<String>,
    pub(super) webui_init_sqlite_path: Option<String>,
    pub(super) webui_init_app_dir: Option<String>,
    pub(super) webui_init_python: Option<String>,
    pub(super) webui_init_schema_command: Option<String>,
    pub(super) webui_init_scratch_dir: Option<String>,
    pub(super) webui_init_wait_secs: Option<String>,
    pub(super) webui_init_lock_wait_secs: Option<String>,
    pub(super) webui_init_on_conflict: Option<String>,
    pub(super) webui_init_on_failure: Option<String>,
    pub(super) webui_init_leftovers: Option<String>,
    pub(super) webui_init_verify: Option<String>,
    pub(super) webui_init_log: Option<String>,
    pub(super) webui_init_log_format: Option<String>,
    pub(super) webui_init_disable: Option<String>,
    pub(super) webui_init_backup: Option<String>,
    pub(super) webui_init_source: Option<String>,
    pub(super) webui_init_move_again: Option<String>,
}

/// Reads the environment.
///
/// # Errors
/// All problems together, if PostgreSQL is configured and anything is wrong.
pub fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Start, SettingsError> {
    let given: Vec<(OsString, OsString)> = variables.into_iter().collect();
    let mut problems = Vec::new();
    let variables = texts(given.iter().cloned(), &mut problems);
    let environment = Environment::new(&variables)?;
    let disabled = environment.webui_init_disable.as_deref();
    let disabled = boolean("WEBUI_INIT_DISABLE", disabled, false, &mut problems);
    let mut changes = without_an_empty_url(&given);
    let (url, password) = environment.secrets(&mut changes, &mut problems);
    let (_, source) = data_dir_and_source(&environment);
    let pass_through = |changes, warnings| {
        Start::PassThrough(PassThrough {
            changes,
            warnings,
            source,
            disabled,
        })
    };
    if disabled {
        return Ok(pass_through(changes, Vec::new()));
    }
    let named = Named::new(&environment, url.as_ref(), password.as_ref(), &mut problems);
    if named.backend() == Backend::Sqlite && problems.is_empty() {
        let near = if url.is_none() {
            let texts = given
                .iter()
                .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
            variables::nearly_database_url(texts)
        } else {
            Vec::new()
        };
        return Ok(pass_through(changes, near));
    }
    let dsn = named.dsn(&variables, &mut problems);
    let iam = environment.database_enable_iam_token_auth.as_deref();
    if boolean("DATABASE_ENABLE_IAM_TOKEN_AUTH", iam, false, &mut problems) {
        problems.push(
            "DATABASE_ENABLE_IAM_TOKEN_AUTH: AWS IAM tokens are not supported yet; give this start a password, or set \
             WEBUI_INIT_DISABLE=true"
                .to_owned(),
        );
    }
    match assemble(&environment, dsn, changes, &mut problems) {
        Some(mut settings) if problems.is_empty() => {
            named.give_to_the_app(&settings.dsn, &mut settings.changes);
            settings
                .warnings
                .extend(named.overridden(&settings.dsn, &variables));
            settings
                .warnings
                .extend(variables::unknown(variables.keys()));
            Ok(Start::Prepare(Box::new(settings)))
        }
        _ => Err(SettingsError { problems }),
    }
}

/// An empty URL is taken out of the app's environment: the app would not take it for unset.
fn without_an_empty_url(given: &[(OsString, OsString)]) -> EnvironmentChanges {
    let mut changes = EnvironmentChanges::default();
    let empty = |(name, value): &(OsString, OsString)| name == "DATABASE_URL" && value.is_empty();
    if given.iter().any(empty) {
        changes.remove.push("DATABASE_URL".to_owned());
    }
    changes
}

impl Environment {
    pub(super) fn new(variables: &HashMap<String, String>) -> Result<Self, SettingsError> {
        envy::from_iter(variables.clone()).map_err(|error| SettingsError {
            problems: vec![error.to_string()],
        })
    }

    /// The URL and the password, from variables or from the files that they name.
    fn secrets(
        &self,
        changes: &mut EnvironmentChanges,
        problems: &mut Vec<String>,
    ) -> (Option<Secret>, Option<Secret>) {
        let (url, file) = (self.database_url.as_ref(), self.database_url_file.as_ref());
        let url = secret("DATABASE_URL", url, file, changes, problems);
        let (password, file) = (
            self.database_password.as_ref(),
            self.database_password_file.as_ref(),
        );
        let password = secret("DATABASE_PASSWORD", password, file, changes, problems);
        (url, password)
    }
}

/// The variables that are set, as text. Names are told apart by case, though envy would not.
pub(super) fn texts(
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
    changes: EnvironmentChanges,
    problems: &mut Vec<String>,
) -> Option<Settings> {
    let (data_dir, source) = data_dir_and_source(environment);
    let has_secret_key =
        environment.webui_secret_key.is_some() || environment.webui_jwt_secret_key.is_some();
    let policy = Policy::read(environment, problems);
    let (log, log_format) = log_settings(environment, problems);
    let wait = environment.webui_init_wait_secs.as_deref();
    let wait = seconds("WEBUI_INIT_WAIT_SECS", wait, 60, problems);
    let lock_wait = environment.webui_init_lock_wait_secs.as_deref();
    let lock_wait = seconds("WEBUI_INIT_LOCK_WAIT_SECS", lock_wait, 900, problems);
    let expectation = Expectation::read(environment, problems);
    let migrations = environment.enable_db_migrations.as_deref();
    let migrations_enabled = boolean("ENABLE_DB_MIGRATIONS", migrations, true, problems);
    let dsn = dsn?;
    let keeps_a_key = has_secret_key || environment.webui_secret_key_file.is_some();
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
        on_conflict: policy.on_conflict,
        on_failure: policy.on_failure,
        leftovers: policy.leftovers,
        verify: policy.verify,
        migrations_enabled,
        log: log?,
        log_format,
        changes,
        warnings: warnings(&dsn, keeps_a_key),
        dsn,
    })
}

/// How a start decides where it has a choice.
struct Policy {
    on_conflict: OnConflict,
    on_failure: OnFailure,
    leftovers: Leftovers,
    verify: Verify,
}

impl Policy {
    fn read(environment: &Environment, problems: &mut Vec<String>) -> Self {
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
        Self {
            on_conflict,
            on_failure,
            leftovers,
            verify,
        }
    }
}

/// The log's filter and its format.
pub(super) fn log_settings(
    environment: &Environment,
    problems: &mut Vec<String>,
) -> (Option<Targets>, LogFormat) {
    let log = filter(environment.webui_init_log.as_deref(), problems);
    let log_format = choice(
        "WEBUI_INIT_LOG_FORMAT",
        environment.webui_init_log_format.as_deref(),
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        problems,
    );
    (log, log_format)
}

/// The app's data folder, and the old database.
pub(super) fn data_dir_and_source(environment: &Environment) -> (PathBuf, PathBuf) {
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

fn app_settings(environment: &Environment, has_secret_key: bool) -> AppSettings {
    let dir = environment.webui_init_app_dir.as_deref();
    let dir = PathBuf::from(dir.unwrap_or("/app/backend"));
    let placed = environment.data_dir.is_some() || environment.webui_init_sqlite_path.is_some();
    AppSettings {
        admin_email: environment.webui_admin_email.clone(),
        own_data: (!placed).then(|| dir.join("open_webui/data/webui.db")),
        dir,
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

/// What is worth a warning.
fn warnings(dsn: &Dsn, keeps_a_key: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if !keeps_a_key {
        warnings.push(
            "WEBUI_SECRET_KEY is not set. Open WebUI then makes its own key in /app/backend/.webui_secret_key, inside the \
             container. Copy the key of the old container into WEBUI_SECRET_KEY: a new value signs everybody out and makes saved \
             tokens unreadable."
                .to_owned(),
        );
    }
    if !dsn.misreadings().is_empty() {
        warnings.push(format!(
            "Open WebUI would misread the database's address ({}); it is started with an equivalent one",
            dsn.misreadings().join(", ")
        ));
    }
    if !dsn.ignored().is_empty() {
        let ignored = dsn.ignored().join(", ");
        warnings.push(format!(
            "DATABASE_URL: parameters passed over here: {ignored}"
        ));
    }
    warnings
}

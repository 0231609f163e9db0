//! Owns the settings of commands that need the old database and no PostgreSQL.

use std::ffi::OsString;
use std::path::PathBuf;

use tracing_subscriber::filter::Targets;

use super::{Environment, LogFormat, SettingsError, choice, data_dir_and_source, filter, texts};

/// Where the old database is, and how to log.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// The source: `webui.db`.
    pub source: PathBuf,
    /// The log's filter.
    pub log: Targets,
    /// The log's format.
    pub log_format: LogFormat,
}

/// Reads that part of the environment, whatever the rest of it says.
///
/// # Errors
/// All problems together.
pub fn read_source(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<SourceSettings, SettingsError> {
    let mut problems = Vec::new();
    let variables = texts(variables, &mut problems);
    let environment: Environment = envy::from_iter(variables).map_err(|error| SettingsError {
        problems: vec![error.to_string()],
    })?;
    let log = filter(environment.webui_init_log.as_deref(), &mut problems);
    let log_format = choice(
        "WEBUI_INIT_LOG_FORMAT",
        environment.webui_init_log_format.as_deref(),
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        &mut problems,
    );
    let (_, source) = data_dir_and_source(&environment);
    match log {
        Some(log) if problems.is_empty() => Ok(SourceSettings {
            source,
            log,
            log_format,
        }),
        _ => Err(SettingsError { problems }),
    }
}

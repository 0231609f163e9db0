//! Owns the settings of commands that need the old database and no PostgreSQL.

use std::ffi::OsString;
use std::path::PathBuf;

use tracing_subscriber::filter::Targets;

use super::read::{Environment, data_dir_and_source, log_settings, texts};
use super::{LogFormat, SettingsError};

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
    let environment = Environment::new(&variables)?;
    let (log, log_format) = log_settings(&environment, &mut problems);
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

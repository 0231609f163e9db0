//! Owns the last step: becoming the real app. Signal dispositions and mask are put back to what a
//! program expects at its start, then `execvp`; nothing of this process remains. Deciding *whether*
//! to exec is `boot`'s part.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use thiserror::Error;

use crate::failpoint;
use crate::process::signals;

/// The changes to the inherited environment that the app sees; everything else passes through.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct EnvironmentChanges {
    /// Variables set for the app, such as `DATABASE_URL` read from `DATABASE_URL_FILE`.
    pub set: Vec<(String, OsString)>,
    /// Variables taken away from the app.
    pub remove: Vec<String>,
}

/// Why the app's command could not be started.
#[derive(Debug, Error)]
pub(crate) enum ExecError {
    /// No such program.
    #[error("the command to start, {0:?}, was not found")]
    NotFound(OsString),
    /// The program is there, but the kernel will not run it.
    #[error("the command to start, {command:?}, cannot be run")]
    CannotRun {
        /// The program.
        command: OsString,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Replaces this process with `command`. Returns only on failure.
///
/// # Errors
/// The command is missing (exit code 127 by the shell's convention) or cannot be run (126).
pub(crate) fn exec(
    command: &[OsString],
    changes: &EnvironmentChanges,
) -> Result<Infallible, ExecError> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| ExecError::NotFound(OsString::new()))?;
    let mut app = Command::new(program);
    app.args(arguments);
    app.envs(changes.set.iter().map(|(name, value)| (name, value)));
    for name in &changes.remove {
        app.env_remove(name);
    }
    failpoint::reach(failpoint::BEFORE_EXEC);
    signals::reset();
    let error = app.exec();
    Err(match error.kind() {
        io::ErrorKind::NotFound => ExecError::NotFound(program.clone()),
        _ => ExecError::CannotRun {
            command: program.clone(),
            source: error,
        },
    })
}

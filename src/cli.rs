//! Owns the command line, and the frame around the flow: signals, the runtime, the exit code. Deciding what
//! to do with the data is `boot`'s.

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use crate::boot::{self, Controls};
use crate::exec::{self, EnvironmentChanges};
use crate::failure::{Failure, chain};
use crate::log;
use crate::secret::Redactor;
use crate::settings::{self, LogFormat, Settings, Start};
use crate::signals;

const HELP: &str = "\
webui-init moves Open WebUI's data from SQLite to PostgreSQL exactly once, then starts Open WebUI.

Usage:
  webui-init boot -- COMMAND [ARGUMENT…]   prepare the database, then become COMMAND
  webui-init migrate                       prepare the database only

It is configured by environment variables, above all DATABASE_URL; the README lists them.
";

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Boot(Vec<OsString>),
    Migrate,
    Help,
    Version,
}

/// Runs the program.
pub fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Command::Version) => {
            println!("webui-init {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Ok(command) => match run(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => report(&failure),
        },
        Err(failure) => report(&failure),
    }
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, Failure> {
    let arguments: Vec<OsString> = arguments.collect();
    let texts: Vec<&str> = arguments
        .iter()
        .map(|argument| argument.to_str().unwrap_or_default())
        .collect();
    match texts.as_slice() {
        ["boot", "--", _, ..] => Ok(Command::Boot(arguments[2..].to_vec())),
        ["boot", ..] => Err(Failure::Usage(
            "boot needs the command to start: webui-init boot -- COMMAND [ARGUMENT…]".to_owned(),
        )),
        ["migrate"] => Ok(Command::Migrate),
        ["-h" | "--help" | "help", ..] => Ok(Command::Help),
        ["-V" | "--version", ..] => Ok(Command::Version),
        [] => Err(Failure::Usage("no command given".to_owned())),
        [known @ "migrate", extra, ..] => Err(Failure::Usage(format!(
            "{known} takes no argument {extra:?}"
        ))),
        [unknown, ..] => Err(Failure::Usage(format!("unknown command {unknown:?}"))),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let start = match settings::read(std::env::vars_os()) {
        Ok(start) => start,
        Err(error) => {
            install_default_log();
            return Err(error.into());
        }
    };
    let changes = match start {
        Start::PassThrough(changes) => changes,
        Start::Prepare(settings) => prepare(&settings)?,
    };
    match command {
        Command::Boot(app) => become_the_app(&app, &changes),
        Command::Migrate | Command::Help | Command::Version => Ok(()),
    }
}

fn prepare(settings: &Settings) -> Result<EnvironmentChanges, Failure> {
    Redactor::register(settings.dsn.secrets());
    log::install(settings.log.clone(), settings.log_format);
    signals::accept();
    // One thread is enough for one connection; the reader has its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let controls = Controls::default();
    let start = runtime.block_on(interruptible(&controls, async {
        tokio::select! {
            start = boot::prepare(settings, &controls) => start,
            never = controls.reporter.log() => match never {},
        }
    }));
    // A reader that is still busy must not hold up the end.
    runtime.shutdown_background();
    if matches!(start, Err(Failure::Interrupted { .. })) {
        controls.clear_scratch();
    }
    Ok(boot::environment(settings, start?))
}

/// Runs `flow` until it ends or a signal asks to stop. Dropping the flow closes its connections and its
/// child; the statement that PostgreSQL is busy with is cancelled, so that roll back begins at once.
async fn interruptible<T>(
    controls: &Controls,
    flow: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (name, number) = tokio::select! {
        biased;
        asked = signals::asked_to_stop() => asked?,
        result = flow => return result,
    };
    let _ = tokio::time::timeout(Duration::from_millis(300), controls.cancel()).await;
    Err(Failure::Interrupted { name, number })
}

fn become_the_app(app: &[OsString], changes: &EnvironmentChanges) -> Result<(), Failure> {
    let Err(error) = exec::exec(app, changes);
    install_default_log();
    Err(error.into())
}

fn report(failure: &Failure) -> ExitCode {
    install_default_log();
    let code = failure.exit_code();
    tracing::error!("{} (exit code {code})", chain(failure));
    tracing::error!("{}", failure.untouched());
    tracing::error!("Next: {}", failure.advice());
    ExitCode::from(code)
}

/// For failures before the settings are known; does nothing once a log is installed.
fn install_default_log() {
    if let Ok(filter) = log::parse_filter("info") {
        log::install(filter, LogFormat::Text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(OsString::from)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn boot_passes_everything_after_the_dashes() {
        assert_eq!(
            parsed(&["boot", "--", "bash", "--", "-c"]),
            Ok(Command::Boot(vec!["bash".into(), "--".into(), "-c".into()]))
        );
    }

    #[test]
    fn mistakes_are_usage() {
        for mistake in [
            &[][..],
            &["boot"],
            &["boot", "--"],
            &["boot", "bash"],
            &["migrate", "now"],
            &["plan9"],
        ] {
            assert!(parsed(mistake).is_err(), "{mistake:?}");
        }
    }
}

//! Owns the command line: which command is meant, and how a failure is told and becomes the exit code. What the
//! commands do is `command`'s.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::command::adopt::adopt;
use crate::command::answer::{Found, answer};
use crate::command::backup::{self, Backup};
use crate::command::boot;
use crate::command::frame::with_runtime;
use crate::command::leftovers::list_leftovers;
use crate::command::plan::survey::{self, Survey};
use crate::command::verify::{self, Audit};
use crate::failure::Failure;
use crate::failure::codes::EX_SOFTWARE;
use crate::failure::row::{Context, Doing};
use crate::ledger::receipt::{self, Receipt, State};
use crate::output::log::{self, LogFormat};
use crate::output::secret::Redactor;
use crate::output::stdout::out;
use crate::postgres::error::chain;
use crate::process::exec::{self, EnvironmentChanges};
use crate::settings::{self, OnFailure, PassThrough, Settings, Start, variables};

const HELP: &str = "\
webui-init moves Open WebUI's data from SQLite to PostgreSQL exactly once, then starts Open WebUI.

Usage:
  webui-init boot -- COMMAND [ARGUMENT…]   prepare the database, then become COMMAND
  webui-init migrate                       prepare the database only
  webui-init plan [--json]                 tell what a move would do; writes nothing
  webui-init verify [--json]               compare the old database with PostgreSQL now
  webui-init leftovers [--json]            list what could not be stored as it was
  webui-init adopt                         record that PostgreSQL, restored, holds what was moved
  webui-init backup --to FILE [--compress] [--json]
                                           copy the old database, also while it is in use

Exit codes: 0 done; 64 usage; 65 the data; 69 PostgreSQL not reachable; 70 a bug; 73 no space for the scratch
copy; 74 I/O error on the way; 75 another instance or process is in the way; 76 Open WebUI's own schema step
failed; 77 refused: password, role or privilege; 78 configuration; 126, 127 the command cannot be run or found;
128 and more: ended by a signal. What a command was asked for goes to stdout, the log to stderr.

It is configured by environment variables: DATABASE_URL, and Open WebUI's other ones, with their meaning; and its own:

";

const VERSION: &str = concat!("webui-init ", env!("CARGO_PKG_VERSION"), "\n");

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Boot(Vec<OsString>),
    Migrate,
    Adopt,
    Plan { json: bool },
    Verify { json: bool },
    Leftovers { json: bool },
    Backup(BackupOptions),
    Help,
    Version,
}

/// How a backup is to be made.
#[derive(Debug, PartialEq, Eq)]
struct BackupOptions {
    to: PathBuf,
    compress: bool,
    json: bool,
}

/// Runs the program.
pub fn main() -> ExitCode {
    // A bug is told by its place alone: a message may quote values.
    std::panic::set_hook(Box::new(|panic| {
        install_default_log();
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(
            target: log::FATAL,
            exit_code = EX_SOFTWARE,
            next = "please report this with the log.",
            "a bug in webui-init at {place}"
        );
        std::process::exit(i32::from(EX_SOFTWARE));
    }));
    let mut context = Context::default();
    let ended = parse(std::env::args_os().skip(1)).and_then(|command| run(command, &mut context));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            install_default_log();
            let told = failure.told(&context);
            told.log();
            ExitCode::from(told.code)
        }
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
        ["adopt"] => Ok(Command::Adopt),
        ["plan", flags @ ..] => json_flag("plan", flags).map(|json| Command::Plan { json }),
        ["verify", flags @ ..] => json_flag("verify", flags).map(|json| Command::Verify { json }),
        ["leftovers", flags @ ..] => {
            json_flag("leftovers", flags).map(|json| Command::Leftovers { json })
        }
        ["backup", ..] => backup_options(&arguments[1..]).map(Command::Backup),
        ["-h" | "--help" | "help", ..] => Ok(Command::Help),
        ["-V" | "--version", ..] => Ok(Command::Version),
        [] => Err(Failure::Usage("no command given".to_owned())),
        [known @ ("migrate" | "adopt"), extra, ..] => Err(Failure::Usage(format!(
            "{known} takes no argument {extra:?}"
        ))),
        [unknown, ..] => Err(Failure::Usage(format!("unknown command {unknown:?}"))),
    }
}

fn json_flag(command: &str, flags: &[&str]) -> Result<bool, Failure> {
    match flags {
        [] => Ok(false),
        ["--json"] => Ok(true),
        _ => Err(Failure::Usage(format!(
            "{command} takes no argument but --json"
        ))),
    }
}

/// A file name need not be text.
fn backup_options(arguments: &[OsString]) -> Result<BackupOptions, Failure> {
    let (mut to, mut compress, mut json) = (None, false, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--compress") => compress = true,
            Some("--json") => json = true,
            Some("--to") => to = arguments.next().map(PathBuf::from),
            _ => {
                return Err(Failure::Usage(format!(
                    "backup takes --to FILE, --compress and --json, and no {}",
                    argument.display()
                )));
            }
        }
    }
    match to {
        Some(to) if to.file_name().is_some() => Ok(BackupOptions { to, compress, json }),
        _ => Err(Failure::Usage(
            "backup needs the file to write: webui-init backup --to FILE".to_owned(),
        )),
    }
}

fn run(command: Command, context: &mut Context) -> Result<(), Failure> {
    context.doing = match command {
        Command::Boot(_) => Doing::Boot,
        Command::Migrate | Command::Adopt => Doing::Migrate,
        _ => Doing::Reading,
    };
    match command {
        Command::Boot(app) => match start(context)? {
            Start::PassThrough(start) => {
                warn(&start);
                become_the_app(&app, &start.changes)
            }
            Start::Prepare(settings) => {
                let (settings, start) = with_runtime(|controls| async move {
                    let start = boot::prepare(&settings, &controls).await?;
                    Ok((settings, start))
                })?;
                let command = app.first().map(|command| command.to_string_lossy());
                tracing::info!("starting Open WebUI: {}", command.unwrap_or_default());
                become_the_app(&app, &boot::environment(&settings, start))
            }
        },
        Command::Migrate => match start(context)? {
            Start::PassThrough(..) => Ok(()),
            Start::Prepare(mut settings) => {
                // It starts nothing, so there is nothing to start on SQLite: whoever waits for it must hear of the failure.
                settings.on_failure = OnFailure::Exit;
                with_runtime(|controls| async move { boot::prepare(&settings, &controls).await })
                    .map(drop)
            }
        },
        Command::Adopt => {
            let settings = with_target(context)?;
            let adopted =
                with_runtime(|controls| async move { adopt(&settings, &controls).await })?;
            out(&format!("{adopted}\n")).map_err(Failure::Output)
        }
        Command::Plan { json } => {
            let found = plan(context);
            answer("plan", json, context, found, Survey::text)
        }
        Command::Verify { json } => {
            let found = verify(context);
            answer("verify", json, context, found, Audit::text)
        }
        Command::Leftovers { json } => match with_target(context) {
            Ok(settings) => with_runtime(|_| async move { list_leftovers(&settings, json).await }),
            Err(failure) => {
                answer::<()>("leftovers", json, context, Err(failure), |()| String::new())
            }
        },
        Command::Backup(BackupOptions { to, compress, json }) => {
            let made = back_up(&to, compress);
            answer("backup", json, context, made, Backup::text)
        }
        Command::Help => out(&format!("{HELP}{}", variables::help())).map_err(Failure::Output),
        Command::Version => out(VERSION).map_err(Failure::Output),
    }
}

fn plan(context: &mut Context) -> Result<Found<Survey>, Failure> {
    let settings = with_target(context)?;
    let asked = settings.clone();
    let mut survey =
        with_runtime(|controls| async move { survey::survey(&asked, &controls).await })?;
    let outcome = survey.outcome(&settings);
    Ok((survey, outcome))
}

fn verify(context: &mut Context) -> Result<Found<Audit>, Failure> {
    let settings = with_target(context)?;
    let audit = with_runtime(|controls| async move { verify::audit(&settings, &controls).await })?;
    let outcome = audit.outcome();
    Ok((audit, outcome))
}

/// Needs no PostgreSQL, so it is not asked which one is meant.
fn back_up(to: &Path, compress: bool) -> Result<Found<Backup>, Failure> {
    let settings = settings::read_source(std::env::vars_os())?;
    log::install(settings.log.clone(), settings.log_format);
    let made = with_runtime(|controls| async move {
        backup::back_up(&settings, &controls, to, compress).await
    })?;
    Ok((made, Ok(())))
}

/// Reads the environment, and begins the log that it asks for where there is something to do.
fn start(context: &mut Context) -> Result<Start, Failure> {
    let start = settings::read(std::env::vars_os())?;
    if let Start::Prepare(settings) = &start {
        Redactor::register(settings.dsn.secrets());
        log::install(settings.log.clone(), settings.log_format);
        context.place = settings.dsn.place();
    }
    Ok(start)
}

/// The settings of a command that does not work without PostgreSQL.
fn with_target(context: &mut Context) -> Result<Box<Settings>, Failure> {
    match start(context)? {
        Start::Prepare(settings) => Ok(settings),
        Start::PassThrough(..) => Err(Failure::NoTarget),
    }
}

fn become_the_app(app: &[OsString], changes: &EnvironmentChanges) -> Result<(), Failure> {
    let Err(error) = exec::exec(app, changes);
    install_default_log();
    Err(error.into())
}

/// Says what a start without PostgreSQL is warned about: mostly nothing.
fn warn(start: &PassThrough) {
    let mut warnings = start.warnings.clone();
    if !start.disabled && receipt::is_there(&start.source) {
        warnings.extend(newer_data_elsewhere(&start.source));
    }
    if !warnings.is_empty() {
        install_default_log();
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
}

/// What a receipt says of a database that is about to be used again.
fn newer_data_elsewhere(source: &Path) -> Option<String> {
    let source_name = source.display();
    match Receipt::beside(source) {
        Ok(Some(receipt)) if receipt.state == State::Moved => Some(format!(
            "the data of {source_name} was moved at {}, into {}, and DATABASE_URL names no PostgreSQL: Open WebUI starts on the old \
             file, without what was written since. To go on with the newer data, set DATABASE_URL again.",
            receipt.at,
            receipt.place()
        )),
        Ok(_) => None,
        Err(error) => Some(format!(
            "a receipt beside {source_name} says that its data was moved into PostgreSQL ({}), and DATABASE_URL names none: Open WebUI \
             starts on the old file, without what was written since.",
            chain(&error)
        )),
    }
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

//! Owns Open WebUI's own commands: its Alembic, which alone makes and changes its tables. The child's
//! environment names exactly one database; its output goes to our log, line by line.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::app::complaint::Complaint;
use crate::output::log;
use crate::output::secret::Redactor;
use crate::output::words::count;
use crate::postgres::dsn::Dsn;
use crate::settings::{AppSettings, DATABASE_PARTS};

/// Why the app's schema step failed.
#[derive(Debug, Error)]
pub(crate) enum AppError {
    /// The interpreter or command could not be started.
    #[error("{program} could not be started for Open WebUI's schema step")]
    Start {
        /// The program.
        program: String,
        /// The folder in which it was to run.
        dir: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// It ran and failed.
    #[error("Open WebUI's schema step failed on {database}, {status}{complaint}")]
    Failed {
        /// Which database.
        database: &'static str,
        /// Exit status or signal.
        status: String,
        /// What it said, redacted.
        complaint: Box<Complaint>,
    },
    /// The image's Alembic does not know `DATABASE_SCHEMA`: it makes the tables where the role's `search_path` leads.
    #[error(
        "this version of Open WebUI makes its tables in schema {makes:?}, although DATABASE_SCHEMA={wanted:?} says otherwise: its \
         migrations do not know that variable"
    )]
    SchemaUnknown {
        /// `DATABASE_SCHEMA`.
        wanted: String,
        /// The session's current schema.
        makes: String,
    },
    /// It said that all was well, and the revision says otherwise.
    #[error(
        "Open WebUI's schema step ended well, but {database} is at revision {found} instead of {expected}"
    )]
    WrongRevision {
        /// Which database.
        database: &'static str,
        /// Its revision, or "none".
        found: String,
        /// What it should be.
        expected: String,
    },
}

/// The one database that a schema step works on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Database<'a> {
    /// PostgreSQL.
    Target(&'a Dsn),
    /// The private copy of the source.
    Copy(&'a Path),
}

impl Database<'_> {
    /// Its name in messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Target(_) => "PostgreSQL",
            Self::Copy(_) => "the private copy of webui.db",
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Target(dsn) => dsn.app_url(),
            Self::Copy(path) => format!("sqlite:///{}", path.display()),
        }
    }
}

/// Open WebUI as installed in the image.
#[derive(Debug)]
pub(crate) struct App<'a> {
    settings: &'a AppSettings,
    /// A folder of our own that the child takes for its data volume: importing the app may create or
    /// rename files there.
    data_dir: Option<PathBuf>,
}

impl<'a> App<'a> {
    /// The app of `settings`, kept away from the real data volume by `data_dir`.
    pub(crate) fn new(settings: &'a AppSettings, data_dir: Option<&Path>) -> Self {
        Self {
            settings,
            data_dir: data_dir.map(Path::to_owned),
        }
    }

    fn package(&self) -> PathBuf {
        self.settings.dir.join("open_webui")
    }

    /// The texts of the migration scripts in the image; empty where there are none to read.
    pub(crate) fn migrations(&self) -> Migrations {
        let scripts = std::fs::read_dir(self.package().join("migrations/versions"))
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "py")
            })
            .filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
        Migrations::read(scripts)
    }

    /// Refuses a `DATABASE_SCHEMA` that the image's own migrations would pass over. `session` is the schema in which
    /// the role's tables are made by default. Where there are no migrations to read, nothing is refused.
    ///
    /// # Errors
    /// [`AppError::SchemaUnknown`].
    pub(crate) fn check_schema(&self, session: Option<&str>) -> Result<(), AppError> {
        let Some(wanted) = self.settings.schema.as_deref() else {
            return Ok(());
        };
        if session == Some(wanted) || self.settings.schema_command.is_some() {
            return Ok(());
        }
        match std::fs::read_to_string(self.package().join("migrations/env.py")) {
            Ok(script) if !script.contains("DATABASE_SCHEMA") => Err(AppError::SchemaUnknown {
                wanted: wanted.to_owned(),
                makes: session.unwrap_or("(none)").to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether there are the folder and the interpreter that the schema step needs.
    ///
    /// # Errors
    /// [`AppError::Start`], as the step itself would end.
    pub(crate) fn check_there(&self) -> Result<(), AppError> {
        if self.settings.schema_command.is_some() {
            return Ok(());
        }
        let python = Path::new(&self.settings.python);
        let found = if python.components().count() > 1 {
            python.is_file()
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder| folder.join(python).is_file())
        };
        if found && self.package().is_dir() {
            return Ok(());
        }
        Err(AppError::Start {
            program: python.display().to_string(),
            dir: self.package(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    /// Brings `database` to the image's head.
    ///
    /// # Errors
    /// The command cannot be started or fails. An exit status of 0 proves nothing: the caller reads the
    /// revision afterwards.
    pub(crate) async fn upgrade(&self, database: Database<'_>) -> Result<(), AppError> {
        let mut command = self.command();
        self.environment(&mut command, database);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        die_with_parent(&mut command);
        let program = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        let mut child = command
            .spawn()
            .map(Running::new)
            .map_err(|source| AppError::Start {
                program,
                dir: self.working_dir(),
                source,
            })?;
        let mut complaint = Complaint::default();
        let status = child
            .watch(&mut complaint)
            .await
            .map_err(|source| AppError::Start {
                program: "the child".to_owned(),
                dir: self.working_dir(),
                source,
            })?;
        if status.success() {
            told(&database, complaint.steps);
            return Ok(());
        }
        Err(AppError::Failed {
            database: database.name(),
            status: describe(status),
            complaint: Box::new(complaint),
        })
    }

    fn command(&self) -> Command {
        if let Some(line) = &self.settings.schema_command {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            return command;
        }
        let mut command = Command::new(&self.settings.python);
        command
            .args(["-m", "alembic", "upgrade", "head"])
            .current_dir(self.package());
        command
    }

    /// Where the command runs.
    fn working_dir(&self) -> PathBuf {
        match &self.settings.schema_command {
            Some(_) => std::env::current_dir().unwrap_or_default(),
            None => self.package(),
        }
    }

    fn environment(&self, command: &mut Command, database: Database<'_>) {
        for name in DATABASE_PARTS {
            command.env_remove(name);
        }
        command
            .env_remove("DATABASE_URL_FILE")
            .env_remove("DATABASE_PASSWORD_FILE")
            .env_remove("DATABASE_SCHEMA");
        command.env("DATABASE_URL", database.url());
        if let (Database::Target(_), Some(schema)) = (database, &self.settings.schema) {
            command.env("DATABASE_SCHEMA", schema);
        }
        if let Some(data_dir) = &self.data_dir {
            command.env("DATA_DIR", data_dir);
        }
        if !self.settings.has_secret_key {
            // start.sh makes the real key later. The schema step refuses to load without one and uses it
            // for nothing.
            command.env("WEBUI_SECRET_KEY", "only-for-the-schema-step");
        }
        command
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
    }
}

/// What the image's migration scripts tell without being run.
#[derive(Debug, Default)]
pub(crate) struct Migrations {
    revisions: BTreeSet<String>,
    replaced: BTreeSet<String>,
    tables: BTreeSet<String>,
    words: BTreeSet<String>,
}

impl Migrations {
    fn read(scripts: impl Iterator<Item = String>) -> Self {
        let mut migrations = Self::default();
        for script in scripts {
            migrations.revisions.extend(assigned(&script, "revision"));
            migrations
                .replaced
                .extend(assigned(&script, "down_revision"));
            let quoted = script.split(['"', '\'']).filter(|word| {
                (1..64).contains(&word.len())
                    && word
                        .bytes()
                        .all(|byte| byte == b'_' || byte.is_ascii_lowercase())
            });
            migrations.words.extend(quoted.map(str::to_owned));
            for call in ["create_table(", "rename_table("] {
                migrations
                    .tables
                    .extend(script.split(call).skip(1).flat_map(quoted_arguments));
            }
        }
        migrations
    }

    /// The one revision that no other follows; none where the scripts do not form a single line.
    pub(crate) fn head(&self) -> Option<String> {
        let mut heads = self.revisions.difference(&self.replaced);
        heads.next().filter(|_| heads.next().is_none()).cloned()
    }

    /// Whether a script speaks of such a name, in quotes; also where there are no scripts to ask.
    pub(crate) fn may_know(&self, table: &str) -> bool {
        self.words.is_empty() || self.words.contains(table)
    }

    /// Whether the image knows this revision; unknown where there are no scripts to ask.
    pub(crate) fn know(&self, revision: &str) -> Option<bool> {
        (!self.revisions.is_empty()).then(|| self.revisions.contains(revision))
    }
}

/// The quoted words with which the arguments of a call begin: the table's name, or its old and new ones.
fn quoted_arguments(arguments: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = arguments;
    while names.len() < 2 {
        rest = rest.trim_start_matches([',', ' ', '\n', '\r', '\t']);
        let Some(quote) = rest
            .chars()
            .next()
            .filter(|first| ['"', '\''].contains(first))
        else {
            break;
        };
        let Some((name, behind)) = rest[1..].split_once(quote) else {
            break;
        };
        names.push(name.to_owned());
        rest = behind;
    }
    names
}

/// The text that a script assigns to a variable at its top level, with or without a type annotation.
fn assigned(script: &str, variable: &str) -> Option<String> {
    script.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.split(':').next()?.trim_end();
        let quoted = value.trim().strip_prefix(['"', '\''])?;
        (name == variable).then(|| quoted.trim_end_matches(['"', '\'']).to_owned())
    })
}

/// Which tables are Open WebUI's: those of the source, and those that the image's migration scripts make or
/// rename. Another application's tables in the same schema are neither.
#[derive(Debug, Default)]
pub(crate) struct AppTables(BTreeSet<String>);

impl AppTables {
    /// The tables of the source and of the scripts.
    pub(crate) fn new<'a>(source: impl Iterator<Item = &'a str>, migrations: &Migrations) -> Self {
        Self(
            source
                .map(str::to_owned)
                .chain(migrations.tables.iter().cloned())
                .collect(),
        )
    }

    /// Whether `table` is the app's.
    pub(crate) fn include(&self, table: &str) -> bool {
        self.0.contains(table)
    }
}

/// A child in a process group of its own, which ends with this value.
struct Running {
    child: Child,
    /// Remembered, because a child that has ended no longer tells; its own children may go on.
    group: Option<Pid>,
}

impl Running {
    fn new(child: Child) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            child,
            group: group.map(Pid::from_raw),
        }
    }

    async fn watch(&mut self, complaint: &mut Complaint) -> io::Result<ExitStatus> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let (sender, mut lines) = tokio::sync::mpsc::channel(64);
        let output = async {
            tokio::join!(forward(stdout, sender.clone()), forward(stderr, sender));
        };
        let log = async {
            while let Some(line) = lines.recv().await {
                tracing::debug!(target: log::APP, from = "open-webui", "{line}");
                complaint.hear(&line);
            }
        };
        let mut reading = std::pin::pin!(async { tokio::join!(output, log) });
        tokio::select! {
            status = self.child.wait() => {
                // What it said last is on its way; but a grandchild that keeps the pipe open must not hold us up.
                let _ = tokio::time::timeout(Duration::from_secs(1), reading).await;
                status
            }
            _ = &mut reading => self.child.wait().await,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn forward(stream: Option<impl AsyncRead + Unpin>, lines: tokio::sync::mpsc::Sender<String>) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|read| read > 0)
    {
        let text = Redactor::clean(String::from_utf8_lossy(&line).trim_end());
        line.clear();
        if !text.is_empty() && lines.send(text).await.is_err() {
            return;
        }
    }
}

/// A child that outlives a killed parent would go on changing a schema that the next start looks at.
fn die_with_parent(command: &mut Command) {
    // SAFETY: `prctl` is a plain system call, allowed between fork and exec.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
}

/// One line for a hundred of Alembic's, which are there at the level `debug`.
fn told(database: &Database<'_>, steps: u64) {
    let what = match database {
        Database::Target(_) => "made its tables",
        Database::Copy(_) => "upgraded the private copy",
    };
    match steps {
        0 => tracing::info!("Open WebUI's schema step is done"),
        steps => tracing::info!(
            steps,
            "Open WebUI {what} ({} of \"Running upgrade\")",
            count(steps, "step")
        ),
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "no exit status".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_revisions_and_table_names_of_scripts() {
        let migrations = Migrations::read(
            [
                "revision: str = \"abc123\"\ndown_revision: Union[str, None] = None\nop.create_table(\n    \"chat\","
                    .to_owned(),
                "revision = 'def456'\ndown_revision = 'abc123'\nop.rename_table('group_old', 'user_group')\nop.add_column('notes', sa.Column('data'))".to_owned(),
            ]
            .into_iter(),
        );
        assert_eq!(migrations.know("abc123"), Some(true));
        assert_eq!(migrations.know("ffff"), Some(false));
        assert_eq!(migrations.head().as_deref(), Some("def456"));
        let tables = AppTables::new(["document"].into_iter(), &migrations);
        assert!(
            ["chat", "user_group", "document"]
                .iter()
                .all(|table| tables.include(table))
        );
        assert!(!tables.include("notes") && !tables.include("data"));
        assert_eq!(Migrations::default().know("abc123"), None);
    }
}

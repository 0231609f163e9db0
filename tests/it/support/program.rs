//! The built program, run with an environment of the test's own.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use tempfile::TempDir;

use super::{Source, repository, wait_for};

/// Longer than any test waits for a run on purpose.
const LIMIT: Duration = Duration::from_mins(2);

/// A run to be: arguments and variables. It begins with a clean environment, the replayed schema of the app for
/// `WEBUI_INIT_SCHEMA_COMMAND`, and a `WEBUI_SECRET_KEY`.
pub struct Program {
    command: Command,
    /// `HOME` and `TMPDIR` of the run.
    folder: TempDir,
}

impl Program {
    /// The program with these arguments.
    pub fn new<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_webui-init"));
        command.args(arguments);
        Self::from_command(command)
    }

    /// `migrate`.
    pub fn migrate() -> Self {
        Self::new(["migrate"])
    }

    /// `boot -- COMMAND…`
    pub fn boot<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(command: I) -> Self {
        let mut program = Self::new(["boot", "--"]);
        program.command.args(command);
        program
    }

    /// Another command that ends in the program, such as `unshare … webui-init migrate`.
    pub fn from_command(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        command.env_clear();
        for kept in ["PATH", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(kept).map(|value| (kept, value)));
        }
        command
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path());
        command.env("WEBUI_SECRET_KEY", "a secret key of the tests");
        command.env("WEBUI_INIT_SCHEMA_COMMAND", schema_command());
        Self { command, folder }
    }

    /// One more argument.
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// With `DATABASE_URL`.
    pub fn target(self, url: impl AsRef<str>) -> Self {
        self.env("DATABASE_URL", url.as_ref())
    }

    /// With the folder of the source as `DATA_DIR`.
    pub fn source(self, source: &Source) -> Self {
        self.data_dir(source.folder())
    }

    pub fn data_dir(self, folder: &Path) -> Self {
        self.env("DATA_DIR", folder)
    }

    /// The folder that the run has as `HOME` and `TMPDIR`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command itself, for what the methods here do not cover.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs to the end.
    pub fn run(self) -> Outcome {
        self.start().wait(LIMIT)
    }

    /// Starts it in the background.
    pub fn start(mut self) -> Running {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        let stdout = Collected::from(child.stdout.take().expect("piped"));
        let stderr = Collected::from(child.stderr.take().expect("piped"));
        Running {
            child,
            stdout,
            stderr,
            started,
            _folder: self.folder,
        }
    }
}

/// The boot of an app that says that it has started, and does no more.
pub fn boot(source: &Source, url: &str) -> Program {
    Program::boot(["echo", "started"])
        .source(source)
        .target(url)
}

/// The program on `source`, told of `url`: `boot` goes on to an app that says "started".
pub fn on(command: &str, source: &Source, url: &str) -> Program {
    match command {
        "boot" => boot(source, url),
        command => Program::new([command]).source(source).target(url),
    }
}

/// Boots, after `plan` has ended with the same code.
#[track_caller]
pub fn as_planned(program: impl Fn(&str) -> Program, code: i32) -> Outcome {
    let planned = program("plan").run();
    let outcome = program("boot").run().expect(code);
    assert_eq!(
        planned.code(),
        code,
        "plan says otherwise:\n{}\n{}",
        planned.stdout,
        planned.stderr
    );
    outcome
}

/// A boot in the background, in a schema command that does not end by itself; it gets there within `limit`.
pub fn start_in_schema_command(source: &Source, url: &str, limit: Duration) -> Running {
    let program = boot(source, url);
    let runs = program.folder().join("runs");
    let command = format!("touch '{}'; sleep 300", runs.display());
    let running = program.env("WEBUI_INIT_SCHEMA_COMMAND", command).start();
    wait_for("the schema command", limit, || runs.exists().then_some(()));
    running
}

/// A schema command that writes a line into `log`, waits, and then makes the schema.
pub fn slow_schema_command(log: &Path, seconds: u32) -> String {
    format!(
        "echo run >>'{}'; sleep {seconds}; {}",
        log.display(),
        schema_command().to_string_lossy()
    )
}

/// A boot that holds the lock for some seconds, in the background; returns once it holds it.
pub fn start_slow_boot(source: &Source, url: &str, seconds: u32) -> Running {
    let mut program = boot(source, url);
    let log = program.folder().join("schema.log");
    program = program.env(
        "WEBUI_INIT_SCHEMA_COMMAND",
        slow_schema_command(&log, seconds),
    );
    let running = program.start();
    wait_for("the schema command", Duration::from_mins(1), || {
        log.exists().then_some(())
    });
    running
}

/// The shell command that stands in for the app's Alembic.
pub fn schema_command() -> OsString {
    let mut quoted = OsString::from("'");
    quoted.push(repository("tests/support/schema"));
    quoted.push("'");
    quoted
}

/// A run in the background. Dropped, it is killed.
pub struct Running {
    child: Child,
    stdout: Collected,
    stderr: Collected,
    started: Instant,
    _folder: TempDir,
}

impl Running {
    pub fn pid(&self) -> nix::unistd::Pid {
        super::postgres::pid(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the run is still there");
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// What it, or the command that it became, has printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// Waits until its log has this text.
    pub fn wait_for_log(&mut self, text: &str, limit: Duration) {
        let start = Instant::now();
        while !self.stderr().contains(text) {
            assert!(
                !self.ended(),
                "ended without saying {text:?}:\n{}",
                self.stderr()
            );
            assert!(
                start.elapsed() < limit,
                "{limit:?} and no {text:?}:\n{}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end.
    pub fn wait(mut self, limit: Duration) -> Outcome {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            assert!(
                start.elapsed() < limit,
                "still running after {limit:?}; it said:\n{}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = self.started.elapsed();
        Outcome {
            status,
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Outcome {
    /// The exit status; 128 + n after signal n, as a shell has it.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .or_else(|| self.status.signal().map(|signal| 128 + signal))
            .expect("one of both")
    }

    /// Fails, with what was said, unless the run ended so.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            code,
            "after {:?}; stdout:\n{}\nstderr:\n{}",
            self.took,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Fails unless stderr has each of these texts.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stderr.contains(text),
                "no {text:?} in stderr:\n{}",
                self.stderr
            );
        }
        self
    }

    /// Fails unless stdout has each of these texts.
    #[track_caller]
    pub fn answers(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.stdout.contains(text),
                "no {text:?} in stdout:\n{}",
                self.stdout
            );
        }
        self
    }

    /// Stdout as the JSON document that the schema in `docs/schema` describes, with this exit code in it.
    #[track_caller]
    pub fn document(&self) -> serde_json::Value {
        let document: serde_json::Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.stdout));
        let name = document["schema"].as_str().expect("the name of a schema");
        let file = name.replace("webui-init/", "").replace('/', "-");
        let path = super::repository(&format!("docs/schema/{file}.json"));
        let schema = std::fs::read_to_string(path).expect("a schema of that name");
        let schema = serde_json::from_str(&schema).expect("a schema in JSON");
        let schema = jsonschema::validator_for(&schema).expect("a schema");
        let wrong: Vec<String> = schema
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}\nin {document:#}");
        assert_eq!(document["exit_code"], self.code());
        document
    }

    /// Fails if stdout or stderr has this text.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        assert!(
            !self.stderr.contains(text),
            "{text:?} in stderr:\n{}",
            self.stderr
        );
        assert!(
            !self.stdout.contains(text),
            "{text:?} in stdout:\n{}",
            self.stdout
        );
        self
    }

    /// Fails unless stdout is this.
    #[track_caller]
    pub fn prints(self, stdout: &str) -> Self {
        assert_eq!(self.stdout, stdout, "stderr:\n{}", self.stderr);
        self
    }
}

/// A pipe's content, read by a thread so that the writer never waits.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Collected {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                read.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// All of it, for a process that has ended; a grandchild that keeps the pipe open is not waited for.
    fn whole(&self) -> String {
        let start = Instant::now();
        while !self.reader.is_finished() && start.elapsed() < Duration::from_millis(500) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.text()
    }
}

//! The whole way with the real Open WebUI: filled on `SQLite`, killed, booted on PostgreSQL through the program, and
//! asked for everything that it had served before. Filling and asking are `tests/support/openwebui`'s.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::{
    Database, Missing, Postgres, Program, Running, Version, cache, free_port, need, repository,
    source::RECEIPT,
};

/// How long the app may take to end after a signal.
const END: Duration = Duration::from_secs(30);

/// The real Open WebUI on one data folder.
struct OpenWebui {
    python: PathBuf,
    folder: TempDir,
}

impl OpenWebui {
    fn installed() -> Result<Self, Missing> {
        let python = cache().join("openwebui/bin/python");
        if !python.is_file() {
            return Err(Missing(
                "no Open WebUI in the cache (scripts/deps openwebui)".into(),
            ));
        }
        Ok(Self {
            python,
            folder: tempfile::tempdir().expect("a temporary folder"),
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `python -m openwebui`, to be given arguments.
    fn bench(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "openwebui"]);
        command
    }

    /// Starts the app and waits until it answers. Returns its URL too.
    fn serve(&self, arguments: &[&OsStr], database: Option<&Database>) -> (Running, String) {
        let port = free_port().to_string();
        let mut command = self.bench();
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(self.data())
            .args(["--port", &port])
            .args(arguments);
        let mut program =
            with_bench(Program::from_command(command)).without("WEBUI_INIT_SCHEMA_COMMAND");
        if let Some(database) = database {
            program = program.target(database.url());
        }
        let mut app = program.start();
        let url = format!("http://127.0.0.1:{port}");
        let waited = self.try_run(&[
            "wait",
            "--url",
            &url,
            "--seconds",
            "300",
            "--pid",
            &app.pid().to_string(),
        ]);
        assert!(
            waited.status.success(),
            "ended: {}; it said:\n{}",
            app.ended(),
            app.stderr()
        );
        (app, url)
    }

    fn try_run(&self, arguments: &[&str]) -> Output {
        let mut command = self.bench();
        command.args(arguments).current_dir(self.folder.path());
        command
            .env("PYTHONPATH", repository("tests/support"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command.output().expect("python runs")
    }

    /// Runs one of the bench's commands in the folder above the data and returns what it printed.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.try_run(arguments);
        let printed = String::from_utf8_lossy(&stdout).into_owned();
        assert!(
            status.success(),
            "{arguments:?}: {status}\n{printed}\n{}",
            String::from_utf8_lossy(&stderr)
        );
        printed
    }

    /// The data folder's entries; with the content of the database, its WAL and its index.
    fn source(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.data()).expect("the data folder");
        entries
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let name = path
                    .file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned();
                let content = if name.starts_with("webui.db") {
                    std::fs::read(&path).expect("readable")
                } else {
                    Vec::new()
                };
                (name, content)
            })
            .collect()
    }
}

fn with_bench(program: Program) -> Program {
    program
        .env("PYTHONPATH", repository("tests/support"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
}

#[test]
fn open_webui_serves_the_same_to_everyone_after_the_move() {
    let app = need!(OpenWebui::installed());
    let versions = Version::own_and_newest();
    if versions.is_empty() {
        need!(Err(Missing("no PostgreSQL (scripts/deps postgres)".into())));
    }
    fill_and_kill(&app);
    let source = app.source();
    assert!(
        !source["webui.db-wal"].is_empty(),
        "the kill left no WAL to move"
    );

    for (n, version) in versions.into_iter().enumerate() {
        let server = need!(Postgres::shared_of(version));
        let database = server.create_database("end_to_end");
        // Everything takes minutes: on one version. What another one stores cannot depend on who asks.
        let compare = if n == 0 {
            compare_everything
        } else {
            compare_chats
        };
        move_and(compare, &app, &database, &source);
        boot_again(&app, &database, &source);
        // For the next server this is a file that was never moved.
        std::fs::remove_file(app.data().join(RECEIPT)).expect("a receipt");
    }
}

/// Fills the app on `SQLite`, photographs it, and kills it while its WAL holds commits.
fn fill_and_kill(app: &OpenWebui) {
    let (running, url) = app.serve(&["--vectorless".as_ref()], None);
    app.run(&["fill", "--url", &url, "--ledger", "ledger.json"]);
    app.run(&[
        "snapshot",
        "--url",
        &url,
        "--ledger",
        "ledger.json",
        "-o",
        "before.json",
    ]);
    running.signal(Signal::SIGKILL);
    running.wait(END).expect(128 + Signal::SIGKILL as i32);
}

/// Boots the app on `PostgreSQL` through the program and fails unless it serves what it served before.
fn move_and(
    compare: fn(&OpenWebui, &str),
    app: &OpenWebui,
    database: &Database,
    source: &BTreeMap<String, Vec<u8>>,
) {
    let program = Path::new(env!("CARGO_BIN_EXE_webui-init"));
    let (running, url) = app.serve(&["--under".as_ref(), program.as_os_str()], Some(database));
    assert!(database.marked(), "no marker");
    compare(app, &url);
    running.signal(Signal::SIGTERM);
    running.wait(END);
    assert_unchanged(app, source);
}

/// All that the API serves to everyone. The bench exits with 1 and tells, if a difference is not explained.
fn compare_everything(app: &OpenWebui, url: &str) {
    app.run(&[
        "snapshot",
        "--url",
        url,
        "--ledger",
        "ledger.json",
        "-o",
        "after.json",
    ]);
    app.run(&["compare", "before.json", "after.json"]);
}

/// Everyone's sign-in and chats.
fn compare_chats(app: &OpenWebui, url: &str) {
    let check = [
        "check",
        "--url",
        url,
        "--ledger",
        "ledger.json",
        "--database",
    ];
    app.run(&[&check[..], &["data/webui.db"]].concat());
}

/// A second boot moves nothing, says nothing of `SQLite`, and takes milliseconds.
fn boot_again(app: &OpenWebui, database: &Database, source: &BTreeMap<String, Vec<u8>>) {
    let marker = "SELECT row_to_json(migration)::text FROM webui_init.migration";
    let before = database.value(marker);
    let outcome = Program::boot(["echo", "the app"])
        .target(database.url())
        .data_dir(&app.data())
        .run();
    let outcome = outcome
        .expect(0)
        .prints("the app\n")
        .never_says("SQLite")
        .never_says("webui.db");
    assert!(outcome.took < Duration::from_secs(1), "{:?}", outcome.took);
    assert_eq!(database.value(marker), before, "the marker");
    assert_unchanged(app, source);
}

#[track_caller]
fn assert_unchanged(app: &OpenWebui, source: &BTreeMap<String, Vec<u8>>) {
    let mut now = app.source();
    assert!(now.remove(RECEIPT).is_some(), "no receipt");
    assert_eq!(
        now.keys().collect::<Vec<_>>(),
        source.keys().collect::<Vec<_>>(),
        "the files of the data folder"
    );
    for (name, content) in source {
        assert!(now[name] == *content, "{name} has changed");
    }
}

/// The comparison is only worth something if it can fail.
#[test]
fn the_comparison_finds_what_differs() {
    let app = need!(OpenWebui::installed());
    let picture = |title: &str| {
        format!(
            r#"{{"a@example.org": {{"GET /x": {{"status": 200, "body": [{{"title": {title}}}]}}}}}}"#
        )
    };
    for (before, after, same) in [
        (r#""1""#, r#""1""#, true),
        ("1", "1.0", false),
        ("1", "true", false),
        ("null", r#""""#, false),
        ("[]", "[1]", false),
    ] {
        std::fs::write(app.file("before.json"), picture(before)).expect("a writable folder");
        std::fs::write(app.file("after.json"), picture(after)).expect("a writable folder");
        let output = app.try_run(&["compare", "before.json", "after.json"]);
        assert_eq!(
            output.status.code(),
            Some(i32::from(!same)),
            "{before} and {after}: {output:?}"
        );
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).contains("GET /x.body[0].title"),
            !same,
            "{output:?}"
        );
    }
}

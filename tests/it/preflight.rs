//! `plan` comes to the same end as the next start, before anything is stopped or written.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{
    Postgres, Program, Source, boot, expect_untouched, hold_open, insert_chat, need, open,
};

/// What the files hold, but the index that readers share. Asked by another process: where this one opened and closed
/// them, the locks of its own connections would be gone.
fn digests(folder: &Path) -> String {
    let command = format!(
        "cd '{}' && ls -A && sha256sum webui.db*[!m]",
        folder.display()
    );
    let output = Command::new("sh").args(["-c", &command]).output();
    String::from_utf8(output.expect("a shell").stdout).expect("text")
}

#[test]
fn plan_and_verify_run_beside_an_open_webui_that_is_using_its_file() {
    let server = need!(Postgres::shared());
    for mode in ["wal", "delete"] {
        let database = server.create_database("beside");
        let source = Source::small();
        let app = if mode == "wal" {
            hold_open(&source)
        } else {
            let app = open(&source.path());
            app.query_row("PRAGMA journal_mode=delete", [], |_| Ok(()))
                .expect("a mode");
            app
        };
        if mode == "wal" {
            insert_chat(&app, 777, 1);
        } else {
            app.execute_batch("BEGIN; SELECT count(*) FROM user")
                .expect("a read transaction");
        }
        let before = digests(source.folder());
        let program = |command: &str| {
            Program::new([command, "--json"])
                .source(&source)
                .target(database.url())
                .env("WEBUI_INIT_WAIT_SECS", "1")
        };
        let plan = program("plan").run().expect(0).document();
        assert_eq!(plan["state"], "move", "{mode}");
        assert_eq!(plan["source_in_use"], true, "{mode}");
        // What the app has committed a moment ago is seen.
        let chats = if mode == "wal" { 25 } else { 24 };
        assert_eq!(plan["source"]["chats"], chats, "{mode}");
        program("verify").run().expect(65);
        assert_eq!(digests(source.folder()), before, "{mode}");
        expect_untouched(&database);
        // The app goes on as if nothing had been.
        app.execute_batch("ROLLBACK").ok();
        insert_chat(&app, 778, 1);
    }
}

/// An image with the migrations of `small`'s revision, and one after it.
fn image(folder: &Path, revision: &str) {
    let versions = folder.join("open_webui/migrations/versions");
    fs::create_dir_all(&versions).expect("a writable folder");
    for (name, down, up) in [("a", None, revision), ("b", Some(revision), "feedfeedfeed")] {
        let down = down.map_or("None".to_owned(), |down| format!("'{down}'"));
        let script = format!("revision = '{up}'\ndown_revision = {down}\n");
        fs::write(versions.join(format!("{name}.py")), script).expect("a script");
    }
}

/// A name, variables, the exit code, and what the message has to speak of.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], i32, &'a str);

#[test]
fn what_the_schema_step_needs_is_asked_for_before_anything_is_made() {
    let server = need!(Postgres::shared());
    let source = Source::small();
    let revision: String = source.edit(|file| {
        file.query_row("SELECT version_num FROM alembic_version", [], |row| {
            row.get(0)
        })
        .expect("a revision")
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    image(folder.path(), &revision);
    let good = folder.path().to_str().expect("a path");
    let cases: [Case<'_>; 4] = [
        (
            "no app folder",
            &[("WEBUI_INIT_APP_DIR", "/nowhere")],
            76,
            "there is no folder /nowhere/open_webui",
        ),
        (
            "no interpreter",
            &[
                ("WEBUI_INIT_APP_DIR", good),
                ("WEBUI_INIT_PYTHON", "/nowhere/python3"),
            ],
            76,
            "WEBUI_INIT_PYTHON",
        ),
        (
            "no Alembic command",
            &[
                ("WEBUI_INIT_APP_DIR", good),
                ("WEBUI_INIT_PYTHON", "no-such-python"),
            ],
            76,
            "WEBUI_INIT_PYTHON",
        ),
        (
            "no scratch directory",
            &[
                ("WEBUI_INIT_APP_DIR", good),
                ("WEBUI_INIT_SCRATCH_DIR", "/nowhere"),
            ],
            73,
            "WEBUI_INIT_SCRATCH_DIR",
        ),
    ];
    for (case, variables, code, said) in cases {
        let database = server.create_database("needs");
        let plan = Program::new(["plan", "--json"])
            .source(&source)
            .target(database.url());
        for mut program in [plan, boot(&source, &database.url())] {
            program = program.without("WEBUI_INIT_SCHEMA_COMMAND");
            for (name, value) in variables {
                program = program.env(name, value);
            }
            let outcome = program.run().expect(code);
            assert!(outcome.stderr.contains(said), "{case}: {}", outcome.stderr);
            // Neither has made a table.
            assert!(database.counts().is_empty(), "{case}");
            let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'webui_init'";
            assert_eq!(database.value(schemas), "0", "{case}");
        }
    }
}

//! A `webui.db` of any earlier release arrives as the app's own upgrade of that file would have left it.
//!
//! A sample of what `scripts/revisions --all` does with every revision. Here the program starts the app's real
//! Alembic itself, on both databases; `tests/support/revisions` does the upgrade that is compared with.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Database, Missing, Postgres, cache, need, repository};

/// The first revision, the last, and those just before the migrations that rewrite most: group members; prompts
/// (with chat messages and access grants next); shared chats and pinned notes; settings; histories.
const REVISIONS: [&str; 7] = [
    "revisions/01_7e5b5dc7342b.sql.gz",
    "revisions/21_a5c220713937.sql.gz",
    "revisions/29_c440947495f3.sql.gz",
    "revisions/38_e1f2a3b4c5d6.sql.gz",
    "revisions/44_461111b60977.sql.gz",
    "revisions/60_b8e4f0a3c752.sql.gz",
    HEAD,
];
const HEAD: &str = "revisions/66_0bd252b206fb.sql.gz";

/// Files that Open WebUI's Peewee migrations made: up to 008, when model files were not models yet; those of 0.2.5;
/// those of 0.3.10, which ran its one Alembic revision after them.
const PEEWEE: [&str; 3] = [
    "peewee/0.2.5-at-008.sql",
    "peewee/0.2.5.sql",
    "peewee/0.3.10.sql",
];

#[test]
fn sampled_revisions_arrive_as_the_app_upgrades_them() {
    expect_equal(&need!(python()), need!(Postgres::shared()), &REVISIONS);
}

#[test]
fn peewee_files_arrive_as_the_app_upgrades_them() {
    expect_equal(&need!(python()), need!(Postgres::shared()), &PEEWEE);
}

#[test]
fn the_comparison_sees_what_differs() {
    let python = need!(python());
    let database = need!(Postgres::shared()).create_database("revision_spoilt");
    expect_success(&compare(&python, &[(HEAD, &database)]));
    database.query(
        "UPDATE auth SET active = NOT active WHERE id = (SELECT min(id) FROM auth);
         UPDATE chat SET meta = (meta::text || ' ')::json WHERE id = (SELECT min(id) FROM chat);
         DELETE FROM feedback WHERE id = (SELECT min(id) FROM feedback);
         UPDATE access_grant SET id = 'made up' WHERE id = (SELECT min(id) FROM access_grant);
         INSERT INTO webui_init.leftover (target_schema, table_name, reason, row) VALUES ('public', 'note', 'unknown_column', '{}')",
    );
    let output = compare(&python, &[(HEAD, &database)]); // nothing is moved again: the marker is there
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report = String::from_utf8_lossy(&output.stdout);
    for seen in [
        " active: expected ",
        " meta: expected ",
        "feedback (",
        "access_grant ('made up',): only in the target",
        "leftovers by table are {'note': 1}",
    ] {
        assert!(report.contains(seen), "no {seen:?} in\n{report}");
    }
}

/// The interpreter of the environment that has Open WebUI.
fn python() -> Result<PathBuf, Missing> {
    let python = std::env::var_os("WEBUI_FIXTURES_PYTHON")
        .map_or_else(|| cache().join("openwebui/bin/python"), PathBuf::from);
    if python.is_file() {
        Ok(python)
    } else {
        Err(Missing(
            "no Open WebUI in the cache (scripts/deps openwebui)".into(),
        ))
    }
}

/// Moves each file into an empty database of its own, and fails unless all arrive as they should.
#[track_caller]
fn expect_equal(python: &Path, server: &Postgres, files: &[&str]) {
    let databases: Vec<_> = files
        .iter()
        .map(|_| server.create_database("revision"))
        .collect();
    let pairs: Vec<_> = files.iter().copied().zip(&databases).collect();
    expect_success(&compare(python, &pairs));
}

fn compare(python: &Path, pairs: &[(&str, &Database)]) -> Output {
    Command::new(python)
        .arg(repository("tests/support/revisions"))
        .args(["--program", env!("CARGO_BIN_EXE_webui-init"), "--check"])
        .args(
            pairs
                .iter()
                .map(|(file, database)| format!("{file}={}", database.url())),
        )
        .output()
        .expect("the interpreter runs")
}

#[track_caller]
fn expect_success(output: &Output) {
    let (report, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{}\n{report}\n{errors}",
        output.status
    );
}

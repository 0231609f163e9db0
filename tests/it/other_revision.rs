//! A source at another revision than the image: an older one is upgraded in a copy, or left as it is; a newer one is refused.

use std::fs;
use std::process::Command;

use crate::support::{
    HEAD, Missing, Postgres, Program, Source, boot, expect_moved, expect_untouched, insert_chat,
    need, schema_command, tool,
};

#[test]
fn a_source_that_is_newer_than_the_image_is_65_and_both_revisions_are_named() {
    let source = Source::small();
    source.edit(|connection| {
        connection
            .execute(
                "UPDATE alembic_version SET version_num = 'ffffffffffff'",
                [],
            )
            .expect("a table");
    });
    let server = need!(Postgres::shared());
    let database = server.create_database("newer");
    let before = source.snapshot();
    let app = tempfile::tempdir().expect("a temporary folder");
    let scripts = app.path().join("open_webui/migrations/versions");
    fs::create_dir_all(&scripts).expect("a writable folder");
    fs::write(
        scripts.join("head.py"),
        format!("revision = '{HEAD}'\ndown_revision = None\n"),
    )
    .expect("a writable folder");
    let program = boot(&source, &database.url()).env("WEBUI_INIT_APP_DIR", app.path());
    program
        .run()
        .expect(65)
        .prints("")
        .says(&["ffffffffffff", HEAD]);
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
}

#[test]
fn accounts_at_which_the_apps_upgrade_would_stop_are_named_before_anything_is_touched() {
    const OLDER: &str = "959eaac8f909";
    let server = need!(Postgres::shared());
    let database = server.create_database("accounts");
    let source = Source::small();
    source.edit(|connection| {
        let script = format!(
            "DROP INDEX uq_user_email_lower; UPDATE alembic_version SET version_num = '{OLDER}';
             UPDATE user SET email = (SELECT upper(email) FROM user WHERE id = 'user-1') WHERE id = 'user-2'"
        );
        connection.execute_batch(&script).expect("a table");
        assert_eq!(connection.changes(), 1, "a second user");
    });
    let before = source.snapshot();
    let app = tempfile::tempdir().expect("a temporary folder");
    let scripts = app.path().join("open_webui/migrations/versions");
    fs::create_dir_all(&scripts).expect("a writable folder");
    for (name, script) in [
        (
            "older.py",
            format!("revision = '{OLDER}'\ndown_revision = None\n"),
        ),
        (
            "head.py",
            format!(
                "revision = '{HEAD}'\ndown_revision = '{OLDER}'\nINDEX_NAME = 'uq_user_email_lower'\n"
            ),
        ),
    ] {
        fs::write(scripts.join(name), script).expect("a writable folder");
    }
    boot(&source, &database.url())
        .env("WEBUI_INIT_APP_DIR", app.path())
        .run()
        .expect(65)
        .prints("")
        .says(&["user-1 and user-2", "never merges"])
        .never_says("USER-1@");
    assert!(database.counts().is_empty(), "tables were made");
    assert_eq!(source.snapshot(), before);
}

#[test]
fn an_older_source_that_the_app_cannot_upgrade_is_76_and_leaves_no_copy() {
    let server = need!(Postgres::shared());
    let database = server.create_database("stuck");
    let source = Source::small();
    source.edit(|connection| {
        connection
            .execute(
                "UPDATE alembic_version SET version_num = 'c92da83b017f'",
                [],
            )
            .expect("a table");
    });
    let before = source.snapshot();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let command = format!(
        "case $DATABASE_URL in sqlite*) echo 'duplicate column name: meta' >&2; exit 1;; esac; {}",
        schema_command().to_string_lossy()
    );
    for own_scratch in [true, false] {
        let mut program = boot(&source, &database.url()).env("WEBUI_INIT_SCHEMA_COMMAND", &command);
        if own_scratch {
            program = program.env("WEBUI_INIT_SCRATCH_DIR", scratch.path());
        }
        program
            .run()
            .expect(76)
            .prints("")
            .says(&["duplicate column name"]);
        expect_untouched(&database);
        assert_eq!(source.snapshot(), before);
    }
    assert_eq!(
        fs::read_dir(scratch.path()).expect("our folder").count(),
        0,
        "the copy was left behind"
    );
}

#[test]
fn an_older_source_is_upgraded_in_a_copy() {
    let server = need!(Postgres::shared());
    let database = server.create_database("upgraded");
    let source = Source::small();
    source.edit(|connection| {
        connection
            .execute(
                "UPDATE alembic_version SET version_num = 'c92da83b017f'",
                [],
            )
            .expect("a table");
    });
    source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    let before = source.snapshot();
    // An upgrade that one can see: SQLite's own, on the file that the URL names.
    let upgrade = "import os, sqlite3, sys, urllib.parse\n\
                   path = urllib.parse.unquote(os.environ['DATABASE_URL'].split(':///', 1)[1].split('?')[0])\n\
                   db = sqlite3.connect(path)\n\
                   db.execute(\"UPDATE alembic_version SET version_num = '0bd252b206fb'\")\n\
                   db.execute(\"UPDATE note SET title = 'upgraded'\")\n\
                   db.commit()\n";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("upgrade.py");
    fs::write(&script, upgrade).expect("a writable folder");
    let command = format!(
        "case $DATABASE_URL in sqlite*) python3 '{}';; *) {};; esac",
        script.display(),
        schema_command().to_string_lossy()
    );
    let outcome = boot(&source, &database.url())
        .env("WEBUI_INIT_SCHEMA_COMMAND", command)
        .run()
        .expect(0)
        .prints("started\n");
    assert_eq!(source.snapshot(), before, "{}", outcome.stderr);
    assert_eq!(
        database.value("SELECT count(*) FROM note WHERE title = 'upgraded'"),
        "8"
    );
    assert_eq!(
        database.value("SELECT count(*) FROM chat WHERE id = 'chat-1000'"),
        "1"
    );
    assert_eq!(
        database.value("SELECT source_revision FROM webui_init.migration"),
        "c92da83b017f"
    );
    source.edit(|connection| {
        connection
            .execute_batch(&format!("UPDATE note SET title = 'upgraded'; UPDATE alembic_version SET version_num = '{HEAD}'"))
            .expect("a table");
    });
    expect_moved(&source, &database);
}

#[test]
fn a_scratch_folder_without_room_is_73() {
    // /dev/shm-like file systems of a fixed size can only be made by root.
    need!(crate::support::root());
    need!(tool("unshare"));
    let server = need!(Postgres::shared());
    let database = server.create_database("no_room");
    let source = Source::with_chats(300);
    source.edit(|connection| {
        connection
            .execute(
                "UPDATE alembic_version SET version_num = 'c92da83b017f'",
                [],
            )
            .expect("a table");
    });
    let before = source.snapshot();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=200k tmpfs \"$0\" && exec \"$@\"";
    command
        .args(["--mount", "sh", "-c", script])
        .arg(scratch.path());
    command
        .arg(env!("CARGO_BIN_EXE_webui-init"))
        .args(["boot", "--", "echo", "started"]);
    let program = Program::from_command(command)
        .source(&source)
        .target(database.url());
    let outcome = program.env("WEBUI_INIT_SCRATCH_DIR", scratch.path()).run();
    if outcome.stderr.contains("mount:") || outcome.stderr.contains("unshare:") {
        need!(Err::<(), _>(Missing(
            "may not mount a file system here".into()
        )));
    }
    outcome.expect(73).prints("");
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_key_that_only_numbers_the_rows_is_no_leftover() {
    let server = need!(Postgres::shared());
    let database = server.create_database("numbered");
    let source = Source::small();
    source.edit(|file| {
        file.execute_batch(
            "DROP TABLE document;
             CREATE TABLE document (id INTEGER NOT NULL PRIMARY KEY, collection_name TEXT, name TEXT, title TEXT, filename TEXT,
                 content TEXT, user_id TEXT, timestamp INTEGER);
             INSERT INTO document VALUES (7, 'c1', 'n1', 't', 'f', NULL, 'u', 1), (9, 'c2', 'n2', 't', 'f', NULL, 'u', 2);",
        )
        .expect("a table");
    });
    boot(&source, &database.url())
        .env("WEBUI_INIT_LEFTOVERS", "fail")
        .run()
        .expect(0);
    assert_eq!(
        database.value("SELECT string_agg(name, ' ' ORDER BY name) FROM document"),
        "n1 n2"
    );
}

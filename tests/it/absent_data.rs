//! Data that people expect and that is not there stops a start, with the reason; every start that looks like it and is
//! meant as it is goes on.

use std::fs;

use crate::support::{
    Database, HEAD, Postgres, Program, Source, as_planned, boot, expect_moved, expect_untouched,
    insert_user, need, on,
};

/// Puts a file into the data folder, with the folders on the way.
fn put(source: &Source, name: &str) {
    let path = source.folder().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, "x").expect("a file");
}

/// Somebody has an account in PostgreSQL.
fn live_in(database: &Database<'_>) {
    database.bootstrap();
    database.add_user("there");
}

#[test]
fn what_people_left_beside_a_missing_file_is_65() {
    let server = need!(Postgres::shared());
    for trace in [
        "webui.db-wal",
        "ollama.db",
        "uploads/3fa8_report.pdf",
        "vector_db/chroma.sqlite3",
    ] {
        let database = server.create_database("traces");
        let source = Source::none();
        put(&source, trace);
        let start = |command: &str| on(command, &source, &database.url());
        let named = trace.split('/').next().expect("a name");
        as_planned(start, 65)
            .prints("")
            .says(&[named, "WEBUI_INIT_SOURCE=none", "not started"]);
        expect_untouched(&database);
        let wanted = |command: &str| start(command).env("WEBUI_INIT_SOURCE", "none");
        as_planned(wanted, 0)
            .prints("started\n")
            .never_says("WARN ");
    }
}

#[test]
fn an_installation_that_lives_on_postgresql_starts_whatever_lies_in_its_folder() {
    let server = need!(Postgres::shared());
    let database = server.create_database("lives_there");
    live_in(&database);
    for trace in [
        "",
        "webui.db-wal",
        "ollama.db",
        "uploads/a.pdf",
        "vector_db/x",
    ] {
        let source = Source::none();
        if !trace.is_empty() {
            put(&source, trace);
        }
        for asked in ["", "required", "none"] {
            let start = |command: &str| {
                on(command, &source, &database.url()).env("WEBUI_INIT_SOURCE", asked)
            };
            as_planned(start, 0).prints("started\n").never_says("WARN ");
        }
    }
    // Its folder may be gone altogether, and the file that is named, too.
    let gone = |name: &'static str, value: &'static str| {
        let database = &database;
        move |command: &str| {
            on(command, &Source::none(), &database.url())
                .without("WEBUI_INIT_SQLITE_PATH")
                .env(name, value)
        }
    };
    as_planned(gone("DATA_DIR", "/nowhere/at/all"), 0).prints("started\n");
    as_planned(gone("WEBUI_INIT_SQLITE_PATH", "/nowhere/webui.db"), 0).prints("started\n");
}

#[test]
fn a_fresh_start_on_an_empty_postgresql_is_a_warning_and_its_second_start_no_refusal() {
    let server = need!(Postgres::shared());
    let database = server.create_database("fresh");
    let source = Source::none();
    // What a new volume or a new image may hold.
    put(&source, "readme.txt");
    put(&source, "cache/embedding/model.bin");
    fs::create_dir_all(source.folder().join("uploads")).expect("a folder");
    fs::create_dir_all(source.folder().join("lost+found")).expect("a folder");
    let start = |command: &str| on(command, &source, &database.url());
    as_planned(start, 0).prints("started\n").says(&[
        "WARN",
        "administrator",
        "WEBUI_INIT_SOURCE=none",
    ]);
    // The app has made its tables and its vector database, and nobody has signed up yet.
    database.bootstrap();
    put(&source, "vector_db/chroma.sqlite3");
    as_planned(start, 0).prints("started\n").says(&["WARN"]);
    // A file of somebody's is another matter.
    put(&source, "uploads/a.pdf");
    as_planned(start, 65).prints("");
}

#[test]
fn a_file_or_a_folder_that_is_named_and_not_there_is_78() {
    let server = need!(Postgres::shared());
    let database = server.create_database("named");
    let source = Source::none();
    let named = |command: &str| {
        on(command, &source, &database.url())
            .env("WEBUI_INIT_SQLITE_PATH", source.folder().join("old.db"))
    };
    as_planned(named, 78).prints("").says(&[
        "WEBUI_INIT_SQLITE_PATH",
        "old.db",
        "WEBUI_INIT_SOURCE=none",
    ]);
    let missing = |command: &str| {
        on(command, &source, &database.url())
            .without("WEBUI_INIT_SQLITE_PATH")
            .env("DATA_DIR", source.folder().join("not/mounted"))
    };
    as_planned(missing, 78)
        .prints("")
        .says(&["not/mounted", "mount", "WEBUI_INIT_SOURCE=none"]);
    let wanted = |command: &str| missing(command).env("WEBUI_INIT_SOURCE", "none");
    as_planned(wanted, 0).prints("started\n");
    expect_untouched(&database);
}

#[test]
fn required_makes_a_start_without_users_to_move_an_error() {
    let server = need!(Postgres::shared());
    let database = server.create_database("required");
    for source in [Source::none(), Source::empty()] {
        let start = |command: &str| {
            on(command, &source, &database.url()).env("WEBUI_INIT_SOURCE", "required")
        };
        as_planned(start, 65)
            .prints("")
            .says(&["WEBUI_INIT_SOURCE=required"]);
        expect_untouched(&database);
    }
    let source = Source::small();
    let start =
        |command: &str| on(command, &source, &database.url()).env("WEBUI_INIT_SOURCE", "required");
    as_planned(start, 0).prints("started\n");
    expect_moved(&source, &database);
    // Later starts, and replicas without the volume, have the record.
    boot(&Source::none(), &database.url())
        .env("WEBUI_INIT_SOURCE", "required")
        .run()
        .expect(0)
        .prints("started\n");
}

#[test]
fn none_starts_fresh_beside_a_file_with_users_and_leaves_it() {
    let server = need!(Postgres::shared());
    let database = server.create_database("none_beside");
    let source = Source::small();
    let before = source.snapshot();
    let start =
        |command: &str| on(command, &source, &database.url()).env("WEBUI_INIT_SOURCE", "none");
    as_planned(start, 0).prints("started\n");
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
}

#[test]
fn data_inside_the_package_is_named() {
    let server = need!(Postgres::shared());
    let database = server.create_database("in_the_package");
    let (folder, package) = (Source::none(), Source::none());
    put(&package, "open_webui/data/webui.db");
    let start = |command: &str| {
        on(command, &folder, &database.url())
            .without("DATA_DIR")
            .without("WEBUI_INIT_SQLITE_PATH")
            .env("WEBUI_INIT_APP_DIR", package.folder())
    };
    as_planned(start, 65)
        .prints("")
        .says(&["open_webui/data/webui.db", "WEBUI_INIT_SQLITE_PATH"]);
}

#[test]
fn another_applications_database_is_65_whatever_was_asked() {
    let server = need!(Postgres::shared());
    let image = Source::none();
    let script = image
        .folder()
        .join("open_webui/migrations/versions/head.py");
    put(&image, "open_webui/migrations/versions/head.py");
    fs::write(
        &script,
        format!("revision = '{HEAD}'\ndown_revision = None\n"),
    )
    .expect("a file");
    for made in [
        "CREATE TABLE \"user\" (id serial PRIMARY KEY, login text); INSERT INTO \"user\" (login) VALUES ('x')",
        "CREATE TABLE \"user\" (id text, name text, email text)",
        "CREATE TABLE alembic_version (version_num varchar(32)); INSERT INTO alembic_version VALUES ('0a1b2c3d4e5f')",
        "CREATE TABLE alembic_version (id serial)",
        "CREATE VIEW \"user\" AS SELECT 1 AS id",
    ] {
        let database = server.create_database("strangers");
        database.query(made);
        let source = Source::small();
        let before = database.counts();
        for asked in ["keep", "fail", "replace"] {
            let start = |command: &str| {
                on(command, &source, &database.url())
                    .env("WEBUI_INIT_ON_CONFLICT", asked)
                    .env("WEBUI_INIT_APP_DIR", image.folder())
            };
            as_planned(start, 65)
                .prints("")
                .says(&["another application's", "CREATE DATABASE"]);
        }
        assert_eq!(database.counts(), before, "{made}");
        assert!(!database.marked());
        assert_eq!(
            database.value("SELECT to_regnamespace('webui_init') IS NULL"),
            "t"
        );
    }
}

#[test]
fn an_administrator_that_the_app_has_made_by_itself_is_not_in_use() {
    let server = need!(Postgres::shared());
    let database = server.create_database("own_admin");
    database.bootstrap();
    database.query(
        "INSERT INTO auth (id, email, password, active) VALUES ('boss', 'boss@example.org', 'x', true)",
    );
    database.add_user("boss");
    let source = Source::small();
    // Somebody else's account is somebody's.
    let other = |command: &str| {
        on(command, &source, &database.url()).env("WEBUI_ADMIN_EMAIL", "other@example.org")
    };
    as_planned(other, 0).says(&["already in use"]);
    assert!(!database.marked());
    let own = |command: &str| {
        on(command, &source, &database.url()).env("WEBUI_ADMIN_EMAIL", "Boss@Example.org")
    };
    as_planned(own, 0).prints("started\n");
    expect_moved(&source, &database);
    let kept = database
        .value("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'webui\\_init\\_replaced\\_%'");
    assert_eq!(
        database.value(&format!("SELECT email FROM \"{kept}\".\"user\"")),
        "boss@example.org"
    );
}

#[test]
fn an_administrator_who_has_written_something_is_in_use() {
    let server = need!(Postgres::shared());
    let database = server.create_database("busy_admin");
    live_in(&database);
    database.query("INSERT INTO tag (id, name, user_id) VALUES ('t', 'T', 'there')");
    let source = Source::small();
    let own = |command: &str| {
        on(command, &source, &database.url()).env("WEBUI_ADMIN_EMAIL", "there@example.org")
    };
    as_planned(own, 0).says(&["already in use"]);
    assert!(!database.marked());
}

#[test]
fn migrate_fails_whatever_is_asked_of_a_failed_boot() {
    let server = need!(Postgres::shared());
    let database = server.create_database("migrate_fails");
    let source = Source::small();
    source.edit(|connection| insert_user(connection, 9));
    Program::migrate()
        .source(&source)
        .target(database.url())
        .env("WEBUI_INIT_ON_FAILURE", "sqlite")
        .env("WEBUI_INIT_SCHEMA_COMMAND", "exit 1")
        .run()
        .expect(76);
    expect_untouched(&database);
}

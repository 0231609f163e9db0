//! That rows move once and only once, whatever is started how often; and what a start says after the move.

use std::time::Duration;

use crate::support::{
    Database, HEAD, Postgres, ROLE, Source, Version, boot, expect_moved, insert_chat, need,
    percent_encoded,
};

fn marker(database: &Database) -> Vec<Option<String>> {
    let rows = database.query("SELECT xmin, * FROM webui_init.migration");
    assert_eq!(rows.len(), 1, "one marker");
    rows.into_iter().next().expect("one marker")
}

#[test]
fn moves_once_and_starts_the_app_each_time() {
    for version in Version::installed() {
        let server = need!(Postgres::shared_of(version));
        let database = server.create_database("once");
        let source = Source::small();
        let before = source.snapshot();
        boot(&source, &database.url())
            .run()
            .expect(0)
            .prints("started\n")
            .says(&["Connected to PostgreSQL database"]);
        expect_moved(&source, &database);
        let moved = marker(&database);
        for _ in 0..2 {
            let again = boot(&source, &database.url())
                .env("WEBUI_INIT_SCHEMA_COMMAND", "exit 1")
                .run();
            let again = again
                .expect(0)
                .prints("started\n")
                .never_says("SQLite")
                .never_says("webui.db");
            assert!(
                again.stderr.lines().count() <= 3,
                "more than the version, the connection and the end:\n{}",
                again.stderr
            );
            assert!(again.took < Duration::from_secs(2), "{:?}", again.took);
        }
        assert_eq!(marker(&database), moved, "the marker is another");
        expect_moved(&source, &database);
        assert_eq!(source.snapshot(), before);
    }
}

#[test]
fn the_marker_says_what_was_moved() {
    let server = need!(Postgres::shared());
    let database = server.create_database("marker");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    let value =
        |column: &str| database.value(&format!("SELECT {column} FROM webui_init.migration"));
    assert_eq!(value("target_schema"), "public");
    assert_eq!(value("source_path"), source.path().to_string_lossy());
    assert_eq!(
        (value("source_revision"), value("target_revision")),
        (HEAD.into(), HEAD.into())
    );
    let rows: i64 = source
        .counts()
        .into_iter()
        .filter(|(table, _)| table != "alembic_version")
        .map(|(_, rows)| rows)
        .sum();
    assert_eq!(value("rows"), rows.to_string());
    assert_eq!(value("leftovers"), "0");
    assert!(value("bytes").parse::<i64>().expect("a number") > 0);
    assert_eq!(value("started_at <= finished_at"), "t");
    assert_eq!(value("tool_version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(value("json_typeof(report)"), "object");
    assert!(!value("source_fingerprint").is_empty());
}

#[test]
fn what_the_app_writes_after_the_move_stays() {
    let server = need!(Postgres::shared());
    let database = server.create_database("later");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    database.query("DELETE FROM chat WHERE id = 'chat-1'; UPDATE \"user\" SET name = 'renamed'");
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    assert_eq!(
        database.value("SELECT count(*) FROM chat WHERE id = 'chat-1'"),
        "0"
    );
    assert_eq!(
        database.value("SELECT count(*) FROM \"user\" WHERE name <> 'renamed'"),
        "0"
    );
}

#[test]
fn a_source_that_changed_after_its_move_is_warned_about_once() {
    let server = need!(Postgres::shared());
    let database = server.create_database("changed");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    source.edit(|connection| insert_chat(connection, 5000, 1));
    let outcome = boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    let warnings = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("WARN"))
        .count();
    assert_eq!(warnings, 1, "{}", outcome.stderr);
    assert_eq!(
        database.value("SELECT count(*) FROM chat WHERE id = 'chat-5000'"),
        "0"
    );
}

#[test]
fn a_source_that_changed_in_its_wal_only_is_warned_about() {
    let server = need!(Postgres::shared());
    let database = server.create_database("changed_wal");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    source.edit_and_die(|connection| insert_chat(connection, 5000, 1));
    let before = source.snapshot();
    let outcome = boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    assert!(outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_source_that_is_gone_after_its_move_is_nothing_to_speak_of() {
    let server = need!(Postgres::shared());
    let database = server.create_database("gone");
    boot(&Source::small(), &database.url()).run().expect(0);
    boot(&Source::none(), &database.url())
        .run()
        .expect(0)
        .prints("started\n")
        .never_says("WARN")
        .never_says("SQLite");
}

#[test]
fn two_schemas_of_a_database_are_two_targets() {
    let server = need!(Postgres::shared());
    let database = server.create_database("schemas");
    database.query("CREATE SCHEMA first; CREATE SCHEMA \"Second one\"");
    for schema in ["first", "Second one"] {
        let source = Source::small();
        for _ in 0..2 {
            let program = boot(&source, &database.url()).env("DATABASE_SCHEMA", schema);
            program.run().expect(0).prints("started\n");
        }
        assert_eq!(
            database.value(&format!("SELECT count(*) FROM \"{schema}\".chat")),
            "24"
        );
    }
    assert_eq!(
        database
            .value("SELECT string_agg(target_schema, ',' ORDER BY target_schema COLLATE \"C\") FROM webui_init.migration"),
        "Second one,first"
    );
    assert!(database.counts().is_empty(), "something is in public");
}

#[test]
fn an_awkward_database_name_is_a_name_like_any_other() {
    let server = need!(Postgres::shared());
    let name = "a b/c?d#e%f'\"é";
    server.superuser().query(&format!(
        "CREATE DATABASE \"{}\" OWNER {ROLE}",
        name.replace('"', "\"\"")
    ));
    let source = Source::small();
    let database = Database {
        server,
        name: percent_encoded(name),
    };
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    expect_moved(&source, &database);
}

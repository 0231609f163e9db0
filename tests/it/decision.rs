//! The decision table of the boot, row by row: a fresh start, a move, a database in use, and the old file after a failure.

use std::time::Duration;

use crate::support::{
    Database, Postgres, Program, Source, boot, expect_moved, expect_untouched, free_port, need,
    schema_command, start_slow_boot,
};

const SOON: Duration = Duration::from_mins(1);

/// What a first start of Open WebUI leaves in a database that nobody uses: the schema, and settings by default.
fn bootstrap(database: &Database) {
    database.bootstrap();
    database.query(
        "INSERT INTO config (key, value, updated_at) \
         SELECT 'setting.' || n, '\"by default\"', 1 FROM generate_series(0, 377) AS n",
    );
}

#[test]
fn no_source_is_a_fresh_start() {
    let server = need!(Postgres::shared());
    let database = server.create_database("fresh");
    let source = Source::none();
    let program = boot(&source, &database.url()).env("WEBUI_INIT_SCHEMA_COMMAND", "exit 1");
    program
        .run()
        .expect(0)
        .prints("started\n")
        .says(&["WARN", "administrator"]);
    assert!(
        database.counts().is_empty(),
        "the app's schema is the app's to make"
    );
    assert!(!database.marked());
}

#[test]
fn a_source_without_users_is_a_fresh_start() {
    let server = need!(Postgres::shared());
    let source = Source::empty();
    source.edit(|connection| {
        connection
            .execute("INSERT INTO config (key, value) VALUES ('a', '1')", [])
            .expect("a table");
    });
    let before = source.snapshot();
    let database = server.create_database("no_users");
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    assert!(!database.marked());
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_bootstrapped_target_that_nobody_used_takes_the_move() {
    let server = need!(Postgres::shared());
    let database = server.create_database("bootstrapped");
    bootstrap(&database);
    // What is not the app's does not count: pgvector's table, somebody else's schema.
    database.query(
        "CREATE TABLE document_chunk (id text); INSERT INTO document_chunk VALUES ('x'); \
         CREATE SCHEMA other; CREATE TABLE other.\"user\" (id text); INSERT INTO other.\"user\" VALUES ('x')",
    );
    let source = Source::small();
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    expect_moved(&source, &database);
    assert_eq!(
        database.value("SELECT count(*) FROM config WHERE value::text LIKE '%by default%'"),
        "0"
    );
    assert_eq!(database.value("SELECT count(*) FROM document_chunk"), "1");
    assert_eq!(database.value("SELECT count(*) FROM other.\"user\""), "1");
}

/// A target that somebody uses.
fn in_use(database: &Database) {
    bootstrap(database);
    database.query("INSERT INTO \"user\" (id, name, email) VALUES ('other', 'Somebody else', 'else@example.org')");
}

#[test]
fn a_target_in_use_is_kept_by_default() {
    let server = need!(Postgres::shared());
    for variables in [&[][..], &[("WEBUI_INIT_ON_CONFLICT", "keep")]] {
        let database = server.create_database("keep");
        in_use(&database);
        let counts = database.counts();
        let source = Source::small();
        let mut program = boot(&source, &database.url());
        for (name, value) in variables {
            program = program.env(name, value);
        }
        program
            .run()
            .expect(0)
            .prints("started\n")
            .says(&["WARN", "WEBUI_INIT_ON_CONFLICT"]);
        assert_eq!(database.counts(), counts);
        assert!(!database.marked());
    }
}

#[test]
fn a_target_in_use_fails_the_boot_on_request() {
    let server = need!(Postgres::shared());
    let database = server.create_database("fail");
    in_use(&database);
    let counts = database.counts();
    let source = Source::small();
    let before = source.snapshot();
    let program = boot(&source, &database.url()).env("WEBUI_INIT_ON_CONFLICT", "fail");
    program.run().expect(65).prints("");
    assert_eq!(database.counts(), counts);
    assert!(!database.marked());
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_target_in_use_is_replaced_on_request_and_what_was_there_is_kept_aside() {
    let server = need!(Postgres::shared());
    let database = server.create_database("replace");
    in_use(&database);
    let source = Source::small();
    let program = boot(&source, &database.url()).env("WEBUI_INIT_ON_CONFLICT", "replace");
    program.run().expect(0).prints("started\n");
    expect_moved(&source, &database);
    let schemas = database
        .query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'webui_init_replaced_%'");
    assert_eq!(schemas.len(), 1, "{schemas:?}");
    let schema = schemas[0][0].as_deref().expect("a name");
    assert_eq!(
        database.value(&format!("SELECT name FROM \"{schema}\".\"user\"")),
        "Somebody else"
    );
    assert_eq!(
        database.value(&format!("SELECT count(*) FROM \"{schema}\".config")),
        "378"
    );
    // Asked for again, with the marker there: nothing.
    let again = boot(&source, &database.url()).env("WEBUI_INIT_ON_CONFLICT", "replace");
    again.run().expect(0).prints("started\n");
    assert_eq!(
        database
            .query("SELECT FROM pg_namespace WHERE nspname LIKE 'webui_init_replaced_%'")
            .len(),
        1
    );
}

#[test]
fn anything_but_settings_is_use() {
    let server = need!(Postgres::shared());
    let use_of_one = [
        "INSERT INTO auth (id, email) VALUES ('a', 'b')",
        "INSERT INTO file (id) VALUES ('a')",
        "INSERT INTO tag (id, user_id) VALUES ('a', 'b')",
    ];
    for sql in use_of_one {
        let database = server.create_database("use");
        bootstrap(&database);
        database.query(sql);
        let source = Source::small();
        boot(&source, &database.url())
            .env("WEBUI_INIT_ON_CONFLICT", "fail")
            .run()
            .expect(65);
        assert!(!database.marked(), "{sql}");
    }
}

#[test]
fn on_failure_sqlite_starts_the_app_on_its_old_file() {
    let server = need!(Postgres::shared());
    let database = server.create_database("fallback");
    let source = Source::small();
    let before = source.snapshot();
    let shown = "echo \"${DATABASE_URL-unset} ${DATABASE_SCHEMA-unset} ${PGPASSWORD-unset}\"";
    let program = |command: &str| {
        let program = Program::boot(["sh", "-c", shown])
            .source(&source)
            .target(database.url());
        program
            .env("WEBUI_INIT_ON_FAILURE", "sqlite")
            .env("WEBUI_INIT_SCHEMA_COMMAND", command)
    };
    let outcome = program("exit 1").run().expect(0);
    // The old file is named, or the app's default holds: in no case PostgreSQL.
    let expected = [
        String::from("unset unset unset\n"),
        format!("sqlite:///{} unset unset\n", source.path().display()),
    ];
    assert!(expected.contains(&outcome.stdout), "{}", outcome.stdout);
    let shouted = outcome.stderr.lines().any(|line| {
        line.split(' ')
            .filter(|word| word.len() > 2 && word.chars().all(|c| c.is_ascii_uppercase()))
            .count()
            >= 3
    });
    assert!(shouted, "nothing in capital letters:\n{}", outcome.stderr);
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
    // Later the move succeeds, and from then on there is no way back by itself.
    let schema = schema_command();
    program(&schema.to_string_lossy())
        .run()
        .expect(0)
        .prints(&format!("{} unset unset\n", database.url()));
    expect_moved(&source, &database);
}

#[test]
fn on_failure_sqlite_does_not_hold_where_the_marker_was_not_read() {
    let source = Source::small();
    let url = format!("postgresql://webui:pw@127.0.0.1:{}/webui", free_port());
    let program = boot(&source, &url)
        .env("WEBUI_INIT_ON_FAILURE", "sqlite")
        .env("WEBUI_INIT_WAIT_SECS", "0");
    program.run().expect(69).prints("");
    let server = need!(Postgres::shared());
    let database = server.create_database("fallback_locked");
    let holder = start_slow_boot(&source, &database.url(), 3);
    let program = boot(&source, &database.url())
        .env("WEBUI_INIT_ON_FAILURE", "sqlite")
        .env("WEBUI_INIT_LOCK_WAIT_SECS", "0");
    program.run().expect(75).prints("");
    holder.wait(SOON).expect(0);
}

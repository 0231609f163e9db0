//! The app's own schema step: what it gets to see, what becomes of what it prints, and every way in which it fails.

use std::fs;

use crate::support::{
    PASSWORD, Postgres, Program, ROLE, Session, Source, boot, expect_moved, expect_untouched, need,
    schema_command, tool,
};

#[test]
fn a_schema_command_that_fails_is_76_and_shown() {
    let server = need!(Postgres::shared());
    let source = Source::small();
    let before = source.snapshot();
    for (command, said) in [
        ("echo the last words >&2; exit 3", "the last words"),
        ("no-such-command", "no-such-command"),
    ] {
        let database = server.create_database("schema_fails");
        let program = boot(&source, &database.url()).env("WEBUI_INIT_SCHEMA_COMMAND", command);
        program.run().expect(76).prints("").says(&[said]);
        expect_untouched(&database);
    }
    // An exit status of 0 proves nothing.
    let database = server.create_database("schema_lies");
    boot(&source, &database.url())
        .env("WEBUI_INIT_SCHEMA_COMMAND", "true")
        .run()
        .expect(76)
        .prints("");
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
}

#[test]
fn what_the_schema_command_prints_is_not_on_stdout() {
    let server = need!(Postgres::shared());
    let database = server.create_database("schema_talks");
    let source = Source::small();
    let command = format!(
        "echo to stdout; echo to stderr >&2; {}",
        schema_command().to_string_lossy()
    );
    // One line for all of it, and at `debug` all of it.
    let program = boot(&source, &database.url()).env("WEBUI_INIT_SCHEMA_COMMAND", command);
    program
        .env("WEBUI_INIT_LOG", "debug")
        .run()
        .expect(0)
        .prints("started\n")
        .says(&["open-webui: to stdout", "open-webui: to stderr"]);
}

#[test]
fn the_schema_command_sees_one_database() {
    let server = need!(Postgres::shared());
    let (database, other) = (
        server.create_database("intended"),
        server.create_database("not_intended"),
    );
    let source = Source::small();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let seen = folder.path().join("seen");
    let command = format!(
        "env | sort >'{}'; {}",
        seen.display(),
        schema_command().to_string_lossy()
    );
    let mut program = boot(&source, &other.url()).env("WEBUI_INIT_SCHEMA_COMMAND", command);
    let port = server.port().to_string();
    let parts = [
        ("TYPE", "postgresql"),
        ("HOST", "127.0.0.1"),
        ("PORT", &port),
        ("NAME", &database.name),
        ("USER", ROLE),
    ];
    for (name, value) in parts {
        program = program.env(format!("DATABASE_{name}"), value);
    }
    program.env("DATABASE_PASSWORD", PASSWORD).run().expect(0);
    let seen = std::fs::read_to_string(seen).expect("what the command saw");
    let databases: Vec<_> = seen
        .lines()
        .filter(|line| line.starts_with("DATABASE_"))
        .collect();
    assert_eq!(databases.len(), 1, "{databases:?}");
    assert!(databases[0].contains(&database.name), "{databases:?}");
    expect_moved(&source, &database);
    assert!(other.counts().is_empty());
}

/// What Peewee's migrations of an old image leave behind, in either database.
const PEEWEE_RECORD: &str = "CREATE TABLE migratehistory (id INTEGER PRIMARY KEY, name VARCHAR(255), migrated_at TIMESTAMP);
     INSERT INTO migratehistory VALUES (1, '001_initial_schema', '2024-05-01 10:00:00'), (2, '002_add_local_sharing', '2024-05-01 10:00:00')";

#[test]
fn the_record_of_peewees_migrations_is_neither_moved_nor_counted_nor_kept_aside() {
    let server = need!(Postgres::shared());
    let database = server.create_database("peewee");
    let source = Source::small();
    source.edit(|file| file.execute_batch(PEEWEE_RECORD).expect("a table"));
    // An image up to 0.9.5 makes that table in PostgreSQL too, with every step.
    let mut command = schema_command();
    command.push(format!(
        " && psql -qX \"$DATABASE_URL\" -c \"{}\"",
        PEEWEE_RECORD.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
    ));
    // Bootstrapped by such an image, it is used by nobody yet.
    database.bootstrap();
    database.query(&format!("{PEEWEE_RECORD}; DELETE FROM migratehistory"));
    need!(tool("psql"));
    boot(&source, &database.url())
        .env("WEBUI_INIT_SCHEMA_COMMAND", &command)
        .env("WEBUI_INIT_LEFTOVERS", "fail")
        .run()
        .expect(0)
        .prints("started\n");
    source.edit(|file| {
        file.execute_batch("DROP TABLE migratehistory")
            .expect("a table");
    });
    expect_moved(&source, &database);
    assert_eq!(database.value("SELECT count(*) FROM migratehistory"), "2");
    assert_eq!(
        database.value("SELECT count(*) FROM webui_init.leftover"),
        "0"
    );
    for arguments in [["verify"], ["plan"]] {
        Program::new(arguments)
            .source(&source)
            .target(database.url())
            .run()
            .expect(0)
            .never_says("migratehistory");
    }
}

#[test]
fn a_schema_that_the_images_migrations_do_not_know_is_78_and_search_path_is_the_way() {
    let server = need!(Postgres::shared());
    let database = server.create_database("old_schema");
    database.query("CREATE SCHEMA openwebui");
    let app = tempfile::tempdir().expect("a temporary folder");
    let scripts = app.path().join("open_webui/migrations");
    fs::create_dir_all(&scripts).expect("a writable folder");
    fs::write(scripts.join("env.py"), "DATABASE_URL = 1\n").expect("a writable folder");
    let source = Source::small();
    let before = source.snapshot();
    let boot = || {
        boot(&source, &database.url())
            .env("DATABASE_SCHEMA", "openwebui")
            .env("WEBUI_INIT_APP_DIR", app.path())
            .without("WEBUI_INIT_SCHEMA_COMMAND")
    };
    boot()
        .run()
        .expect(78)
        .prints("")
        .says(&["DATABASE_SCHEMA", "public", "search_path"]);
    assert_eq!(source.snapshot(), before);
    assert_eq!(
        database.value("SELECT to_regnamespace('webui_init') IS NULL"),
        "t"
    );
    // With the role's search_path it gets as far as the schema step, which cannot work in an app without Alembic.
    Session::open(&server.superuser_url(&database.name)).query(&format!(
        "ALTER ROLE webui IN DATABASE \"{}\" SET search_path TO openwebui",
        database.name
    ));
    boot().run().expect(76).prints("").never_says("search_path");
}

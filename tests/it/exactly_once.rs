//! The decision table of the boot, row by row; that rows move once and only once; and that the source stays as it is.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{
    Database, Fault, HEAD, Outcome, PASSWORD, PgBouncer, PoolMode, Postgres, Program, Proxy, ROLE,
    Running, Session, Source, Version, boot, command, differences, expect_moved,
    expect_next_boot_moves, expect_untouched, free_port, insert_chat, insert_user, need,
    percent_encoded, schema_command,
};

const SOON: Duration = Duration::from_mins(1);

/// A schema command that writes a line into `log`, waits, and then makes the schema.
fn slow_schema_command(log: &Path, seconds: u32) -> String {
    format!(
        "echo run >>'{}'; sleep {seconds}; {}",
        log.display(),
        schema_command().to_string_lossy()
    )
}

/// A boot that holds the lock for some seconds, in the background; returns once it holds it.
fn start_slow_boot(source: &Source, url: &str, seconds: u32) -> Running {
    let mut program = boot(source, url);
    let log = program.folder().join("schema.log");
    program = program.env(
        "WEBUI_INIT_SCHEMA_COMMAND",
        slow_schema_command(&log, seconds),
    );
    let running = program.start();
    crate::support::wait_for("the schema command", SOON, || log.exists().then_some(()));
    running
}

/// What a first start of Open WebUI leaves in a database that nobody uses: the schema, and settings by default.
fn bootstrap(database: &Database) {
    database.bootstrap();
    database.query(
        "INSERT INTO config (key, value, updated_at) \
         SELECT 'setting.' || n, '\"by default\"', 1 FROM generate_series(0, 377) AS n",
    );
}

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
fn commits_that_only_the_wal_holds_are_moved() {
    for shm in [true, false] {
        let server = need!(Postgres::shared());
        let database = server.create_database("wal");
        let source = Source::small();
        source.edit_and_die(|connection| {
            insert_user(connection, 77);
            for n in 1000..1100 {
                insert_chat(connection, n, 77);
            }
        });
        if !shm {
            std::fs::remove_file(source.folder().join("webui.db-shm")).expect("a file");
        }
        let before = source.snapshot();
        boot(&source, &database.url())
            .run()
            .expect(0)
            .prints("started\n");
        assert_eq!(source.snapshot(), before, "boot");
        expect_moved(&source, &database);
        assert_eq!(
            database.value("SELECT count(*) FROM chat WHERE user_id = 'user-77'"),
            "100"
        );
    }
}

#[test]
fn plan_and_verify_leave_the_wal_alone() {
    for name in ["plan", "verify"] {
        need!(command(name));
    }
    let server = need!(Postgres::shared());
    let database = server.create_database("read_wal");
    let source = Source::small();
    source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    let before = source.snapshot();
    for name in ["plan", "migrate", "plan", "verify"] {
        Program::new([name])
            .source(&source)
            .target(database.url())
            .run()
            .expect(0);
        assert_eq!(source.snapshot(), before, "{name}");
    }
}

#[test]
fn a_source_in_a_folder_that_cannot_be_written_is_moved() {
    let server = need!(Postgres::shared());
    let database = server.create_database("read_only");
    let source = Source::small();
    source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    let mode = |mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(source.folder(), permissions).expect("our folder");
    };
    mode(0o555);
    let before = source.snapshot();
    let outcome = boot(&source, &database.url()).run();
    mode(0o755);
    outcome.expect(0).prints("started\n");
    assert_eq!(source.snapshot(), before);
    expect_moved(&source, &database);
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
        .never_says("WARN");
    assert!(
        database.counts().is_empty(),
        "the app's schema is the app's to make"
    );
    assert!(!database.marked());
    boot(&Source::none(), &database.url())
        .data_dir(Path::new("/no/such/folder"))
        .run()
        .expect(0)
        .prints("started\n");
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
fn a_schema_that_is_not_there_is_78() {
    let server = need!(Postgres::shared());
    let database = server.create_database("no_schema");
    let source = Source::small();
    boot(&source, &database.url())
        .env("DATABASE_SCHEMA", "absent")
        .run()
        .expect(78)
        .prints("")
        .says(&["DATABASE_SCHEMA"]);
    expect_untouched(&database);
}

#[test]
fn a_replica_without_migrations_waits_for_the_move_and_never_moves() {
    let server = need!(Postgres::shared());
    let database = server.create_database("replica");
    let source = Source::small();
    let replica = |seconds: &str| {
        let program = boot(&source, &database.url()).env("ENABLE_DB_MIGRATIONS", "false");
        program.env("WEBUI_INIT_LOCK_WAIT_SECS", seconds)
    };
    let alone = replica("1")
        .run()
        .expect(75)
        .prints("")
        .says(&["ENABLE_DB_MIGRATIONS"]);
    assert!(
        alone.took >= Duration::from_secs(1) && alone.took < Duration::from_secs(10),
        "{:?}",
        alone.took
    );
    expect_untouched(&database);
    let mut waiting = replica("60").start();
    std::thread::sleep(Duration::from_millis(500));
    assert!(!waiting.ended(), "{}", waiting.stderr());
    boot(&source, &database.url()).run().expect(0);
    waiting.wait(SOON).expect(0).prints("started\n");
    replica("1").run().expect(0).prints("started\n");
    expect_moved(&source, &database);
}

#[test]
fn a_replica_without_migrations_and_without_data_starts() {
    let server = need!(Postgres::shared());
    let database = server.create_database("replica_fresh");
    let program = boot(&Source::none(), &database.url()).env("ENABLE_DB_MIGRATIONS", "false");
    program
        .env("WEBUI_INIT_LOCK_WAIT_SECS", "1")
        .run()
        .expect(0)
        .prints("started\n");
}

#[test]
fn a_held_lock_is_waited_for_up_to_the_limit() {
    let server = need!(Postgres::shared());
    let database = server.create_database("lock");
    let source = Source::small();
    let mut holder = start_slow_boot(&source, &database.url(), 4);
    // Also an instance that has no data of its own: its app would take the first visitor for the admin.
    for other in [Source::small(), Source::none()] {
        let impatient = boot(&other, &database.url()).env("WEBUI_INIT_LOCK_WAIT_SECS", "1");
        let outcome = impatient.run().expect(75).prints("");
        assert!(outcome.took < Duration::from_secs(3), "{:?}", outcome.took);
    }
    assert!(!holder.ended());
    let patient = Source::none();
    let patient = boot(&patient, &database.url()).start();
    holder.wait(SOON).expect(0).prints("started\n");
    patient.wait(SOON).expect(0).prints("started\n");
    expect_moved(&source, &database);
}

#[test]
fn a_holder_that_dies_leaves_the_lock_and_nothing_else() {
    let server = need!(Postgres::shared());
    let database = server.create_database("dead_holder");
    let source = Source::small();
    let before = source.snapshot();
    let holder = start_slow_boot(&source, &database.url(), 600);
    holder.signal(nix::sys::signal::Signal::SIGKILL);
    holder.wait(SOON).expect(137);
    expect_untouched(&database);
    expect_next_boot_moves(&source, &database, &before);
}

#[test]
fn of_many_instances_at_once_one_moves_and_all_start() {
    let server = need!(Postgres::shared());
    let database = server.create_database("many");
    let (with_data, without) = (Source::small(), Source::none());
    let before = with_data.snapshot();
    let shared = tempfile::tempdir().expect("a temporary folder");
    let log = shared.path().join("schema.log");
    // Only instances that have the data, so that the first to look finds some; the others come once it is at work.
    let start = |source: &Source| {
        // The app of each instance counts what it finds when it starts.
        let count = "psql -XAtqc 'SELECT count(*) FROM chat' \"$DATABASE_URL\"";
        let program = Program::boot(["sh", "-c", count])
            .source(source)
            .target(database.url());
        program
            .env("WEBUI_INIT_SCHEMA_COMMAND", slow_schema_command(&log, 1))
            .start()
    };
    need!(crate::support::tool("psql"));
    let mut running: Vec<_> = (0..5).map(|_| start(&with_data)).collect();
    crate::support::wait_for("the first to be at work", SOON, || {
        log.exists().then_some(())
    });
    running.extend((0..3).map(|_| start(&without)));
    for instance in running {
        instance.wait(SOON).expect(0).prints("24\n");
    }
    expect_moved(&with_data, &database);
    assert_eq!(
        std::fs::read_to_string(&log).expect("a log"),
        "run\n",
        "the schema was made more than once"
    );
    assert_eq!(with_data.snapshot(), before);
}

#[test]
fn moves_through_a_pooler() {
    let server = need!(Postgres::shared());
    // In transaction mode so few that an instance must not keep one it does not use.
    for (mode, size) in [(PoolMode::Transaction, 3), (PoolMode::Session, 20)] {
        let setting = format!("default_pool_size = {size}");
        let bouncer = need!(PgBouncer::start(server, mode, &[&setting]));
        let database = server.create_database("pooled");
        let source = Source::small();
        let running: Vec<_> = (0..3)
            .map(|_| boot(&source, &bouncer.url(&database)).start())
            .collect();
        for instance in running {
            instance.wait(SOON).expect(0).prints("started\n");
        }
        expect_moved(&source, &database);
    }
}

#[test]
fn a_server_that_is_not_there_is_69_after_the_wait() {
    let source = Source::small();
    let before = source.snapshot();
    let url = format!("postgresql://webui:pw@127.0.0.1:{}/webui", free_port());
    for (wait, least, most) in [("0", 0, 2), ("2", 2, 5)] {
        let outcome = boot(&source, &url)
            .env("WEBUI_INIT_WAIT_SECS", wait)
            .run()
            .expect(69)
            .prints("");
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        assert!(
            outcome.took >= least && outcome.took < most,
            "{wait}: {:?}",
            outcome.took
        );
    }
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_name_that_does_not_resolve_and_a_server_that_does_not_answer_are_69() {
    let server = need!(Postgres::shared());
    let database = server.create_database("mute");
    let source = Source::small();
    let unresolved = boot(&source, "postgresql://webui:pw@no-such-host.invalid/webui")
        .env("WEBUI_INIT_WAIT_SECS", "1");
    unresolved.run().expect(69).prints("");
    let proxy = Proxy::to(server.port());
    for fault in [Fault::Stall, Fault::Reset] {
        proxy.set(fault);
        let outcome = boot(&source, &database.url_at(proxy.port()))
            .env("WEBUI_INIT_WAIT_SECS", "2")
            .run()
            .expect(69)
            .prints("");
        assert!(outcome.took < Duration::from_secs(8), "{:?}", outcome.took);
    }
    expect_untouched(&database);
}

#[test]
fn a_server_that_comes_up_late_is_waited_for() {
    let server = need!(Postgres::own(&[]));
    let database = server.create_database("late");
    let source = Source::small();
    server.stop_immediate();
    let mut running = boot(&source, &database.url()).start();
    std::thread::sleep(Duration::from_millis(1200));
    assert!(!running.ended(), "{}", running.stderr());
    // It recovers from its crash first, and says "the database system is starting up" meanwhile.
    server.restart();
    running.wait(SOON).expect(0).prints("started\n");
    expect_moved(&source, &database);
}

/// Fails at once, although it would wait long for a server that is not there.
fn at_once(program: Program, code: i32) -> Outcome {
    let outcome = program
        .env("WEBUI_INIT_WAIT_SECS", "60")
        .run()
        .expect(code)
        .prints("");
    assert!(outcome.took < Duration::from_secs(5), "{:?}", outcome.took);
    outcome
}

#[test]
fn what_waiting_cannot_cure_fails_at_once() {
    let server = need!(Postgres::shared());
    let database = server.create_database("denied");
    let source = Source::small();
    let before = source.snapshot();
    let address = format!("127.0.0.1:{}", server.port());
    let name = &database.name;
    at_once(
        boot(
            &source,
            &format!("postgresql://{ROLE}:wrong@{address}/{name}"),
        ),
        77,
    );
    at_once(
        boot(&source, &format!("postgresql://{ROLE}@{address}/{name}")),
        77,
    );
    at_once(
        boot(
            &source,
            &format!("postgresql://nobody:{PASSWORD}@{address}/{name}"),
        ),
        77,
    );
    at_once(
        boot(
            &source,
            &format!("postgresql://{ROLE}:{PASSWORD}@{address}/absent"),
        ),
        78,
    )
    .says(&["absent"]);
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_role_that_may_create_nothing_is_77() {
    let server = need!(Postgres::shared());
    let database = server.create_database("no_create");
    server.create_role("reader", "pw");
    let source = Source::small();
    let url = format!(
        "postgresql://reader:pw@127.0.0.1:{}/{}",
        server.port(),
        database.name
    );
    at_once(boot(&source, &url), 77);
    expect_untouched(&database);
}

#[test]
fn a_marker_that_may_not_be_read_is_not_an_absent_one() {
    let server = need!(Postgres::shared());
    let database = server.create_database("hidden");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    server.create_role("hidden_from", "pw");
    let url = format!(
        "postgresql://hidden_from:pw@127.0.0.1:{}/{}",
        server.port(),
        database.name
    );
    at_once(boot(&source, &url), 77);
    at_once(boot(&Source::none(), &url), 77);
    expect_moved(&source, &database);
}

#[test]
fn a_database_that_is_not_utf_8_is_78() {
    let server = need!(Postgres::shared());
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let options = format!("ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        let database = server.create_database_with("encoding", &options);
        let source = Source::small();
        at_once(boot(&source, &database.url()), 78).says(&["UTF8"]);
        assert!(database.counts().is_empty());
    }
}

/// A database whose server tells of itself what `functions` return.
fn posing<'a>(server: &'a Postgres, functions: &str) -> Database<'a> {
    let database = server.create_database("posing");
    Session::open(&server.superuser_url(&database.name)).query(&format!(
        "CREATE SCHEMA pose; GRANT USAGE ON SCHEMA pose TO public; {functions};
         ALTER DATABASE \"{}\" SET search_path = pose, pg_catalog, public",
        database.name
    ));
    database
}

#[test]
fn a_server_that_is_too_old_or_something_else_is_78_at_once() {
    let server = need!(Postgres::shared());
    let older = "CREATE FUNCTION pose.current_setting(text) RETURNS text LANGUAGE sql AS
         $$ SELECT CASE $1 WHEN 'server_version_num' THEN '120022' ELSE pg_catalog.current_setting($1) END $$;
         CREATE FUNCTION pose.version() RETURNS text LANGUAGE sql AS $$ SELECT 'PostgreSQL 12.22 on x86_64' $$";
    let other = "CREATE FUNCTION pose.version() RETURNS text LANGUAGE sql AS
         $$ SELECT 'CockroachDB CCL v25.1.0' $$";
    for (functions, said) in [
        (older, ["too old", "PostgreSQL 12.22"]),
        (other, ["something else", "CockroachDB"]),
    ] {
        let database = posing(server, functions);
        let source = Source::small();
        let before = source.snapshot();
        at_once(boot(&source, &database.url()), 78).says(&said);
        assert_eq!(source.snapshot(), before);
        assert!(database.counts().is_empty());
    }
}

#[test]
fn a_server_that_cannot_do_what_the_move_needs_is_78_and_says_what() {
    let server = need!(Postgres::shared());
    for (taken_away, said) in [
        ("pg_current_xact_id()", "the id of a transaction"),
        ("pg_try_advisory_xact_lock(bigint)", "advisory lock"),
        ("record_send(record)", "the binary form of a row"),
    ] {
        let database = server.create_database("unable");
        Session::open(&server.superuser_url(&database.name)).query(&format!(
            "REVOKE EXECUTE ON FUNCTION pg_catalog.{taken_away} FROM PUBLIC"
        ));
        let source = Source::small();
        let before = source.snapshot();
        at_once(boot(&source, &database.url()), 78).says(&[said]);
        assert_eq!(source.snapshot(), before);
        assert!(database.counts().is_empty(), "the schema step has run");
    }
}

#[test]
fn a_role_that_may_make_no_temporary_tables_moves_all_the_same() {
    let server = need!(Postgres::shared());
    let database = server.create_database("no_temporary");
    Session::open(&server.superuser_url(&database.name)).query(&format!(
        "REVOKE TEMPORARY ON DATABASE \"{0}\" FROM PUBLIC; ALTER DATABASE \"{0}\" OWNER TO postgres;
         GRANT CREATE, CONNECT ON DATABASE \"{0}\" TO \"{1}\"; GRANT ALL ON SCHEMA public TO \"{1}\"",
        database.name,
        ROLE
    ));
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    expect_moved(&source, &database);
}

#[test]
fn a_standby_is_waited_for_and_then_69() {
    // A server that is read-only as a standby is: it stays in recovery until it is promoted.
    let server = need!(Postgres::own(&[("hot_standby", "on")]));
    let database = server.create_database("standby");
    server.stop_fast();
    std::fs::write(server.data_folder().join("standby.signal"), "").expect("our server");
    server.restart();
    let source = Source::small();
    boot(&source, &database.url())
        .env("WEBUI_INIT_WAIT_SECS", "1")
        .run()
        .expect(69)
        .prints("");
    let running = boot(&source, &database.url()).start();
    std::thread::sleep(Duration::from_millis(800));
    server.superuser().query("SELECT pg_promote()");
    running.wait(SOON).expect(0).prints("started\n");
    expect_moved(&source, &database);
}

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

#[test]
fn settings_of_a_provider_do_not_break_a_move() {
    let server = need!(Postgres::shared());
    let database = server.create_database("provider");
    let mut superuser = server.superuser();
    for setting in [
        "statement_timeout = '300ms'",
        "lock_timeout = '300ms'",
        "idle_in_transaction_session_timeout = '300ms'",
    ] {
        superuser.query(&format!(
            "ALTER DATABASE \"{}\" SET {setting}",
            database.name
        ));
    }
    let source = Source::with_chats(2000);
    let program = boot(&source, &database.url_at(server.port()));
    // The stand-in for Alembic is not what is tested here.
    let schema = format!(
        "PGOPTIONS='-c statement_timeout=0' {}",
        schema_command().to_string_lossy()
    );
    program
        .env("WEBUI_INIT_SCHEMA_COMMAND", schema)
        .run()
        .expect(0)
        .prints("started\n");
    let begin = Instant::now();
    assert_eq!(
        differences(
            &source,
            &Database {
                server,
                name: database.name.clone()
            }
        ),
        Vec::<String>::new()
    );
    assert!(begin.elapsed() < SOON);
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

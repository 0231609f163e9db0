//! PostgreSQL that is late, absent, of another kind, or refuses: waited for if waiting can help, and an exit code at once if not.

use std::time::{Duration, Instant};

use crate::support::{
    Database, Fault, Outcome, PASSWORD, Postgres, Program, Proxy, ROLE, Session, Source, boot,
    differences, expect_moved, expect_untouched, free_port, need, schema_command,
};

const SOON: Duration = Duration::from_mins(1);

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

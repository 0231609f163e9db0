//! What a server may lack for a while, one by one: space, connections, time, the right to write, an answer. The
//! random ones are `tests/faults`.

use std::time::{Duration, Instant};

use crate::support::{
    Database, Fault, PgBouncer, PoolMode, Postgres, Proxy, Running, Session, SmallDisk, Source,
    Then, Version, boot, expect_moved, expect_next_boot_moves, expect_untouched, need, relocate,
    wait_for,
};

const SOON: Duration = Duration::from_mins(1);

/// An empty database of the app's on the small disk.
fn database_on<'a>(server: &'a Postgres, disk: &SmallDisk) -> Database<'a> {
    let path = disk.path();
    let path = path.display();
    server
        .superuser()
        .query(&format!("CREATE TABLESPACE small LOCATION '{path}'"));
    let database = server.create_database_with("full", "TABLESPACE small");
    database.bootstrap();
    database
}

#[test]
fn a_disk_that_is_full_during_the_load_is_74_and_the_next_boot_moves() {
    let disk = need!(SmallDisk::mount(64));
    let server = need!(Postgres::own(&[]));
    let database = database_on(&server, &disk);
    let source = Source::with_chats(1200);
    let before = source.snapshot();
    disk.fill_but(2000);
    for _ in 0..2 {
        boot(&source, &database.url())
            .run()
            .expect(74)
            .prints("")
            .says(&["the disk of PostgreSQL at", "is full", "the rows of"]);
        expect_untouched(&database);
    }
    disk.make_space();
    expect_next_boot_moves(&source, &database, &before);
}

#[test]
fn a_disk_that_is_full_when_indexes_are_rebuilt_is_74_and_the_next_boot_moves() {
    let disk = need!(SmallDisk::mount(64));
    let server = need!(Postgres::own(&[]));
    let database = database_on(&server, &disk);
    let source = Source::with_chats(600);
    let before = source.snapshot();
    // The server itself takes the space at the first CREATE INDEX, so whatever the speed of this machine, the load
    // is over and the indexes are not there yet.
    let ballast = disk.ballast();
    let mut superuser = Session::open(&server.superuser_url(&database.name));
    superuser.query(&format!(
        "CREATE FUNCTION fill() RETURNS event_trigger SECURITY DEFINER LANGUAGE plpgsql AS
         $$ BEGIN COPY (SELECT 1) TO PROGRAM 'cat /dev/zero >''{}'' 2>&1; true'; END $$;
         CREATE EVENT TRIGGER fill ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION fill()",
        ballast.display()
    ));
    boot(&source, &database.url())
        .env("WEBUI_INIT_LOG", "debug")
        .run()
        .expect(74)
        .prints("")
        .says(&["the disk of PostgreSQL at", "restoring indexes"])
        .never_says("stage: verifying");
    expect_untouched(&database);
    superuser.query("DROP EVENT TRIGGER fill; DROP FUNCTION fill");
    disk.make_space();
    expect_next_boot_moves(&source, &database, &before);
}

/// Rows that neither TOAST nor full pages make smaller.
fn incompressible(source: &Source, megabytes: i64) {
    source.edit(|connection| {
        let sql = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?) \
             INSERT INTO note (id, user_id, title, data, created_at, updated_at) \
             SELECT 'random-' || n, 'user-1', 'random', '\"' || hex(randomblob(500000)) || '\"', 1, 1 FROM n";
        connection.execute(sql, [megabytes]).expect("a table");
    });
}

#[test]
fn a_disk_that_is_full_of_wal_stops_the_server_and_the_next_boot_moves() {
    let disk = need!(SmallDisk::mount(48));
    let server = need!(Postgres::own(&[
        ("max_wal_size", "1GB"),
        ("checkpoint_timeout", "1h"),
        ("wal_recycle", "off"),
    ]));
    let database = server.create_database("wal");
    database.bootstrap();
    let source = Source::small();
    incompressible(&source, 80);
    let before = source.snapshot();
    server.stop_fast();
    let wal = server.data_folder().join("pg_wal");
    relocate(&wal, &disk.path().join("pg_wal"));
    server.restart();
    disk.fill_but(0);
    boot(&source, &database.url()).run().expect(74).prints("");
    wait_for("the server to tell why", SOON, || {
        server
            .log()
            .contains("No space left on device")
            .then_some(())
    });
    // Where there is no room for WAL, there is none for recovery: somebody makes some, and starts it again.
    server.stop_immediate();
    disk.make_space();
    std::fs::remove_file(&wal).expect("our link");
    relocate(&disk.path().join("pg_wal"), &wal);
    server.restart();
    expect_untouched(&database);
    expect_next_boot_moves(&source, &database, &before);
}

#[test]
fn a_server_without_a_free_connection_is_waited_for_and_then_69() {
    let server = need!(Postgres::own(&[
        ("max_connections", "5"),
        ("superuser_reserved_connections", "2"),
    ]));
    let database = server.create_database("crowded");
    let source = Source::small();
    let hold = |count: u32, url: &str| -> Vec<Session> {
        (0..count).map(|_| Session::open(url)).collect()
    };
    let briefly = |said: &str| {
        let program = boot(&source, &database.url()).env("WEBUI_INIT_WAIT_SECS", "2");
        let outcome = program.run().expect(69).prints("").says(&[said]);
        assert!(outcome.took >= Duration::from_secs(2), "{:?}", outcome.took);
    };
    // What is left is the superuser's.
    let ours = hold(3, &database.url());
    briefly("connection slots");
    // Nothing is left.
    let theirs = hold(2, &server.superuser_url("postgres"));
    briefly("too many clients");
    let mut running = boot(&source, &database.url()).start();
    running.wait_for_log("waiting for PostgreSQL", SOON);
    assert!(!running.ended());
    drop((ours, theirs));
    running.wait(SOON).expect(0).prints("started\n");
    expect_moved(&source, &database);
}

#[test]
fn a_server_that_runs_out_of_connections_on_the_way_is_69_and_the_next_boot_moves() {
    let server = need!(Postgres::own(&[
        ("max_connections", "5"),
        ("superuser_reserved_connections", "2"),
    ]));
    let database = server.create_database("scarce");
    let source = Source::small();
    let ours = (
        Session::open(&database.url()),
        Session::open(&database.url()),
    );
    // One is enough to look, but not for the lock and a look beside it.
    boot(&source, &database.url())
        .env("WEBUI_INIT_WAIT_SECS", "2")
        .run()
        .expect(69)
        .prints("")
        .says(&["has no connection free"]);
    drop(ours);
    expect_untouched(&database);
    boot(&source, &database.url()).run().expect(0);
    expect_moved(&source, &database);
}

#[test]
fn time_limits_of_the_role_do_not_break_a_move() {
    for version in Version::installed() {
        let server = need!(Postgres::shared_of(version));
        let database = server.create_database("impatient");
        // The stand-in for Alembic is not what is tested here.
        database.bootstrap();
        let mut superuser = server.superuser();
        let limits = [
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_session_timeout",
            "transaction_timeout",
        ];
        for limit in limits {
            let known = format!("SELECT count(*) FROM pg_settings WHERE name = '{limit}'");
            if superuser.value(&known) == "1" {
                superuser.query(&format!(
                    "ALTER ROLE webui IN DATABASE \"{}\" SET {limit} = '300ms'",
                    database.name
                ));
            }
        }
        let source = Source::with_chats(400);
        // So slow a network that the move outlasts each of them.
        let proxy = Proxy::to(server.port());
        proxy.slow(Duration::ZERO, 2_000_000);
        let outcome = boot(&source, &database.url_at(proxy.port())).run();
        let outcome = outcome.expect(0).prints("started\n");
        assert!(outcome.took > Duration::from_secs(1), "{:?}", outcome.took);
    }
}

#[test]
fn a_streaming_standby_is_69_before_the_move_and_serves_after_it() {
    let primary = need!(Postgres::own(&[]));
    let standby = need!(Postgres::standby_of(&primary));
    let database = primary.create_database("replicated");
    let source = Source::small();
    let url = database.url_at(standby.port());
    wait_for("the database on the standby", SOON, || {
        Session::try_open(&url).ok()
    });
    boot(&source, &url)
        .env("WEBUI_INIT_WAIT_SECS", "1")
        .run()
        .expect(69)
        .prints("")
        .says(&["standby"]);
    expect_untouched(&database);
    boot(&source, &database.url()).run().expect(0);
    expect_moved(&source, &database);
    // The marker arrives with the rows, and nothing is written to find it.
    let marked = "SELECT count(*) FROM webui_init.migration";
    wait_for("the marker on the standby", SOON, || {
        let marked = Session::open(&url).try_query(marked);
        marked
            .is_ok_and(|rows| rows[0][0].as_deref() == Some("1"))
            .then_some(())
    });
    boot(&source, &url).run().expect(0).prints("started\n");
}

#[test]
fn a_database_that_is_set_to_read_only_is_waited_for_and_then_69() {
    // As providers do when its disk is full.
    let server = need!(Postgres::shared());
    let database = server.create_database("read_only");
    let set = |to: &str| {
        server.superuser().query(&format!(
            "ALTER DATABASE \"{}\" SET default_transaction_read_only = {to}",
            database.name
        ));
    };
    set("on");
    let source = Source::small();
    boot(&source, &database.url())
        .env("WEBUI_INIT_WAIT_SECS", "1")
        .run()
        .expect(69)
        .prints("")
        .says(&["read-only"]);
    let mut running = boot(&source, &database.url()).start();
    running.wait_for_log("waiting for PostgreSQL", SOON);
    set("off");
    running.wait(SOON).expect(0).prints("started\n");
    expect_moved(&source, &database);
}

/// A boot through a proxy, caught in the middle of its load.
fn start_loading<'a>(
    server: &'a Postgres,
    source: &Source,
    proxy: &Proxy,
    patience: &str,
) -> (Database<'a>, Running) {
    let database = server.create_database("stalled");
    database.bootstrap();
    proxy.slow(Duration::ZERO, 2_000_000);
    // TCP itself gives up after a minute without an acknowledgement, unless it is told otherwise.
    let url = format!("{}?tcp_user_timeout=300000", database.url_at(proxy.port()));
    let running = boot(source, &url)
        .env("WEBUI_INIT_WAIT_SECS", patience)
        .start();
    wait_for("the load", SOON, || loading(&database).then_some(()));
    (database, running)
}

fn loading(database: &Database) -> bool {
    let copying = "SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database()";
    database.value(copying) != "0"
}

#[test]
fn a_first_connection_that_falls_silent_is_replaced_within_the_wait() {
    let server = need!(Postgres::shared());
    let database = server.create_database("silent");
    database.bootstrap();
    let source = Source::small();
    let proxy = Proxy::to(server.port());
    proxy.set(Fault::OnSight(b"webui_init.migration", Then::Stall));
    let url = format!("{}?connect_timeout=1", database.url_at(proxy.port()));
    let running = boot(&source, &url)
        .env("WEBUI_INIT_WAIT_SECS", "20")
        .start();
    wait_for("the first look", SOON, || {
        (proxy.sights() > 0).then_some(())
    });
    proxy.set(Fault::Pass);
    running.wait(SOON).expect(0).prints("started\n").says(&[
        "waiting for PostgreSQL",
        "PostgreSQL did not answer in time",
    ]);
    expect_moved(&source, &database);
}

#[test]
fn a_long_statement_is_left_alone_also_where_a_pooler_has_no_third_connection() {
    let server = need!(Postgres::shared());
    let bouncer = need!(PgBouncer::start(
        server,
        PoolMode::Transaction,
        &["default_pool_size = 2"]
    ));
    let database = server.create_database("long");
    database.bootstrap();
    Session::open(&server.superuser_url(&database.name)).query(
        "CREATE FUNCTION dawdle() RETURNS event_trigger LANGUAGE plpgsql AS
         $$ BEGIN IF current_query() LIKE '%INDEX user_id_pinned_idx%' THEN PERFORM pg_sleep(9); END IF; END $$;
         CREATE EVENT TRIGGER dawdle ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION dawdle()",
    );
    let source = Source::small();
    let outcome = boot(&source, &bouncer.url(&database))
        .env("WEBUI_INIT_WAIT_SECS", "5")
        .run()
        .expect(0)
        .says(&["restoring indexes"]);
    assert!(outcome.took > Duration::from_secs(9), "{:?}", outcome.took);
    expect_moved(&source, &database);
}

#[test]
fn silence_while_refused_rows_are_looked_for_is_74() {
    let server = need!(Postgres::shared());
    let database = server.create_database("sifted");
    let source = Source::small();
    source.edit(|connection| {
        let alike = "DROP INDEX uq_user_email_lower; UPDATE user SET email =
             (SELECT upper(email) FROM user WHERE id = 'user-1') WHERE id = 'user-2'";
        connection.execute_batch(alike).expect("users");
    });
    let before = source.snapshot();
    let proxy = Proxy::to(server.port());
    proxy.set(Fault::OnSight(b"SAVEPOINT webui_init", Then::Stall));
    let running = boot(&source, &database.url_at(proxy.port()))
        .env("WEBUI_INIT_WAIT_SECS", "2")
        .start();
    running
        .wait(SOON)
        .expect(74)
        .prints("")
        .says(&["looking for them one by one", "no answer from"]);
    assert_eq!(proxy.sights(), 1);
    drop(proxy);
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
    boot(&source, &database.url()).run().expect(0);
    assert!(database.marked());
}

#[test]
fn a_network_that_stalls_for_a_minute_is_survived() {
    let server = need!(Postgres::shared());
    let source = Source::with_chats(600);
    let proxy = Proxy::to(server.port());
    let (database, mut running) = start_loading(server, &source, &proxy, "100");
    proxy.set(Fault::Stall);
    // Longer than the least that is waited, and than any limit of a single statement.
    std::thread::sleep(Duration::from_secs(62));
    assert!(!running.ended(), "{}", running.stderr());
    assert!(!database.marked());
    proxy.set(Fault::Pass);
    running.wait(SOON).expect(0).prints("started\n");
    expect_moved(&source, &database);
}

#[test]
fn a_network_that_stays_stalled_is_74_when_patience_is_at_an_end() {
    let server = need!(Postgres::shared());
    let source = Source::with_chats(600);
    let before = source.snapshot();
    let proxy = Proxy::to(server.port());
    let (database, running) = start_loading(server, &source, &proxy, "4");
    proxy.set(Fault::Stall);
    let since = Instant::now();
    let outcome = running.wait(SOON).expect(74).prints("");
    println!("given up after {:?}", since.elapsed());
    outcome.says(&["no answer from"]);
    // The server learns of it from the proxy's end, and undoes what it has.
    drop(proxy);
    wait_for("the server to notice", SOON, || {
        (!loading(&database)).then_some(())
    });
    expect_untouched(&database);
    expect_next_boot_moves(&source, &database, &before);
}

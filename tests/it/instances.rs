//! Several instances at once: one moves, the others wait for it, and no app starts beside a move.

use std::time::Duration;

use crate::support::{
    PgBouncer, PoolMode, Postgres, Program, Source, boot, expect_moved, expect_next_boot_moves,
    expect_untouched, need, slow_schema_command, start_slow_boot,
};

const SOON: Duration = Duration::from_mins(1);

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

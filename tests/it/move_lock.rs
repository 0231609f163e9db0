//! What the lock with the marker absent proves: that nothing is moved and nothing will be, by anybody who began before.

use std::time::Duration;

use webui_init::move_key;

use crate::support::{
    Postgres, Source, boot, expect_moved, expect_untouched, need, schema_command, wait_for,
};

const SOON: Duration = Duration::from_mins(1);

/// As a COMMIT does that hangs, after the instance that sent it has ended.
#[test]
fn a_move_that_is_still_open_is_waited_for() {
    let server = need!(Postgres::shared());
    let database = server.create_database("still_open");
    let source = Source::small();
    let absent = Source::none();
    let mut open = database.session();
    let key = move_key("public");
    open.query("BEGIN");
    open.query(&format!("SELECT pg_advisory_xact_lock({key})"));
    for source in [&source, &absent] {
        boot(source, &database.url())
            .env("WEBUI_INIT_ON_FAILURE", "sqlite")
            .env("WEBUI_INIT_LOCK_WAIT_SECS", "2")
            .run()
            .expect(75)
            .never_says("SQLITE")
            .prints("");
    }
    expect_untouched(&database);
    open.query("ROLLBACK");
    boot(&source, &database.url()).run().expect(0);
    expect_moved(&source, &database);
}

#[test]
fn a_move_does_not_begin_once_its_lock_is_lost() {
    let server = need!(Postgres::shared());
    let database = server.create_database("lock_lost");
    let source = Source::small();
    let mut program = boot(&source, &database.url());
    let log = program.folder().join("schema.log");
    let slow = format!(
        "touch '{}'; sleep 3; {}",
        log.display(),
        schema_command().to_string_lossy()
    );
    program = program.env("WEBUI_INIT_SCHEMA_COMMAND", slow);
    let running = program.start();
    wait_for("the schema command", SOON, || log.exists().then_some(()));
    let ended = database.value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
         WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    assert_eq!(ended, "1", "one lock was held");
    running
        .wait(SOON)
        .expect(74)
        .says(&["the connection that held the lock of the move was ended"])
        .prints("");
    assert!(!database.marked());
    boot(&source, &database.url()).run().expect(0);
    expect_moved(&source, &database);
}

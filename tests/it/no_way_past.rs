//! Open WebUI does not come up empty where people's data is expected, and what ought to start does: each refusal stands
//! beside the good starts that look like it.

use crate::support::{
    Database, Postgres, Source, as_planned, boot, expect_moved, insert_user, need, on,
};

/// Ways in which PostgreSQL loses the users of a move and keeps its record.
const LOSSES: [&str; 4] = [
    "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
    "DROP TABLE \"user\", auth, chat CASCADE",
    "TRUNCATE \"user\" CASCADE",
    "DELETE FROM \"user\"",
];

#[test]
fn a_record_without_its_users_is_65_beside_a_source_that_has_them() {
    let server = need!(Postgres::shared());
    for loss in LOSSES {
        let database = server.create_database("users_gone");
        let source = Source::small();
        boot(&source, &database.url()).run().expect(0);
        database.query(loss);
        let before = source.snapshot();
        let again = |command: &str| on(command, &source, &database.url());
        as_planned(again, 65).prints("").says(&[
            "users are gone",
            "WEBUI_INIT_MOVE_AGAIN=true",
            "restore it",
        ]);
        assert!(database.marked(), "{loss}: the record was touched");
        assert_eq!(source.snapshot(), before);
        // The one way out; the other is what follows a restored backup, below.
        let again = |command: &str| again(command).env("WEBUI_INIT_MOVE_AGAIN", "true");
        if loss.starts_with("DROP SCHEMA") {
            as_planned(again, 0).prints("started\n");
            expect_moved(&source, &database);
        }
        boot(&source, &database.url())
            .env("WEBUI_INIT_SOURCE", "none")
            .run()
            .expect(0);
    }
}

#[test]
fn a_record_with_a_user_is_believed_whatever_became_of_the_rest() {
    let server = need!(Postgres::shared());
    let database = server.create_database("one_user_left");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    // People delete chats and accounts, and one was made since.
    database.query(
        "DELETE FROM chat; DELETE FROM \"user\"; INSERT INTO \"user\" (id, name, email) VALUES ('new', 'New', 'n@example.org')",
    );
    let later = |command: &str| on(command, &source, &database.url());
    as_planned(later, 0).prints("started\n").never_says("WARN");
}

#[test]
fn a_record_without_its_users_starts_where_nothing_has_any() {
    let server = need!(Postgres::shared());
    let database = server.create_database("nobody_left");
    boot(&Source::small(), &database.url()).run().expect(0);
    database.query("TRUNCATE \"user\" CASCADE");
    // A replica without the volume, or a volume that is gone: nobody but the log can tell.
    let source = Source::none();
    let later = |command: &str| on(command, &source, &database.url());
    as_planned(later, 0)
        .prints("started\n")
        .says(&["WARN", "no users", "administrator"]);
}

#[test]
fn a_later_start_waits_for_nobody_who_holds_the_users() {
    let server = need!(Postgres::shared());
    let database = server.create_database("locked_users");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    let mut other = database.session();
    other.query("BEGIN");
    other.query("LOCK TABLE \"user\" IN ACCESS EXCLUSIVE MODE");
    let later = boot(&source, &database.url()).run().expect(0);
    later.prints("started\n").never_says("WARN");
}

/// The tables of schema `webui_init` as the version before made them.
fn make_older(database: &Database) {
    database.query(
        "ALTER TABLE webui_init.migration DROP COLUMN id, DROP COLUMN state;
         REVOKE SELECT (target_schema, source_fingerprint, rows, finished_at) ON webui_init.migration FROM PUBLIC;
         REVOKE SELECT (target_schema) ON webui_init.attempt FROM PUBLIC;
         REVOKE USAGE ON SCHEMA webui_init FROM PUBLIC;
         DELETE FROM webui_init.refinery_schema_history WHERE version > 2",
    );
}

#[test]
fn a_record_of_the_version_before_is_believed_and_left_as_it_is() {
    let server = need!(Postgres::shared());
    let database = server.create_database("older_record");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    make_older(&database);
    let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'webui_init.migration'::regclass AND attnum > 0 AND NOT attisdropped";
    let before = database.value(columns);
    let later = |command: &str| on(command, &source, &database.url());
    as_planned(later, 0).prints("started\n");
    on("verify", &source, &database.url()).run().expect(0);
    assert_eq!(database.value(columns), before, "a start has done DDL");
    // It is upgraded where there is something to write.
    database.query("DELETE FROM webui_init.migration; TRUNCATE \"user\", auth, chat CASCADE");
    let emptied = "DO $$ DECLARE name text; BEGIN FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
         LOOP EXECUTE format('TRUNCATE public.%I CASCADE', name); END LOOP; END $$";
    database.query(emptied);
    boot(&source, &database.url())
        .env("WEBUI_INIT_MOVE_AGAIN", "true")
        .run()
        .expect(0);
    expect_moved(&source, &database);
    assert_eq!(
        database.value("SELECT id IS NOT NULL AND state = 'moved' FROM webui_init.migration"),
        "t"
    );
}

#[test]
fn a_role_that_only_runs_the_app_sees_that_the_move_is_done() {
    let server = need!(Postgres::shared());
    let database = server.create_database("runs_only");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    server.create_role("runs_only", "pw");
    database.query(
        "GRANT USAGE ON SCHEMA public TO runs_only; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO runs_only",
    );
    let url = format!(
        "postgresql://runs_only:pw@127.0.0.1:{}/{}",
        server.port(),
        database.name
    );
    for (source, enabled) in [
        (&source, "true"),
        (&source, "false"),
        (&Source::none(), "false"),
    ] {
        boot(source, &url)
            .env("ENABLE_DB_MIGRATIONS", enabled)
            .run()
            .expect(0)
            .prints("started\n");
    }
    // What was kept aside, and where the data came from, stays closed.
    let mut session = crate::support::Session::open(&url);
    for closed in [
        "SELECT FROM webui_init.leftover",
        "SELECT source_path FROM webui_init.migration",
        "SELECT report FROM webui_init.migration",
        "DELETE FROM webui_init.migration",
    ] {
        assert!(session.try_query(closed).is_err(), "{closed}");
    }
}

#[test]
fn a_record_that_says_that_the_data_has_left_is_65() {
    let server = need!(Postgres::shared());
    let database = server.create_database("returned");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    database.query("UPDATE webui_init.migration SET state = 'returned'");
    source.edit(|connection| insert_user(connection, 9));
    let later = |command: &str| on(command, &source, &database.url());
    as_planned(later, 65)
        .prints("")
        .says(&["gone back", "remove DATABASE_URL"]);
}

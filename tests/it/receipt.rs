//! The receipt beside the data: what was moved is not moved a second time in silence, also where PostgreSQL forgets.

use std::fs;

use crate::support::{
    Postgres, Program, Snapshot, Source, as_planned, boot, expect_moved, expect_untouched,
    insert_chat, is_root, need, on, source::RECEIPT,
};

/// A source whose data is in a PostgreSQL that is gone.
fn moved_and_lost(server: &Postgres) -> Source {
    let source = Source::small();
    let database = server.create_database("lost");
    boot(&source, &database.url()).run().expect(0);
    source
}

#[test]
fn a_move_leaves_a_receipt_that_says_what_the_record_says() {
    let server = need!(Postgres::shared());
    let database = server.create_database("receipt");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    let receipt = source.receipt().expect("a receipt");
    let record =
        |column: &str| database.value(&format!("SELECT {column}::text FROM webui_init.migration"));
    assert_eq!(receipt["schema"], "webui-init/receipt/1");
    assert_eq!(receipt["move"], record("id"));
    assert_eq!(receipt["rows"].to_string(), record("rows"));
    assert_eq!(receipt["target_schema"], record("target_schema"));
    assert_eq!(receipt["target_revision"], record("target_revision"));
    assert_eq!(receipt["database"], database.name);
    assert_eq!(receipt["state"], "moved");
    let text = receipt.to_string();
    for secret in [crate::support::PASSWORD, "user0@example.org", "user-0"] {
        assert!(!text.contains(secret), "{text}");
    }
    // A later start leaves it as it is.
    let before = Snapshot::of(source.folder());
    boot(&source, &database.url()).run().expect(0);
    assert_eq!(Snapshot::of(source.folder()), before);
}

#[test]
fn nothing_but_a_complete_move_leaves_one() {
    let server = need!(Postgres::shared());
    let database = server.create_database("no_receipt");
    let source = Source::small();
    boot(&source, &database.url())
        .env("WEBUI_INIT_SCHEMA_COMMAND", "exit 1")
        .run()
        .expect(76);
    Program::new(["plan"])
        .source(&source)
        .target(database.url())
        .run()
        .expect(0);
    database.bootstrap();
    database.query("INSERT INTO tag (id, name, user_id) VALUES ('t', 'T', 'x')");
    boot(&source, &database.url()).run().expect(65);
    assert_eq!(source.receipt(), None);
}

#[test]
fn an_emptied_postgresql_is_65_and_not_a_second_move() {
    let server = need!(Postgres::shared());
    let source = moved_and_lost(server);
    // A new provider, a volume that is gone, a database that has expired.
    let database = server.create_database("new_and_empty");
    let before = Snapshot::of(source.folder());
    let start = |command: &str| on(command, &source, &database.url());
    as_planned(start, 65).prints("").says(&[
        "was moved at",
        "127.0.0.1",
        "DATABASE_URL",
        "WEBUI_INIT_MOVE_AGAIN=true",
    ]);
    expect_untouched(&database);
    assert_eq!(Snapshot::of(source.folder()), before);
    // As asked for by name: a copy of the data on a test machine.
    let again = |command: &str| start(command).env("WEBUI_INIT_MOVE_AGAIN", "true");
    as_planned(again, 0).prints("started\n");
    expect_moved(&source, &database);
    assert_eq!(
        source.receipt().expect("a receipt")["database"],
        database.name
    );
}

#[test]
fn where_the_old_file_is_gone_too_the_receipt_still_speaks() {
    let server = need!(Postgres::shared());
    let source = moved_and_lost(server);
    fs::remove_file(source.path()).expect("a file");
    let database = server.create_database("all_gone");
    let start = |command: &str| on(command, &source, &database.url());
    as_planned(start, 65).prints("").says(&["was moved at"]);
    // A fresh start is a matter of its own.
    let fresh = |command: &str| start(command).env("WEBUI_INIT_SOURCE", "none");
    as_planned(fresh, 0).prints("started\n");
}

#[test]
fn a_restored_database_without_our_schema_is_recognised_and_adopted() {
    let server = need!(Postgres::shared());
    let database = server.create_database("restored");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    let rows = database.counts();
    database.query("DROP SCHEMA webui_init CASCADE");
    database.query("UPDATE chat SET updated_at = updated_at + 1000 WHERE id = 'chat-1'");
    let start = |command: &str| on(command, &source, &database.url());
    as_planned(start, 65)
        .prints("")
        .says(&["the same users", "webui-init adopt"]);
    Program::new(["adopt"])
        .source(&source)
        .target(database.url())
        .run()
        .expect(0);
    assert!(database.marked());
    assert_eq!(
        source.receipt().expect("a receipt")["move"],
        database.value("SELECT id::text FROM webui_init.migration")
    );
    let mut now = database.counts();
    now.retain(|table, _| !table.starts_with("webui_init"));
    for (table, count) in rows {
        if !table.starts_with("webui_init") {
            assert_eq!(now.get(&table), Some(&count), "{table}");
        }
    }
    as_planned(start, 0).prints("started\n").never_says("WARN");
    // Once more it has nothing to do.
    Program::new(["adopt"])
        .source(&source)
        .target(database.url())
        .run()
        .expect(0);
}

#[test]
fn adopt_records_nothing_that_is_not_so() {
    let server = need!(Postgres::shared());
    let source = moved_and_lost(server);
    let adopt =
        |source: &Source, url: &str| Program::new(["adopt"]).source(source).target(url).run();
    // An empty PostgreSQL; one with other people in it; one that lacks one of the users.
    let empty = server.create_database("adopt_empty");
    adopt(&source, &empty.url()).expect(65);
    let other = server.create_database("adopt_other");
    other.bootstrap();
    other.add_user("there");
    adopt(&source, &other.url()).expect(65);
    for database in [&empty, &other] {
        assert!(!database.marked());
    }
    // A file that was never moved has nothing to be adopted for.
    adopt(&Source::small(), &other.url()).expect(65);
}

#[test]
fn a_receipt_that_cannot_be_read_is_no_absence() {
    let server = need!(Postgres::shared());
    let source = Source::small();
    let database = server.create_database("garbage_receipt");
    for garbage in ["", "{\"schema\":", "{\"schema\": \"webui-init/receipt/9\"}"] {
        fs::write(source.folder().join(RECEIPT), garbage).expect("a folder");
        let start = |command: &str| on(command, &source, &database.url());
        as_planned(start, 65)
            .prints("")
            .says(&[RECEIPT, "WEBUI_INIT_MOVE_AGAIN=true"]);
    }
    expect_untouched(&database);
}

#[test]
fn a_folder_that_cannot_be_written_harms_no_move() {
    let server = need!(Postgres::shared());
    if is_root() {
        // A name that cannot be replaced stands for a folder that cannot be written: root may write anywhere.
        let database = server.create_database("no_room_for_it");
        let source = Source::small();
        let scratch = Source::none();
        fs::create_dir_all(source.folder().join(".webui-init.json.new/full")).expect("a folder");
        boot(&source, &database.url())
            .env("WEBUI_INIT_SCRATCH_DIR", scratch.folder())
            .run()
            .expect(0)
            .prints("started\n")
            .never_says("WARN");
        expect_moved(&source, &database);
        assert_eq!(source.receipt(), None);
    }
}

#[test]
fn a_start_without_database_url_says_where_the_newer_data_is() {
    let server = need!(Postgres::shared());
    let source = moved_and_lost(server);
    source.edit(|connection| insert_chat(connection, 99, 0));
    let start = || Program::boot(["echo", "started"]).source(&source);
    start().run().expect(0).prints("started\n").says(&[
        "WARN",
        "was moved at",
        "without what was written since",
    ]);
    let sqlite = format!("sqlite:///{}", source.path().display());
    start()
        .target(sqlite)
        .run()
        .expect(0)
        .prints("started\n")
        .says(&["WARN", "was moved at"]);
    source.forget_the_move();
    let silent = start().run().expect(0);
    assert_eq!(silent.stderr, "", "a start without a receipt says nothing");
}

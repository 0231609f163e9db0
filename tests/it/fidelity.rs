//! Rows that PostgreSQL must refuse never stop the move and never cost their neighbours: they are kept
//! aside whole, with the reason.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::support::{
    Database, Postgres, Program, Source, expect_untouched, insert, insert_chat, insert_user, need,
};

/// One row of every kind that has no place in the target, among rows that do.
fn plant(connection: &Connection) {
    // SQLite would refuse most of this by itself; files of old versions were made without these.
    connection
        .execute_batch(
            "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
             DROP INDEX IF EXISTS uq_user_email_lower;",
        )
        .expect("pragmas");
    // The same address in other letters. The first account is kept.
    connection
        .execute(
            "UPDATE user SET email = (SELECT upper(email) FROM user WHERE id = 'user-1') WHERE id = 'user-2'",
            [],
        )
        .expect("a user");
    // Neither a user nor an app: violates the only check of the schema.
    let member: &[(&str, &dyn rusqlite::ToSql)] = &[
        ("id", &"member"),
        ("channel_id", &"nowhere"),
        ("joined_at", &1),
        ("is_active", &true),
        ("is_channel_muted", &false),
        ("is_channel_pinned", &false),
    ];
    insert(connection, "channel_member", member);
    // Noise does not compress: too long for the index over it.
    connection
        .execute(
            "UPDATE chat SET folder_id = hex(randomblob(8000)) WHERE id = (SELECT min(id) FROM chat)",
            [],
        )
        .expect("a chat");
    // A time that is none, where there must be one; and a row that refers to it.
    let knowledge: &[(&str, &dyn rusqlite::ToSql)] = &[
        ("id", &"k"),
        ("user_id", &"user-1"),
        ("name", &"n"),
        ("created_at", &"yesterday"),
    ];
    insert(connection, "knowledge", knowledge);
    let directory: &[(&str, &dyn rusqlite::ToSql)] = &[
        ("id", &"d"),
        ("knowledge_id", &"k"),
        ("name", &"n"),
        ("user_id", &"user-1"),
        ("created_at", &1),
        ("updated_at", &1),
    ];
    insert(connection, "knowledge_directory", directory);
    // Of a user who was deleted.
    let session: &[(&str, &dyn rusqlite::ToSql)] = &[
        ("id", &"s"),
        ("user_id", &"deleted"),
        ("provider", &"p"),
        ("token", &"t"),
        ("expires_at", &1),
        ("created_at", &1),
        ("updated_at", &1),
    ];
    insert(connection, "oauth_session", session);
}

fn planted() -> Source {
    let source = Source::empty();
    source.edit(|connection| {
        for n in 1..4 {
            insert_user(connection, n);
        }
        for n in 0..50 {
            insert_chat(connection, n, 1);
        }
        plant(connection);
    });
    source
}

fn reasons(database: &Database) -> BTreeMap<String, String> {
    let sql = "SELECT string_agg(table_name || '=' || reason, ' ' ORDER BY table_name) FROM webui_init.leftover";
    database
        .value(sql)
        .split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(table, reason)| (table.to_owned(), reason.to_owned()))
        .collect()
}

#[test]
fn rows_without_a_place_are_kept_aside_and_their_neighbours_moved() {
    let server = need!(Postgres::shared());
    let database = server.create_database("fidelity");
    let source = planted();
    let before = source.snapshot();
    let held = source.counts();
    let outcome = Program::migrate()
        .source(&source)
        .target(database.url())
        .run()
        .expect(0);
    // Constraints and keys are named, contents are not.
    outcome
        .says(&["duplicate:uq_user_email_lower", "user-2"])
        .never_says("USER-1@")
        .never_says("yesterday");
    assert_eq!(source.snapshot(), before);
    let reasons = reasons(&database);
    for (table, reason) in [
        ("user", "duplicate:uq_user_email_lower"),
        ("channel_member", "check:ck_channel_member_identity"),
        ("chat", "refused:54000"),
        ("knowledge", "refused:not_convertible"),
        (
            "knowledge_directory",
            "orphan:knowledge_directory_knowledge_id_fkey",
        ),
        ("oauth_session", "orphan:oauth_session_user_id_fkey"),
    ] {
        assert_eq!(
            reasons.get(table).map(String::as_str),
            Some(reason),
            "{reasons:?}"
        );
        let moved: i64 = database
            .value(&format!("SELECT count(*) FROM \"{table}\""))
            .parse()
            .expect("a count");
        assert_eq!(moved, held[table] - 1, "{table}");
    }
    // The whole row is there, whatever was wrong with it.
    let original =
        "SELECT row->>'created_at' FROM webui_init.leftover WHERE table_name = 'knowledge'";
    assert_eq!(database.value(original), "yesterday");
    let verify = Program::new(["verify"])
        .source(&source)
        .target(database.url());
    verify.run().expect(0);
}

#[test]
fn leftovers_fail_the_move_where_that_is_asked_for() {
    let server = need!(Postgres::shared());
    let database = server.create_database("no_leftovers");
    let source = planted();
    let before = source.snapshot();
    Program::migrate()
        .source(&source)
        .target(database.url())
        .env("WEBUI_INIT_LEFTOVERS", "fail")
        .run()
        .expect(65)
        .says(&["WEBUI_INIT_LEFTOVERS", "oauth_session_user_id_fkey"]);
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
}

#[test]
fn rows_that_postgresql_lost_are_missed() {
    let server = need!(Postgres::shared());
    let database = server.create_database("missing");
    let source = Source::small();
    let run = |arguments: &[&str]| {
        Program::new(arguments)
            .source(&source)
            .target(database.url())
            .run()
    };
    run(&["migrate"]).expect(0);
    database.query(
        "UPDATE chat SET title = 'changed' WHERE id = (SELECT max(id) FROM chat);
         DELETE FROM chat WHERE id = (SELECT min(id) FROM chat);
         INSERT INTO tag (id, user_id, name) VALUES ('new', 'user-1', 'new')",
    );
    let outcome = run(&["verify", "--json"]).expect(65);
    let audit: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let chat = &audit["tables"]["chat"];
    assert_eq!((&chat["missing"], &chat["changed"]), (&1.into(), &1.into()));
    assert_eq!(audit["tables"]["tag"]["extra"], 1);
}

//! Rows that PostgreSQL must refuse never stop the move and never cost their neighbours: they are kept
//! aside whole, with the reason.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::support::{
    Database, Postgres, Program, Session, Source, boot, expect_untouched, insert, insert_chat,
    insert_user, need,
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

/// The declarations of the table without types, so that its columns keep what they are given.
fn without_types(connection: &Connection, table: &str) {
    let columns: Vec<String> = connection
        .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
        .and_then(|mut names| names.query_map([], |row| row.get(0))?.collect())
        .expect("columns");
    let columns = columns.join(", ");
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON;
             ALTER TABLE {table} RENAME TO typed;
             CREATE TABLE {table} ({columns});
             INSERT INTO {table} SELECT * FROM typed; DROP TABLE typed"
        ))
        .expect("a table");
}

#[test]
fn a_reference_that_only_sqlite_takes_for_equal_is_an_orphan() {
    let server = need!(Postgres::shared());
    let database = server.create_database("loose");
    let source = Source::small();
    source.edit(|connection| {
        without_types(connection, "knowledge");
        without_types(connection, "knowledge_directory");
        connection
            .execute_batch(
                "INSERT INTO knowledge (id, user_id, name, created_at) VALUES (7, 'user-1', 'by number', 1);
                 INSERT INTO knowledge_directory (id, knowledge_id, name, user_id, created_at, updated_at)
                 VALUES ('as written', 7, 'n', 'user-1', 1, 1), ('as a fraction', 7.0, 'm', 'user-1', 1, 1)",
            )
            .expect("rows");
    });
    boot(&source, &database.url()).run().expect(0);
    let moved = "SELECT id || ' in ' || knowledge_id FROM knowledge_directory WHERE id LIKE 'as %'";
    assert_eq!(database.value(moved), "as written in 7");
    let aside = "SELECT row->>'id' || ' ' || reason FROM webui_init.leftover";
    assert_eq!(
        database.value(aside),
        "as a fraction orphan:knowledge_directory_knowledge_id_fkey"
    );
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

/// Counts and keys, table by table; not the seconds.
fn account(report: &serde_json::Value) -> (String, String) {
    let tables = &report["tables"];
    let sums = ["rows", "unchanged", "kept_aside"].map(|sum| report[sum].to_string());
    (sums.join(" "), tables.to_string())
}

#[test]
fn what_plan_foretells_is_what_the_move_reports() {
    let server = need!(Postgres::shared());
    let database = server.create_database("foretold");
    let source = planted();
    let before = source.snapshot();
    let program = |arguments: &[&str]| {
        Program::new(arguments)
            .source(&source)
            .target(database.url())
    };
    // Before there are tables, what the source itself tells; the accounts come first in any case.
    program(&["plan"]).run().expect(0).answers(&[
        "First of all: the accounts user-1 and user-2",
        "Not foreseen",
    ]);
    // The first attempt leaves the app's tables, empty.
    let first = program(&["migrate"]).env("WEBUI_INIT_LEFTOVERS", "fail");
    first.run().expect(65);
    let refused = program(&["plan"]).env("WEBUI_INIT_LEFTOVERS", "fail");
    let refused = refused.run().expect(65).answers(&["would FAIL"]);
    refused.never_says("WOULD move");
    let counts = database.counts();
    let foretold = program(&["plan", "--json"]).run().expect(0).stdout;
    let foretold: serde_json::Value = serde_json::from_str(&foretold).expect("JSON");
    assert_eq!(foretold["unforeseen"].to_string(), "[]");
    assert_eq!(foretold["shared_addresses"][0][1], "user-2");
    assert_eq!(database.counts(), counts, "plan wrote something");
    assert_eq!(source.snapshot(), before);

    program(&["migrate"]).run().expect(0);
    let report = database.value("SELECT report FROM webui_init.migration");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(account(&foretold["report"]), account(&report));
}

#[test]
fn types_that_this_program_does_not_know_are_postgresqls_to_judge() {
    let server = need!(Postgres::shared());
    let database = server.create_database("other_types");
    database.bootstrap();
    database.query(
        "CREATE TYPE mood AS ENUM ('calm', 'cross');
         CREATE DOMAIN short AS text CHECK (length(VALUE) < 8);
         ALTER TABLE memory ALTER content TYPE numeric(8, 2) USING NULL, ALTER user_id TYPE short;
         ALTER TABLE tag ALTER meta TYPE interval USING NULL, ALTER name TYPE mood USING NULL",
    );
    let source = Source::empty();
    source.edit(|connection| {
        insert_user(connection, 1);
        for (id, user, content) in [
            ("a", "user-1", "1.505"),
            ("b", "user-1", "one"),
            ("c", "too-long-for-it", "1e3"),
        ] {
            let memory: &[(&str, &dyn rusqlite::ToSql)] =
                &[("id", &id), ("user_id", &user), ("content", &content)];
            insert(connection, "memory", memory);
        }
        let tag: &[(&str, &dyn rusqlite::ToSql)] = &[
            ("id", &"t"),
            ("user_id", &"u"),
            ("name", &"calm"),
            ("meta", &"90 minutes"),
        ];
        insert(connection, "tag", tag);
    });
    let program = |command: &str| {
        Program::new([command])
            .source(&source)
            .target(database.url())
            .env("WEBUI_INIT_SCHEMA_COMMAND", "true")
    };
    program("migrate").run().expect(0);
    let held =
        "SELECT string_agg(concat_ws(' ', id, user_id, content), '; ' ORDER BY id) FROM memory";
    assert_eq!(database.value(held), "a user-1 1.51; b user-1; c 1000.00");
    let held = "SELECT concat_ws(' ', name, meta) FROM tag";
    assert_eq!(database.value(held), "calm 01:30:00");
    let kept = "SELECT string_agg(concat_ws(' ', reason, row->>'content', row->>'user_id'), '; ' ORDER BY source_rowid)
                  FROM webui_init.leftover";
    assert_eq!(
        database.value(kept),
        "repaired:not_convertible one; repaired:not_convertible too-long-for-it"
    );
    program("verify").run().expect(0);
}

#[test]
fn plan_says_what_it_may_not_try() {
    let server = need!(Postgres::shared());
    let database = server.create_database("no_trial");
    let source = planted();
    let program = |arguments: &[&str]| {
        Program::new(arguments)
            .source(&source)
            .target(database.url())
    };
    let first = program(&["migrate"]).env("WEBUI_INIT_LEFTOVERS", "fail");
    first.run().expect(65);
    let name = database.value("SELECT current_database()");
    let mut superuser = server.superuser();
    superuser.query(&format!(
        "ALTER DATABASE {name} OWNER TO CURRENT_USER; REVOKE TEMP ON DATABASE {name} FROM PUBLIC"
    ));
    // The next start would fail for the privilege that is missing too, and so does the plan.
    program(&["plan"]).run().expect(77);
    let mut superuser = Session::open(&server.superuser_url(&name));
    superuser.query("GRANT CREATE ON SCHEMA public TO PUBLIC");
    program(&["plan"]).run().expect(0).answers(&[
        "Not foreseen: rows that PostgreSQL alone can tell",
        "permission denied",
    ]);
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
    let audit = outcome.document();
    let of = |name: &str| {
        let mut tables = audit["tables"].as_array().into_iter().flatten();
        tables.find(|table| table["table"] == name).expect(name)
    };
    let chat = of("chat");
    assert_eq!((&chat["missing"], &chat["changed"]), (&1.into(), &1.into()));
    assert_eq!(of("tag")["extra"], 1);
    assert!(audit["total"]["missing"].as_u64() >= Some(1), "{audit}");
}

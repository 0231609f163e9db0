//! `verify` says that all is well only where it is: whatever of a move is gone since, from PostgreSQL, from what was kept
//! aside, or from the record, ends with 65.

use crate::support::{Database, Outcome, Postgres, Program, Source, boot, need};

fn verify(source: &Source, database: &Database) -> Outcome {
    Program::new(["verify"])
        .source(source)
        .target(database.url())
        .run()
}

/// A source with a table that Open WebUI does not know, so that the move keeps two rows aside.
fn with_a_plugin() -> Source {
    let source = Source::small();
    source.edit(|file| {
        file.execute_batch("CREATE TABLE my_plugin (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO my_plugin VALUES (1, 'a'), (2, 'b')")
            .expect("a table");
    });
    source
}

#[test]
fn where_nothing_was_moved_nothing_is_verified() {
    let server = need!(Postgres::shared());
    for bootstrapped in [false, true] {
        let database = server.create_database("never");
        if bootstrapped {
            database.bootstrap();
        }
        let source = with_a_plugin();
        verify(&source, &database)
            .expect(65)
            .answers(&["NOT MOVED: no move has been recorded in"])
            .says(&["nothing has been moved into", "record"]);
    }
}

#[test]
fn what_is_gone_since_the_move_is_missing() {
    let server = need!(Postgres::shared());
    let source = with_a_plugin();
    for (gone, said) in [
        ("DROP TABLE chat CASCADE", "are missing"),
        (
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
            "are missing",
        ),
        ("DELETE FROM \"user\"", "are missing"),
        ("DELETE FROM webui_init.leftover", "2 rows"),
        (
            "DELETE FROM webui_init.leftover WHERE id = (SELECT max(id) FROM webui_init.leftover)",
            "1 row of",
        ),
        ("DELETE FROM webui_init.migration", "nothing has been moved"),
        ("DROP SCHEMA webui_init CASCADE", "nothing has been moved"),
    ] {
        let database = server.create_database("gone");
        source.forget_the_move();
        boot(&source, &database.url()).run().expect(0);
        verify(&source, &database).expect(0);
        database.query(gone);
        verify(&source, &database).expect(65).says(&[said]);
    }
}

#[test]
fn an_upgrade_that_fails_while_verifying_says_nothing_of_a_move_or_of_a_start() {
    let server = need!(Postgres::shared());
    let database = server.create_database("verify_fails");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    source.edit(|file| {
        file.execute(
            "UPDATE alembic_version SET version_num = 'c92da83b017f'",
            [],
        )
        .expect("a table");
    });
    Program::new(["verify"])
        .source(&source)
        .target(database.url())
        .env("WEBUI_INIT_SCHEMA_COMMAND", "exit 1")
        .run()
        .expect(76)
        .says(&["this command only reads; nothing was changed."])
        .never_says("not started")
        .never_says("PostgreSQL holds");
    assert!(database.marked());
}

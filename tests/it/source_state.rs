//! The state in which a file was left or is in: a WAL, a hot journal, damaged pages, an app that still writes. What it holds is
//! moved, all of it, or nothing is; and not a byte of it is changed.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::source::{noise, refused};
use crate::support::{
    Postgres, Program, Source, boot, command, expect_moved, expect_untouched, hold_open,
    insert_chat, insert_user, need, open, wait_for,
};

const SOON: Duration = Duration::from_mins(1);

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
fn the_wal_of_another_file_is_not_believed() {
    // A database that was restored from a backup, beside the WAL that was left there. SQLite would apply it, but a
    // file that has a WAL of its own says so in its header (bytes 18 and 19 are 2), and this one does not.
    let other = Source::with_chats(300);
    other.edit_and_die(|connection| {
        connection
            .execute("UPDATE chat SET title = title || '!'", [])
            .expect("a table");
    });
    let source = Source::small();
    let wal = "webui.db-wal";
    fs::copy(other.folder().join(wal), source.folder().join(wal)).expect("our file");
    need!(refused(&source, 65, &["-wal"]));
}

#[test]
fn a_wal_without_a_valid_frame_holds_nothing() {
    let server = need!(Postgres::shared());
    for wal in [Vec::new(), vec![0; 32], noise(8192)] {
        let database = server.create_database("void_wal");
        let source = Source::small();
        fs::write(source.folder().join("webui.db-wal"), wal).expect("a writable folder");
        let before = source.snapshot();
        boot(&source, &database.url())
            .run()
            .expect(0)
            .prints("started\n");
        assert_eq!(source.snapshot(), before);
        fs::remove_file(source.folder().join("webui.db-wal")).expect("our file");
        expect_moved(&source, &database);
    }
}

#[test]
fn a_wal_that_is_torn_counts_up_to_its_last_commit() {
    let server = need!(Postgres::shared());
    let database = server.create_database("torn_wal");
    let source = Source::small();
    source.edit_and_die(|connection| {
        insert_user(connection, 50);
        insert_user(connection, 51);
    });
    let wal = source.folder().join("webui.db-wal");
    let length = wal.metadata().expect("our file").len();
    fs::File::options()
        .write(true)
        .open(&wal)
        .expect("our file")
        .set_len(length - 1000)
        .expect("our file");
    let before = source.snapshot();
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    assert_eq!(source.snapshot(), before);
    // SQLite's own reading of the same files is the measure.
    expect_moved(&source, &database);
}

#[test]
fn a_transaction_that_never_ended_is_rolled_back_on_a_copy() {
    let server = need!(Postgres::shared());
    let database = server.create_database("hot_journal");
    let (source, whole) = (Source::small(), Source::small());
    // Files as a crash in the middle of a transaction leaves them: changed pages in the file, old ones in the journal.
    {
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        let path = elsewhere.path().join("webui.db");
        fs::copy(source.path(), &path).expect("our file");
        let connection = open(&path);
        connection.execute_batch("PRAGMA journal_mode = delete; PRAGMA cache_size = 2; PRAGMA cache_spill = on; BEGIN").expect("a database");
        connection
            .execute("DELETE FROM chat_message", [])
            .expect("a table");
        connection
            .execute("UPDATE user SET name = 'half done'", [])
            .expect("a table");
        for n in 2000..2100 {
            insert_chat(&connection, n, 1);
        }
        for suffix in ["", "-journal"] {
            let name = format!("webui.db{suffix}");
            fs::copy(elsewhere.path().join(&name), source.folder().join(&name))
                .expect("a file of the database");
        }
    }
    let journal = fs::read(source.folder().join("webui.db-journal")).expect("a journal");
    assert!(
        journal.starts_with(&[0xd9, 0xd5, 0x05, 0xf9]),
        "the journal is not hot"
    );
    let before = source.snapshot();
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    assert_eq!(source.snapshot(), before);
    expect_moved(&whole, &database);
}

/// The pages of a table's or index's b-tree but its root.
fn pages_of(path: &Path, name: &str) -> Vec<u64> {
    let connection = open(path);
    let root: i64 = connection
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?",
            [name],
            |row| row.get(0),
        )
        .expect("a tree");
    let root = u64::try_from(root).expect("a page");
    let bytes = fs::read(path).expect("a database");
    let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    let page = &bytes[(usize::try_from(root).unwrap() - 1) * size..][..size];
    // "B-tree Pages": an interior page is 2 or 5, with a child's number in the first four bytes of each cell.
    assert!([2, 5].contains(&page[0]), "{name} is of one page");
    let cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
    let cell = |n: usize| usize::from(u16::from_be_bytes([page[12 + 2 * n], page[13 + 2 * n]]));
    (0..cells)
        .map(|n| u64::from(u32::from_be_bytes(page[cell(n)..][..4].try_into().unwrap())))
        .collect()
}

fn overwrite(path: &Path, page: u64, bytes: &[u8]) {
    let mut file = fs::File::options()
        .write(true)
        .open(path)
        .expect("our file");
    file.seek(SeekFrom::Start((page - 1) * 4096))
        .expect("a page");
    file.write_all(bytes).expect("a writable file");
}

#[test]
fn a_page_that_cannot_be_read_ends_the_move_with_65() {
    let server = need!(Postgres::shared());
    for bytes in [noise(4096), vec![0; 4096]] {
        let source = Source::with_chats(300);
        let pages = pages_of(&source.path(), "chat_message");
        overwrite(&source.path(), pages[pages.len() / 2], &bytes);
        let before = source.snapshot();
        let database = server.create_database("corrupt");
        boot(&source, &database.url())
            .run()
            .expect(65)
            .prints("")
            .says(&["webui.db"]);
        expect_untouched(&database);
        assert_eq!(source.snapshot(), before);
    }
}

#[test]
fn a_page_that_is_damaged_in_an_index_only_costs_no_row() {
    let server = need!(Postgres::shared());
    let database = server.create_database("corrupt_index");
    let source = Source::with_chats(300);
    let untouched = Source::with_chats(300);
    let pages = pages_of(&source.path(), "sqlite_autoindex_chat_message_1");
    overwrite(&source.path(), pages[0], &noise(4096));
    let before = source.snapshot();
    let outcome = boot(&source, &database.url()).run();
    // Either the rows are read past the index, all of them, or the move is refused: nothing in between.
    if outcome.code() == 0 {
        expect_moved(&untouched, &database);
    } else {
        outcome.expect(65).prints("").says(&["webui.db"]);
        expect_untouched(&database);
    }
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_source_that_an_app_still_has_open_is_not_moved_until_it_is_closed() {
    let server = need!(Postgres::shared());
    let database = server.create_database("open");
    let source = Source::small();
    let app = hold_open(&source);
    // A connection that does nothing holds nothing: it is the use of the WAL that tells.
    insert_chat(&app, 1000, 1);
    let mut running = boot(&source, &database.url()).start();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!running.ended(), "{}", running.stderr());
    assert!(!database.marked());
    insert_chat(&app, 1001, 1);
    app.close().expect("nothing is open");
    running.wait(SOON).expect(0).prints("started\n");
    assert_eq!(
        database.value("SELECT count(*) FROM chat WHERE id IN ('chat-1000', 'chat-1001')"),
        "2"
    );
    expect_moved(&source, &database);
}

#[test]
fn a_source_that_is_written_during_the_move_is_not_marked_as_moved() {
    let server = need!(Postgres::shared());
    let database = server.create_database("torn");
    let source = Source::with_chats(500);
    // An app that is started beside us, after we looked and before we are done. The lock on the table holds the move
    // in its load, whatever the speed of this machine.
    database.bootstrap();
    let mut obstacle = database.session();
    obstacle.query("BEGIN; LOCK TABLE message IN SHARE MODE");
    let running = boot(&source, &database.url()).start();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'";
    wait_for("the move to reach the table", SOON, || {
        (database.value(waiting) != "0").then_some(())
    });
    let app = hold_open(&source);
    insert_chat(&app, 1000, 1);
    obstacle.query("ROLLBACK");
    let outcome = running.wait(SOON);
    drop(app);
    assert!([65, 74, 75].contains(&outcome.code()), "{outcome:?}");
    outcome.prints("");
    expect_untouched(&database);
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    expect_moved(&source, &database);
}

//! A backup is the old database at one moment, whole and proven, or it is not there at all; and whoever uses the file
//! meanwhile notices nothing.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use rusqlite::Connection;

use crate::support::source::tables;
use crate::support::{
    Outcome, Postgres, Program, SmallDisk, Source, boot, expect_moved, expect_untouched, need,
    open, wait_for,
};

fn back_up(source: &Source, to: &Path) -> Program {
    Program::new(["backup", "--to"]).argument(to).source(source)
}

/// Every value of every table, in order.
fn content(connection: &Connection) -> Vec<String> {
    let mut rows = Vec::new();
    for table in tables(connection) {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM \"{table}\" ORDER BY rowid"))
            .expect("a table");
        let columns = statement.column_count();
        let mut found = statement.query([]).expect("a table");
        while let Some(row) = found.next().expect("a row") {
            let values: Vec<_> = (0..columns)
                .map(|column| format!("{:?}", row.get_ref(column).expect("a value")))
                .collect();
            rows.push(format!("{table}: {}", values.join(", ")));
        }
    }
    rows
}

#[track_caller]
fn expect_equal(source: &Source, copy: &Path) {
    let (_folder, original) = source.copy();
    // As it lies there: nothing beside it, and on a disk that is read-only.
    let uri = format!("file:{}?immutable=1", copy.display());
    let copy = Connection::open(uri).expect("a database");
    assert_eq!(content(&copy), content(&original));
}

#[track_caller]
fn expect_nothing(folder: &Path) {
    let left: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(left.is_empty(), "{left:?} was left");
}

#[test]
fn a_file_that_nobody_uses_is_copied_with_what_its_wal_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = Source::small();
    let killed = Source::small();
    killed.edit_and_die(|file| {
        file.execute("DELETE FROM chat WHERE id = 'chat-3'", [])
            .expect("a chat");
    });
    for (name, source) in [("plain.db", plain), ("killed.db", killed)] {
        let before = source.snapshot();
        let to = folder.path().join(name);
        let outcome = back_up(&source, &to).run().expect(0);
        assert!(
            outcome.stdout.contains("passed SQLite's integrity check"),
            "{}",
            outcome.stdout
        );
        assert_eq!(source.snapshot(), before);
        expect_equal(&source, &to);
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

#[test]
fn a_transaction_that_never_ended_is_rolled_back_in_the_copy_alone() {
    let source = Source::small();
    let whole = tempfile::tempdir().expect("a folder");
    let whole = whole.path().join("whole.db");
    fs::copy(source.path(), &whole).expect("a database");
    // Killed in the middle of a transaction: its pages are in the file, what they were is in the journal.
    let writer = open(&source.path());
    writer
        .execute_batch(
            "PRAGMA journal_mode = delete; PRAGMA cache_size = 1; PRAGMA cache_spill = 1;
             BEGIN; UPDATE chat SET title = hex(randomblob(4000)); ",
        )
        .expect("a transaction");
    let beside = |suffix: &str| source.folder().join(format!("webui.db{suffix}"));
    let (file, journal) = (
        fs::read(beside("")).expect("the file"),
        fs::read(beside("-journal")).expect("a journal"),
    );
    writer.execute_batch("ROLLBACK").expect("a transaction");
    drop(writer);
    fs::write(beside(""), file).expect("the file");
    fs::write(beside("-journal"), journal).expect("a journal");
    let before = source.snapshot();
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("copy.db");
    back_up(&source, &to).run().expect(0).says(&["rolled back"]);
    assert_eq!(source.snapshot(), before);
    assert_eq!(
        content(&Connection::open(&to).expect("a database")),
        content(&Connection::open(&whole).expect("a database"))
    );
}

/// Backs up while somebody writes as fast as they can, two rows of one transaction at a time.
fn beside_a_writer(journal_mode: &str) {
    let source = Source::with_chats(300);
    let app = open(&source.path());
    app.execute_batch(&format!(
        "PRAGMA journal_mode = {journal_mode}; CREATE TABLE pair (half TEXT, n INTEGER, filler TEXT)"
    ))
    .expect("a table");
    app.busy_timeout(Duration::from_secs(5)).expect("a timeout");
    let stop = AtomicBool::new(false);
    let folder = tempfile::tempdir().expect("a folder");
    thread::scope(|scope| {
        let stopped = &stop;
        let written = scope.spawn(move || {
            let mut n = 0;
            while !stopped.load(Ordering::Relaxed) {
                app.execute_batch(&format!(
                    "BEGIN IMMEDIATE; INSERT INTO pair VALUES ('left', {n}, hex(randomblob(2000)));
                     INSERT INTO pair VALUES ('right', {n}, hex(randomblob(2000))); COMMIT"
                ))
                .expect("the app is not disturbed");
                n += 1;
                thread::sleep(Duration::from_millis(2));
            }
            n
        });
        for name in ["first.db", "second.db"] {
            let to = folder.path().join(name);
            let outcome = back_up(&source, &to).run();
            if outcome.code() != 0 {
                stop.store(true, Ordering::Relaxed);
            }
            outcome.expect(0);
            let copy = Connection::open(&to).expect("a database");
            let count =
                |sql: &str| -> i64 { copy.query_row(sql, [], |row| row.get(0)).expect("a count") };
            assert_eq!(
                count("SELECT count(*) FROM pair WHERE half = 'left'"),
                count("SELECT count(*) FROM pair WHERE half = 'right'")
            );
            assert_eq!(count("SELECT count(*) FROM chat"), 300);
        }
        stop.store(true, Ordering::Relaxed);
        let written: i64 = written.join().expect("the app is not disturbed");
        let last = Connection::open(folder.path().join("second.db")).expect("a database");
        let copied: i64 = last
            .query_row("SELECT count(*) FROM pair WHERE half = 'left'", [], |row| {
                row.get(0)
            })
            .expect("a count");
        assert!(
            copied > 0 && copied <= written,
            "{copied} of {written} pairs"
        );
    });
}

#[test]
fn an_app_that_writes_with_a_wal_is_not_disturbed() {
    beside_a_writer("wal");
}

#[test]
fn an_app_that_writes_without_a_wal_is_not_disturbed() {
    beside_a_writer("delete");
}

#[test]
fn a_compressed_copy_is_gzip_of_the_same() {
    let source = Source::small();
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("copy.db.gz");
    let outcome = back_up(&source, &to)
        .argument("--compress")
        .argument("--json")
        .run()
        .expect(0);
    let document = outcome.document();
    assert_eq!(document["compressed"], true);
    assert_eq!(document["bytes"], fs::metadata(&to).expect("a file").len());
    let status = std::process::Command::new("gzip")
        .arg("-d")
        .arg(&to)
        .status()
        .expect("gzip runs");
    assert!(status.success());
    expect_equal(&source, &folder.path().join("copy.db"));
}

#[test]
fn nothing_is_overwritten() {
    let source = Source::small();
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("copy.db");
    fs::write(&to, "somebody's").expect("a file");
    let says = |outcome: Outcome| {
        outcome
            .expect(73)
            .says(&["is there already", "nothing was changed"])
    };
    says(back_up(&source, &to).run());
    assert_eq!(fs::read(&to).expect("a file"), b"somebody's");
    // Nor where it appears while the copy is made.
    fs::remove_file(&to).expect("a file");
    let running = back_up(&source, &to)
        .env("WEBUI_FAILPOINT", "backup_complete=stop")
        .start();
    let stat = format!("/proc/{}/stat", running.pid());
    wait_for("the stop", Duration::from_secs(20), || {
        fs::read_to_string(&stat)
            .ok()?
            .contains(") T ")
            .then_some(())
    });
    fs::write(&to, "somebody's").expect("a file");
    running.signal(Signal::SIGCONT);
    says(running.wait(Duration::from_secs(20)));
    assert_eq!(fs::read(&to).expect("a file"), b"somebody's");
}

#[test]
fn what_is_killed_leaves_nothing_that_could_be_taken_for_whole() {
    let source = Source::small();
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("copy.db");
    back_up(&source, &to)
        .env("WEBUI_FAILPOINT", "backup_complete=abort")
        .run()
        .expect(134);
    assert!(!to.exists());
    back_up(&source, &to).run().expect(0);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn without_a_source_or_a_place_it_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("copy.db");
    back_up(&Source::none(), &to)
        .run()
        .expect(78)
        .says(&["there is no ", "to copy"]);
    let damaged = Source::small();
    let mut bytes = fs::read(damaged.path()).expect("a database");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(7);
    fs::write(damaged.path(), bytes).expect("a database");
    back_up(&damaged, &to).run().expect(65);
    back_up(&Source::small(), &folder.path().join("no/such/folder.db"))
        .run()
        .expect(73);
    expect_nothing(folder.path());
    let disk = need!(SmallDisk::mount(1));
    back_up(&Source::with_chats(400), &disk.path().join("copy.db"))
        .run()
        .expect(73)
        .says(&["bytes free"]);
    expect_nothing(&disk.path());
    Program::new(["backup"])
        .run()
        .expect(64)
        .says(&["--to FILE"]);
}

#[test]
fn no_move_without_the_backup_that_was_asked_for() {
    let server = need!(Postgres::shared());
    let database = server.create_database("backup");
    let source = Source::small();
    let before = source.snapshot();
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("backups");
    boot(&source, &database.url())
        .env("WEBUI_INIT_BACKUP", &to)
        .run()
        .expect(73)
        .says(&["backups", "no move without it"]);
    expect_untouched(&database);
    fs::create_dir(&to).expect("a folder");
    // A move that fails after its backup finds it there when it is tried again.
    for (failpoint, code) in [("schema_made=fail", 70), ("none=fail", 0)] {
        boot(&source, &database.url())
            .env("WEBUI_INIT_BACKUP", &to)
            .env("WEBUI_FAILPOINT", failpoint)
            .run()
            .expect(code);
    }
    let backups: Vec<_> = fs::read_dir(&to).expect("a folder").collect();
    let [Ok(backup)] = &backups[..] else {
        panic!("{backups:?}")
    };
    let name = backup.file_name().to_string_lossy().into_owned();
    assert!(name.starts_with("webui-20"), "{name}");
    expect_equal(&source, &backup.path());
    assert_eq!(source.snapshot(), before);
    expect_moved(&source, &database);
}

//! A write-ahead log in which something is damaged: what SQLite would pass over without a word is refused or named, and
//! what every crash leaves behind is moved as ever.

use std::fs;

use crate::support::{
    Missing, Outcome, Postgres, Program, Source, boot, expect_moved, expect_untouched, insert_chat,
    insert_user, need,
};

const HEADER: usize = 32;
const FRAME: usize = 24 + 4096;

/// A small instance that was killed after nine commits, all of them in `-wal`.
fn killed() -> Source {
    let source = Source::small();
    source.edit_and_die(|connection| {
        for n in 0..9 {
            let begun = connection.unchecked_transaction().expect("a database");
            insert_user(&begun, 100 + n);
            insert_chat(&begun, 1000 + n, 100 + n);
            begun.commit().expect("a database");
        }
    });
    source
}

/// Changes the bytes of the WAL.
fn damage(source: &Source, change: impl FnOnce(&mut Vec<u8>)) {
    let path = source.folder().join("webui.db-wal");
    let mut bytes = fs::read(&path).expect("a WAL");
    change(&mut bytes);
    fs::write(&path, bytes).expect("our file");
}

/// The frames that end a transaction, from 0.
fn commits(wal: &[u8]) -> Vec<usize> {
    let frames = (wal.len() - HEADER) / FRAME;
    let ends = |n: &usize| wal[HEADER + n * FRAME + 4..][..4] != [0; 4];
    (0..frames).filter(ends).collect()
}

/// Every command that reads the file ends with 65 and says so, and nothing is written on either side.
fn refused(source: &Source, said: &[&str]) -> Result<(), Missing> {
    let database = Postgres::shared()?.create_database("damaged_wal");
    let before = source.snapshot();
    let to = source.folder().with_extension("copy");
    let backup = Program::new(["backup", "--to"]).argument(&to);
    let programs = [
        Program::new(["plan"]),
        Program::migrate(),
        backup,
        Program::boot(["echo", "started"]),
    ];
    for program in programs {
        let program = program.source(source).target(database.url());
        let outcome = program.run().expect(65).never_says("started\n");
        outcome
            .says(&["webui.db-wal", "damaged", "one backup"])
            .says(said);
        expect_untouched(&database);
        assert_eq!(source.snapshot(), before);
        assert!(!to.exists());
    }
    Ok(())
}

/// A boot moves what SQLite reads of the files, which stay as they are.
fn moved(source: &Source) -> Result<Outcome, Missing> {
    let database = Postgres::shared()?.create_database("torn_wal");
    let before = source.snapshot();
    let outcome = boot(source, &database.url()).run().expect(0);
    assert_eq!(source.snapshot(), before);
    expect_moved(source, &database);
    Ok(outcome.prints("started\n"))
}

#[test]
fn commits_behind_a_damaged_frame_are_not_passed_over() {
    let source = killed();
    damage(&source, |wal| {
        let second = commits(wal)[1];
        wal[HEADER + second * FRAME + 100] ^= 1;
    });
    need!(refused(&source, &["8 commits"]));
    let source = killed();
    damage(&source, |wal| {
        let last_but_one = commits(wal)[7];
        wal[HEADER + (last_but_one + 1) * FRAME + 4000] ^= 1;
    });
    need!(refused(&source, &["1 commit "]));
}

#[test]
fn commits_behind_a_damaged_header_are_not_passed_over() {
    for at in [0, 9, 17, 31] {
        let source = killed();
        damage(&source, |wal| wal[at] ^= 1);
        need!(refused(&source, &["9 commits"]));
    }
}

#[test]
fn a_log_that_holds_all_of_the_database_is_no_fresh_start() {
    // Nothing was ever copied into the file: without its first frame it has no table at all.
    let source = Source::none();
    let elsewhere = Source::small();
    let file = crate::support::open(&source.path());
    file.execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0")
        .expect("a database");
    let script = format!(
        "ATTACH '{}' AS whole; CREATE TABLE alembic_version AS SELECT * FROM whole.alembic_version;
         CREATE TABLE user AS SELECT * FROM whole.user",
        elsewhere.path().display()
    );
    file.execute_batch(&script).expect("tables");
    let killed = Source::none();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("webui.db{suffix}");
        fs::copy(source.folder().join(&name), killed.folder().join(&name)).expect("our file");
    }
    damage(&killed, |wal| wal[HEADER + 100] ^= 1);
    need!(refused(&killed, &["commits"]));
}

#[test]
fn what_a_kill_leaves_behind_the_last_commit_is_no_loss() {
    let source = killed();
    // Frames of a transaction that never ended.
    damage(&source, |wal| {
        let last = *commits(wal).last().expect("a commit");
        wal[HEADER + last * FRAME + 4..][..4].fill(0);
        wal.truncate(HEADER + last * FRAME + 2000);
    });
    // Without the index that says otherwise, as on a volume that was copied.
    fs::remove_file(source.folder().join("webui.db-shm")).expect("our file");
    need!(moved(&source)).never_says("WARN");
}

#[test]
fn frames_of_an_earlier_use_of_the_log_are_no_loss() {
    let source = Source::small();
    source.edit_and_die(|connection| {
        for n in 0..9 {
            insert_chat(connection, 1000 + n, 1);
        }
        // The next commit begins the log anew, in the same file.
        connection
            .execute_batch("PRAGMA wal_checkpoint(RESTART)")
            .expect("a database");
        insert_user(connection, 100);
    });
    need!(moved(&source)).never_says("WARN");
}

#[test]
fn a_last_transaction_that_is_not_whole_is_left_out_and_named() {
    // Only a power failure leaves a frame that ends a transaction and was not written whole.
    let source = killed();
    damage(&source, |wal| *wal.last_mut().expect("a byte") ^= 1);
    fs::remove_file(source.folder().join("webui.db-shm")).expect("our file");
    need!(moved(&source)).says(&["WARN", "the last transaction in ", "webui.db-wal"]);
}

#[test]
fn a_log_that_is_shorter_than_its_index_knows_is_named() {
    let source = killed();
    damage(&source, |wal| {
        let fifth = commits(wal)[4];
        wal.truncate(HEADER + (fifth + 1) * FRAME);
    });
    need!(moved(&source)).says(&["WARN", "webui.db-wal is cut off", "can be read"]);
}

#[test]
fn a_log_that_is_shorter_than_what_was_copied_from_it_is_refused() {
    // The file has the newer pages already, and the log would put older ones over them.
    let source = Source::small();
    source.edit_and_die(|connection| {
        for n in 0..9 {
            insert_chat(connection, 1000 + n, 1);
        }
        connection
            .execute_batch("PRAGMA wal_checkpoint(PASSIVE)")
            .expect("a database");
    });
    damage(&source, |wal| {
        let fifth = commits(wal)[4];
        wal.truncate(HEADER + (fifth + 1) * FRAME);
    });
    need!(refused(&source, &["commits"]));
}

//! A container in a restart loop: failed moves are counted, the next one waits and says so, and ten of them leave
//! no more behind than one.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{
    Database, Outcome, Postgres, Program, Source, boot, expect_moved, expect_untouched, insert,
    need, start_in_schema_command, wait_for,
};

const SOON: Duration = Duration::from_mins(1);
const MEGABYTE: f64 = 1e6;

/// A boot whose move fails early, with 76.
fn failing(source: &Source, database: &Database) -> Program {
    boot(source, &database.url()).env("WEBUI_INIT_SCHEMA_COMMAND", "exit 3")
}

/// What is noted of failed attempts: how many, and the last one's exit code.
fn noted(database: &Database) -> Option<(String, Option<String>)> {
    let rows = database.query("SELECT failures, exit_code FROM webui_init.attempt");
    let row = rows.into_iter().next()?;
    Some((row[0].clone().expect("a count"), row[1].clone()))
}

/// Notes that so many attempts have failed, the last one so many seconds ago.
fn note(database: &Database, failures: u32, seconds_ago: u32) {
    let rows = database.query(&format!(
        "UPDATE webui_init.attempt SET failures = {failures}, failed_at = now() - interval '{seconds_ago} s' RETURNING 1"
    ));
    assert_eq!(rows.len(), 1, "nothing is noted yet");
}

/// The seconds that a run said it waits.
fn announced(outcome: &Outcome) -> u64 {
    let (_, rest) = outcome.stderr.split_once("begins in ").expect("a wait");
    let (seconds, _) = rest.split_once(" s.").expect("seconds");
    seconds.parse().expect("a number")
}

#[test]
fn a_move_that_keeps_failing_waits_longer_each_time_and_says_so() {
    let server = need!(Postgres::shared());
    let database = server.create_database("keeps_failing");
    let source = Source::small();
    let before = source.snapshot();
    // Whatever made the first one fail may have passed.
    for failures in ["1", "2"] {
        let outcome = failing(&source, &database).run().expect(76);
        outcome.never_says("attempts");
        assert_eq!(noted(&database), Some((failures.into(), Some("76".into()))));
    }
    let tool = database.value("SELECT tool_version FROM webui_init.attempt");
    assert_eq!(tool, env!("CARGO_PKG_VERSION"));
    // Four seconds after four, less what has passed since the fourth.
    note(&database, 4, 0);
    let since = Instant::now();
    let outcome = failing(&source, &database).run().expect(76).prints("");
    assert!(since.elapsed() >= Duration::from_secs(4), "{outcome:?}");
    let seconds = announced(&outcome);
    assert!((1..=4).contains(&seconds), "{seconds}");
    outcome.says(&["4 attempts", "exit code 76", " UTC", "The log of"]);
    note(&database, 30, 57);
    let outcome = failing(&source, &database).run().expect(76);
    let seconds = announced(&outcome);
    assert!((1..=3).contains(&seconds), "{seconds}");
    // What has passed already is not waited for again.
    note(&database, 31, 61);
    let outcome = failing(&source, &database).run().expect(76);
    outcome.never_says("attempts");
    assert_eq!(noted(&database), Some(("32".into(), Some("76".into()))));
    expect_untouched(&database);
    note(&database, 40, 58);
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    expect_moved(&source, &database);
    assert_eq!(noted(&database), None, "success forgets");
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_killed_move_is_a_failed_one_and_an_interrupted_one_too() {
    let server = need!(Postgres::shared());
    let database = server.create_database("killed");
    let source = Source::small();
    for (signal, code, failures) in [(Signal::SIGKILL, 137, "1"), (Signal::SIGTERM, 143, "2")] {
        let running = start_in_schema_command(&source, &database.url(), SOON);
        running.signal(signal);
        running.wait(SOON).expect(code);
        assert_eq!(noted(&database), Some((failures.into(), None)));
    }
    note(&database, 4, 0);
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n")
        .says(&["4 attempts", "killed or interrupted"]);
    expect_moved(&source, &database);
    assert_eq!(noted(&database), None);
}

#[test]
fn the_pause_holds_no_connection_heeds_signals_and_lets_others_wait_too() {
    let server = need!(Postgres::shared());
    let database = server.create_database("pause");
    let source = Source::small();
    failing(&source, &database).run().expect(76);
    note(&database, 30, 0);
    let start = || {
        let mut running = boot(&source, &database.url()).start();
        running.wait_for_log("30 attempts", SOON);
        running
    };
    let (mut first, mut second) = (start(), start());
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'",
        database.name
    );
    wait_for("the connections to close", Duration::from_secs(2), || {
        (server.superuser().value(&sessions) == "0").then_some(())
    });
    assert!(!first.ended() && !second.ended());
    for (running, signal, code) in [(first, Signal::SIGTERM, 143), (second, Signal::SIGINT, 130)] {
        let begin = Instant::now();
        running.signal(signal);
        running.wait(SOON).expect(code).prints("");
        assert!(
            begin.elapsed() < Duration::from_secs(1),
            "{:?}",
            begin.elapsed()
        );
    }
    // Waiting is not failing.
    assert_eq!(noted(&database).expect("a note").0, "30");
    // Who shall not move does not wait for a move of its own either.
    let replica = boot(&source, &database.url())
        .env("ENABLE_DB_MIGRATIONS", "false")
        .env("WEBUI_INIT_LOCK_WAIT_SECS", "0");
    replica.run().expect(75).never_says("30 attempts");
}

/// Makes the schema of the marker what the first version made of it.
fn downgrade(database: &Database) {
    database.query(
        "DROP TABLE webui_init.attempt; DELETE FROM webui_init.refinery_schema_history WHERE version > 1",
    );
}

fn has_attempts(database: &Database) -> bool {
    database.value("SELECT to_regclass('webui_init.attempt') IS NOT NULL") == "t"
}

#[test]
fn an_installation_that_has_moved_gets_no_new_table() {
    let server = need!(Postgres::shared());
    let database = server.create_database("installed");
    let source = Source::small();
    boot(&source, &database.url()).run().expect(0);
    downgrade(&database);
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    for command in ["migrate", "plan", "verify", "leftovers"] {
        let program = Program::new([command]).source(&source);
        program.target(database.url()).run().expect(0);
        assert!(!has_attempts(&database), "{command}");
    }
}

#[test]
fn an_installation_whose_moves_failed_gets_the_table_with_the_next_one() {
    let server = need!(Postgres::shared());
    let database = server.create_database("upgraded");
    let source = Source::small();
    failing(&source, &database).run().expect(76);
    downgrade(&database);
    failing(&source, &database).run().expect(76);
    assert_eq!(noted(&database), Some(("1".into(), Some("76".into()))));
}

#[test]
fn privileges_that_the_notes_lack_fail_nothing() {
    let server = need!(Postgres::shared());
    // The table cannot be made, or it can be neither read nor written.
    for lacking in [
        "DROP TABLE webui_init.attempt; DELETE FROM webui_init.refinery_schema_history WHERE version > 1",
        "ALTER TABLE webui_init.attempt OWNER TO postgres",
    ] {
        let database = server.create_database("unprivileged");
        let source = Source::small();
        failing(&source, &database).run().expect(76);
        note(&database, 30, 0);
        let mut superuser = crate::support::Session::open(&server.superuser_url(&database.name));
        superuser.query(&format!(
            "{lacking}; ALTER TABLE webui_init.refinery_schema_history OWNER TO postgres; \
             GRANT SELECT ON webui_init.refinery_schema_history TO PUBLIC"
        ));
        failing(&source, &database)
            .run()
            .expect(76)
            .never_says("webui_init.attempt")
            .never_says("permission denied");
        let fallback = failing(&source, &database).env("WEBUI_INIT_ON_FAILURE", "sqlite");
        fallback.run().expect(0).prints("started\n");
        boot(&source, &database.url())
            .run()
            .expect(0)
            .prints("started\n")
            .never_says("permission denied");
        expect_moved(&source, &database);
    }
}

/// Megabytes of files in a folder and the folders in it.
fn megabytes_in(folder: &Path) -> f64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("an entry");
        if metadata.is_dir() {
            megabytes_in(&entry.path())
        } else {
            #[allow(clippy::cast_precision_loss, reason = "for people")]
            let bytes = metadata.len() as f64;
            bytes / MEGABYTE
        }
    });
    sizes.fold(0.0, |sum, size| sum + size)
}

/// Ten attempts that fail when all is loaded, by being refused or by being killed.
#[test]
fn ten_failed_attempts_leave_no_more_than_one_does() {
    let server = need!(Postgres::shared());
    let database = server.create_database("loop");
    database.bootstrap();
    let source = Source::with_chats(2400);
    // What PostgreSQL cannot hold as it is, so that there is a leftover to refuse.
    source.edit(|connection| {
        let row: &[(&str, &dyn rusqlite::ToSql)] = &[
            ("id", &"orphan"),
            ("user_id", &"nobody"),
            ("provider", &"p"),
            ("token", &"t"),
            ("expires_at", &1),
            ("created_at", &1),
            ("updated_at", &1),
        ];
        insert(connection, "oauth_session", row);
    });
    let before = source.snapshot();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let program = || {
        boot(&source, &database.url())
            .env("WEBUI_INIT_SCRATCH_DIR", scratch.path())
            .env("WEBUI_INIT_LOG", "debug")
    };
    let size = || {
        let bytes = format!("SELECT pg_database_size('{}')", database.name);
        let bytes: f64 = server.superuser().value(&bytes).parse().expect("a size");
        bytes / MEGABYTE
    };
    let empty = size();
    println!("before: database {empty:.1} MB");
    let mut sizes = Vec::new();
    for attempt in 0..10 {
        if attempt % 2 == 0 {
            let refused = program().env("WEBUI_INIT_LEFTOVERS", "fail");
            refused.run().expect(65).prints("");
        } else {
            let mut running = program().start();
            running.wait_for_log("stage: verifying", SOON);
            running.signal(Signal::SIGKILL);
            running.wait(SOON);
        }
        let left = megabytes_in(scratch.path());
        let size = size();
        println!(
            "attempt {attempt}: database {:.1} MB, scratch directory {left:.1} MB, source {:.1} MB",
            size,
            megabytes_in(source.folder())
        );
        assert!(left < 0.01, "{left} MB stay in the scratch directory");
        sizes.push(size);
        // The next one is not to wait.
        note(&database, attempt + 1, 61);
    }
    expect_untouched(&database);
    // What an attempt leaves goes before the next load, at the latest when its session has ended; where nothing
    // went, ten would leave ten times as much.
    let first = sizes[0] - empty;
    let most = sizes.iter().copied().fold(0.0, f64::max) - empty;
    assert!(
        most < 2.5 * first,
        "one attempt leaves {first:.1} MB, ten leave up to {most:.1} MB"
    );
    program().run().expect(0).prints("started\n");
    let moved = size() - empty;
    println!("after the move: database {:.1} MB", size());
    assert!(moved < 2.5 * first, "{moved:.1} MB after the move");
    assert!(database.marked());
    assert_eq!(source.snapshot(), before);
}

//! Many at once on one target: instances of the program, some of them killed while they hold the lock, and Open
//! WebUI beside them.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{
    Database, Missing, Postgres, Program, Source, boot, cache, expect_moved, expect_untouched,
    need, schema_command, tool,
};

const SOON: Duration = Duration::from_mins(2);

/// So many instances on one source and one target, one in four of them with `ENABLE_DB_MIGRATIONS=false`; the
/// first `kills` that come to move are killed in the middle of it.
fn crowd(instances: usize, kills: usize) {
    need!(tool("psql"));
    // Each of them may have two connections, and its app another one.
    let server = need!(Postgres::own(&[("max_connections", "150")]));
    let database = server.create_database("crowd");
    let source = Source::small();
    let before = source.snapshot();
    let shared = tempfile::tempdir().expect("a temporary folder");
    let log = shared.path().join("schema.log");
    // Only who holds the lock comes here. Some are killed before they have made the tables and some after.
    let schema = format!(
        "echo \"migrations=${{ENABLE_DB_MIGRATIONS-true}}\" >>'{log}'
         n=$(wc -l <'{log}')
         if [ $n -le {kills} ] && [ $((n % 2)) = 1 ]; then kill -9 $PPID; sleep 60; fi
         sleep 0.5; {schema} || exit 1
         if [ $n -le {kills} ]; then kill -9 $PPID; sleep 60; fi",
        log = log.display(),
        schema = schema_command().to_string_lossy()
    );
    // The app itself tells whether the marker was there when it started, and what it found.
    let app = "psql -XAtq -c 'SELECT count(*) FROM webui_init.migration' -c 'SELECT count(*) FROM chat' \"$DATABASE_URL\"";
    let running: Vec<_> = (0..instances)
        .map(|n| {
            let mut program = Program::boot(["sh", "-c", app])
                .source(&source)
                .target(database.url())
                .env("WEBUI_INIT_SCHEMA_COMMAND", &schema);
            if n % 4 == 3 {
                program = program.env("ENABLE_DB_MIGRATIONS", "false");
            }
            program.start()
        })
        .collect();
    let ends: Vec<_> = running
        .into_iter()
        .map(|instance| instance.wait(SOON))
        .collect();
    let (killed, survivors): (Vec<_>, Vec<_>) = ends.into_iter().partition(|end| end.code() == 137);
    assert_eq!(killed.len(), kills);
    for dead in killed {
        dead.prints("");
    }
    let slowest = survivors.iter().map(|end| end.took).max();
    for survivor in survivors {
        survivor.expect(0).prints("1\n24\n");
    }
    println!("{instances} instances, {kills} killed: the slowest app started after {slowest:?}");
    let moves = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(moves, "migrations=true\n".repeat(kills + 1));
    expect_moved(&source, &database);
    assert_eq!(
        database.value("SELECT count(*) FROM webui_init.migration"),
        "1"
    );
    assert_eq!(source.snapshot(), before);
}

#[test]
fn of_two_instances_the_one_that_survives_moves() {
    crowd(2, 1);
}

#[test]
fn of_eight_instances_two_are_killed_and_one_moves() {
    crowd(8, 2);
}

#[test]
fn of_thirty_two_instances_three_are_killed_and_one_moves() {
    crowd(32, 3);
}

/// A schema command after which somebody else, faster than the move, runs this.
fn with_afterwards(sql: &str, database: &Database) -> String {
    format!(
        "{} && psql -qXc \"{sql}\" '{}' >&2",
        schema_command().to_string_lossy(),
        database.url()
    )
}

const SEEDS: &str = "INSERT INTO config (key, value, updated_at) SELECT 'seed.' || n, '1', 1 FROM generate_series(1, 378) AS n";

#[test]
fn a_target_that_comes_into_use_while_the_move_is_prepared_is_left_alone() {
    need!(tool("psql"));
    let server = need!(Postgres::shared());
    let database = server.create_database("came_into_use");
    let source = Source::small();
    let before = source.snapshot();
    let used = format!(
        "{SEEDS}; INSERT INTO \\\"user\\\" (id, name, email, role) VALUES ('first', 'First', 'first@example.org', 'admin')"
    );
    boot(&source, &database.url())
        .env(
            "WEBUI_INIT_SCHEMA_COMMAND",
            with_afterwards(&used, &database),
        )
        .run()
        .expect(75)
        .prints("")
        .says(&["came into use", "user"]);
    assert!(!database.marked());
    let held = || {
        let mut counts = database.counts();
        counts.retain(|table, rows| *rows > 0 && table != "alembic_version");
        counts.into_iter().collect::<Vec<_>>()
    };
    let theirs = vec![("config".to_owned(), 378), ("user".to_owned(), 1)];
    assert_eq!(held(), theirs);
    // From then on it is a target in use like any other.
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n")
        .says(&["already in use"]);
    assert_eq!(held(), theirs);
    assert!(!database.marked());
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_target_that_is_only_bootstrapped_while_the_move_is_prepared_takes_it() {
    need!(tool("psql"));
    let server = need!(Postgres::shared());
    let database = server.create_database("seeded");
    let source = Source::small();
    boot(&source, &database.url())
        .env(
            "WEBUI_INIT_SCHEMA_COMMAND",
            with_afterwards(SEEDS, &database),
        )
        .run()
        .expect(0)
        .prints("started\n");
    expect_moved(&source, &database);
}

/// The real Open WebUI as `scripts/deps` installs it.
struct Installed {
    python: PathBuf,
    packages: PathBuf,
}

impl Installed {
    fn find() -> Result<Self, Missing> {
        let missing = || Missing("no Open WebUI in the cache (scripts/deps openwebui)".into());
        let home = cache().join("openwebui");
        let python = home.join("bin/python");
        let versions = std::fs::read_dir(home.join("lib")).map_err(|_| missing())?;
        let packages = versions
            .flatten()
            .map(|version| version.path().join("site-packages"))
            .find(|packages| packages.join("open_webui").is_dir())
            .ok_or_else(missing)?;
        Ok(Self { python, packages })
    }

    /// The migrations that the app runs first of all when it starts.
    fn bootstrap(&self, database: &Database, data: &std::path::Path) -> Child {
        Command::new(&self.python)
            .args(["-m", "alembic", "upgrade", "head"])
            .current_dir(self.packages.join("open_webui"))
            .env("DATABASE_URL", database.url())
            .env("DATA_DIR", data)
            .env("WEBUI_SECRET_KEY", "a secret key of the tests")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python runs")
    }
}

#[test]
fn open_webui_may_bootstrap_the_same_database_at_the_same_time() {
    let app = need!(Installed::find());
    let server = need!(Postgres::shared());
    let database = server.create_database("rivals");
    let source = Source::small();
    let before = source.snapshot();
    let data = tempfile::tempdir().expect("a temporary folder");
    let program = || {
        boot(&source, &database.url())
            .without("WEBUI_INIT_SCHEMA_COMMAND")
            .env("WEBUI_INIT_PYTHON", &app.python)
            .env("WEBUI_INIT_APP_DIR", &app.packages)
    };
    let ours = program().start();
    let mut rival = app.bootstrap(&database, data.path());
    let outcome = ours.wait(SOON);
    let rival = rival.wait().expect("our child");
    println!(
        "the boot ended with {}, the rival's {rival}",
        outcome.code()
    );
    // The app has no lock: who comes second finds tables that were not there when it looked.
    if outcome.code() == 0 {
        outcome.prints("started\n");
    } else {
        outcome.expect(76).prints("");
        expect_untouched(&database);
        program().run().expect(0).prints("started\n");
    }
    expect_moved(&source, &database);
    assert_eq!(source.snapshot(), before);
}

/// Without the data volume there is nothing to move to be seen; but an app without users must not start between
/// another instance's failed attempt and its next one.
#[test]
fn an_instance_without_the_volume_waits_for_a_move_that_has_begun() {
    let server = need!(Postgres::shared());
    let database = server.create_database("without_volume");
    let source = Source::small();
    source.edit(|connection| {
        let unknown = "CREATE TABLE mine (a); INSERT INTO mine VALUES (1)";
        connection.execute_batch(unknown).expect("a table");
    });
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let replica = || {
        Program::boot(["echo", "started"])
            .data_dir(elsewhere.path())
            .target(database.url())
            .env("WEBUI_INIT_LOCK_WAIT_SECS", "2")
    };
    boot(&source, &database.url())
        .env("WEBUI_INIT_LEFTOVERS", "fail")
        .run()
        .expect(65);
    // Nor with a database that nobody uses yet, as an app that was started there once leaves it.
    let unused = Source::empty();
    for program in [replica(), replica().source(&unused)] {
        program
            .run()
            .expect(75)
            .prints("")
            .says(&["sees no webui.db with users", "webui_init.attempt"]);
    }
    let waiting = replica().env("WEBUI_INIT_LOCK_WAIT_SECS", "60").start();
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    waiting.wait(SOON).expect(0).prints("started\n");
    assert!(database.marked());
    replica().run().expect(0).prints("started\n");
}

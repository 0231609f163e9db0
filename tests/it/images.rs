//! The move works whatever version of Open WebUI the image holds: real versions from `PyPI`, with files that real versions
//! have filled. `scripts/images` does it with every pair, and asks the app too; `docs/versions.md` has what came of it.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Missing, PASSWORD, Postgres, Program, ROLE, Source, cache, need, repository};

/// The interpreter of an installed version.
fn image(version: &str) -> Result<PathBuf, Missing> {
    let python = cache().join(format!("images/{version}/bin/python"));
    if python.is_file() {
        Ok(python)
    } else {
        Err(Missing(format!(
            "no Open WebUI {version} in the cache (scripts/deps image:{version})"
        )))
    }
}

/// A boot in the image of this version.
fn boot_in(version: &str, command: &[&str]) -> Result<Program, Missing> {
    run_in(version, &[&["boot", "--"], command].concat())
}

/// The program in the image of this version, whose own Alembic makes the schema.
fn run_in(version: &str, arguments: &[&str]) -> Result<Program, Missing> {
    let python = image(version)?;
    let site = python
        .parent()
        .expect("bin")
        .join("../lib/python3.11/site-packages");
    Ok(Program::new(arguments)
        .without("WEBUI_INIT_SCHEMA_COMMAND")
        .env("WEBUI_INIT_PYTHON", python)
        .env(
            "WEBUI_INIT_APP_DIR",
            site.canonicalize().expect("the packages"),
        ))
}

/// The file of this version, as the repository keeps it.
fn file_of(version: &str) -> Source {
    let packed = repository(&format!("tests/fixtures/images/{version}.sql.gz"));
    let output = Command::new("gzip").arg("-dc").arg(packed).output();
    let sql = String::from_utf8(output.expect("gzip runs").stdout).expect("text");
    Source::from_sql(&sql)
}

/// Moves each `IMAGE:FILE`, and fails unless PostgreSQL holds what the image's own upgrade of a copy holds.
#[track_caller]
fn expect_equal(pairs: &[&str]) {
    let python = need!(image("0.12.4"));
    let server = need!(Postgres::shared());
    let databases: Vec<_> = pairs
        .iter()
        .map(|_| server.create_database("image"))
        .collect();
    for pair in pairs {
        need!(image(pair.split(':').next().expect("an image")));
    }
    let output = Command::new(python)
        .arg(repository("tests/support/images"))
        .args(["--program", env!("CARGO_BIN_EXE_webui-init"), "--check"])
        .args(
            pairs
                .iter()
                .zip(&databases)
                .map(|(pair, database)| format!("{pair}={}", database.url())),
        )
        .output()
        .expect("the interpreter runs");
    assert!(output.status.success(), "{output:#?}");
}

#[test]
fn the_oldest_line_moves() {
    expect_equal(&["0.3.32:0.3.32", "0.3.32:0.3.32:bootstrapped"]);
}

#[test]
fn images_that_run_peewee_move_their_own_file() {
    expect_equal(&["0.6.5:0.6.5", "0.9.5:0.9.5"]);
}

#[test]
fn images_that_run_alembic_alone_move_their_own_file() {
    expect_equal(&["0.9.6:0.9.6", "0.11.4:0.11.4", "0.12.4:0.12.4"]);
}

#[test]
fn files_of_older_versions_move_too() {
    expect_equal(&["0.9.5:0.5.20", "0.11.4:0.6.43", "0.12.4:0.3.32"]);
}

#[test]
fn a_newer_image_moves_into_what_0_9_5_has_bootstrapped() {
    let server = need!(Postgres::shared());
    let database = server.create_database("bootstrapped_by_0_9_5");
    // 0.9.5 has made its tables and stopped there: its file had a row that the settings did not allow to keep aside.
    let spoilt = file_of("0.9.5");
    spoilt.edit(|file| {
        file.execute_batch("CREATE TABLE plugin (note TEXT); INSERT INTO plugin VALUES ('a')")
            .expect("a table");
    });
    need!(boot_in("0.9.5", &["true"]))
        .source(&spoilt)
        .target(database.url())
        .env("WEBUI_INIT_LEFTOVERS", "fail")
        .run()
        .expect(65);
    assert_eq!(database.value("SELECT count(*) FROM migratehistory"), "18");
    let source = file_of("0.9.5");
    need!(boot_in("0.12.4", &["echo", "started"]))
        .source(&source)
        .target(database.url())
        .run()
        .expect(0)
        .prints("started\n");
    assert_eq!(
        database.value("SELECT count(*) FROM \"user\"").parse().ok(),
        source.counts().get("user").copied()
    );
    assert_eq!(
        database.value("SELECT count(*) FROM webui_init.leftover"),
        "0"
    );
}

/// The upgrade of an older file draws ids and stamps times: another upgrade of the same file has others.
#[test]
fn verify_does_not_call_changed_what_every_upgrade_makes_anew() {
    let server = need!(Postgres::shared());
    let database = server.create_database("made_anew");
    let source = file_of("0.6.43");
    let run = |arguments: &[&str]| {
        let program = run_in("0.12.4", arguments);
        program.map(|program| program.source(&source).target(database.url()).run())
    };
    need!(run(&["migrate"])).expect(0);
    let total = need!(run(&["verify", "--json"])).expect(0).document()["total"].clone();
    assert_eq!(
        (&total["changed"], &total["missing"]),
        (&0.into(), &0.into()),
        "{total}"
    );
    assert!(total["renumbered"].as_u64() > Some(0), "{total}");
    // What the app changes since is seen all the same.
    database.query("UPDATE chat SET title = 'changed' WHERE id = (SELECT min(id) FROM chat)");
    let audit = need!(run(&["verify", "--json"])).expect(0).document();
    assert_eq!(audit["total"]["changed"], 1, "{audit:#}");
}

/// Their settings are one row with times in it, which lie under DATETIME as epochs do elsewhere.
#[test]
fn plan_loses_no_settings_of_versions_up_to_0_9_5() {
    let server = need!(Postgres::shared());
    for version in ["0.6.5", "0.9.5"] {
        let database = server.create_database("settings_planned");
        let source = file_of(version);
        let outcome = Program::new(["plan", "--json"])
            .source(&source)
            .target(database.url())
            .run()
            .expect(0);
        let plan = outcome.document();
        assert_eq!(plan["report"]["kept_aside"], 0, "{plan:#}");
        assert_eq!(
            plan["report"]["rows"],
            source.counts().values().sum::<i64>() - rows_of_the_step(&source),
            "{plan:#}"
        );
    }
}

/// The schema step's own records.
fn rows_of_the_step(source: &Source) -> i64 {
    let counts = source.counts();
    ["alembic_version", "migratehistory"]
        .into_iter()
        .filter_map(|table| counts.get(table))
        .sum()
}

/// Versions before 0.6.16 do not know the parts: the address must reach them as a URL.
#[test]
fn an_app_that_does_not_know_the_parts_gets_the_url_that_they_make() {
    let server = need!(Postgres::shared());
    let database = server.create_database("parts_of_an_old_image");
    let source = file_of("0.6.5");
    let python = need!(image("0.6.5"));
    let asks = "from open_webui.env import DATABASE_URL; print(DATABASE_URL)";
    let outcome = need!(boot_in(
        "0.6.5",
        &[python.to_str().expect("text"), "-c", asks]
    ))
    .source(&source)
    .env("DATABASE_TYPE", "postgresql")
    .env("DATABASE_USER", ROLE)
    .env("DATABASE_PASSWORD", PASSWORD)
    .env("DATABASE_HOST", "127.0.0.1")
    .env("DATABASE_PORT", server.port().to_string())
    .env("DATABASE_NAME", &database.name)
    .run()
    .expect(0);
    assert!(
        outcome.stdout.trim_end().ends_with(&database.url()),
        "{}",
        outcome.stdout
    );
}

/// Before 0.12 `DATABASE_SCHEMA` is passed over by the app's migrations, which make their tables elsewhere.
#[test]
fn a_schema_that_the_image_does_not_know_is_78_before_anything_is_made() {
    let server = need!(Postgres::shared());
    let database = server.create_database("schema_of_an_old_image");
    database.query("CREATE SCHEMA chats");
    let source = file_of("0.9.5");
    need!(boot_in("0.9.5", &["echo", "started"]))
        .source(&source)
        .target(database.url())
        .env("DATABASE_SCHEMA", "chats")
        .run()
        .expect(78)
        .prints("")
        .says(&["search_path"]);
    assert!(database.counts().is_empty());
}

/// Their own fault, and their own words.
#[test]
fn images_that_cannot_upgrade_two_users_say_which_can() {
    let server = need!(Postgres::shared());
    let database = server.create_database("two_users");
    let source = file_of("0.6.18");
    let before = source.snapshot();
    need!(boot_in("0.9.6", &["echo", "started"]))
        .source(&source)
        .target(database.url())
        .run()
        .expect(76)
        .prints("")
        .says(&["up to 0.9.5, or 0.10.2 or later"]);
    assert_eq!(source.snapshot(), before);
}

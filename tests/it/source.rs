//! Files that are not what they seem, and files in odd places: each ends in the right exit code and a clear message, with
//! the app not started and nothing written on either side.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use crate::support::{
    Database, Missing, Postgres, Program, Source, boot, command, expect_moved, expect_untouched,
    insert_chat, is_root, need, tool,
};

/// Boots and expects a refusal that leaves both sides as they were. `said` is what the message has to speak of.
pub fn refused(source: &Source, code: i32, said: &[&str]) -> Result<(), Missing> {
    let database = Postgres::shared()?.create_database("refused");
    let before = source.snapshot();
    let plan = command("plan")
        .is_ok()
        .then(|| Program::new(["plan"]).source(source).target(database.url()));
    for program in plan.into_iter().chain([boot(source, &database.url())]) {
        let outcome = program.run().expect(code).never_says("started\n");
        outcome.says(&["webui.db"]).says(said);
        expect_untouched(&database);
        assert_eq!(source.snapshot(), before);
    }
    Ok(())
}

/// A data folder whose `webui.db` has these bytes.
pub fn file_of(bytes: &[u8]) -> Source {
    let source = Source::none();
    fs::write(source.path(), bytes).expect("a writable folder");
    source
}

/// Bytes without a pattern, the same every time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_file_of_zero_bytes_holds_no_users() {
    // What SQLite leaves when a first start ends before its first commit.
    let server = need!(Postgres::shared());
    let database = server.create_database("zero");
    let source = file_of(b"");
    let before = source.snapshot();
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    assert!(!database.marked());
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_file_of_zero_bytes_beside_a_full_wal_was_not_always_so() {
    let source = Source::small();
    source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    fs::write(source.path(), b"").expect("our file");
    need!(refused(&source, 65, &[]));
}

#[test]
fn a_file_that_is_cut_off_is_65() {
    let whole = fs::read(Source::with_chats(200).path()).expect("our file");
    for length in [
        50,
        100,
        4096,
        whole.len() / 2,
        whole.len() - 4096,
        whole.len() - 1,
    ] {
        need!(refused(&file_of(&whole[..length]), 65, &[]));
    }
}

#[test]
fn random_bytes_are_65() {
    for length in [1, 99] {
        need!(refused(&file_of(&noise(length)), 65, &[]));
    }
    for length in [1000, 4097] {
        need!(refused(&file_of(&noise(length)), 65, &["SQLite"]));
    }
    need!(refused(
        &file_of(
            b"<!DOCTYPE html><title>404 Not Found</title>"
                .repeat(20)
                .as_slice()
        ),
        65,
        &["SQLite"]
    ));
}

#[test]
fn an_encrypted_file_is_65_and_named() {
    // SQLCipher encrypts whole pages, from a random salt in the first 16 bytes on.
    need!(refused(&file_of(&noise(16 * 4096)), 65, &["SQLCipher"]));
}

#[test]
fn a_folder_in_its_place_is_65() {
    let source = Source::none();
    fs::create_dir(source.path()).expect("a writable folder");
    need!(refused(&source, 65, &[]));
}

#[test]
fn the_database_of_another_app_is_not_moved() {
    let other = "CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT); INSERT INTO moz_places VALUES (1, 'x')";
    need!(refused(&Source::from_sql(other), 65, &[]));
    // Also not one with users of its own.
    let other =
        "CREATE TABLE user (id INTEGER PRIMARY KEY, login TEXT); INSERT INTO user VALUES (1, 'x')";
    need!(refused(&Source::from_sql(other), 65, &[]));
}

#[test]
fn a_dangling_link_is_not_a_fresh_start() {
    let source = Source::none();
    symlink("/no/such/volume/webui.db", source.path()).expect("a writable folder");
    need!(refused(&source, 74, &[]));
}

#[test]
fn a_link_to_a_database_is_followed_to_its_wal() {
    let server = need!(Postgres::shared());
    let database = server.create_database("link");
    let real = Source::small();
    real.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    let source = Source::none();
    symlink(real.path(), source.path()).expect("a writable folder");
    let before = (real.snapshot(), source.snapshot());
    boot(&source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    expect_moved(&real, &database);
    assert_eq!((real.snapshot(), source.snapshot()), before);
}

#[test]
fn the_path_may_be_named_and_may_be_odd() {
    let server = need!(Postgres::shared());
    let database = server.create_database("odd_path");
    let source = Source::small();
    source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a b?c#d%20e&f'g.db");
    for suffix in ["", "-wal"] {
        let to = folder.path().join(format!("a b?c#d%20e&f'g.db{suffix}"));
        fs::copy(source.folder().join(format!("webui.db{suffix}")), to).expect("our file");
    }
    let program = Program::migrate()
        .target(database.url())
        .env("WEBUI_INIT_SQLITE_PATH", &path);
    program.run().expect(0);
    expect_moved(&source, &database);
    // The two files, and the receipt.
    assert_eq!(fs::read_dir(folder.path()).expect("our folder").count(), 3);
}

/// Another user than the one who owns the data folder, with the program where they may run it.
fn as_nobody(
    source: &Source,
    database: &Database,
) -> Result<(Program, tempfile::TempDir), Missing> {
    if !is_root() {
        return Ok((
            boot(source, &database.url()),
            tempfile::tempdir().expect("a temporary folder"),
        ));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("our folder");
    let program = folder.path().join("webui-init");
    fs::copy(env!("CARGO_BIN_EXE_webui-init"), &program).expect("a writable folder");
    let mut command = Command::new(tool("setpriv")?);
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(["boot", "--", "echo", "started"]);
    // The schema is there already: the stand-in may lie where nobody else may look.
    database.bootstrap();
    let program = Program::from_command(command)
        .source(source)
        .target(database.url())
        .env("WEBUI_INIT_SCHEMA_COMMAND", "true");
    Ok((program.env("TMPDIR", "/tmp"), folder))
}

#[test]
fn a_file_that_may_not_be_read_is_not_a_fresh_start() {
    let server = need!(Postgres::shared());
    let forbidden: [fn(&Source); 3] = [
        |source| {
            fs::set_permissions(source.path(), Permissions::from_mode(0o000)).expect("our file");
        },
        |source| {
            fs::set_permissions(source.folder(), Permissions::from_mode(0o000))
                .expect("our folder");
        },
        |source| {
            source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
            fs::set_permissions(source.folder(), Permissions::from_mode(0o755))
                .expect("our folder");
            fs::set_permissions(source.path(), Permissions::from_mode(0o644)).expect("our file");
            fs::set_permissions(
                source.folder().join("webui.db-wal"),
                Permissions::from_mode(0o000),
            )
            .expect("our file");
        },
    ];
    for forbid in forbidden {
        let database = server.create_database("forbidden");
        let source = Source::small();
        forbid(&source);
        let (program, _folder) = need!(as_nobody(&source, &database));
        let outcome = program.run();
        fs::set_permissions(source.folder(), Permissions::from_mode(0o755)).expect("our folder");
        assert!([74, 77].contains(&outcome.code()), "{outcome:?}");
        outcome.prints("").says(&["webui.db"]);
        expect_untouched(&database);
    }
}

#[test]
fn a_file_of_somebody_else_that_may_be_read_is_moved() {
    let server = need!(Postgres::shared());
    let database = server.create_database("readable");
    let source = Source::small();
    source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    fs::set_permissions(source.folder(), Permissions::from_mode(0o755)).expect("our folder");
    for suffix in ["", "-wal", "-shm"] {
        fs::set_permissions(
            source.folder().join(format!("webui.db{suffix}")),
            Permissions::from_mode(0o444),
        )
        .expect("our file");
    }
    let before = source.snapshot();
    let (program, _folder) = need!(as_nobody(&source, &database));
    program.run().expect(0).prints("started\n");
    expect_moved(&source, &database);
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_source_in_a_folder_that_cannot_be_written_is_moved() {
    let server = need!(Postgres::shared());
    let database = server.create_database("read_only");
    let source = Source::small();
    source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    let mode = |mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(source.folder(), permissions).expect("our folder");
    };
    mode(0o555);
    let before = source.snapshot();
    let outcome = boot(&source, &database.url()).run();
    mode(0o755);
    outcome.expect(0).prints("started\n");
    assert_eq!(source.snapshot(), before);
    expect_moved(&source, &database);
}

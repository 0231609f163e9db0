//! Files that are not what they seem: each ends in the right exit code and a clear message, with the app not started
//! and nothing written on either side.

use std::fs::{self, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{
    Database, HEAD, Missing, Postgres, Program, Session, Source, boot, command, expect_moved,
    expect_untouched, hold_open, insert_chat, insert_user, is_root, need, open, schema_command,
    tool, wait_for,
};

const SOON: Duration = Duration::from_mins(1);

/// Boots and expects a refusal that leaves both sides as they were. `said` is what the message has to speak of.
fn refused(source: &Source, code: i32, said: &[&str]) -> Result<(), Missing> {
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
fn file_of(bytes: &[u8]) -> Source {
    let source = Source::none();
    fs::write(source.path(), bytes).expect("a writable folder");
    source
}

/// Bytes without a pattern, the same every time.
fn noise(length: usize) -> Vec<u8> {
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
    assert_eq!(fs::read_dir(folder.path()).expect("our folder").count(), 2);
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
fn a_source_that_is_newer_than_the_image_is_65_and_both_revisions_are_named() {
    let source = Source::small();
    source.edit(|connection| {
        connection
            .execute(
                "UPDATE alembic_version SET version_num = 'ffffffffffff'",
                [],
            )
            .expect("a table");
    });
    let server = need!(Postgres::shared());
    let database = server.create_database("newer");
    let before = source.snapshot();
    let app = tempfile::tempdir().expect("a temporary folder");
    let scripts = app.path().join("open_webui/migrations/versions");
    fs::create_dir_all(&scripts).expect("a writable folder");
    fs::write(
        scripts.join("head.py"),
        format!("revision = '{HEAD}'\ndown_revision = None\n"),
    )
    .expect("a writable folder");
    let program = boot(&source, &database.url()).env("WEBUI_INIT_APP_DIR", app.path());
    program
        .run()
        .expect(65)
        .prints("")
        .says(&["ffffffffffff", HEAD]);
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
}

/// What Peewee's migrations of an old image leave behind, in either database.
const PEEWEE_RECORD: &str = "CREATE TABLE migratehistory (id INTEGER PRIMARY KEY, name VARCHAR(255), migrated_at TIMESTAMP);
     INSERT INTO migratehistory VALUES (1, '001_initial_schema', '2024-05-01 10:00:00'), (2, '002_add_local_sharing', '2024-05-01 10:00:00')";

#[test]
fn the_record_of_peewees_migrations_is_neither_moved_nor_counted_nor_kept_aside() {
    let server = need!(Postgres::shared());
    let database = server.create_database("peewee");
    let source = Source::small();
    source.edit(|file| file.execute_batch(PEEWEE_RECORD).expect("a table"));
    // An image up to 0.9.5 makes that table in PostgreSQL too, with every step.
    let mut command = schema_command();
    command.push(format!(
        " && psql -qX \"$DATABASE_URL\" -c \"{}\"",
        PEEWEE_RECORD.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
    ));
    // Bootstrapped by such an image, it is used by nobody yet.
    database.bootstrap();
    database.query(&format!("{PEEWEE_RECORD}; DELETE FROM migratehistory"));
    need!(tool("psql"));
    boot(&source, &database.url())
        .env("WEBUI_INIT_SCHEMA_COMMAND", &command)
        .env("WEBUI_INIT_LEFTOVERS", "fail")
        .run()
        .expect(0)
        .prints("started\n");
    source.edit(|file| {
        file.execute_batch("DROP TABLE migratehistory")
            .expect("a table");
    });
    expect_moved(&source, &database);
    assert_eq!(database.value("SELECT count(*) FROM migratehistory"), "2");
    assert_eq!(
        database.value("SELECT count(*) FROM webui_init.leftover"),
        "0"
    );
    for arguments in [["verify"], ["plan"]] {
        Program::new(arguments)
            .source(&source)
            .target(database.url())
            .run()
            .expect(0)
            .never_says("migratehistory");
    }
}

#[test]
fn a_key_that_only_numbers_the_rows_is_no_leftover() {
    let server = need!(Postgres::shared());
    let database = server.create_database("numbered");
    let source = Source::small();
    source.edit(|file| {
        file.execute_batch(
            "DROP TABLE document;
             CREATE TABLE document (id INTEGER NOT NULL PRIMARY KEY, collection_name TEXT, name TEXT, title TEXT, filename TEXT,
                 content TEXT, user_id TEXT, timestamp INTEGER);
             INSERT INTO document VALUES (7, 'c1', 'n1', 't', 'f', NULL, 'u', 1), (9, 'c2', 'n2', 't', 'f', NULL, 'u', 2);",
        )
        .expect("a table");
    });
    boot(&source, &database.url())
        .env("WEBUI_INIT_LEFTOVERS", "fail")
        .run()
        .expect(0);
    assert_eq!(
        database.value("SELECT string_agg(name, ' ' ORDER BY name) FROM document"),
        "n1 n2"
    );
}

#[test]
fn a_schema_that_the_images_migrations_do_not_know_is_78_and_search_path_is_the_way() {
    let server = need!(Postgres::shared());
    let database = server.create_database("old_schema");
    database.query("CREATE SCHEMA openwebui");
    let app = tempfile::tempdir().expect("a temporary folder");
    let scripts = app.path().join("open_webui/migrations");
    fs::create_dir_all(&scripts).expect("a writable folder");
    fs::write(scripts.join("env.py"), "DATABASE_URL = 1\n").expect("a writable folder");
    let source = Source::small();
    let before = source.snapshot();
    let boot = || {
        boot(&source, &database.url())
            .env("DATABASE_SCHEMA", "openwebui")
            .env("WEBUI_INIT_APP_DIR", app.path())
            .without("WEBUI_INIT_SCHEMA_COMMAND")
    };
    boot()
        .run()
        .expect(78)
        .prints("")
        .says(&["DATABASE_SCHEMA", "public", "search_path"]);
    assert_eq!(source.snapshot(), before);
    assert_eq!(
        database.value("SELECT to_regnamespace('webui_init') IS NULL"),
        "t"
    );
    // With the role's search_path it gets as far as the schema step, which cannot work in an app without Alembic.
    Session::open(&server.superuser_url(&database.name)).query(&format!(
        "ALTER ROLE webui IN DATABASE \"{}\" SET search_path TO openwebui",
        database.name
    ));
    boot().run().expect(76).prints("").never_says("search_path");
}

#[test]
fn accounts_at_which_the_apps_upgrade_would_stop_are_named_before_anything_is_touched() {
    const OLDER: &str = "959eaac8f909";
    let server = need!(Postgres::shared());
    let database = server.create_database("accounts");
    let source = Source::small();
    source.edit(|connection| {
        let script = format!(
            "DROP INDEX uq_user_email_lower; UPDATE alembic_version SET version_num = '{OLDER}';
             UPDATE user SET email = (SELECT upper(email) FROM user WHERE id = 'user-1') WHERE id = 'user-2'"
        );
        connection.execute_batch(&script).expect("a table");
        assert_eq!(connection.changes(), 1, "a second user");
    });
    let before = source.snapshot();
    let app = tempfile::tempdir().expect("a temporary folder");
    let scripts = app.path().join("open_webui/migrations/versions");
    fs::create_dir_all(&scripts).expect("a writable folder");
    for (name, script) in [
        (
            "older.py",
            format!("revision = '{OLDER}'\ndown_revision = None\n"),
        ),
        (
            "head.py",
            format!(
                "revision = '{HEAD}'\ndown_revision = '{OLDER}'\nINDEX_NAME = 'uq_user_email_lower'\n"
            ),
        ),
    ] {
        fs::write(scripts.join(name), script).expect("a writable folder");
    }
    boot(&source, &database.url())
        .env("WEBUI_INIT_APP_DIR", app.path())
        .run()
        .expect(65)
        .prints("")
        .says(&["user-1 and user-2", "never merges"])
        .never_says("USER-1@");
    assert!(database.counts().is_empty(), "tables were made");
    assert_eq!(source.snapshot(), before);
}

#[test]
fn an_older_source_that_the_app_cannot_upgrade_is_76_and_leaves_no_copy() {
    let server = need!(Postgres::shared());
    let database = server.create_database("stuck");
    let source = Source::small();
    source.edit(|connection| {
        connection
            .execute(
                "UPDATE alembic_version SET version_num = 'c92da83b017f'",
                [],
            )
            .expect("a table");
    });
    let before = source.snapshot();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let command = format!(
        "case $DATABASE_URL in sqlite*) echo 'duplicate column name: meta' >&2; exit 1;; esac; {}",
        schema_command().to_string_lossy()
    );
    for own_scratch in [true, false] {
        let mut program = boot(&source, &database.url()).env("WEBUI_INIT_SCHEMA_COMMAND", &command);
        if own_scratch {
            program = program.env("WEBUI_INIT_SCRATCH_DIR", scratch.path());
        }
        program
            .run()
            .expect(76)
            .prints("")
            .says(&["duplicate column name"]);
        expect_untouched(&database);
        assert_eq!(source.snapshot(), before);
    }
    assert_eq!(
        fs::read_dir(scratch.path()).expect("our folder").count(),
        0,
        "the copy was left behind"
    );
}

#[test]
fn an_older_source_is_upgraded_in_a_copy() {
    let server = need!(Postgres::shared());
    let database = server.create_database("upgraded");
    let source = Source::small();
    source.edit(|connection| {
        connection
            .execute(
                "UPDATE alembic_version SET version_num = 'c92da83b017f'",
                [],
            )
            .expect("a table");
    });
    source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    let before = source.snapshot();
    // An upgrade that one can see: SQLite's own, on the file that the URL names.
    let upgrade = "import os, sqlite3, sys, urllib.parse\n\
                   path = urllib.parse.unquote(os.environ['DATABASE_URL'].split(':///', 1)[1].split('?')[0])\n\
                   db = sqlite3.connect(path)\n\
                   db.execute(\"UPDATE alembic_version SET version_num = '0bd252b206fb'\")\n\
                   db.execute(\"UPDATE note SET title = 'upgraded'\")\n\
                   db.commit()\n";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("upgrade.py");
    fs::write(&script, upgrade).expect("a writable folder");
    let command = format!(
        "case $DATABASE_URL in sqlite*) python3 '{}';; *) {};; esac",
        script.display(),
        schema_command().to_string_lossy()
    );
    let outcome = boot(&source, &database.url())
        .env("WEBUI_INIT_SCHEMA_COMMAND", command)
        .run()
        .expect(0)
        .prints("started\n");
    assert_eq!(source.snapshot(), before, "{}", outcome.stderr);
    assert_eq!(
        database.value("SELECT count(*) FROM note WHERE title = 'upgraded'"),
        "8"
    );
    assert_eq!(
        database.value("SELECT count(*) FROM chat WHERE id = 'chat-1000'"),
        "1"
    );
    assert_eq!(
        database.value("SELECT source_revision FROM webui_init.migration"),
        "c92da83b017f"
    );
    source.edit(|connection| {
        connection
            .execute_batch(&format!("UPDATE note SET title = 'upgraded'; UPDATE alembic_version SET version_num = '{HEAD}'"))
            .expect("a table");
    });
    expect_moved(&source, &database);
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

#[test]
fn a_scratch_folder_without_room_is_73() {
    // /dev/shm-like file systems of a fixed size can only be made by root.
    need!(crate::support::root());
    need!(tool("unshare"));
    let server = need!(Postgres::shared());
    let database = server.create_database("no_room");
    let source = Source::with_chats(300);
    source.edit(|connection| {
        connection
            .execute(
                "UPDATE alembic_version SET version_num = 'c92da83b017f'",
                [],
            )
            .expect("a table");
    });
    let before = source.snapshot();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=200k tmpfs \"$0\" && exec \"$@\"";
    command
        .args(["--mount", "sh", "-c", script])
        .arg(scratch.path());
    command
        .arg(env!("CARGO_BIN_EXE_webui-init"))
        .args(["boot", "--", "echo", "started"]);
    let program = Program::from_command(command)
        .source(&source)
        .target(database.url());
    let outcome = program.env("WEBUI_INIT_SCRATCH_DIR", scratch.path()).run();
    if outcome.stderr.contains("mount:") || outcome.stderr.contains("unshare:") {
        need!(Err::<(), _>(Missing(
            "may not mount a file system here".into()
        )));
    }
    outcome.expect(73).prints("");
    expect_untouched(&database);
    assert_eq!(source.snapshot(), before);
}

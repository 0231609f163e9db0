//! The exit code of a value of each variant, as the table in the README promises it.

use std::io;
use std::path::PathBuf;

use rusqlite::ffi;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::{Error as PgError, NoTls};

use super::*;
use crate::failure::row::Doing;
use crate::postgres::error::chain;
use crate::postgres::place::Place;
use crate::postgres::tls::TlsError;

/// The error that the driver makes of a server's refusal with this SQLSTATE.
fn refusal(state: &str) -> PgError {
    refusal_saying(state, "no")
}

/// The same in these words.
fn refusal_saying(state: &str, message: &str) -> PgError {
    let mut fields = Vec::new();
    for (kind, value) in [(b'S', "FATAL"), (b'C', state), (b'M', message)] {
        fields.push(kind);
        fields.extend_from_slice(value.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let mut message = vec![b'E'];
    let length = u32::try_from(fields.len() + 4).unwrap();
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&fields);
    connecting(async move |mut server| {
        let _ = server.read(&mut [0; 1024]).await;
        server.write_all(&message).await.unwrap();
    })
}

/// The error of a connection that the other end closes.
fn broken() -> PgError {
    connecting(async |server| drop(server))
}

/// The error of a port at which nothing listens.
fn refused_connection() -> PgError {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.user("u").host("127.0.0.1").port(1);
        config.connect(NoTls).await.err().unwrap()
    })
}

fn connecting<F: AsyncFnOnce(tokio::io::DuplexStream)>(server: F) -> PgError {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(1024);
        let mut config = tokio_postgres::Config::new();
        config.user("u");
        let (connected, ()) = tokio::join!(config.connect_raw(ours, NoTls), server(theirs));
        connected.err().unwrap()
    })
}

fn postgres(source: PgError) -> TargetError {
    TargetError::Postgres {
        doing: "did not answer",
        source,
    }
}

fn marker(source: PgError) -> LedgerError {
    LedgerError::Postgres {
        doing: "read",
        source,
    }
}

fn migrations() -> LedgerError {
    let error = refinery::Migration::unapplied("nameless", "").unwrap_err();
    LedgerError::Migrations(Box::new(error))
}

fn of_the_ledger(error: LedgerError) -> Failure {
    error.into()
}

fn unreachable(last: LedgerError) -> Failure {
    LedgerError::Unreachable {
        target: "db".to_owned(),
        waited: 60,
        source: Box::new(last),
    }
    .into()
}

fn locked() -> Failure {
    LedgerError::Locked { waited: 900 }.into()
}

fn no_schema() -> Failure {
    TargetError::NoSchema.into()
}

fn outcome_unknown() -> Failure {
    CopyError::OutcomeUnknown(Box::new(TargetError::Stalled.into())).into()
}

fn sqlite(code: i32) -> SourceError {
    SourceError::Sqlite {
        path: "webui.db".to_owned(),
        source: rusqlite::Error::SqliteFailure(ffi::Error::new(code), None),
    }
}

fn unreadable(kind: io::ErrorKind) -> SourceError {
    SourceError::Unreadable {
        path: "webui.db".to_owned(),
        source: kind.into(),
    }
}

fn no_space() -> ScratchError {
    ScratchError::NoSpace {
        dir: "/data".to_owned(),
        free: 1,
        needed: 2,
    }
}

fn refused(source: PgError) -> Failure {
    let step = "to lock the app's tables".to_owned();
    CopyError::Refused { step, source }.into()
}

fn path() -> String {
    "webui.db".to_owned()
}

fn of_the_command_and_the_environment() -> Vec<(Failure, u8)> {
    let problems = vec!["DATABASE_URL: wrong".to_owned()];
    let cannot_run = ExecError::CannotRun {
        command: "app".into(),
        source: io::ErrorKind::PermissionDenied.into(),
    };
    vec![
        (Failure::Usage("no command given".to_owned()), 64),
        (SettingsError { problems }.into(), 78),
        (Failure::NoTarget, 78),
        (ExecError::NotFound("app".into()).into(), 127),
        (cannot_run.into(), 126),
        (io::Error::other("injected at connected").into(), 70),
        (
            Failure::Interrupted {
                name: "SIGTERM",
                number: 15,
                doing: "",
            },
            143,
        ),
    ]
}

fn of_the_target() -> Vec<(Failure, u8)> {
    let tls = TlsError::Read {
        parameter: "sslcert",
        path: PathBuf::from("/cert"),
        source: io::ErrorKind::NotFound.into(),
    };
    let mut rows = vec![
        (TargetError::Tls(tls).into(), 78),
        (unreachable(TargetError::Stalled.into()), 69),
        (unreachable(postgres(refusal("28P01")).into()), 69),
        (locked(), 75),
        (no_schema(), 78),
        (TargetError::Stalled.into(), 69),
        (TargetError::ReadOnly.into(), 69),
        (TargetError::Unsupported("too old".to_owned()).into(), 78),
        (TargetError::Pool("closed".into()).into(), 70),
        (TargetError::MayNot("create tables").into(), 77),
        (TargetError::NoSuchSchema("x".to_owned()).into(), 78),
        (postgres(broken()).into(), 69),
        (of_the_ledger(marker(broken())), 69),
        (of_the_ledger(migrations()), 70),
    ];
    for (state, code) in [
        ("3D000", 78),
        ("3F000", 78),
        ("42501", 77),
        ("28P01", 77),
        ("25006", 77),
        ("55P03", 75),
        ("57P03", 69),
        ("53300", 69),
        ("40001", 69),
        ("42P01", 70),
    ] {
        rows.push((postgres(refusal(state)).into(), code));
        rows.push((of_the_ledger(marker(refusal(state))), code));
    }
    rows
}

fn of_the_source() -> Vec<(Failure, u8)> {
    let not_usable = SourceError::NotUsable {
        path: path(),
        what: "is cut off".to_owned(),
    };
    let newer = SourceError::Newer {
        path: path(),
        revision: "abc".to_owned(),
        head: None,
    };
    let disordered = SourceError::Disordered {
        path: path(),
        table: "chat".to_owned(),
    };
    let lost = SourceError::LostCommits {
        path: path(),
        commits: 8,
    };
    let rows = [
        (lost, 65),
        (unreadable(io::ErrorKind::PermissionDenied), 77),
        (unreadable(io::ErrorKind::NotFound), 74),
        (SourceError::Scratch(no_space()), 73),
        (not_usable, 65),
        (newer, 65),
        (disordered, 65),
        (SourceError::Busy { path: path() }, 75),
        (SourceError::Changed { path: path() }, 75),
        (sqlite(ffi::SQLITE_CORRUPT), 65),
        (sqlite(ffi::SQLITE_NOTADB), 65),
        (sqlite(ffi::SQLITE_FULL), 73),
        (sqlite(ffi::SQLITE_IOERR), 74),
    ];
    let mut rows: Vec<(Failure, u8)> = rows.map(|(error, code)| (error.into(), code)).into();
    rows.push((no_space().into(), 73));
    rows
}

fn of_the_app() -> Vec<(Failure, u8)> {
    let start = AppError::Start {
        program: "python3".to_owned(),
        dir: PathBuf::from("/"),
        source: io::ErrorKind::NotFound.into(),
    };
    let failed = AppError::Failed {
        database: "PostgreSQL",
        status: "exit status 1".to_owned(),
        complaint: Box::default(),
    };
    let wrong = AppError::WrongRevision {
        database: "PostgreSQL",
        found: "none".to_owned(),
        expected: "abc".to_owned(),
    };
    [start, failed, wrong]
        .map(|error| (error.into(), 76))
        .into()
}

fn of_the_move() -> Vec<(Failure, u8)> {
    let rows_refused = CopyError::RowsRefused {
        table: "chat".to_owned(),
        source: refusal("22001"),
    };
    let differs = VerifyError::Differs {
        table: "chat".to_owned(),
        sent: 1,
        found: 2,
        same_count: false,
    };
    vec![
        (CopyError::Target(TargetError::Stalled).into(), 74),
        (CopyError::Target(postgres(broken())).into(), 74),
        (CopyError::Target(postgres(refusal("42501"))).into(), 77),
        (CopyError::Target(postgres(refusal("42P01"))).into(), 70),
        (CopyError::Ledger(marker(broken())).into(), 74),
        (CopyError::Ledger(marker(refusal("23505"))).into(), 70),
        (CopyError::Ledger(migrations()).into(), 70),
        (CopyError::Source(sqlite(ffi::SQLITE_CORRUPT)).into(), 65),
        (refused(broken()), 74),
        (refused(refusal("53100")), 74),
        (refused(refusal("55P03")), 75),
        (refused(refusal("42501")), 77),
        (refused(refusal("42P01")), 70),
        (rows_refused.into(), 65),
        (CopyError::CameIntoUse("chat".to_owned()).into(), 75),
        (CopyError::AlreadyMoved.into(), 75),
        (CopyError::NotRestored("ix".to_owned()).into(), 70),
        (outcome_unknown(), 69),
        (CopyError::ReaderLost.into(), 70),
        (VerifyError::Target(TargetError::Stalled).into(), 74),
        (differs.into(), 70),
    ]
}

fn of_files() -> Vec<(Failure, u8)> {
    let cannot_write = |kind: io::ErrorKind| FileError::CannotWrite {
        path: "/backups/webui.db".to_owned(),
        source: kind.into(),
    };
    vec![
        (FileError::NothingToCopy(path()).into(), 78),
        (FileError::NoPlace(no_space()).into(), 73),
        (FileError::Exists(path()).into(), 73),
        (cannot_write(io::ErrorKind::StorageFull).into(), 73),
        (cannot_write(io::ErrorKind::PermissionDenied).into(), 77),
    ]
}

fn of_refusals() -> Vec<(Failure, u8)> {
    let target = || "openwebui on db:5432 as app".to_owned();
    let at = || "2026-11-25T02:00:00Z".to_owned();
    let gone = Refusal::UsersGone {
        target: target(),
        at: at(),
        users: 4,
        source_path: path(),
    };
    let returned = Refusal::Returned {
        target: target(),
        at: at(),
        source_path: path(),
    };
    vec![(gone.into(), 65), (returned.into(), 65)]
}

fn of_decisions() -> Vec<(Failure, u8)> {
    let not_this_one = |why| Failure::NotThisInstance { waited: 900, why };
    let source_path = path();
    let conflict = Failure::Conflict {
        tables: "user".to_owned(),
        users: true,
        source_path: path(),
    };
    let shared = Failure::SharedAddresses {
        source_path: path(),
        accounts: "a and b".to_owned(),
    };
    let lost = Failure::UsersLost {
        source_path,
        had: 2,
        left: 0,
        step: "the load",
    };
    let leftovers = Failure::Leftovers {
        count: 1,
        summary: String::new(),
    };
    vec![
        (conflict, 65),
        (shared, 65),
        (lost, 65),
        (leftovers, 65),
        (Failure::Missing(1), 65),
        (Failure::NothingToCompare(path()), 78),
        (not_this_one(Absent::MayNot), 75),
        (not_this_one(Absent::SeesNoSource), 75),
    ]
}

#[test]
fn every_failure_has_the_exit_code_of_the_contract() {
    let all = [
        of_the_command_and_the_environment(),
        of_the_target(),
        of_the_source(),
        of_the_app(),
        of_the_move(),
        of_files(),
        of_refusals(),
        of_decisions(),
    ];
    for (failure, code) in all.into_iter().flatten() {
        assert_eq!(failure.exit_code(), code, "{}", chain(&failure));
    }
}

#[test]
fn a_connection_that_breaks_in_the_move_is_an_io_error() {
    let moving = |failure: Failure| failure.in_the_move().exit_code();
    assert_eq!(moving(postgres(broken()).into()), 74);
    assert_eq!(moving(postgres(refusal("57P01")).into()), 74);
    assert_eq!(moving(of_the_ledger(marker(broken()))), 74);
    assert_eq!(moving(postgres(refusal("42501")).into()), 77);
    assert_eq!(moving(no_space().into()), 73);
}

/// Where the database is, in texts.
fn place(servers: &str) -> Place {
    Place {
        database: "webui".to_owned(),
        servers: servers.to_owned(),
        user: "owner".to_owned(),
    }
}

fn context(doing: Doing, servers: &str, left: Left) -> Context {
    Context {
        doing,
        place: place(servers),
        left,
    }
}

/// What an operator reads of a failure.
fn told(failure: &Failure, context: &Context) -> String {
    let told = failure.told(context);
    let output = told.output.map(|output| format!("  Output: {output:?}\n"));
    format!(
        "{} (exit code {})\n  Safe: {}\n  Next: {}\n{}",
        told.cause,
        told.code,
        told.safe,
        told.next,
        output.unwrap_or_default()
    )
}

/// Compares with `tests/snapshots`. `INSTA_UPDATE=always` writes them anew.
fn holds(name: &str, texts: &[String]) {
    insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("failure_{name}"), texts.join("\n"));
    });
}

fn all_told(rows: &[(Failure, u8)]) -> Vec<String> {
    let boot = context(Doing::Boot, "db:5432", Left::Nothing);
    let rows = rows.iter();
    rows.map(|(failure, _)| told(failure, &boot)).collect()
}

#[test]
fn texts_of_the_command_and_the_environment() {
    holds("command", &all_told(&of_the_command_and_the_environment()));
}

#[test]
fn texts_of_the_target() {
    holds("target", &all_told(&of_the_target()));
}

#[test]
fn texts_of_the_source() {
    let uid = nix::unistd::geteuid().to_string();
    let texts = all_told(&of_the_source());
    let texts: Vec<String> = texts
        .iter()
        .map(|text| text.replace(&format!("(uid {uid})"), "(uid N)"))
        .collect();
    holds("source", &texts);
}

#[test]
fn texts_of_files_that_are_not_made() {
    holds("files", &all_told(&of_files()));
}

#[test]
fn texts_of_files_that_are_no_webui_db() {
    let of = |what: &str| {
        let what = what.to_owned();
        (SourceError::NotUsable { path: path(), what }.into(), 65)
    };
    let texts = all_told(&[
        of(
            "is not a plain SQLite database: its header is not readable, as in a file encrypted with SQLCipher",
        ),
        of("is not a SQLite database: its header says something else"),
        of("is empty, but has a write-ahead log beside it: it was a SQLite database once"),
        of("is cut off: its header speaks of 1998848 bytes, there are 500000"),
        of("is not a file"),
        of(
            "is a SQLite database of another application: it has no history of Open WebUI's migrations",
        ),
    ]);
    holds("not_usable", &texts);
}

#[test]
fn texts_of_the_app() {
    let mut rows = of_the_app();
    for line in [
        "/opt/venv/bin/python: No module named alembic",
        "ModuleNotFoundError: No module named 'open_webui'",
        "sqlite3.OperationalError: duplicate column name: info_json",
        "sqlalchemy.exc.ArgumentError: Column object 'info_json' already assigned to Table 'user'",
        "ERROR [alembic.util.messaging] Can't locate revision identified by 'ffff'",
        "sqlalchemy.exc.ProgrammingError: (psycopg2.errors.DuplicateTable) relation \"chat\" already exists",
        "sqlalchemy.exc.ProgrammingError: (psycopg2.errors.InsufficientPrivilege) permission denied for schema public",
        "ValueError: something new",
    ] {
        let mut complaint = crate::app::complaint::Complaint::default();
        complaint
            .hear("INFO  [alembic.runtime.migration] Running upgrade a5c2 -> 38d6, Add a table");
        complaint.hear(line);
        let failed = AppError::Failed {
            database: "PostgreSQL",
            status: "exit status 1".to_owned(),
            complaint: Box::new(complaint),
        };
        rows.push((failed.into(), 76));
    }
    let unknown = AppError::SchemaUnknown {
        wanted: "app".to_owned(),
        makes: "public".to_owned(),
    };
    let no_folder = AppError::Start {
        program: "python3".to_owned(),
        dir: PathBuf::from("/nowhere/open_webui"),
        source: io::ErrorKind::NotFound.into(),
    };
    rows.extend([(unknown.into(), 78), (no_folder.into(), 76)]);
    holds("app", &all_told(&rows));
}

#[test]
fn texts_of_the_move() {
    holds("move", &all_told(&of_the_move()));
}

#[test]
fn texts_of_refusals() {
    holds("refusals", &all_told(&of_refusals()));
}

#[test]
fn texts_of_decisions() {
    holds("decisions", &all_told(&of_decisions()));
}

/// Refusals in the server's own words, which tell more than the state.
fn answers() -> Vec<Failure> {
    [
        ("28000", "role \"owner\" is not permitted to log in"),
        ("28000", "no pg_hba.conf entry for host \"10.0.0.1\", user \"owner\", database \"webui\", no encryption"),
        ("28000", "role \"owner\" does not exist"),
        ("42501", "permission denied for database \"webui\""),
        ("42501", "permission denied for schema webui_init"),
        ("42501", "permission denied for schema public"),
        ("55000", "database \"webui\" is not currently accepting connections"),
        ("57P01", "terminating connection due to administrator command"),
        ("53100", "could not extend file \"base/1/2\": No space left on device"),
        ("08P01", "no such database: webui"),
        ("XX000", "Tenant or user not found"),
    ]
    .into_iter()
    .map(|(state, message)| postgres(refusal_saying(state, message)).into())
    .collect()
}

#[test]
fn texts_of_what_the_server_says() {
    let boot = context(Doing::Boot, "db:5432", Left::Nothing);
    let texts: Vec<String> = answers().iter().map(|answer| told(answer, &boot)).collect();
    holds("answers", &texts);
}

#[test]
fn texts_in_the_words_of_each_host() {
    let mut texts = Vec::new();
    for servers in [
        "dpg-cn3k2l-a:5432",
        "aws-0-eu.pooler.supabase.com:6543",
        "ep-x.eu-2.aws.neon.tech:5432",
        "postgres.railway.internal:5432",
    ] {
        let boot = context(Doing::Boot, servers, Left::Nothing);
        for state in ["3D000", "28P01", "53300", "53100"] {
            texts.push(told(&postgres(refusal(state)).into(), &boot));
        }
        texts.push(told(&TargetError::ReadOnly.into(), &boot));
        texts.push(told(&unreachable(TargetError::Stalled.into()), &boot));
        texts.push(told(
            &unreachable(postgres(refused_connection()).into()),
            &boot,
        ));
    }
    holds("hosts", &texts);
}

#[test]
fn texts_of_what_a_start_leaves() {
    let mut texts = Vec::new();
    for doing in [Doing::Boot, Doing::Migrate, Doing::Reading] {
        for left in [Left::Nothing, Left::Ledger, Left::Tables] {
            let context = context(doing, "db:5432", left);
            texts.push(format!(
                "{doing:?} {left:?}: {}",
                told(&no_space().into(), &context)
            ));
        }
    }
    for doing in ["", "loading", "committing"] {
        let interrupted = Failure::Interrupted {
            name: "SIGTERM",
            number: 15,
            doing,
        };
        let boot = context(Doing::Boot, "db:5432", Left::Nothing);
        texts.push(told(&interrupted.leaving(Left::Tables), &boot));
    }
    holds("left", &texts);
}

//! The exit code of a value of each variant, as the table in the README promises it.

use std::io;
use std::path::PathBuf;

use rusqlite::ffi;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_postgres::{Error as PgError, NoTls};

use super::*;
use crate::postgres::error::chain;
use crate::postgres::tls::TlsError;

/// The error that the driver makes of a server's refusal with this SQLSTATE.
fn refusal(state: &str) -> PgError {
    let mut fields = Vec::new();
    for (kind, value) in [(b'S', "FATAL"), (b'C', state), (b'M', "no")] {
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
    let rows = [
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

fn of_decisions() -> Vec<(Failure, u8)> {
    let not_this_one = |why| Failure::NotThisInstance { waited: 900, why };
    let source_path = path();
    let conflict = Failure::Conflict {
        tables: "user".to_owned(),
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

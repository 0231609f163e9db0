//! Owns what is behind an error of PostgreSQL, in plain words: one kind for each cause that has a way out of its own.
//! What the way out is, `failure` knows.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error as PgError;

use crate::postgres::error::{chain, said};
use crate::postgres::place::Place;
use crate::postgres::tls;

/// What is behind an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no database of this name.
    NoDatabase,
    /// Wrong password, or no such role.
    Password,
    /// The server asks for a password and the URL has none.
    NoPassword,
    /// The role may not log in.
    NoLogin,
    /// The server does not let this address in, or not without TLS.
    NotLetIn,
    /// The role may not connect to this database.
    NoConnect,
    /// The role may not read what is remembered of the move.
    NoRecord,
    /// Some other privilege is missing.
    NoPrivilege,
    /// No connection is free.
    TooMany,
    /// The server's disk is full.
    DiskFull,
    /// It is starting, or recovering.
    Starting,
    /// The database takes no connections.
    Closed,
    /// The server was shut down, or an administrator ended the connection.
    ShutDown,
    /// It cannot be written to.
    ReadOnly,
    /// Nothing listens there.
    Refused,
    /// The host's name is unknown.
    UnknownHost,
    /// No answer.
    Silent,
    /// What answers is not PostgreSQL.
    Stranger,
    /// The connection broke.
    Broken,
    /// Anything else: in the server's own words.
    Other,
}

impl Kind {
    /// What is behind `error`.
    pub(crate) fn of(error: &PgError) -> Self {
        let Some(state) = error.code() else {
            return of_connection(error);
        };
        let says = |words: &str| said(error, words);
        match state.code() {
            "3D000" => Self::NoDatabase,
            // PgBouncer reports its own refusals with the protocol violation's code.
            "08P01" if says("no such database") => Self::NoDatabase,
            "08P01" if says("no such user") || says("authentication failed") => Self::Password,
            "28P01" => Self::Password,
            "28000" if says("not permitted to log in") => Self::NoLogin,
            "28000" if says("pg_hba.conf") => Self::NotLetIn,
            "28000" if says("does not exist") || says("authentication failed") => Self::Password,
            "42501" if says("for database") => Self::NoConnect,
            "42501" if says("webui_init") || says("migration") => Self::NoRecord,
            "42501" => Self::NoPrivilege,
            "53300" => Self::TooMany,
            "53100" => Self::DiskFull,
            "57P03" => Self::Starting,
            "55000" if says("not currently accepting connections") => Self::Closed,
            "57P01" | "57P02" => Self::ShutDown,
            "25006" => Self::ReadOnly,
            _ => Self::Other,
        }
    }

    /// What happened, in words; none where the error's own words are the best there are.
    pub(crate) fn words(self, place: &Place) -> Option<String> {
        let Place {
            database,
            servers,
            user,
        } = place;
        Some(match self {
            Self::NoDatabase => format!("there is no database \"{database}\" on {servers}"),
            Self::Password => {
                format!(
                    "PostgreSQL at {servers} refused the password of user \"{user}\", or has no such user"
                )
            }
            Self::NoPassword => {
                format!(
                    "PostgreSQL at {servers} asks user \"{user}\" for a password, and DATABASE_URL has none"
                )
            }
            Self::NoLogin => format!("role \"{user}\" may not log in to PostgreSQL at {servers}"),
            Self::NotLetIn => {
                format!("PostgreSQL at {servers} does not let user \"{user}\" in from here")
            }
            Self::NoConnect => {
                format!("role \"{user}\" may not connect to database \"{database}\" on {servers}")
            }
            Self::NoRecord => format!(
                "role \"{user}\" may not read the record of the move in \"{database}\" (schema webui_init)"
            ),
            Self::NoPrivilege | Self::Other => return None,
            Self::TooMany => format!("PostgreSQL at {servers} has no connection free"),
            Self::DiskFull => format!("the disk of PostgreSQL at {servers} is full"),
            Self::Starting => format!("PostgreSQL at {servers} is starting or recovering"),
            Self::Closed => {
                format!("database \"{database}\" on {servers} takes no connections at present")
            }
            Self::ShutDown => {
                format!("PostgreSQL at {servers} was shut down, or ended the connection")
            }
            Self::ReadOnly => format!("PostgreSQL at {servers} is read-only"),
            Self::Refused => format!("connection refused: nothing listens at {servers}"),
            Self::UnknownHost => format!("the host name {} is unknown", place.host()),
            Self::Silent => format!("no answer from {servers}"),
            Self::Stranger => format!("what answers at {servers} is not PostgreSQL"),
            Self::Broken => format!("the connection to {servers} broke"),
        })
    }
}

fn of_connection(error: &PgError) -> Kind {
    if tls::handshake_error(error).is_some() {
        return Kind::Other;
    }
    let mut cause = error.source();
    let mut system = None;
    while let Some(next) = cause {
        system = next
            .downcast_ref::<io::Error>()
            .map(io::Error::kind)
            .or(system);
        cause = next.source();
    }
    let text = chain(error);
    match system {
        Some(io::ErrorKind::ConnectionRefused) => Kind::Refused,
        Some(io::ErrorKind::TimedOut) => Kind::Silent,
        _ if text.contains("lookup address") => Kind::UnknownHost,
        _ if text.contains("password missing") => Kind::NoPassword,
        _ if text.contains("bytes remaining") || text.contains("invalid message") => Kind::Stranger,
        _ if text.contains("unexpected message") => Kind::Stranger,
        _ if text.contains("timed out") || text.contains("timeout") => Kind::Silent,
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof,
        ) => Kind::Broken,
        _ if text.contains("connection closed") => Kind::Broken,
        _ => Kind::Other,
    }
}

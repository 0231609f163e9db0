//! Owns what PostgreSQL and the driver answer instead of a result: what such an error means, what becomes of it if
//! one waits, and how it is written on a line. What the program makes of it is `failure`'s.

use std::error::Error as StdError;

use thiserror::Error;
use tokio_postgres::Error as PgError;
use tokio_postgres::error::SqlState;

use crate::postgres::tls::{self, TlsError};

/// Why the target cannot be used.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    /// Certificates or keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// PostgreSQL's answer, or the connection's end.
    #[error("PostgreSQL {doing}")]
    Postgres {
        /// What failed, as a predicate.
        doing: &'static str,
        /// Its cause.
        source: PgError,
    },
    /// Nothing came back.
    #[error("PostgreSQL did not answer in time")]
    Stalled,
    /// It cannot be written to: a standby, or a database that a provider has set to read-only.
    #[error("PostgreSQL is read-only: a standby, or default_transaction_read_only is on")]
    ReadOnly,
    /// The pool of connections: closed, or made without what it needs. A fault of this program.
    #[error("no connection could be had")]
    Pool(#[source] Box<dyn StdError + Send + Sync>),
    /// A server that the move is not made for.
    #[error("{0}")]
    Unsupported(String),
    /// A server that speaks PostgreSQL's protocol and cannot do something that the move rests on.
    #[error("this server cannot do what the move needs: {ability}")]
    Unable {
        /// What it cannot do.
        ability: &'static str,
        /// Its answer.
        source: PgError,
    },
    /// The role may not make what has to be made.
    #[error("the role may not {0}")]
    MayNot(&'static str),
    /// `DATABASE_SCHEMA` names nothing.
    #[error("the schema {0:?} does not exist in the database")]
    NoSuchSchema(String),
    /// The session has no schema that tables could be in.
    #[error("no schema is selected: the role's search_path names none that exists")]
    NoSchema,
}

impl TargetError {
    /// What becomes of it if one waits.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Postgres { source, .. } => classify(source),
            Self::Stalled | Self::ReadOnly => Class::Transient,
            Self::MayNot(_) => Class::Refused,
            Self::Pool(_) => Class::Other,
            Self::Tls(_)
            | Self::Unsupported(_)
            | Self::Unable { .. }
            | Self::NoSuchSchema(_)
            | Self::NoSchema => Class::Configuration,
        }
    }
}

/// What becomes of an error if one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It may pass: refused connections, a server that starts, too many connections.
    Transient,
    /// Somebody else is in the way.
    Busy,
    /// Password, role or privilege.
    Refused,
    /// A wrong name or setting.
    Configuration,
    /// Anything else.
    Other,
}

/// The one table from PostgreSQL's errors to what can be done about them.
pub(crate) fn classify(error: &PgError) -> Class {
    let Some(state) = error.code() else {
        return classify_connection(error);
    };
    if *state == SqlState::INVALID_CATALOG_NAME || *state == SqlState::INVALID_SCHEMA_NAME {
        return Class::Configuration;
    }
    match state.code() {
        // PgBouncer reports its own refusals with the protocol violation's code.
        "08P01" if said(error, "no such database") => Class::Configuration,
        "08P01" if said(error, "authentication") || said(error, "no such user") => Class::Refused,
        "42501" | "25006" => Class::Refused,
        // The provider has closed the database for a while, or an administrator has.
        "55000" if said(error, "not currently accepting connections") => Class::Transient,
        // lock_not_available: somebody else is at work on the same tables.
        "55P03" => Class::Busy,
        code => match &code[..2] {
            "08" | "53" | "57" | "40" => Class::Transient,
            "28" => Class::Refused,
            _ => Class::Other,
        },
    }
}

fn classify_connection(error: &PgError) -> Class {
    let text = chain(error);
    if let Some(handshake) = tls::handshake_error(error) {
        // A certificate that is not trusted will not change by waiting; a reset in the handshake may.
        return if handshake.is_about_certificate() {
            Class::Configuration
        } else {
            Class::Transient
        };
    }
    if text.contains("TLS") {
        Class::Configuration
    } else if text.contains("authentication") || text.contains("password") {
        Class::Refused
    } else if text.contains("invalid configuration") || text.contains("invalid connection string") {
        Class::Configuration
    } else {
        Class::Transient
    }
}

/// Whether the server's message has these words.
pub(crate) fn said(error: &PgError, words: &str) -> bool {
    error
        .as_db_error()
        .is_some_and(|db| db.message().contains(words))
}

/// Whether PostgreSQL says that there is no such table.
pub(crate) fn is_absence(error: &PgError) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME
    })
}

/// Data exceptions, violated constraints, and what is too large for an index.
pub(crate) fn is_about_rows(error: &PgError) -> bool {
    error
        .code()
        .is_some_and(|state| ["22", "23", "54"].contains(&&state.code()[..2]))
}

/// Turns PostgreSQL's error into ours, with what was being done.
pub(crate) fn failed(doing: &'static str) -> impl FnOnce(PgError) -> TargetError {
    move |source| TargetError::Postgres { doing, source }
}

/// An error and its causes on one line. Of PostgreSQL's errors the message and the hint, not the detail: that
/// quotes values.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        next = cause.source();
        let said = match cause
            .downcast_ref::<PgError>()
            .and_then(PgError::as_db_error)
        {
            Some(db) => {
                next = None;
                let hint = db
                    .hint()
                    .map(|hint| format!(" ({hint})"))
                    .unwrap_or_default();
                format!("{}{hint}, SQLSTATE {}", db.message(), db.code().code())
            }
            None => cause.to_string(),
        };
        // Drivers like to repeat their cause in their own message.
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
    }
    text
}

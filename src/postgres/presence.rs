//! Owns the question whether a table is there and holds a row, asked so that nobody has to wait for the answer.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::postgres::error::{TargetError, failed};
use crate::postgres::target::brief;
use crate::sql::quote;

/// What is known of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is there and holds a row.
    Rows,
    /// It is there and holds none.
    Empty,
    /// There is no such table.
    Nothing,
    /// It is there, but somebody has locked it: nobody knows what will be in it.
    Locked,
}

/// Looks for a row of `table` in `schema`, or where the session's `search_path` leads. One message, so it can be sent
/// together with another question.
///
/// # Errors
/// PostgreSQL's, above all a missing privilege: a refusal is never absence.
pub(crate) async fn presence(
    client: &Client,
    schema: Option<&str>,
    table: &str,
) -> Result<Presence, TargetError> {
    let mut name = quote(table);
    if let Some(schema) = schema {
        name = format!("{}.{name}", quote(schema));
    }
    // The statements of one message are one transaction. A move holds the app's tables for as long as it takes.
    let script = format!("SET LOCAL lock_timeout = '300ms'; SELECT FROM {name} LIMIT 1");
    let asked = client.simple_query(&script);
    match brief(asked, failed("did not tell whether there are users")).await {
        Ok(messages) => {
            let mut messages = messages.iter();
            let row = |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(_));
            Ok(if messages.any(row) {
                Presence::Rows
            } else {
                Presence::Empty
            })
        }
        Err(TargetError::Postgres { source, doing }) => match source.code() {
            Some(code) if absent(code) => Ok(Presence::Nothing),
            Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => Ok(Presence::Locked),
            _ => Err(TargetError::Postgres { source, doing }),
        },
        Err(error) => Err(error),
    }
}

fn absent(code: &SqlState) -> bool {
    [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME].contains(code)
}

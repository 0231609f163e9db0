//! Owns what is kept in `webui_init.leftover`, as far as it is read again. What is written there is `reader`'s.

use std::pin::pin;

use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::postgres::error::{TargetError, failed};

/// A row of `webui_init.leftover`.
#[derive(Debug, Serialize)]
pub(crate) struct Leftover {
    /// The table it comes from.
    pub table: String,
    /// Its row id there, if it had one.
    pub rowid: Option<i64>,
    /// Why it is kept.
    pub reason: String,
    /// The original.
    pub row: Box<RawValue>,
}

/// Reads what is kept aside for `schema`, or for the session's own, handing each to `take`.
///
/// # Errors
/// PostgreSQL's. No table of leftovers means that there are none.
pub(crate) async fn read(
    client: &Client,
    schema: Option<&str>,
    mut take: impl FnMut(Leftover),
) -> Result<(), TargetError> {
    let doing = "did not return what is kept aside";
    let sql = "SELECT table_name, source_rowid, reason, row::text FROM webui_init.leftover
               WHERE target_schema = coalesce($1, current_schema()::text) ORDER BY id";
    let stream = match client.query_typed_raw(sql, [(&schema, Type::TEXT)]).await {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(()),
        stream => stream.map_err(failed(doing))?,
    };
    let mut stream = pin!(stream);
    while let Some(row) = stream.try_next().await.map_err(failed(doing))? {
        // PostgreSQL has checked that it is JSON.
        let Ok(original) = RawValue::from_string(row.get(3)) else {
            continue;
        };
        take(Leftover {
            table: row.get(0),
            rowid: row.get(1),
            reason: row.get(2),
            row: original,
        });
    }
    Ok(())
}

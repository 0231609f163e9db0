//! Owns the search for rows that PostgreSQL refuses and nobody foresaw: a unique index that sees more alike
//! than SQLite did, a value too long for an index, a violated check. One table is loaded with its indexes in
//! place, in batches behind savepoints; a batch that is refused is halved until single rows remain. The
//! transaction is rolled back in any case: only the knowledge is kept, and the move begins anew with it.

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio::sync::mpsc;
use tokio_postgres::{Client, Error as PgError};

use crate::catalogue::Catalogue;
use crate::copy::{CopyError, is_about_rows};
use crate::findings::{Findings, Seed};
use crate::plan::{Plan, TablePlan};
use crate::reader::{self, HEADER, ReadError, TRAILER};
use crate::source::Source;
use crate::target::{self, LockedTarget, Server, failed};

/// Rows and bytes of a batch.
const BATCH_ROWS: usize = 2000;
const BATCH_BYTES: usize = 4 << 20;

/// Finds the rows of `table` that PostgreSQL refuses. Of rows that collide, the first in row id order is kept.
///
/// # Errors
/// The source cannot be read, or PostgreSQL refuses something else than a row.
pub async fn isolate(
    locked: &LockedTarget,
    server: &Server,
    catalogue: &Catalogue,
    plan: &Plan,
    source: Source,
    findings: Findings,
    table: &str,
) -> Result<(Source, Vec<Seed>), CopyError> {
    let Some(table) = plan
        .tables
        .iter()
        .find(|planned| planned.name() == table)
        .cloned()
    else {
        return Err(CopyError::ReaderLost);
    };
    let client = deadpool_postgres::Object::take(locked.target().client().await?);
    client
        .batch_execute("BEGIN")
        .await
        .map_err(failed("did not begin a transaction"))?;
    target::without_timeouts(&client).await?;
    let script = format!(
        "{}SET LOCAL lock_timeout = '60s';\nDELETE FROM {};\n{}SET LOCAL lock_timeout = 0;",
        server.compression(),
        table.qualified,
        catalogue.foreign_keys_of(table.name()).drop_script()
    );
    client
        .batch_execute(&script)
        .await
        .map_err(failed("did not clear the table to be searched"))?;

    sift(&client, &table, &table, plan, source, findings, |_| true).await
}

/// Sends the rows of `table` for which `suspect` holds to the same table or one like it, `into`, within the
/// transaction of `client`.
///
/// # Errors
/// As [`isolate`].
pub async fn sift(
    client: &Client,
    into: &TablePlan,
    table: &TablePlan,
    plan: &Plan,
    source: Source,
    findings: Findings,
    suspect: impl Fn(i64) -> bool + Send + 'static,
) -> Result<(Source, Vec<Seed>), CopyError> {
    let (sender, mut rows) = mpsc::channel(2);
    let (plan, searched) = (plan.clone(), table.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let take = |rowid, row| !suspect(rowid) || sender.blocking_send((rowid, row)).is_ok();
        let read = reader::read_singly(&source, &plan, &findings, &searched, take);
        (source, read)
    });
    let mut refused = Vec::new();
    let mut batch: Vec<(i64, Bytes)> = Vec::new();
    let mut size = 0;
    while let Some((rowid, row)) = rows.recv().await {
        size += row.len();
        batch.push((rowid, row));
        if batch.len() >= BATCH_ROWS || size >= BATCH_BYTES {
            store(client, into, &batch, &mut refused).await?;
            batch.clear();
            size = 0;
        }
    }
    store(client, into, &batch, &mut refused).await?;
    let (source, read) = reading.await.map_err(|_| CopyError::ReaderLost)?;
    match read {
        Ok(()) => Ok((source, refused)),
        Err(ReadError::Source(error)) => Err(error.into()),
        Err(ReadError::NoReceiver) => Err(CopyError::ReaderLost),
    }
}

/// Stores a batch, by halves where it is refused.
async fn store(
    client: &Client,
    table: &TablePlan,
    batch: &[(i64, Bytes)],
    refused: &mut Vec<Seed>,
) -> Result<(), CopyError> {
    let mut waiting = vec![batch];
    while let Some(rows) = waiting.pop() {
        if rows.is_empty() {
            continue;
        }
        let savepoint = failed("did not set a savepoint");
        client
            .batch_execute("SAVEPOINT webui_init")
            .await
            .map_err(savepoint)?;
        let end = match copy(client, table, rows).await {
            Ok(()) => "RELEASE SAVEPOINT webui_init",
            Err(error) if is_about_rows(&error) => {
                if let [(rowid, _)] = rows {
                    refused.push((table.name().to_owned(), *rowid, reason(&error)));
                } else {
                    // The first half is tried first, so that the first of two rows that collide is kept.
                    let (first, second) = rows.split_at(rows.len() / 2);
                    waiting.extend([second, first]);
                }
                "ROLLBACK TO SAVEPOINT webui_init; RELEASE SAVEPOINT webui_init"
            }
            Err(error) => return Err(failed("did not take rows one by one")(error).into()),
        };
        client
            .batch_execute(end)
            .await
            .map_err(failed("did not end a savepoint"))?;
    }
    Ok(())
}

async fn copy(client: &Client, table: &TablePlan, rows: &[(i64, Bytes)]) -> Result<(), PgError> {
    let mut data = BytesMut::from(HEADER);
    for (_, row) in rows {
        data.extend_from_slice(row);
    }
    data.extend_from_slice(TRAILER);
    let statement = table.copy_statement();
    let mut sink = Box::pin(client.copy_in::<_, Bytes>(statement.as_str()).await?);
    // A refusal shows when the COPY ends, whatever sending says.
    let _ = sink.send(data.freeze()).await;
    sink.as_mut().finish().await.map(drop)
}

/// The constraint's name or the SQLSTATE; never the message's detail, which quotes values.
fn reason(error: &PgError) -> String {
    let constraint = error.as_db_error().and_then(|db| db.constraint());
    match (
        error.code().map(tokio_postgres::error::SqlState::code),
        constraint,
    ) {
        (Some("23505"), Some(constraint)) => format!("duplicate:{constraint}"),
        (Some("23514"), Some(constraint)) => format!("check:{constraint}"),
        (Some(state), _) => format!("refused:{state}"),
        (None, _) => "refused".to_owned(),
    }
}

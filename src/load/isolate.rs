//! Owns the search for rows that PostgreSQL refuses and nobody foresaw: a unique index that sees more alike
//! than SQLite did, a value too long for an index, a violated check. One table is loaded with its indexes in
//! place, in batches behind savepoints; a batch that is refused is halved until single rows remain. The
//! transaction is rolled back in any case: only the knowledge is kept, and the move begins anew with it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio::sync::mpsc;
use tokio_postgres::{CancelToken, Client, Error as PgError};

use crate::convert::copy_format::{HEADER, TRAILER};
use crate::convert::reason::Reason;
use crate::ledger::lock::LockedTarget;
use crate::load::error::CopyError;
use crate::load::findings::{Findings, RefusedRow};
use crate::load::plan::{Plan, TablePlan};
use crate::load::reader::{self, NoReceiver, ReadError};
use crate::load::watchdog::Watchdog;
use crate::output::progress::Reporter;
use crate::postgres::catalogue::Catalogue;
use crate::postgres::error::{failed, is_about_rows};
use crate::postgres::target::{self, Server};
use crate::sqlite::source::Source;

/// Rows and bytes of a batch.
const BATCH_ROWS: usize = 2000;
const BATCH_BYTES: usize = 4 << 20;

/// What the search for the rows of one table needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Isolation<'a> {
    /// The target, under the lock.
    pub locked: &'a LockedTarget,
    /// What the server can do.
    pub server: &'a Server,
    /// What rows must fit.
    pub catalogue: &'a Catalogue,
    /// What is to be moved.
    pub plan: &'a Plan,
    /// Who hears of progress.
    pub reporter: &'a Reporter,
    /// How long silence is borne.
    pub patience: Duration,
}

impl Isolation<'_> {
    /// Finds the rows of `table` that PostgreSQL refuses. Of rows that collide, the first in row id order is kept.
    /// `begun` is told how to cancel the search.
    ///
    /// # Errors
    /// The source cannot be read, or PostgreSQL refuses something else than a row.
    pub(crate) async fn run(
        self,
        source: Source,
        findings: Findings,
        table: &str,
        begun: impl FnOnce(CancelToken),
    ) -> Result<(Source, Vec<RefusedRow>), CopyError> {
        let mut tables = self.plan.tables.iter();
        let Some(table) = tables.find(|planned| planned.name() == table) else {
            return Err(CopyError::ReaderLost);
        };
        let client = deadpool_postgres::Object::take(self.locked.target().client().await?);
        target::begin(&client).await?;
        let transaction = target::transaction_id(&client).await?;
        begun(client.cancel_token());
        let script = format!(
            "{}SET LOCAL lock_timeout = '60s';\nDELETE FROM {};\n{}SET LOCAL lock_timeout = 0;",
            self.server.compression(),
            table.qualified,
            self.catalogue.foreign_keys_of(table.name()).drop_script()
        );
        let sifted = async {
            client
                .batch_execute(&script)
                .await
                .map_err(failed("did not clear the table to be searched"))?;
            let sieve = Sieve {
                client: &client,
                into: table,
                table,
                plan: self.plan,
                reporter: Some(self.reporter),
            };
            sieve.sift(source, findings, |_| true).await
        };
        Watchdog::new(self.locked, &transaction, self.patience, self.reporter)
            .over(sifted)
            .await?
    }
}

/// Where rows are sent, to see which are refused: within the transaction of `client`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sieve<'a> {
    /// The connection.
    pub client: &'a Client,
    /// The table that takes the rows, or one like it.
    pub into: &'a TablePlan,
    /// Whose rows they are.
    pub table: &'a TablePlan,
    /// What is to be moved.
    pub plan: &'a Plan,
    /// Who hears of progress, if anybody does.
    pub reporter: Option<&'a Reporter>,
}

impl Sieve<'_> {
    /// Sends the rows for which `suspect` holds.
    ///
    /// # Errors
    /// As [`Isolation::run`].
    pub(crate) async fn sift(
        self,
        source: Source,
        findings: Findings,
        suspect: impl Fn(i64) -> bool + Send + 'static,
    ) -> Result<(Source, Vec<RefusedRow>), CopyError> {
        let (sender, mut rows) = mpsc::channel(2);
        let (plan, searched) = (self.plan.clone(), self.table.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let take = |rowid, row| {
                if !suspect(rowid) {
                    return Ok(());
                }
                sender.blocking_send((rowid, row)).map_err(|_| NoReceiver)
            };
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
                self.store(&batch, &mut refused).await?;
                batch.clear();
                size = 0;
            }
        }
        self.store(&batch, &mut refused).await?;
        let (source, read) = reading.await.map_err(|_| CopyError::ReaderLost)?;
        match read {
            Ok(()) => Ok((source, refused)),
            Err(ReadError::Source(error)) => Err(error.into()),
            Err(ReadError::Stopped(NoReceiver)) => Err(CopyError::ReaderLost),
        }
    }

    /// Stores a batch, by halves where it is refused.
    async fn store(
        self,
        batch: &[(i64, Bytes)],
        refused: &mut Vec<RefusedRow>,
    ) -> Result<(), CopyError> {
        let mut waiting = vec![batch];
        while let Some(rows) = waiting.pop() {
            if rows.is_empty() {
                continue;
            }
            let savepoint = failed("did not set a savepoint");
            self.client
                .batch_execute("SAVEPOINT webui_init")
                .await
                .map_err(savepoint)?;
            let (end, decided) = match copy(self.client, self.into, rows).await {
                Ok(()) => ("RELEASE SAVEPOINT webui_init", rows.len()),
                Err(error) if is_about_rows(&error) => {
                    if let [(rowid, _)] = rows {
                        refused.push(RefusedRow {
                            table: self.into.name().to_owned(),
                            rowid: *rowid,
                            reason: reason(&error),
                        });
                    } else {
                        // The first half is tried first, so that the first of two rows that collide is kept.
                        let (first, second) = rows.split_at(rows.len() / 2);
                        waiting.extend([second, first]);
                    }
                    let end = "ROLLBACK TO SAVEPOINT webui_init; RELEASE SAVEPOINT webui_init";
                    (end, usize::from(rows.len() == 1))
                }
                Err(error) => return Err(failed("did not take rows one by one")(error).into()),
            };
            self.client
                .batch_execute(end)
                .await
                .map_err(failed("did not end a savepoint"))?;
            if let Some(reporter) = self.reporter {
                reporter.update(|progress| progress.rows += decided as u64);
            }
        }
        Ok(())
    }
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
fn reason(error: &PgError) -> Reason {
    let state = error.code().map(tokio_postgres::error::SqlState::code);
    let constraint = error.as_db_error().and_then(|db| db.constraint());
    match (state, constraint) {
        (Some("23505"), Some(constraint)) => Reason::Duplicate(constraint.to_owned()),
        (Some("23514"), Some(constraint)) => Reason::Check(constraint.to_owned()),
        (state, _) => Reason::Rejected(state.map(str::to_owned)),
    }
}

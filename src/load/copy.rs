//! Owns the one transaction in which everything happens: taking the tables, loading them, restoring their
//! indexes, and, once `proof` has agreed, writing the marker and committing. Each stage consumes the one
//! before: [`Begun`] → [`Copied`] → [`Verified`] → recorded. Dropping any of them closes the connection,
//! and PostgreSQL rolls back.

use std::collections::HashMap;
use std::convert::identity;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{ClientWrapper, Object};
use futures_util::future::try_join_all;
use futures_util::stream::FuturesOrdered;
use futures_util::{SinkExt, TryStreamExt};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CancelToken, CopyInSink, Error as PgError, Statement};

use crate::app::AppTables;
use crate::app::names;
use crate::app::occupancy::tables_in_use;
use crate::failpoint;
use crate::ledger::lock::LockedTarget;
use crate::ledger::{self, Entry, LedgerError};
use crate::load::findings::{Findings, Seed};
use crate::load::plan::{Plan, TablePlan};
use crate::load::reader::{self, Event, Outlet, ReadError, TableTally};
use crate::load::watchdog::Watchdog;
use crate::output::progress::Reporter;
use crate::postgres::catalogue::Catalogue;
use crate::postgres::error::{Class, TargetError, chain, classify, failed, is_about_rows};
use crate::postgres::target::{self, Server};
use crate::settings::Verify;
use crate::sql::{literal, quote};
use crate::sqlite::source::{Source, SourceError};

/// Chunks that may wait between reader and connection.
const CHUNKS_AHEAD: usize = 8;
/// How long VACUUM may take before the load: what it has not done by then, it is not waited for.
const VACUUM: Duration = Duration::from_mins(10);
/// How long ANALYZE may take after the move, before the app is started without.
const ANALYZE: Duration = Duration::from_mins(2);

/// Why the move did not happen.
#[derive(Debug, Error)]
pub enum CopyError {
    /// PostgreSQL's answer, or the connection's end.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The marker could not be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// PostgreSQL refused a step of the load.
    #[error("PostgreSQL refused {step}")]
    Refused {
        /// The step, as a noun phrase.
        step: String,
        /// Its answer.
        source: PgError,
    },
    /// PostgreSQL refused rows of a table, or an index over them.
    #[error("PostgreSQL refused rows of {table}")]
    RowsRefused {
        /// The table.
        table: String,
        /// Its answer.
        source: PgError,
    },
    /// Rows without a place in the target were found on the way, and others refer to them.
    #[error("rows that others refer to have no place in PostgreSQL")]
    ParentsRefused(Vec<Seed>),
    /// Somebody used the target between the first look and now.
    #[error("PostgreSQL came into use while the move was being prepared: {0} hold rows")]
    CameIntoUse(String),
    /// Somebody else completed the move.
    #[error("another instance completed the move first")]
    AlreadyMoved,
    /// What was restored is not what was dropped.
    #[error("indexes or constraints did not come back as they were: {0}")]
    NotRestored(String),
    /// COMMIT was sent, its answer lost, and the server cannot be asked what became of it.
    #[error(
        "the connection broke while PostgreSQL was committing, and it could not be asked how that ended"
    )]
    OutcomeUnknown(#[source] Box<LedgerError>),
    /// The reader thread ended without a result.
    #[error("the reader ended without a result")]
    ReaderLost,
}

/// The transaction has begun: tables are locked, empty and without secondary indexes.
#[derive(Debug)]
pub struct Begun {
    client: ClientWrapper,
    transaction: String,
    catalogue: Arc<Catalogue>,
    plan: Arc<Plan>,
}

/// How the target's tables are taken.
#[derive(Debug, Clone, Copy)]
pub struct Taking<'a> {
    /// Which tables are the app's; others do not count.
    pub app_tables: &'a AppTables,
    /// Whether rows that are there are set aside, as `WEBUI_INIT_ON_CONFLICT=replace` asks.
    pub replace: bool,
}

/// A COPY that has begun.
struct Copying {
    sink: Pin<Box<CopyInSink<bytes::Bytes>>>,
    table: String,
}

/// Every row has been sent and the indexes are back.
#[derive(Debug)]
pub struct Copied {
    begun: Begun,
    /// What became of each table.
    pub tallies: Vec<TableTally>,
}

/// What PostgreSQL returns has been compared with what was meant. Made by [`crate::load::proof`] alone.
#[derive(Debug)]
pub struct Verified(pub(crate) Copied);

impl Begun {
    /// Begins the transaction. Nothing is taken yet.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached.
    pub async fn new(
        locked: &LockedTarget,
        catalogue: Catalogue,
        plan: Plan,
    ) -> Result<Self, CopyError> {
        // Taken out of the pool for good: whatever happens, this connection is closed, not handed on.
        let client = Object::take(locked.target().client().await?);
        target::begin(&client).await?;
        failpoint::reach("transaction_begun");
        locked.announce_move(&client, &plan.schema).await?;
        let transaction = target::transaction_id(&client).await?;
        Ok(Self {
            client,
            transaction,
            catalogue: Arc::new(catalogue),
            plan: Arc::new(plan),
        })
    }

    /// Takes the tables of the plan: from here on they are ours alone, and empty.
    ///
    /// # Errors
    /// Somebody else was faster, or PostgreSQL refuses.
    pub async fn take_tables(&self, server: &Server, taking: Taking<'_>) -> Result<(), CopyError> {
        let tables: Vec<String> = self
            .plan
            .tables
            .iter()
            .map(|table| table.qualified.clone())
            .collect();
        let mut script = server.compression().to_owned();
        if !tables.is_empty() {
            // An app that runs beside us and holds a table must become an error, not a wait without end.
            script.push_str("SET LOCAL lock_timeout = '60s';\n");
            let _ = writeln!(
                script,
                "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE;",
                tables.join(", ")
            );
            script.push_str("SET LOCAL lock_timeout = 0;\n");
        }
        self.run("to lock the app's tables", &script).await?;
        failpoint::reach("tables_locked");
        // Only now is it certain: nobody can write any more.
        if ledger::read(&self.client, Some(&self.plan.schema))
            .await?
            .is_some()
        {
            return Err(CopyError::AlreadyMoved);
        }
        let used = tables_in_use(&self.client, &self.plan.schema, taking.app_tables).await?;
        if !used.is_empty() && !taking.replace {
            return Err(CopyError::CameIntoUse(used.join(", ")));
        }
        let mut script: String = format!(
            "DELETE FROM webui_init.leftover WHERE target_schema = {};\n",
            literal(&self.plan.schema)
        );
        if self.plan.loads(names::SEEDED) && used.is_empty() {
            // The app seeds its defaults here; left in place, they would shadow the settings that are moved.
            let _ = writeln!(
                script,
                "DELETE FROM {};",
                self.catalogue.qualified(names::SEEDED)
            );
        }
        script.push_str(&self.suspension().drop_script());
        self.run("to clear the way for the load", &script).await?;
        if used.is_empty() {
            Ok(())
        } else {
            self.set_aside(&used).await
        }
    }

    /// Copies what the tables of the app hold into a schema of its own and empties them.
    async fn set_aside(&self, used: &[String]) -> Result<(), CopyError> {
        let name = "SELECT 'webui_init_replaced_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS')";
        let row = self.client.query_typed_one(name, &[]).await;
        let schema: String = row.map_err(failed("did not tell the time"))?.get(0);
        let held = self
            .catalogue
            .tables
            .keys()
            .filter(|table| *table == names::SEEDED || used.contains(table));
        let mut script = format!("CREATE SCHEMA {};\n", quote(&schema));
        let mut emptied = Vec::new();
        for table in held {
            let kept = format!("{}.{}", quote(&schema), quote(table));
            let table = self.catalogue.qualified(table);
            let _ = writeln!(script, "CREATE TABLE {kept} AS TABLE {table};");
            emptied.push(table);
        }
        let _ = writeln!(script, "TRUNCATE {};", emptied.join(", "));
        self.run("to set aside what it held", &script).await?;
        tracing::warn!(
            "what PostgreSQL held ({}) is kept in its schema {schema}",
            used.join(", ")
        );
        Ok(())
    }

    fn suspension(&self) -> crate::postgres::catalogue::Suspension<'_> {
        self.catalogue.suspend(|table| self.plan.loads(table))
    }

    async fn run(&self, step: &str, script: &str) -> Result<(), CopyError> {
        self.client
            .batch_execute(script)
            .await
            .map_err(refused(step))
    }

    /// The transaction's id, for asking what becomes of it.
    pub fn transaction(&self) -> &str {
        &self.transaction
    }

    /// For cancelling whatever statement is running.
    pub fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    /// Loads every row, restores indexes and foreign keys, and sets the sequences. The source comes back
    /// either way.
    ///
    /// # Errors
    /// The source cannot be read or PostgreSQL refuses a row or an index.
    pub async fn load(
        self,
        source: Source,
        findings: Findings,
        verify: Verify,
        reporter: &Reporter,
    ) -> Result<(Source, Result<Copied, CopyError>), CopyError> {
        reporter.stage("loading");
        let digests = verify == Verify::Full;
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let plan = Arc::clone(&self.plan);
        let reading = tokio::task::spawn_blocking(move || {
            let mut outlet = Outlet {
                events: sender,
                digests,
            };
            let result = reader::read(&source, &plan, &findings, &mut outlet);
            (source, result)
        });
        // The channel closes when either side fails, so both end. PostgreSQL's error comes first: a reader
        // without a receiver only knows that nobody listens.
        let sent = self.send(receiver, reporter).await;
        let (source, read) = reading.await.map_err(|_| CopyError::ReaderLost)?;
        let copied = match sent {
            Ok(()) => self.complete(read, reporter).await,
            Err(error) => Err(error),
        };
        Ok((source, copied))
    }

    async fn complete(
        self,
        read: Result<Vec<TableTally>, ReadError>,
        reporter: &Reporter,
    ) -> Result<Copied, CopyError> {
        let tallies = match read {
            Ok(tallies) => tallies,
            Err(ReadError::Source(error)) => return Err(error.into()),
            Err(ReadError::NoReceiver) => return Err(CopyError::ReaderLost),
        };
        let refused = reader::refused_parents(&tallies, &self.catalogue);
        if !refused.is_empty() {
            return Err(CopyError::ParentsRefused(refused));
        }
        reporter.stage("restoring indexes and foreign keys");
        failpoint::reach("rows_sent");
        self.restore(reporter).await?;
        failpoint::reach("indexes_restored");
        self.set_sequences(&tallies).await?;
        failpoint::reach("sequences_set");
        Ok(Copied {
            begun: self,
            tallies,
        })
    }

    async fn send(
        &self,
        mut events: mpsc::Receiver<Event>,
        reporter: &Reporter,
    ) -> Result<(), CopyError> {
        let statements = self.prepare().await?;
        let mut copy: Option<Copying> = None;
        let mut ended: Option<Copying> = None;
        loop {
            reporter.update(|progress| progress.awaits_server = false);
            let event = events.recv().await;
            reporter.update(|progress| progress.awaits_server = true);
            match (event, &mut copy) {
                (Some(Event::Begin { statement, table }), _) => {
                    let Some(statement) = statements.get(&statement) else {
                        return Err(CopyError::ReaderLost);
                    };
                    // The next COPY is asked for with the end of the last: one round trip for a table, not two.
                    let (last, begun) =
                        tokio::join!(self.finish(ended.take()), self.client.copy_in(statement));
                    last?;
                    let sink = begun.map_err(|error| self.rows_refused(&table, error))?;
                    reporter.update(|progress| progress.table.clone_from(&table));
                    copy = Some(Copying {
                        sink: Box::pin(sink),
                        table,
                    });
                    failpoint::reach("copy_begun");
                }
                (Some(Event::Chunk(chunk, rows)), Some(copying)) => {
                    let length = chunk.len() as u64;
                    if copying.sink.send(chunk).await.is_err() {
                        // The sink only knows that it is closed; finishing it tells what the server said.
                        self.finish(copy.take()).await?;
                        return Err(CopyError::ReaderLost);
                    }
                    failpoint::reach("copy_middle");
                    reporter.update(|progress| {
                        progress.bytes += length;
                        progress.rows += rows;
                    });
                }
                (Some(Event::End), _) => ended = copy.take(),
                (Some(Event::Chunk(..)), None) => return Err(CopyError::ReaderLost),
                (None, _) => break,
            }
        }
        // The reader stopped in the middle: what it has begun is aborted, not ended.
        drop(copy);
        self.finish(ended).await
    }

    /// Every COPY of the load by its text, prepared in one round trip for all.
    async fn prepare(&self) -> Result<HashMap<String, Statement>, CopyError> {
        let statements = self.plan.tables.iter().map(TablePlan::copy_statement);
        let statements = statements.chain([reader::LEFTOVER_COPY.to_owned()]);
        let prepared = statements.map(|text| async {
            let statement = self.client.prepare(&text).await?;
            Ok((text, statement))
        });
        let prepared: Vec<_> = try_join_all(prepared)
            .await
            .map_err(refused("to prepare the load"))?;
        Ok(prepared.into_iter().collect())
    }

    /// Ends a COPY and hears what the server says of it.
    async fn finish(&self, copying: Option<Copying>) -> Result<(), CopyError> {
        let Some(Copying { mut sink, table }) = copying else {
            return Ok(());
        };
        let finished = sink.as_mut().finish().await;
        failpoint::reach("copy_ended");
        finished
            .map(drop)
            .map_err(|error| self.rows_refused(&table, error))
    }

    /// Tells rows at fault, which can be found one by one, from everything else.
    fn rows_refused(&self, table: &str, source: PgError) -> CopyError {
        if self.plan.loads(table) && is_about_rows(&source) {
            CopyError::RowsRefused {
                table: table.to_owned(),
                source,
            }
        } else {
            refused(&format!("the rows of {table}"))(source)
        }
    }

    async fn restore(&self, reporter: &Reporter) -> Result<(), CopyError> {
        let suspension = self.suspension();
        // Asked for all at once, answered one after the other: distance to the server is paid once.
        let mut restored: FuturesOrdered<_> = suspension
            .restores()
            .map(|item| async move {
                let done = self.client.batch_execute(item.restore()).await;
                done.map_err(|error| {
                    if item.is_foreign_key() {
                        refused(&format!("{} on {}", item.name, item.table))(error)
                    } else {
                        self.rows_refused(&item.table, error)
                    }
                })?;
                Ok::<_, CopyError>(&item.table)
            })
            .collect();
        while let Some(table) = restored.try_next().await? {
            reporter.update(|progress| progress.table.clone_from(table));
        }
        let lost = self.catalogue.lost(&self.client).await?;
        if !lost.is_empty() {
            return Err(CopyError::NotRestored(lost.join(", ")));
        }
        Ok(())
    }

    /// `ALTER SEQUENCE` rolls back, `setval` would not.
    async fn set_sequences(&self, tallies: &[TableTally]) -> Result<(), CopyError> {
        for table in &self.plan.tables {
            let loaded = tallies
                .iter()
                .any(|tally| tally.table == table.name() && tally.digest.rows > 0);
            for field in table.fields.iter().filter(|_| loaded) {
                let Some(sequence) = &field.column.sequence else {
                    continue;
                };
                let sql = format!(
                    "SELECT max({})::bigint FROM {}",
                    quote(&field.column.name),
                    table.qualified
                );
                let row = self
                    .client
                    .query_typed_one(&sql, &[])
                    .await
                    .map_err(failed("did not tell a sequence's end"))?;
                if let Some(last) = row.get::<_, Option<i64>>(0).filter(|last| *last > 0) {
                    let next = last.saturating_add(1);
                    self.run(
                        &format!("the sequence {sequence}"),
                        &format!("ALTER SEQUENCE {sequence} RESTART WITH {next}"),
                    )
                    .await?;
                }
            }
        }
        Ok(())
    }
}

impl Copied {
    /// The plan that was carried out.
    pub fn plan(&self) -> &Plan {
        &self.begun.plan
    }

    /// The transaction's id.
    pub fn transaction(&self) -> &str {
        &self.begun.transaction
    }

    /// The open transaction.
    pub fn client(&self) -> &ClientWrapper {
        &self.begun.client
    }

    /// Originals that were kept aside.
    pub fn leftovers(&self) -> u64 {
        self.tallies
            .iter()
            .flat_map(|tally| tally.leftovers.values())
            .map(|kept| kept.count)
            .sum()
    }
}

impl Verified {
    /// What was copied.
    pub fn copied(&self) -> &Copied {
        &self.0
    }

    /// Writes the marker, makes sure that `still_true` holds, and commits. Afterwards the move is complete,
    /// for ever. Returns the plan that was carried out.
    ///
    /// # Errors
    /// Nothing was moved, but for [`CopyError::OutcomeUnknown`], where the next start finds out.
    pub async fn record(
        self,
        entry: &Entry<'_>,
        locked: &LockedTarget,
        watchdog: Watchdog<'_>,
        still_true: impl FnOnce() -> Result<(), SourceError>,
    ) -> Result<Arc<Plan>, CopyError> {
        let Begun {
            client,
            transaction,
            plan,
            ..
        } = self.0.begun;
        watchdog.over(ledger::write(&client, entry)).await??;
        failpoint::reach("marker_written");
        still_true()?;
        failpoint::reach("before_commit");
        let error = match watchdog.over(client.batch_execute("COMMIT")).await {
            Ok(Ok(())) => return Ok(plan),
            Ok(Err(error)) => {
                let answered =
                    error.as_db_error().is_some() && classify(&error) != Class::Transient;
                let error = refused("to commit")(error);
                if answered {
                    return Err(error);
                }
                error
            }
            Err(stalled) => stalled.into(),
        };
        tracing::warn!(
            "the connection broke while PostgreSQL was committing; asking it how that ended"
        );
        // A COMMIT that never arrived must not keep the transaction open while its outcome is asked for.
        drop(client);
        if committed(locked, &transaction, entry.target_schema).await? {
            return Ok(plan);
        }
        Err(error)
    }
}

/// Asks, on a new connection, what became of a transaction whose COMMIT was not answered. It may still be
/// under way; the marker is read only after it has ended.
async fn committed(
    locked: &LockedTarget,
    transaction: &str,
    schema: &str,
) -> Result<bool, CopyError> {
    const PATIENCE: Duration = Duration::from_mins(2);
    let begun = Instant::now();
    loop {
        let answer = async {
            let client = locked.target().client().await?;
            let status: Option<String> = target::brief(
                client.query_typed_one(
                    "SELECT pg_xact_status($1::text::xid8)",
                    &[(&transaction, Type::TEXT)],
                ),
                failed("did not tell how the transaction ended"),
            )
            .await?
            .get(0);
            if status.as_deref() == Some("in progress") {
                return Ok(None);
            }
            let marker = target::brief(ledger::read(&client, Some(schema)), identity).await?;
            Ok::<_, LedgerError>(Some(marker.is_some()))
        };
        match answer.await {
            Ok(Some(committed)) => return Ok(committed),
            Ok(None) if begun.elapsed() > PATIENCE => {
                return Err(CopyError::OutcomeUnknown(Box::new(
                    TargetError::Stalled.into(),
                )));
            }
            Err(error) if begun.elapsed() > PATIENCE || error.class() != Class::Transient => {
                return Err(CopyError::OutcomeUnknown(Box::new(error)));
            }
            Ok(None) | Err(_) => {
                // A connection that fell silent would be asked again and again.
                locked.target().hang_up();
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
}

/// Gives back the room that rows of a rolled-back attempt still take: PostgreSQL leaves them where they are,
/// and a load after it would not overwrite them, so that a restart loop would eat the disk. VACUUM and not
/// TRUNCATE: the new files of a TRUNCATE stay behind for ever if the server crashes before COMMIT.
///
/// # Errors
/// The connection breaks. That a table cannot be vacuumed, or not in time, is no error; `cancel` ends the statement
/// then.
pub async fn reclaim<C: Future<Output = ()>>(
    client: &ClientWrapper,
    plan: &Plan,
    cancel: impl FnOnce() -> C,
) -> Result<(), TargetError> {
    const WORTH_IT: &str = "4 * 1024 * 1024";
    let doing = "did not tell the sizes of its tables";
    let names = plan.tables.iter().map(|table| table.qualified.as_str());
    let names: Vec<&str> = names.chain(["webui_init.leftover"]).collect();
    let sql = format!(
        "SELECT name FROM unnest($1::text[]) name WHERE pg_table_size(to_regclass(name)) > {WORTH_IT}"
    );
    let arguments: [(&(dyn ToSql + Sync), Type); 1] = [(&names, Type::TEXT_ARRAY)];
    let rows = target::brief(client.query_typed(&sql, &arguments), failed(doing)).await?;
    let swollen: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    if swollen.is_empty() {
        return Ok(());
    }
    tracing::debug!("vacuuming {}", swollen.join(", "));
    let statement = format!("VACUUM {}", swollen.join(", "));
    let error = match tokio::time::timeout(VACUUM, client.batch_execute(&statement)).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) if error.as_db_error().is_none() => {
            return Err(failed("did not clear its tables")(error));
        }
        Ok(Err(error)) => chain(&error),
        Err(_) => {
            cancel().await;
            format!("it took more than {} s", VACUUM.as_secs())
        }
    };
    tracing::debug!("not vacuumed: {error}");
    Ok(())
}

/// Tells the planner about the new rows. The move is complete without it.
pub async fn analyze(locked: &LockedTarget, plan: &Plan) {
    let tables: Vec<&str> = plan
        .tables
        .iter()
        .map(|table| table.qualified.as_str())
        .collect();
    if tables.is_empty() {
        return;
    }
    let analyzed = async {
        let client = locked.target().client().await?;
        let statement = format!("ANALYZE {}", tables.join(", "));
        match tokio::time::timeout(ANALYZE, client.batch_execute(&statement)).await {
            Ok(done) => done.map_err(failed("did not analyze the tables")),
            Err(_) => Err(TargetError::Stalled),
        }
    };
    if let Err(error) = pin!(analyzed).await {
        tracing::warn!(
            "the data is moved, but {}; autovacuum will do it later",
            chain(&error)
        );
    }
}

fn refused(step: &str) -> impl FnOnce(PgError) -> CopyError + use<> {
    let step = step.to_owned();
    |source| CopyError::Refused { step, source }
}

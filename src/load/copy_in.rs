//! Owns the load itself: the rows that the reader converts are sent by COPY, from [`Taken`] to [`Copied`]. The source is
//! read on a thread of its own.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use futures_util::SinkExt;
use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio_postgres::{CopyInSink, Error as PgError, Statement};

use crate::failpoint;
use crate::load::begun::Taken;
use crate::load::error::{CopyError, Refused, Stopped, refused};
use crate::load::findings::Findings;
use crate::load::plan::{Plan, TablePlan};
use crate::load::reader::{self, ChannelSink, Event, NoReceiver, ReadError, TableTally};
use crate::output::progress::Reporter;
use crate::postgres::error::is_about_rows;
use crate::settings::Verify;
use crate::sqlite::source::Source;

/// Chunks that may wait between reader and connection.
const CHUNKS_AHEAD: usize = 8;

/// What became of a load that did not fail.
#[derive(Debug)]
pub(crate) enum Loaded {
    /// Every row has been sent and the indexes are back.
    Complete(Box<Copied>),
    /// It must begin again, without some rows.
    Refused(Refused),
}

/// Every row has been sent and the indexes are back.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(super) taken: Taken,
    /// What became of each table.
    pub tallies: Vec<TableTally>,
}

/// A COPY that has begun.
struct Copying {
    sink: Pin<Box<CopyInSink<bytes::Bytes>>>,
    table: String,
}

impl Taken {
    /// Loads every row, restores indexes and foreign keys, and sets the sequences. The source comes back
    /// either way.
    ///
    /// # Errors
    /// The source cannot be read or PostgreSQL refuses a row or an index.
    pub(crate) async fn load(
        self,
        source: Source,
        findings: Findings,
        verify: Verify,
        reporter: &Reporter,
    ) -> Result<(Source, Loaded), CopyError> {
        reporter.stage("loading");
        let digests = verify == Verify::Full;
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let plan = Arc::clone(&self.plan);
        let reading = tokio::task::spawn_blocking(move || {
            let mut sink = ChannelSink {
                events: sender,
                digests,
            };
            let result = reader::read(&source, &plan, &findings, &mut sink);
            (source, result)
        });
        // The channel closes when either side fails, so both end. PostgreSQL's error comes first: a reader
        // without a receiver only knows that nobody listens.
        let sent = self.send(receiver, reporter).await;
        let (source, read) = reading.await.map_err(|_| CopyError::ReaderLost)?;
        let copied = match sent {
            Ok(()) => self.complete(read, reporter).await,
            Err(stopped) => Err(stopped),
        };
        match copied {
            Ok(copied) => Ok((source, Loaded::Complete(Box::new(copied)))),
            Err(Stopped::Refused(refused)) => Ok((source, Loaded::Refused(refused))),
            Err(Stopped::Failed(error)) => Err(error),
        }
    }

    async fn complete(
        self,
        read: Result<Vec<TableTally>, ReadError<NoReceiver>>,
        reporter: &Reporter,
    ) -> Result<Copied, Stopped> {
        let tallies = match read {
            Ok(tallies) => tallies,
            Err(ReadError::Source(error)) => return Err(error.into()),
            Err(ReadError::Stopped(NoReceiver)) => return Err(CopyError::ReaderLost.into()),
        };
        let refused = reader::refused_parents(&tallies, &self.catalogue);
        if !refused.is_empty() {
            return Err(Stopped::Refused(Refused::Parents(refused)));
        }
        reporter.stage("restoring indexes and foreign keys");
        failpoint::reach(failpoint::ROWS_SENT);
        self.restore(reporter).await?;
        failpoint::reach(failpoint::INDEXES_RESTORED);
        self.set_sequences(&tallies).await?;
        failpoint::reach(failpoint::SEQUENCES_SET);
        Ok(Copied {
            taken: self,
            tallies,
        })
    }

    async fn send(
        &self,
        mut events: mpsc::Receiver<Event>,
        reporter: &Reporter,
    ) -> Result<(), Stopped> {
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
                        return Err(CopyError::ReaderLost.into());
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
                    failpoint::reach(failpoint::COPY_BEGUN);
                }
                (Some(Event::Chunk(chunk, rows)), Some(copying)) => {
                    let length = chunk.len() as u64;
                    if copying.sink.send(chunk).await.is_err() {
                        // The sink only knows that it is closed; finishing it tells what the server said.
                        self.finish(copy.take()).await?;
                        return Err(CopyError::ReaderLost.into());
                    }
                    failpoint::reach(failpoint::COPY_MIDDLE);
                    reporter.update(|progress| {
                        progress.bytes += length;
                        progress.rows += rows;
                    });
                }
                (Some(Event::End), _) => ended = copy.take(),
                (Some(Event::Chunk(..)), None) => return Err(CopyError::ReaderLost.into()),
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
    async fn finish(&self, copying: Option<Copying>) -> Result<(), Stopped> {
        let Some(Copying { mut sink, table }) = copying else {
            return Ok(());
        };
        let finished = sink.as_mut().finish().await;
        failpoint::reach(failpoint::COPY_ENDED);
        finished
            .map(drop)
            .map_err(|error| self.rows_refused(&table, error))
    }

    /// Tells rows at fault, which can be found one by one, from everything else.
    pub(super) fn rows_refused(&self, table: &str, source: PgError) -> Stopped {
        if self.plan.loads(table) && is_about_rows(&source) {
            Stopped::Refused(Refused::Rows {
                table: table.to_owned(),
                source,
            })
        } else {
            refused(&format!("the rows of {table}"))(source).into()
        }
    }
}

impl Copied {
    /// The plan that was carried out.
    pub(crate) fn plan(&self) -> &Plan {
        &self.taken.plan
    }

    /// The transaction's id.
    pub(crate) fn transaction(&self) -> &str {
        &self.taken.transaction
    }

    /// The open transaction.
    pub(crate) fn client(&self) -> &ClientWrapper {
        &self.taken.client
    }

    /// Originals that were kept aside.
    pub(crate) fn leftovers(&self) -> u64 {
        self.tallies
            .iter()
            .flat_map(|tally| tally.leftovers.values())
            .map(|kept| kept.count)
            .sum()
    }
}

//! Owns the advisory locks that keep instances from moving at the same time, and the proof of having one.

use std::convert::identity;
use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::ledger::{self, LedgerError, Marker};
use crate::postgres::abilities::{ADVISORY_LOCKS, able};
use crate::postgres::error::{TargetError, failed};
use crate::postgres::target::{Target, at_work, begin, brief};

/// Who may go on.
#[derive(Debug)]
pub(crate) enum Locked {
    /// This instance has the lock, and the marker is absent.
    Ours(LockedTarget),
    /// Another instance has completed the move.
    Done(Marker),
}

impl Target {
    /// Takes the lock, or waits for whoever has it: returns the marker as soon as it is there.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] after `patience`; PostgreSQL's own.
    pub(crate) async fn lock(
        self,
        schema: &str,
        patience: Duration,
    ) -> Result<Locked, LedgerError> {
        let begun = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            if let Some(lock) = self.try_lock(schema).await? {
                // A move that lost its lock, or whose COMMIT hangs, outlives the connection that held the lock.
                if self.move_is_open(schema).await? {
                    drop(Object::take(lock));
                    self.wait_for_holder(begun, patience, &mut told).await?;
                    continue;
                }
                // Looked at again under the lock: whoever had it may have finished meanwhile.
                return Ok(match self.marker().await? {
                    Some(marker) => Locked::Done(marker),
                    None => Locked::Ours(LockedTarget { target: self, lock }),
                });
            }
            if let Some(marker) = self.marker().await? {
                return Ok(Locked::Done(marker));
            }
            self.wait_for_holder(begun, patience, &mut told).await?;
        }
    }

    async fn wait_for_holder(
        &self,
        begun: Instant,
        patience: Duration,
        told: &mut Option<Instant>,
    ) -> Result<(), LedgerError> {
        if begun.elapsed() >= patience {
            return Err(LedgerError::Locked {
                waited: begun.elapsed().as_secs(),
            });
        }
        if told.is_none_or(|at| at.elapsed() > Duration::from_secs(15)) {
            tracing::info!(
                "another instance is moving the data; waiting for it, up to {} s",
                patience.as_secs()
            );
            *told = Some(Instant::now());
        }
        self.hang_up();
        tokio::time::sleep(Duration::from_millis(500).min(patience)).await;
        Ok(())
    }

    /// Whether a transaction that moves rows into `schema` is open. To be asked under the lock: no other can begin
    /// then, for it would find its own lock lost.
    async fn move_is_open(&self, schema: &str) -> Result<bool, TargetError> {
        let client = self.client().await?;
        // A transaction of its own, which gives the lock back at once.
        let row = brief(
            client.query_typed_one(
                "SELECT pg_try_advisory_xact_lock($1)",
                &[(&move_key(schema), Type::INT8)],
            ),
            failed("did not answer about the advisory lock"),
        )
        .await?;
        Ok(!row.get::<_, bool>(0))
    }

    /// One try. The transaction of a failed one ends at once, so that a waiter behind a pooler does not
    /// occupy a server connection.
    async fn try_lock(&self, schema: &str) -> Result<Option<Object>, TargetError> {
        let client = self.client().await?;
        let doing = "did not answer about the advisory lock";
        let key = lock_key(schema);
        let arguments: [(&(dyn ToSql + Sync), Type); 1] = [(&key, Type::INT8)];
        let asked = client.query_typed_one("SELECT pg_try_advisory_xact_lock($1)", &arguments);
        // In one round trip, in this order.
        let ((), row) = tokio::try_join!(
            biased;
            begin(&client),
            able(ADVISORY_LOCKS, brief(asked, failed(doing))),
        )?;
        let got: bool = row.get(0);
        if got {
            return Ok(Some(client));
        }
        brief(client.batch_execute("ROLLBACK"), failed(doing)).await?;
        drop(client);
        self.hang_up();
        Ok(None)
    }
}

/// The target, while this instance holds the advisory lock and has read the marker as absent. Only from it
/// can a move begin.
#[derive(Debug)]
pub(crate) struct LockedTarget {
    target: Target,
    lock: Object,
}

/// What is wrong where the lock was lost.
pub(crate) const LOST: &str = "has ended the connection that held the advisory lock";

impl LockedTarget {
    /// The target itself.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Makes the transaction that `client` has begun known as a move into `schema`, until it ends. From then on the
    /// lock may be lost: whoever gets it waits for that end.
    ///
    /// # Errors
    /// The lock is lost already, or somebody else's move is still open.
    pub(crate) async fn announce_move(
        &self,
        client: &Client,
        schema: &str,
    ) -> Result<(), TargetError> {
        let doing = "did not give the advisory lock of the move";
        let script = format!(
            "SET LOCAL lock_timeout = '20s'; SELECT pg_advisory_xact_lock({}); SET LOCAL lock_timeout = 0",
            move_key(schema)
        );
        brief(client.batch_execute(&script), failed(doing)).await?;
        self.still_held().await
    }

    /// Asks the connection that holds the lock whether it lives.
    ///
    /// # Errors
    /// It does not: somebody else may have the lock now.
    pub(crate) async fn still_held(&self) -> Result<(), TargetError> {
        brief(self.lock.batch_execute("SELECT 1"), failed(LOST)).await
    }

    /// Whether the server works on a statement of `transaction`, or waits for something else than this program; an
    /// error where that cannot be known. Asked over the connection that holds the lock, for a new one may not be had.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(crate) async fn at_work(&self, transaction: &str) -> Result<bool, TargetError> {
        let asked = if self.lock.is_closed() {
            at_work(&*self.target.client().await?, transaction).await
        } else {
            at_work(&self.lock, transaction).await
        };
        asked.map_err(failed("did not tell whether it is at work"))
    }

    /// Asks the connection that holds the lock whether it still does and the marker still is absent. Used
    /// before the app is started on something else than PostgreSQL.
    ///
    /// # Errors
    /// It cannot be known.
    pub(crate) async fn still_without_marker(self) -> Result<bool, LedgerError> {
        let reading = ledger::read(&self.lock, self.target.schema());
        let marker = brief(reading, identity).await?;
        Ok(marker.is_none())
    }

    /// Ends the lock and the connections.
    pub(crate) fn release(self) {
        // Dropping it would hand the open transaction back to the pool; taken out, it is closed with it.
        drop(Object::take(self.lock));
        self.target.close();
    }
}

/// Advisory locks are numbers per database; this one means "whoever may look into moving into this schema".
fn lock_key(schema: &str) -> i64 {
    advisory_key(&format!("webui-init move into {schema}"))
}

/// And this one "rows are being moved into this schema": it is the transaction's that moves them.
pub fn move_key(schema: &str) -> i64 {
    advisory_key(&format!("webui-init rows into {schema}"))
}

fn advisory_key(meaning: &str) -> i64 {
    let digest = Sha256::digest(meaning);
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(key)
}

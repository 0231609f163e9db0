//! Owns the end of the transaction: the marker and COMMIT, and, where its answer is lost, what became of it.

use std::convert::identity;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use crate::failpoint;
use crate::ledger::lock::LockedTarget;
use crate::ledger::{self, Entry, LedgerError};
use crate::load::begun::Taken;
use crate::load::error::{CopyError, refused};
use crate::load::plan::Plan;
use crate::load::proof::Verified;
use crate::load::watchdog::Watchdog;
use crate::postgres::error::{Class, TargetError, classify, failed};
use crate::postgres::target;
use crate::sqlite::source::SourceError;

impl Verified {
    /// Writes the marker, makes sure that `still_true` holds, and commits. Afterwards the move is complete,
    /// for ever. Returns the plan that was carried out.
    ///
    /// # Errors
    /// Nothing was moved, but for [`CopyError::OutcomeUnknown`], where the next start finds out.
    pub(crate) async fn record(
        self,
        entry: &Entry<'_>,
        locked: &LockedTarget,
        watchdog: Watchdog<'_>,
        still_true: impl FnOnce() -> Result<(), SourceError>,
    ) -> Result<Arc<Plan>, CopyError> {
        let Taken {
            client,
            transaction,
            plan,
            ..
        } = self.into_copied().taken;
        watchdog.over(ledger::write(&client, entry)).await??;
        failpoint::reach(failpoint::MARKER_WRITTEN);
        still_true()?;
        failpoint::reach(failpoint::BEFORE_COMMIT);
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

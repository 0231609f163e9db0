//! Owns the first look at PostgreSQL: reaching it with patience for what passes, and reading the marker.

use std::convert::identity;
use std::time::{Duration, Instant};

use crate::ledger::{self, LedgerError, Marker};
use crate::postgres::error::{Class, TargetError, chain};
use crate::postgres::presence::{Presence, presence};
use crate::postgres::target::{Target, brief, is_read_only};

/// What a first look finds.
#[derive(Debug)]
pub(crate) struct FirstLook {
    /// The record of a move.
    pub marker: Option<Marker>,
    /// Whether the table that was asked about is not there, or is empty: what is recorded is gone then.
    pub emptied: bool,
}

impl FirstLook {
    /// The record, if what it records is still there.
    pub(crate) fn moved(&self) -> Option<&Marker> {
        self.marker
            .as_ref()
            .filter(|marker| marker.current && !self.emptied)
    }
}

impl Target {
    /// Connects and reads the marker, waiting up to `patience` for a server that is not there yet. In the same round trip it
    /// asks whether `table` holds a row.
    ///
    /// # Errors
    /// At once for what waiting does not change, else [`LedgerError::Unreachable`].
    pub(crate) async fn first_look(
        &self,
        patience: Duration,
        table: &str,
    ) -> Result<FirstLook, LedgerError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(250);
        let mut told: Option<Instant> = None;
        loop {
            // A host that swallows packets must not stretch the wait, nor a connection that fell silent use it up:
            // the next one may reach a server that has taken over.
            let left = patience
                .saturating_sub(begun.elapsed())
                .max(Duration::from_secs(1));
            let limit = left.min(self.attempt().max(patience / 4));
            let error = match tokio::time::timeout(limit, self.look(table)).await {
                Ok(Ok(look)) => return Ok(look),
                Ok(Err(error)) if error.class() == Class::Transient => error,
                Ok(Err(error)) => return Err(error),
                Err(_) => TargetError::Stalled.into(),
            };
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(LedgerError::Unreachable {
                    target: self.summary().to_owned(),
                    waited: begun.elapsed().as_secs(),
                    source: Box::new(error),
                });
            }
            if told.is_none_or(|at| at.elapsed() > Duration::from_secs(5)) {
                let cause = chain(&error);
                tracing::info!("waiting for PostgreSQL, {} s left: {cause}", left.as_secs());
                told = Some(Instant::now());
            }
            self.hang_up();
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 3 / 2).min(Duration::from_secs(3));
        }
    }

    async fn look(&self, table: &str) -> Result<FirstLook, LedgerError> {
        let client = self.client().await?;
        // Both are sent before either is answered.
        let (marker, found) = tokio::join!(
            brief(ledger::read(&client, self.schema()), identity),
            presence(&client, self.schema(), table),
        );
        let Some(marker) = marker? else {
            if is_read_only(&client).await? {
                return Err(TargetError::ReadOnly.into());
            }
            return Ok(FirstLook {
                marker: None,
                emptied: false,
            });
        };
        Ok(FirstLook {
            marker: Some(marker),
            emptied: matches!(found?, Presence::Empty | Presence::Nothing),
        })
    }

    /// Reads the marker once.
    ///
    /// # Errors
    /// PostgreSQL's; a refusal is never "absent".
    pub(crate) async fn marker(&self) -> Result<Option<Marker>, LedgerError> {
        let client = self.client().await?;
        let marker = brief(ledger::read(&client, self.schema()), identity).await?;
        if marker.is_none() && is_read_only(&client).await? {
            return Err(TargetError::ReadOnly.into());
        }
        Ok(marker)
    }
}

//! Owns the first look at PostgreSQL: reaching it with patience for what passes, and reading the marker.

use std::convert::identity;
use std::time::{Duration, Instant};

use crate::ledger::{self, LedgerError, Marker};
use crate::postgres::error::{Class, TargetError, chain};
use crate::postgres::target::{Target, brief, is_read_only};

impl Target {
    /// Connects and reads the marker, waiting up to `patience` for a server that is not there yet.
    ///
    /// # Errors
    /// At once for what waiting does not change, else [`LedgerError::Unreachable`].
    pub async fn first_look(&self, patience: Duration) -> Result<Option<Marker>, LedgerError> {
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
            let error = match tokio::time::timeout(limit, self.marker()).await {
                Ok(Ok(marker)) => return Ok(marker),
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

    /// Reads the marker once.
    ///
    /// # Errors
    /// PostgreSQL's; a refusal is never "absent".
    pub async fn marker(&self) -> Result<Option<Marker>, LedgerError> {
        let client = self.client().await?;
        let marker = brief(ledger::read(&client, self.schema()), identity).await?;
        if marker.is_none() && is_read_only(&client).await? {
            return Err(TargetError::ReadOnly.into());
        }
        Ok(marker)
    }
}

//! Owns the patience with a server that has fallen silent in the middle of the move. A long statement is
//! left alone for as long as the server is seen to work on it; what is given up is waiting for an answer or
//! for room to send where the server itself has nothing to do, is gone, or cannot be asked. TCP's own
//! keepalives find a dead host, but not a proxy that swallows everything.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::ledger::lock::LockedTarget;
use crate::output::progress::Reporter;
use crate::postgres::error::TargetError;

/// The least time after which silence ends a move, whatever `WEBUI_INIT_WAIT_SECS` says.
const LEAST: Duration = Duration::from_secs(5);

/// The connection of the move, seen from beside it.
#[derive(Debug)]
pub(crate) struct Watchdog<'a> {
    locked: &'a LockedTarget,
    /// The move's transaction. Not its server process: behind a pooler that may soon serve somebody else, even the
    /// connection that asks.
    transaction: String,
    /// How long silence is borne.
    patience: Duration,
    reporter: &'a Reporter,
}

impl<'a> Watchdog<'a> {
    /// Watches over `transaction`, by what `reporter` hears of it.
    pub(crate) fn new(
        locked: &'a LockedTarget,
        transaction: &str,
        patience: Duration,
        reporter: &'a Reporter,
    ) -> Self {
        Self {
            locked,
            transaction: transaction.to_owned(),
            patience: patience.max(LEAST),
            reporter,
        }
    }

    /// Awaits `work`, and gives it up once the server has been idle for the time set while it was its turn
    /// and nothing moved.
    ///
    /// # Errors
    /// [`TargetError::Stalled`].
    pub(crate) async fn over<T>(&self, work: impl Future<Output = T>) -> Result<T, TargetError> {
        let mut work = pin!(work);
        let pause = (self.patience / 6).clamp(Duration::from_secs(1), Duration::from_secs(10));
        let mut seen = self.reporter.seen();
        let mut moved = Instant::now();
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(pause) => {}
            }
            let now = self.reporter.seen();
            if now != seen || !now.awaits_server {
                (seen, moved) = (now, Instant::now());
                continue;
            }
            let at_work = tokio::select! {
                done = &mut work => return Ok(done),
                answer = tokio::time::timeout(pause, self.locked.at_work(&self.transaction)) => matches!(answer, Ok(Ok(true))),
            };
            if at_work {
                moved = Instant::now();
            } else if moved.elapsed() >= self.patience {
                return Err(TargetError::Stalled);
            }
        }
    }
}

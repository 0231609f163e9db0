//! Owns the frame around a command: the runtime, the signals that end it, and what has to be put in order then.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_postgres::CancelToken;

use crate::failure::Failure;
use crate::failure::row::Left;
use crate::output::progress::Reporter;
use crate::postgres::tls::Connector;
use crate::process::signals;
use crate::settings::Settings;
use crate::sqlite::scratch::{self, Scratch, ScratchError};

/// What the flow shares with whoever may have to stop it.
#[derive(Default, Clone)]
pub(crate) struct Controls {
    /// How far it is.
    pub reporter: Reporter,
    /// What a failure would leave behind in PostgreSQL.
    left: Arc<Mutex<Left>>,
    running: Arc<Mutex<Option<(Connector, CancelToken)>>>,
    scratch: Arc<Mutex<Vec<PathBuf>>>,
}

impl Controls {
    /// Asks PostgreSQL to cancel the statement of the move that is running now, if one is.
    pub(crate) async fn cancel(&self) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((connector, token)) = running
            && let Err(error) = connector.cancel(token).await
        {
            tracing::debug!("the running statement could not be cancelled: {error}");
        }
    }

    /// Removes the scratch directories that are still there. For the end of the flow: where that failed, a thread that
    /// is busy in SQLite hears of it late or not at all, and the process does not wait for it.
    pub(crate) fn clear_scratch(&self) {
        let mut made = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        for path in made.drain(..) {
            scratch::remove(&path);
        }
    }

    /// Makes the scratch directory, with `needed` bytes free.
    ///
    /// # Errors
    /// There is no place for it.
    pub(crate) fn make_scratch(
        &self,
        settings: &Settings,
        needed: u64,
    ) -> Result<Arc<Scratch>, ScratchError> {
        self.make_scratch_in(&settings.scratch_places(), needed)
    }

    /// The same in the first of these places that will do.
    ///
    /// # Errors
    /// None will.
    pub(crate) fn make_scratch_in(
        &self,
        places: &[PathBuf],
        needed: u64,
    ) -> Result<Arc<Scratch>, ScratchError> {
        let scratch = Scratch::prepare(places, needed)?;
        let mut made = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        made.push(scratch.path().to_owned());
        Ok(Arc::new(scratch))
    }

    /// From now on a failure leaves this behind in PostgreSQL.
    pub(crate) fn leaves(&self, left: Left) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }

    /// What a failure would leave behind in PostgreSQL now.
    pub(crate) fn left(&self) -> Left {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose statement it is that [`Controls::cancel`] cancels.
    pub(crate) fn set_running(&self, running: Option<(Connector, CancelToken)>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = running;
    }
}

/// Runs one flow, until it ends or a signal asks to stop.
///
/// # Errors
/// The flow's own, [`Failure::Interrupted`], or there is no runtime.
pub(crate) fn with_runtime<T, F: Future<Output = Result<T, Failure>>>(
    flow: impl FnOnce(Controls) -> F,
) -> Result<T, Failure> {
    signals::accept();
    // One thread is enough for one connection; the reader has its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let controls = Controls::default();
    let result = runtime.block_on(interruptible(&controls, async {
        tokio::select! {
            result = flow(controls.clone()) => result,
            never = controls.reporter.log() => match never {},
        }
    }));
    // A reader that is still busy must not hold up the end.
    runtime.shutdown_background();
    controls.clear_scratch();
    result.map_err(|failure| failure.leaving(controls.left()))
}

/// Runs `flow` until it ends or a signal asks to stop. Dropping the flow closes its connections and its
/// child; the statement that PostgreSQL is busy with is cancelled, so that roll back begins at once.
async fn interruptible<T>(
    controls: &Controls,
    flow: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (name, number) = tokio::select! {
        biased;
        asked = signals::asked_to_stop() => asked?,
        result = flow => return result,
    };
    let doing = controls.reporter.seen().stage;
    let _ = tokio::time::timeout(Duration::from_millis(300), controls.cancel()).await;
    Err(Failure::Interrupted {
        name,
        number,
        doing,
    })
}

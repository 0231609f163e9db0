//! Owns the thread on which SQLite is waited for, so that the program hears signals meanwhile.

use crate::sqlite::source::{Source, SourceError};

/// Runs what reads the source on a thread of its own, and gives the source back.
///
/// # Errors
/// The work's own.
pub(crate) async fn on_source<T: Send + 'static>(
    source: Source,
    work: impl FnOnce(&Source) -> Result<T, SourceError> + Send + 'static,
) -> Result<(Source, T), SourceError> {
    off_thread(move || {
        let result = work(&source)?;
        Ok((source, result))
    })
    .await
}

/// Runs what waits for SQLite on a thread of its own, so that signals are heard meanwhile.
///
/// # Errors
/// The work's own.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(lost) => Err(SourceError::ThreadLost(lost)),
    }
}

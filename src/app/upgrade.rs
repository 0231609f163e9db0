//! Owns the upgrade of a source that is older than the image: on a private copy, by Open WebUI's own Alembic.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::app::{App, AppError, Database};
use crate::failpoint;
use crate::output::progress::Reporter;
use crate::settings::AppSettings;
use crate::sqlite::scratch::{Scratch, ScratchError};
use crate::sqlite::source::{Source, SourceError};
use crate::sqlite::thread::on_source;

/// Why there is no upgraded copy.
#[derive(Debug, Error)]
pub(crate) enum UpgradeError {
    /// The source cannot be copied, or is newer than the image.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is no place for the copy.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The app's own upgrade failed.
    #[error(transparent)]
    App(#[from] AppError),
    /// Injected by a test.
    #[error(transparent)]
    Injected(#[from] io::Error),
}

/// Brings a private copy of the source to `head`: the same upgrade that the app's next ordinary start
/// would have run on the file itself. `make_scratch` is asked for a directory, with room for as many bytes, only
/// where the source has none.
///
/// # Errors
/// No room, or the app's own upgrade fails.
pub(crate) async fn upgrade_copy(
    settings: &AppSettings,
    reporter: &Reporter,
    original: Source,
    head: &str,
    make_scratch: impl FnOnce(u64) -> Result<Arc<Scratch>, ScratchError>,
) -> Result<Source, UpgradeError> {
    let from = original.revision.clone();
    tracing::info!(
        "{} is at revision {}; a private copy is upgraded to {head} first",
        original.name(),
        from.as_deref().unwrap_or("(before Alembic)")
    );
    // The upgrade rewrites tables, so for a while both forms of the largest exist.
    let room = original.bytes().saturating_mul(2);
    let scratch = match original.scratch() {
        Some(scratch) => {
            scratch.require(room)?;
            scratch
        }
        None => make_scratch(room)?,
    };
    let path = scratch.path().join("webui.db");
    reporter.stage("copying the old database");
    let copy = path.clone();
    let (original, ()) = on_source(original, move |original| original.back_up(&copy)).await?;
    failpoint::or_fail(failpoint::SOURCE_COPIED)?;
    reporter.stage("letting Open WebUI upgrade the copy");
    let app = App::new(settings, Some(scratch.path()));
    let database = Database::Copy(&path);
    app.upgrade(database)
        .await
        .map_err(|error| match (error, &from) {
            (AppError::Failed { complaint, .. }, Some(revision))
                if complaint.names("Can't locate revision") && complaint.names(revision) =>
            {
                UpgradeError::from(SourceError::Newer {
                    path: original.name().to_owned(),
                    revision: revision.clone(),
                    head: Some(head.to_owned()),
                })
            }
            (error, _) => error.into(),
        })?;
    failpoint::or_fail(failpoint::COPY_UPGRADED)?;
    let copy = original.upgraded(&path, scratch)?;
    if copy.revision.as_deref() != Some(head) {
        return Err(AppError::WrongRevision {
            database: database.name(),
            found: copy.revision.unwrap_or_else(|| "none".to_owned()),
            expected: head.to_owned(),
        }
        .into());
    }
    Ok(copy)
}

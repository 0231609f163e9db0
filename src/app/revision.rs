//! Owns the comparison of revisions: that of PostgreSQL, and that of a source beside what the image knows.

use tokio_postgres::error::SqlState;

use crate::app::{Migrations, names};
use crate::postgres::error::{TargetError, failed};
use crate::postgres::target::{Target, brief};
use crate::sql::quote;
use crate::sqlite::source::{Source, SourceError};

/// The app's revision in `schema`; none before its Alembic has run, or where a table of that name is none of Alembic's.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn of_target(
    target: &Target,
    schema: &str,
) -> Result<Option<String>, TargetError> {
    let client = target.client().await?;
    let sql = format!(
        "SELECT version_num::text FROM {}.{}",
        quote(schema),
        names::ALEMBIC
    );
    match brief(
        client.query_typed_opt(&sql, &[]),
        failed("did not tell the app's revision"),
    )
    .await
    {
        Ok(row) => Ok(row.map(|row| row.get(0))),
        Err(TargetError::Postgres { source, .. })
            if [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN]
                .iter()
                .any(|code| source.code() == Some(code)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Refuses a source that a newer Open WebUI has written, where the image's scripts can tell.
///
/// # Errors
/// [`SourceError::Newer`].
pub(crate) fn refuse_newer(source: &Source, migrations: &Migrations) -> Result<(), SourceError> {
    match &source.revision {
        Some(revision) if migrations.know(revision) == Some(false) => Err(SourceError::Newer {
            path: source.name().to_owned(),
            revision: revision.clone(),
            head: migrations.head(),
        }),
        _ => Ok(()),
    }
}

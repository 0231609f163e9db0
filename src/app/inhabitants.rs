//! Owns the question whose a PostgreSQL is that holds tables already: Open WebUI's, another application's, or Open WebUI's
//! with nobody in it but the administrator that it has made by itself.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::app::{Migrations, names};
use crate::postgres::error::{TargetError, failed};
use crate::postgres::target::brief;
use crate::sql::quote;

/// What shows that the tables in `schema` are another application's, in words; none if nothing does.
///
/// # Errors
/// PostgreSQL's, above all a missing privilege.
pub(crate) async fn strangers(
    client: &Client,
    schema: &str,
    migrations: &Migrations,
) -> Result<Option<String>, TargetError> {
    let rows = brief(
        client.query_typed(
            "SELECT a.attname::text
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE n.nspname = $1 AND c.relname = $2",
            &[(&schema, Type::TEXT), (&names::USER, Type::TEXT)],
        ),
        failed("did not tell the columns of its tables"),
    )
    .await?;
    let columns: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let lacks: Vec<&str> = names::USER_COLUMNS
        .into_iter()
        .filter(|column| !columns.iter().any(|has| has == column))
        .collect();
    if !columns.is_empty() && !lacks.is_empty() {
        return Ok(Some(format!(
            "its table {:?} has no {}",
            names::USER,
            lacks.join(", ")
        )));
    }
    let Some(revisions) = revisions(client, schema).await? else {
        return Ok(Some(format!(
            "its table {:?} is none of Alembic's",
            names::ALEMBIC
        )));
    };
    let unknown = revisions
        .into_iter()
        .find(|revision| migrations.know(revision) == Some(false));
    Ok(unknown.map(|revision| {
        format!(
            "its table {:?} says {revision:?}, which is no revision of this image's Open WebUI",
            names::ALEMBIC
        )
    }))
}

/// What Alembic has noted in `schema`, whoever ran it; none where a table of that name is none of Alembic's.
async fn revisions(client: &Client, schema: &str) -> Result<Option<Vec<String>>, TargetError> {
    let sql = format!(
        "SELECT version_num::text FROM {}.{}",
        quote(schema),
        names::ALEMBIC
    );
    match brief(
        client.query_typed(&sql, &[]),
        failed("did not tell the app's revision"),
    )
    .await
    {
        Ok(rows) => {
            let noted = rows.iter().filter_map(|row| row.get::<_, Option<_>>(0));
            Ok(Some(noted.collect()))
        }
        Err(TargetError::Postgres { source, doing }) => match source.code() {
            Some(code) if *code == SqlState::UNDEFINED_TABLE => Ok(Some(Vec::new())),
            Some(code) if *code == SqlState::UNDEFINED_COLUMN => Ok(None),
            _ => Err(TargetError::Postgres { source, doing }),
        },
        Err(error) => Err(error),
    }
}

/// Whether `used`, the tables in `schema` that hold rows, hold nothing but the account that Open WebUI makes by itself, at
/// its start, for `WEBUI_ADMIN_EMAIL`.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn only_the_administrator(
    client: &Client,
    schema: &str,
    used: &[String],
    email: Option<&str>,
) -> Result<bool, TargetError> {
    let Some(email) = email else {
        return Ok(false);
    };
    let accounts = [names::AUTH, names::USER];
    if !used.iter().any(|table| table == names::USER)
        || used.iter().any(|table| !accounts.contains(&table.as_str()))
    {
        return Ok(false);
    }
    let sql = format!(
        "SELECT count(*) = 1 AND bool_and(lower(email) = lower($1)) FROM {}.{}",
        quote(schema),
        quote(names::USER)
    );
    let row = brief(
        client.query_typed_one(&sql, &[(&email, Type::TEXT)]),
        failed("did not tell whose account it holds"),
    )
    .await?;
    Ok(row.get::<_, Option<bool>>(0).unwrap_or_default())
}

//! Owns the question whether a PostgreSQL is in use: which tables of Open WebUI hold rows.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::app::{AppTables, names};
use crate::postgres::error::{TargetError, failed};
use crate::postgres::target::brief;
use crate::sql::{literal, quote};

/// Tables of the app that hold rows, of those in `schema` that are the app's. Tables of
/// extensions, the one that the app fills by itself and the schema step's records do not count.
///
/// # Errors
/// PostgreSQL's, above all a missing privilege.
pub(crate) async fn tables_in_use(
    client: &Client,
    schema: &str,
    app_tables: &AppTables,
) -> Result<Vec<String>, TargetError> {
    let doing = "did not tell which tables hold rows";
    let rows = brief(
        client.query_typed(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname <> $2 AND c.relname <> ALL ($3)
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
             ORDER BY 1",
            &[
                (&schema, Type::TEXT),
                (&names::SEEDED, Type::TEXT),
                (&names::STEP_RECORDS.as_slice(), Type::TEXT_ARRAY),
            ],
        ),
        failed(doing),
    )
    .await?;
    let checks: Vec<String> = rows
        .iter()
        .map(|row| row.get::<_, String>(0))
        .filter(|table| app_tables.include(table))
        .map(|table| {
            format!(
                "SELECT {} WHERE EXISTS (SELECT FROM {}.{})",
                literal(&table),
                quote(schema),
                quote(&table)
            )
        })
        .collect();
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    let rows = brief(
        client.query_typed(&checks.join(" UNION ALL "), &[]),
        failed(doing),
    )
    .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

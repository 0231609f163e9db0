//! Owns the values of types that [`value`] does not know: PostgreSQL's own input function decides. Every text
//! that occurs in such a column is sent to it beforehand, once, and the result is the binary form that the
//! load then sends; so the rest of the move needs no second way. Open WebUI has no such column today. The
//! different values of one are held in memory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error as PgError};

use crate::convert::value::{self, InputResults, Kind};
use crate::load::plan::{Plan, TablePlan, Unasked};
use crate::postgres::error::{TargetError, failed, is_about_rows};
use crate::sql::quote;
use crate::sqlite::source::{Source, SourceError};
use crate::sqlite::thread::on_source;

/// Texts in one query.
const BATCH: usize = 500;
/// How long one query may take.
const PATIENCE: Duration = Duration::from_mins(1);
const DOING: &str = "did not say what it makes of a value";

/// Why the values could not be asked about.
#[derive(Debug, Error)]
pub(crate) enum OtherTypesError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// PostgreSQL cannot be asked.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl Unasked {
    /// Asks about every column that needs it; the plan then knows the results.
    ///
    /// # Errors
    /// The source cannot be read; PostgreSQL cannot be asked. That it refuses a value is a result.
    pub(crate) async fn ask(
        self,
        client: &Client,
        mut source: Source,
    ) -> Result<(Source, Plan), OtherTypesError> {
        let Self(mut plan) = self;
        for table in &mut plan.tables {
            for at in 0..table.fields.len() {
                if table.fields[at].column.value.kind != Kind::Other {
                    continue;
                }
                let texts;
                (source, texts) = {
                    let table = table.clone();
                    on_source(source, move |source| texts_of(source, &table, at)).await?
                };
                let column = &mut table.fields[at].column;
                let query = format!(
                    "SELECT {}(CAST(v AS {})) FROM unnest($1) WITH ORDINALITY t(v, n) ORDER BY n",
                    column.send, column.type_name
                );
                let results = input_results(client, &query, &texts).await?;
                column.value.input_results = Some(Arc::new(results));
            }
        }
        Ok((source, plan))
    }
}

fn texts_of(source: &Source, table: &TablePlan, field: usize) -> Result<Vec<String>, SourceError> {
    let Some(from) = table.fields[field].from else {
        return Ok(Vec::new());
    };
    let column = quote(&table.source.columns[from.0].name);
    let sql = format!(
        "SELECT DISTINCT {column} FROM main.{} WHERE {column} IS NOT NULL",
        quote(table.name())
    );
    let read = || -> rusqlite::Result<BTreeSet<Vec<u8>>> {
        let mut statement = source.connection().prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut texts = BTreeSet::new();
        while let Some(row) = rows.next()? {
            texts.extend(value::as_text(row.get_ref(0)?).map(|(text, _)| text));
        }
        Ok(texts)
    };
    let texts = read().map_err(|error| source.failed(error))?;
    // What becomes a text value is UTF-8.
    Ok(texts
        .into_iter()
        .filter_map(|text| String::from_utf8(text).ok())
        .collect())
}

/// Asks in batches; a batch that is refused is halved until single texts remain. Nothing is written.
async fn input_results(
    client: &Client,
    query: &str,
    texts: &[String],
) -> Result<InputResults, TargetError> {
    let mut results = InputResults::new();
    let mut waiting: Vec<&[String]> = texts.chunks(BATCH).collect();
    while let Some(batch) = waiting.pop() {
        let arguments: [(&(dyn ToSql + Sync), Type); 1] = [(&batch, Type::TEXT_ARRAY)];
        let asked = tokio::time::timeout(PATIENCE, client.query_typed(query, &arguments)).await;
        let answer: Result<_, PgError> = asked.map_err(|_| TargetError::Stalled)?;
        match (answer, batch) {
            (Ok(rows), _) => results.extend(
                batch
                    .iter()
                    .zip(&rows)
                    .map(|(text, row)| (text.clone().into_bytes(), row.get(0))),
            ),
            (Err(error), [text]) if is_about_rows(&error) => {
                results.insert(text.clone().into_bytes(), None);
            }
            (Err(error), _) if is_about_rows(&error) => {
                let (first, second) = batch.split_at(batch.len() / 2);
                waiting.extend([first, second]);
            }
            (Err(error), _) => return Err(failed(DOING)(error)),
        }
    }
    Ok(results)
}

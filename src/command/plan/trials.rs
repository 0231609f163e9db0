//! Owns the foresight of `webui-init plan`: which rows PostgreSQL would refuse that no look at the source
//! alone shows. Rows that may collide, or whose keys may be too long for an index, are tried out, by
//! PostgreSQL itself, on a temporary table like the app's, in a transaction that is rolled back.

use std::collections::HashSet;

use bytes::Bytes;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::failure::Failure;
use crate::load::findings::{Findings, Seed};
use crate::load::isolate::Sieve;
use crate::load::plan::{Plan, TablePlan};
use crate::load::reader::{self, ReadError};
use crate::postgres::catalogue::{self, Catalogue, Nulls};
use crate::postgres::error::{TargetError, failed};
use crate::postgres::target::{self, Server};
use crate::sqlite::source::{Source, SourceError};
use crate::sqlite::thread::on_source;

/// The temporary table on which rows are tried out.
const TRIAL: &str = "webui_init_trial";
/// Bytes of a key, uncompressed, from which an index may find its entry too long (a third of a page, less
/// what a page holds besides).
const LONG: usize = 2600;

/// Which rows of a table are worth a trial.
#[derive(Debug)]
enum Suspects {
    All,
    These(HashSet<i64>),
}

/// What PostgreSQL would say of one table.
#[derive(Debug)]
pub struct Foreseen {
    /// The table.
    pub name: String,
    /// Whether it would say so while the rows are loaded; else when indexes are restored.
    pub while_loading: bool,
    /// The rows, with the reason.
    pub rows: Vec<Seed>,
}

/// Where rows are tried out.
#[derive(Debug, Clone, Copy)]
pub struct Trials<'a> {
    /// A connection of its own.
    pub client: &'a Client,
    /// What the server can do.
    pub server: &'a Server,
    /// What rows must fit.
    pub catalogue: &'a Catalogue,
    /// What is to be moved.
    pub plan: &'a Plan,
}

const DOING: &str = "did not let rows be tried out on a temporary table";

impl Trials<'_> {
    /// Tries the suspects of every table, in the order of the plan, and tells of the tables that would lose
    /// rows; or why it cannot.
    ///
    /// # Errors
    /// The source cannot be read; PostgreSQL refuses something else than a row.
    pub async fn run(
        self,
        mut source: Source,
        findings: &Findings,
    ) -> Result<(Source, Result<Vec<Foreseen>, TargetError>), Failure> {
        let mut all = Vec::new();
        for table in &self.plan.tables {
            let Some(target) = self.catalogue.tables.get(table.name()) else {
                continue;
            };
            let suspects: Suspects;
            (source, suspects) = {
                let (plan, table, target) = (self.plan.clone(), table.clone(), target.clone());
                let findings = findings.clone();
                on_source(source, move |source| {
                    suspects_in(source, &plan, &findings, &table, &target)
                })
                .await?
            };
            let suspect: Box<dyn Fn(i64) -> bool + Send> = match suspects {
                Suspects::These(rows) if rows.is_empty() => continue,
                Suspects::These(rows) => Box::new(move |rowid| rows.contains(&rowid)),
                Suspects::All => Box::new(|_| true),
            };
            if let Err(denied) = self.begin(table).await {
                return Ok((source, Err(denied)));
            }
            let mut trial = table.clone();
            trial.qualified = format!("pg_temp.{TRIAL}");
            let findings = findings.clone();
            let rows;
            let sieve = Sieve {
                client: self.client,
                into: &trial,
                table,
                plan: self.plan,
                reporter: None,
            };
            (source, rows) = sieve.sift(source, findings, suspect).await?;
            let names = self.index_names().await?;
            target::brief(self.client.batch_execute("ROLLBACK"), failed(DOING)).await?;
            if !rows.is_empty() {
                all.push(Foreseen::new(rows, &names, target));
            }
        }
        Ok((source, Ok(all)))
    }

    async fn begin(self, table: &TablePlan) -> Result<(), TargetError> {
        target::begin(self.client).await?;
        let script = format!(
            "{}CREATE TEMP TABLE {TRIAL} (LIKE {} INCLUDING ALL) ON COMMIT DROP",
            self.server.compression(),
            table.qualified
        );
        let made = target::brief(self.client.batch_execute(&script), failed(DOING)).await;
        if made.is_err() {
            target::brief(self.client.batch_execute("ROLLBACK"), failed(DOING)).await?;
        }
        made
    }

    async fn index_names(self) -> Result<Vec<String>, TargetError> {
        let sql = "SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                    WHERE x.indrelid = to_regclass($1) ORDER BY x.indexrelid";
        let name = format!("pg_temp.{TRIAL}");
        let asked = self.client.query_typed(sql, &[(&name, Type::TEXT)]).await;
        let rows = asked.map_err(failed(DOING))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

impl Foreseen {
    /// PostgreSQL made up the names of the trial's indexes, in the order of the table's own.
    fn new(mut rows: Vec<Seed>, names: &[String], target: &catalogue::Table) -> Self {
        let mut while_loading = false;
        for (.., reason) in &mut rows {
            let index = reason
                .strip_prefix("duplicate:")
                .and_then(|name| names.iter().position(|trial| trial == name))
                .and_then(|at| target.indexes.get(at));
            match index {
                Some(index) => {
                    while_loading |= index.primary;
                    *reason = format!("duplicate:{}", index.name);
                }
                None => while_loading |= reason.starts_with("check:"),
            }
        }
        Self {
            name: target.name.clone(),
            while_loading,
            rows,
        }
    }
}

fn suspects_in(
    source: &Source,
    plan: &Plan,
    findings: &Findings,
    table: &TablePlan,
    target: &catalogue::Table,
) -> Result<Suspects, SourceError> {
    let beyond_bytes = target
        .indexes
        .iter()
        .any(|index| index.unique.is_some() && !index.plain);
    if target.checked || beyond_bytes {
        return Ok(Suspects::All);
    }
    let indexed = |name: &str| {
        let mut columns = target.indexes.iter().flat_map(|index| &index.columns);
        columns.any(|column| column == name)
    };
    let nulls_foreseen = findings
        .of(table.name())
        .is_some_and(|found| !found.nulled.is_empty());
    // Findings speak of columns by their position.
    let narrow = if nulls_foreseen {
        table.clone()
    } else {
        table.clone().only(indexed)
    };
    let position = |name: &String| {
        let mut fields = narrow.fields.iter();
        fields.position(|field| field.column.name == *name)
    };
    let places: Vec<(Vec<usize>, Option<Nulls>)> = target
        .indexes
        .iter()
        .filter_map(|index| {
            let columns = index.columns.iter().map(position);
            Some((columns.collect::<Option<_>>()?, index.unique))
        })
        .collect();
    let mut suspects = HashSet::new();
    let mut keys: Vec<Vec<([u8; 16], i64)>> = vec![Vec::new(); places.len()];
    let take = |rowid: i64, row: Bytes| {
        let images = images(&row);
        for ((columns, unique), keys) in places.iter().zip(&mut keys) {
            let parts = || columns.iter().filter_map(|at| images.get(*at));
            if parts().map(|image| image.len()).sum::<usize>() > LONG {
                suspects.insert(rowid);
            }
            let has_null = parts().any(|image| image.starts_with(&NULL));
            if *unique == Some(Nulls::Equal) || (unique.is_some() && !has_null) {
                let mut hash = crate::convert::digest::RowHash::new(columns.len());
                parts().for_each(|image| hash.field(0, image));
                keys.push((hash.finish(), rowid));
            }
        }
        true
    };
    match reader::read_singly(source, plan, findings, &narrow, take) {
        Ok(()) => {}
        Err(ReadError::Source(error)) => return Err(error),
        // A closure that takes everything is never gone.
        Err(ReadError::NoReceiver) => return Ok(Suspects::All),
    }
    for mut keys in keys {
        keys.sort_unstable();
        for alike in keys.chunk_by(|a, b| a.0 == b.0) {
            if alike.len() > 1 {
                suspects.extend(alike.iter().map(|(_, rowid)| rowid));
            }
        }
    }
    Ok(Suspects::These(suspects))
}

/// The length of a field that is NULL, in the binary format of COPY.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// The fields of a row in the binary format of COPY, each with its length in front.
fn images(row: &[u8]) -> Vec<&[u8]> {
    let mut rest = row.get(2..).unwrap_or_default();
    let mut images = Vec::new();
    while let Some((length, _)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (image, after) = rest.split_at((4 + length).min(rest.len()));
        images.push(image);
        rest = after;
    }
    images
}

#[cfg(test)]
mod tests {
    use super::images;

    #[test]
    fn a_row_falls_into_its_fields() {
        let row = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(
            images(row),
            [
                &b"\0\0\0\x02ab"[..],
                &b"\xff\xff\xff\xff"[..],
                &b"\0\0\0\0"[..]
            ]
        );
    }
}

//! Owns the foresight of `webui-init plan`: which rows PostgreSQL would refuse that no look at the source
//! alone shows. Rows that may collide, or whose keys may be too long for an index, are tried out, by
//! PostgreSQL itself, on a temporary table like the app's, in a transaction that is rolled back.

use std::collections::HashSet;
use std::convert::Infallible;

use bytes::Bytes;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::convert::copy_format;
use crate::convert::digest::RowHash;
use crate::convert::reason::Reason;
use crate::failure::Failure;
use crate::load::findings::{Findings, RefusedRow};
use crate::load::isolate::Sieve;
use crate::load::plan::{Plan, TablePlan};
use crate::load::reader;
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
pub(crate) struct Foreseen {
    /// The table.
    pub name: String,
    /// Whether it would say so while the rows are loaded; else when indexes are restored.
    pub while_loading: bool,
    /// The rows, with the reason.
    pub rows: Vec<RefusedRow>,
}

/// Where rows are tried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trials<'a> {
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
    pub(crate) async fn run(
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
    fn new(mut rows: Vec<RefusedRow>, names: &[String], target: &catalogue::Table) -> Self {
        let mut while_loading = false;
        for row in &mut rows {
            match &mut row.reason {
                Reason::Duplicate(name) => {
                    let at = names.iter().position(|trial| trial == name);
                    if let Some(index) = at.and_then(|at| target.indexes.get(at)) {
                        while_loading |= index.primary;
                        name.clone_from(&index.name);
                    }
                }
                Reason::Check(_) => while_loading = true,
                _ => {}
            }
        }
        Self {
            name: target.name.clone(),
            while_loading,
            rows,
        }
    }
}

/// An index of the target, by the fields that are read.
struct Indexed {
    fields: Vec<usize>,
    unique: Option<Nulls>,
    /// The hash of each row's key, where that may collide.
    keys: Vec<([u8; 16], i64)>,
}

impl Indexed {
    /// Takes a row; whether its key may be too long.
    fn take(&mut self, rowid: i64, fields: &[&[u8]]) -> bool {
        let parts = || self.fields.iter().filter_map(|at| fields.get(*at));
        let has_null = parts().any(|field| field.starts_with(&copy_format::NULL));
        let long = parts().map(|field| field.len()).sum::<usize>() > LONG;
        if self.unique == Some(Nulls::Equal) || (self.unique.is_some() && !has_null) {
            let mut hash = RowHash::new(self.fields.len());
            parts().for_each(|field| hash.field(0, field));
            self.keys.push((hash.finish(), rowid));
        }
        long
    }

    /// The rows whose keys may collide.
    fn alike(mut self) -> impl Iterator<Item = i64> {
        self.keys.sort_unstable();
        let groups = self.keys.chunk_by(|a, b| a.0 == b.0);
        let alike = groups.filter(|group| group.len() > 1).flatten();
        alike
            .map(|(_, rowid)| *rowid)
            .collect::<Vec<_>>()
            .into_iter()
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
    let is_in_a_key = |name: &str| {
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
        table.clone().only(is_in_a_key)
    };
    let position = |name: &String| {
        let mut fields = narrow.fields.iter();
        fields.position(|field| field.column.name == *name)
    };
    let indexes = target.indexes.iter().filter_map(|index| {
        Some(Indexed {
            fields: index.columns.iter().map(position).collect::<Option<_>>()?,
            unique: index.unique,
            keys: Vec::new(),
        })
    });
    let mut indexes: Vec<Indexed> = indexes.collect();
    let mut suspects = HashSet::new();
    let take = |rowid: i64, row: Bytes| {
        let fields = copy_format::fields(&row);
        for index in &mut indexes {
            if index.take(rowid, &fields) {
                suspects.insert(rowid);
            }
        }
        Ok::<_, Infallible>(())
    };
    reader::only_source(reader::read_singly(source, plan, findings, &narrow, take))?;
    suspects.extend(indexes.into_iter().flat_map(Indexed::alike));
    Ok(Suspects::These(suspects))
}

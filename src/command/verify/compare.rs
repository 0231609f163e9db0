//! Owns the comparison itself: every row of the source, read as a move would, and its like in PostgreSQL.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::command::verify::TableAudit;
use crate::convert::digest;
use crate::convert::reason::{Reason, is_of_a_row_in_place};
use crate::ledger::leftovers;
use crate::load::findings::{Findings, RefusedRow};
use crate::load::plan::{Plan, TablePlan};
use crate::load::reader::{self, Event, Sink, TableTally};
use crate::postgres::catalogue::Catalogue;
use crate::postgres::error::{TargetError, failed};
use crate::sqlite::source::{Source, SourceError};

/// How many keys of each kind are named.
const NAMED_KEYS: usize = 3;

type Hash = [u8; 16];

/// By table, the hash of each row by the hash of its key.
pub(super) type Rows = HashMap<String, HashMap<Hash, Hash>>;

/// What PostgreSQL holds.
pub(super) struct Held {
    rows: Rows,
    /// What is kept aside.
    kept: Kept,
}

/// What `webui_init.leftover` holds, by table.
#[derive(Default)]
struct Kept {
    /// Whole rows.
    rows: HashMap<String, u64>,
    /// Parts of rows that are in place.
    parts: HashMap<String, u64>,
    /// Rows that PostgreSQL refused, for reasons that no look at the source shows.
    refused: Vec<RefusedRow>,
}

impl Held {
    /// Reads it.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(super) async fn read(
        client: &Client,
        schema: &str,
        plan: &Plan,
    ) -> Result<Self, TargetError> {
        let mut kept = Kept::default();
        leftovers::read(client, Some(schema), |leftover| {
            let counts = if is_of_a_row_in_place(&leftover.reason) {
                &mut kept.parts
            } else {
                &mut kept.rows
            };
            *counts.entry(leftover.table.clone()).or_default() += 1;
            let reason = Reason::parse(&leftover.reason);
            if let (Some(rowid), Some(reason)) = (leftover.rowid, reason)
                && !reason.row_is_in_place()
                && !matches!(reason, Reason::UnknownTable | Reason::Orphan(_))
            {
                let table = leftover.table;
                kept.refused.push(RefusedRow {
                    table,
                    rowid,
                    reason,
                });
            }
        })
        .await?;
        let mut held = HashMap::new();
        for table in &plan.tables {
            held.insert(table.name().to_owned(), rows(client, table).await?);
        }
        Ok(Self { rows: held, kept })
    }
}

/// Every row of a table in PostgreSQL: its key's hash and its own.
async fn rows(client: &Client, table: &TablePlan) -> Result<HashMap<Hash, Hash>, TargetError> {
    let doing = "did not return the hashes of its rows";
    let sql = digest::rows_query(&table.qualified, &table.primary_columns(), &table.columns());
    let nothing: [(&(dyn ToSql + Sync), Type); 0] = [];
    let stream = client
        .query_typed_raw(&sql, nothing)
        .await
        .map_err(failed(doing))?;
    let mut stream = pin!(stream);
    let mut rows = HashMap::new();
    while let Some(row) = stream.try_next().await.map_err(failed(doing))? {
        rows.insert(hash(row.get(0)), hash(row.get(1)));
    }
    Ok(rows)
}

fn hash(bytes: &[u8]) -> Hash {
    let mut hash = Hash::default();
    let length = bytes.len().min(hash.len());
    hash[..length].copy_from_slice(&bytes[..length]);
    hash
}

/// The rows of another upgrade of the same source: where it differs from the first, upgrades do.
///
/// # Errors
/// The source cannot be read.
pub(super) fn rows_of(
    source: &Source,
    plan: &Plan,
    catalogue: &Catalogue,
) -> Result<Rows, SourceError> {
    let findings = Findings::search(source.connection(), plan, catalogue, &[])
        .map_err(|error| source.failed(error))?;
    let mut collected = Collected::default();
    reader::only_source(reader::read(source, plan, &findings, &mut collected))?;
    Ok(collected.0)
}

#[derive(Default)]
struct Collected(Rows);

impl Sink for Collected {
    type Stopped = Infallible;

    fn take(&mut self, _event: Event) -> Result<(), Infallible> {
        Ok(())
    }

    fn wants_rows(&self) -> bool {
        true
    }

    fn row(&mut self, table: &str, key: Hash, hash: Hash, _name: &dyn Fn() -> String) {
        if !self.0.contains_key(table) {
            self.0.insert(table.to_owned(), HashMap::new());
        }
        if let Some(rows) = self.0.get_mut(table) {
            rows.insert(key, hash);
        }
    }
}

/// Compares every row of the source. `again` are the rows of another upgrade of it, where it had to be upgraded.
///
/// # Errors
/// The source cannot be read.
pub(super) fn compare(
    source: &Source,
    plan: &Plan,
    catalogue: &Catalogue,
    held: Held,
    again: Rows,
) -> Result<Vec<TableAudit>, SourceError> {
    let Held { rows, kept } = held;
    let findings = Findings::search(source.connection(), plan, catalogue, &kept.refused)
        .map_err(|error| source.failed(error))?;
    let mut comparison = Comparison {
        held: rows,
        again,
        tables: BTreeMap::new(),
    };
    let tallies = reader::only_source(reader::read(source, plan, &findings, &mut comparison))?;
    for tally in tallies.iter().filter(|tally| tally.read > 0) {
        comparison.count_kept(tally, &kept);
    }
    let Comparison {
        held, mut tables, ..
    } = comparison;
    for (table, rest) in held.into_iter().filter(|(_, rest)| !rest.is_empty()) {
        tables.entry(table).or_default().extra = rest.len() as u64;
    }
    let named = tables
        .into_iter()
        .map(|(table, audit)| TableAudit { table, ..audit });
    Ok(named.collect())
}

/// Takes each row of the source and looks for its like.
struct Comparison {
    held: Rows,
    again: Rows,
    tables: BTreeMap<String, TableAudit>,
}

impl Comparison {
    /// What a move would keep aside is kept only if `webui_init.leftover` holds it.
    fn count_kept(&mut self, tally: &TableTally, kept: &Kept) {
        let expected = |in_place| -> u64 {
            let of_kind = tally
                .leftovers
                .iter()
                .filter(|(reason, _)| reason.row_is_in_place() == in_place);
            of_kind.map(|(_, kept)| kept.count).sum()
        };
        let there =
            |kept: &HashMap<String, u64>| kept.get(&tally.table).copied().unwrap_or_default();
        let audit = self.tables.entry(tally.table.clone()).or_default();
        audit.kept_aside = expected(false).min(there(&kept.rows));
        audit.missing += expected(false) - audit.kept_aside;
        audit.lost_originals = expected(true).saturating_sub(there(&kept.parts));
    }
}

impl Sink for Comparison {
    type Stopped = Infallible;

    fn take(&mut self, _event: Event) -> Result<(), Infallible> {
        Ok(())
    }

    fn wants_rows(&self) -> bool {
        true
    }

    fn row(&mut self, table: &str, key: Hash, hash: Hash, name: &dyn Fn() -> String) {
        let found = self.held.get_mut(table).and_then(|rows| rows.remove(&key));
        let other = self.again.get(table).and_then(|rows| rows.get(&key));
        let made_anew = other.is_some_and(|other| *other != hash);
        if !self.tables.contains_key(table) {
            self.tables.insert(table.to_owned(), TableAudit::default());
        }
        let Some(audit) = self.tables.get_mut(table) else {
            return;
        };
        match found {
            Some(found) if found == hash => audit.equal += 1,
            // Each upgrade draws or stamps something in this row.
            Some(_) if made_anew => audit.renumbered += 1,
            Some(_) => {
                audit.changed += 1;
                if audit.changed_keys.len() < NAMED_KEYS {
                    audit.changed_keys.push(name());
                }
            }
            None => {
                audit.missing += 1;
                if audit.missing_keys.len() < NAMED_KEYS {
                    audit.missing_keys.push(name());
                }
            }
        }
    }
}

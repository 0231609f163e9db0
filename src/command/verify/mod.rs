//! Owns `webui-init verify`: source and target are compared as they are now, table by table. A table whose
//! digest agrees is done; of any other, every row is looked up by its key.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::pin::pin;

use futures_util::TryStreamExt;
use serde::Serialize;
use tokio_postgres::types::ToSql;
use tokio_postgres::types::Type;

use crate::app::revision;
use crate::app::upgrade::upgrade_copy;
use crate::command::frame::Controls;
use crate::command::open::open_source;
use crate::convert::digest;
use crate::convert::reason::{Reason, is_of_a_row_in_place};
use crate::failure::Failure;
use crate::ledger::leftovers;
use crate::load::findings::{Findings, Seed};
use crate::load::other_types;
use crate::load::plan::{Plan, TablePlan};
use crate::load::reader::{self, Event, ReadError, Sink};
use crate::postgres::catalogue::Catalogue;
use crate::postgres::error::{TargetError, failed};
use crate::postgres::target::Target;
use crate::settings::Settings;
use crate::sqlite::source::{self, Found, Source, SourceError};
use crate::sqlite::thread::off_thread;

/// How many keys of each kind are named.
const NAMED_KEYS: usize = 3;

/// The comparison.
#[derive(Debug, Serialize)]
pub struct Audit {
    /// Database, host and role.
    pub target: String,
    /// Whether the marker is there.
    pub moved: bool,
    /// Every table that holds rows on either side.
    pub tables: BTreeMap<String, TableAudit>,
}

/// The comparison of one table.
#[derive(Debug, Default, Serialize)]
pub struct TableAudit {
    /// Rows that are equal on both sides.
    pub equal: u64,
    /// Rows that PostgreSQL holds with another content: the app has changed them since.
    pub changed: u64,
    /// Rows that PostgreSQL does not hold.
    pub missing: u64,
    /// Rows that only PostgreSQL holds: the app has made them since.
    pub extra: u64,
    /// Rows that Open WebUI's own upgrade of the old database makes under new random ids each time it runs:
    /// as many on both sides, and not to be told apart.
    pub renumbered: u64,
    /// Rows of the source that are kept aside in `webui_init.leftover`.
    pub kept_aside: u64,
    /// Keys of the first missing rows.
    pub missing_keys: Vec<String>,
    /// Keys of the first changed rows.
    pub changed_keys: Vec<String>,
}

impl TableAudit {
    fn pair_renumbered(&mut self) {
        self.renumbered = self.missing.min(self.extra);
        self.missing -= self.renumbered;
        self.extra -= self.renumbered;
        if self.missing == 0 {
            self.missing_keys.clear();
        }
    }
}

type Hash = [u8; 16];

/// Compares every table.
///
/// # Errors
/// Either side cannot be read. Differences are no error here.
pub async fn audit(settings: &Settings, controls: &Controls) -> Result<Audit, Failure> {
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    let marker = target.first_look(settings.wait).await?;
    let server = target.server().await?;
    let mut audit = Audit {
        target: target.summary().to_owned(),
        moved: marker.is_some(),
        tables: BTreeMap::new(),
    };
    let Found::File(location) = source::locate(&settings.source)? else {
        return Err(Failure::NothingToCompare(settings.source_name()));
    };
    let (source, _) = open_source(settings, controls, location, 3).await?;
    let (source, upgraded) = match revision::of_target(&target, &server.schema).await? {
        Some(head) if source.revision.as_ref() != Some(&head) => {
            let make_scratch = |room| controls.make_scratch(settings, room);
            let reporter = &controls.reporter;
            let copy = upgrade_copy(&settings.app, reporter, source, &head, make_scratch).await?;
            (copy, true)
        }
        _ => (source, false),
    };
    let client = target.client().await?;
    let catalogue = Catalogue::read(&client, &server.schema).await?;
    let mut plan = Plan::new(&source.tables, &catalogue);
    let source = other_types::ask(&client, source, &mut plan).await?;
    let mut known: Vec<Seed> = Vec::new();
    let mut kept: HashMap<String, u64> = HashMap::new();
    leftovers::read(&client, Some(&server.schema), |leftover| {
        if !is_of_a_row_in_place(&leftover.reason) {
            *kept.entry(leftover.table.clone()).or_default() += 1;
        }
        if let (Some(rowid), Reason::Rejected(reason)) =
            (leftover.rowid, Reason::of_finding(&leftover.reason))
        {
            known.push((leftover.table, rowid, reason));
        }
    })
    .await?;
    known.retain(|(.., reason)| !reason.starts_with("repaired:") && !reason.starts_with("unknown"));
    let mut held = HashMap::new();
    for table in &plan.tables {
        held.insert(table.name().to_owned(), rows(&client, table).await?);
    }
    audit.tables =
        off_thread(move || compare(&source, &plan, &catalogue, held, &kept, &known)).await?;
    if upgraded {
        audit
            .tables
            .values_mut()
            .for_each(TableAudit::pair_renumbered);
    }
    Ok(audit)
}

/// Every row of a table in PostgreSQL: its key's hash and its own.
async fn rows(
    client: &tokio_postgres::Client,
    table: &TablePlan,
) -> Result<HashMap<Hash, Hash>, TargetError> {
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

fn compare(
    source: &Source,
    plan: &Plan,
    catalogue: &Catalogue,
    held: HashMap<String, HashMap<Hash, Hash>>,
    kept: &HashMap<String, u64>,
    known: &[Seed],
) -> Result<BTreeMap<String, TableAudit>, SourceError> {
    let findings = Findings::search(source.connection(), plan, catalogue, known)
        .map_err(|error| source.failed(error))?;
    let mut comparison = Comparison {
        held,
        tables: BTreeMap::new(),
    };
    let tallies = match reader::read(source, plan, &findings, &mut comparison) {
        Ok(tallies) => tallies,
        Err(ReadError::Source(error)) => return Err(error),
        // A sink that takes everything is never gone.
        Err(ReadError::NoReceiver) => Vec::new(),
    };
    let Comparison { held, mut tables } = comparison;
    for tally in tallies.into_iter().filter(|tally| tally.read > 0) {
        let absent = tally
            .leftovers
            .iter()
            .filter(|(reason, _)| !reason.row_is_in_place());
        // What the move would keep aside is kept only if `webui_init.leftover` holds it.
        let absent: u64 = absent.map(|(_, absent)| absent.count).sum();
        let there = kept.get(&tally.table).copied().unwrap_or_default();
        let table = tables.entry(tally.table).or_default();
        table.kept_aside = absent.min(there);
        table.missing += absent - table.kept_aside;
    }
    for (table, rest) in held.into_iter().filter(|(_, rest)| !rest.is_empty()) {
        tables.entry(table).or_default().extra = rest.len() as u64;
    }
    Ok(tables)
}

/// Takes each row of the source and looks for its like.
struct Comparison {
    held: HashMap<String, HashMap<Hash, Hash>>,
    tables: BTreeMap<String, TableAudit>,
}

impl Sink for Comparison {
    fn take(&mut self, _event: Event) -> bool {
        true
    }

    fn wants_rows(&self) -> bool {
        true
    }

    fn row(&mut self, table: &str, key: Hash, hash: Hash, name: &dyn Fn() -> String) {
        let found = self.held.get_mut(table).and_then(|rows| rows.remove(&key));
        if !self.tables.contains_key(table) {
            self.tables.insert(table.to_owned(), TableAudit::default());
        }
        let Some(audit) = self.tables.get_mut(table) else {
            return;
        };
        match found {
            Some(found) if found == hash => audit.equal += 1,
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

impl Audit {
    /// Rows that PostgreSQL does not hold.
    pub fn missing(&self) -> u64 {
        self.tables.values().map(|table| table.missing).sum()
    }

    /// Whether all is well: a move is recorded and nothing of it is missing.
    ///
    /// # Errors
    /// [`Failure::NeverMoved`], [`Failure::Missing`].
    pub fn outcome(&self) -> Result<(), Failure> {
        match self.missing() {
            missing if !self.moved => Err(Failure::NeverMoved {
                target: self.target.clone(),
                missing,
            }),
            0 => Ok(()),
            missing => Err(Failure::Missing(missing)),
        }
    }

    /// The comparison for people.
    pub fn text(&self) -> String {
        let width = self
            .tables
            .keys()
            .map(String::len)
            .max()
            .unwrap_or(0)
            .max(5);
        let mut text = format!(
            "{} rows of the old database are missing in {}\n  {:<width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            self.missing(),
            self.target,
            "table",
            "equal",
            "changed",
            "missing",
            "extra",
            "renumbered",
            "kept aside"
        );
        for (name, table) in &self.tables {
            let _ = write!(
                text,
                "\n  {name:<width$} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
                table.equal,
                table.changed,
                table.missing,
                table.extra,
                table.renumbered,
                table.kept_aside
            );
        }
        for (name, table) in self.tables.iter().filter(|(_, table)| table.missing > 0) {
            let _ = write!(
                text,
                "\n  missing in {name}: {}",
                table.missing_keys.join("; ")
            );
        }
        for (name, table) in self.tables.iter().filter(|(_, table)| table.changed > 0) {
            let _ = write!(
                text,
                "\n  changed since in {name}: {}",
                table.changed_keys.join("; ")
            );
        }
        text
    }
}

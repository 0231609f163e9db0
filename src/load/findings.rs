//! Owns the search, before anything is loaded, for rows that the target must refuse: SQLite enforced no
//! foreign key, PostgreSQL does. Set-based queries on the source, to a fixed point: the child of a row that
//! stays behind is an orphan too. Rows that PostgreSQL itself refused are told to it as seeds.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use rusqlite::{Connection, params};

use crate::convert::value::Kind;
use crate::load::plan::{Plan, TablePlan};
use crate::postgres::catalogue::{Catalogue, ForeignKey};
use crate::sql::{literal, quote};

/// What was found, by table and row id.
#[derive(Debug, Default, Clone)]
pub struct Findings {
    tables: BTreeMap<String, TableFindings>,
}

/// What was found in one table.
#[derive(Debug, Default, Clone)]
pub struct TableFindings {
    /// Rows that stay behind, with the reason.
    pub aside: HashMap<i64, String>,
    /// References that are set to NULL: source column and reason.
    pub nulled: HashMap<i64, Vec<(usize, String)>>,
}

/// A row that is known to stay behind: table, row id, reason.
pub type Seed = (String, i64, String);

impl Findings {
    /// Searches the source behind `connection`. Only temporary tables, in memory, are written.
    ///
    /// # Errors
    /// SQLite cannot read a table.
    pub fn search(
        connection: &Connection,
        plan: &Plan,
        catalogue: &Catalogue,
        seeds: &[Seed],
    ) -> rusqlite::Result<Self> {
        connection.execute_batch(
            "DROP TABLE IF EXISTS temp.aside; DROP TABLE IF EXISTS temp.nulled;
             CREATE TEMP TABLE aside (tbl TEXT, rid INTEGER, reason TEXT, PRIMARY KEY (tbl, rid)) WITHOUT ROWID;
             CREATE TEMP TABLE nulled (tbl TEXT, rid INTEGER, col INTEGER, reason TEXT, PRIMARY KEY (tbl, rid, col)) WITHOUT ROWID;",
        )?;
        let mut insert =
            connection.prepare("INSERT OR IGNORE INTO temp.aside VALUES (?1, ?2, ?3)")?;
        for seed in seeds {
            insert.execute(params![seed.0, seed.1, seed.2])?;
        }
        let searches: Vec<_> = catalogue
            .foreign_keys
            .iter()
            .filter_map(|key| orphan_search(key, plan))
            .collect();
        let mut any = !seeds.is_empty();
        loop {
            let mut found = 0;
            for search in &searches {
                found += search.run(connection, any)?;
                any |= found > 0;
            }
            if found == 0 {
                break;
            }
        }
        Self::collect(connection)
    }

    fn collect(connection: &Connection) -> rusqlite::Result<Self> {
        let mut findings = Self::default();
        let mut statement = connection.prepare("SELECT tbl, rid, reason FROM temp.aside")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let table = findings.tables.entry(row.get(0)?).or_default();
            table.aside.insert(row.get(1)?, row.get(2)?);
        }
        let mut statement = connection.prepare("SELECT tbl, rid, col, reason FROM temp.nulled")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let table = findings.tables.entry(row.get(0)?).or_default();
            table
                .nulled
                .entry(row.get(1)?)
                .or_default()
                .push((column(row.get(2)?), row.get(3)?));
        }
        Ok(findings)
    }

    /// What was found in `table`.
    pub fn of(&self, table: &str) -> Option<&TableFindings> {
        self.tables.get(table)
    }
}

fn column(position: i64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// The search for the orphans of one foreign key. Its parameter tells whether any row is known to stay behind;
/// mostly none is, and then nobody has to be looked up among them.
struct Search {
    sql: String,
}

impl Search {
    fn run(&self, connection: &Connection, any_aside: bool) -> rusqlite::Result<usize> {
        connection.prepare(&self.sql)?.execute(params![any_aside])
    }
}

fn orphan_search(key: &ForeignKey, plan: &Plan) -> Option<Search> {
    let child = plan.tables.iter().find(|table| table.name() == key.table)?;
    let rowid = child.source.rowid?;
    let columns: Vec<usize> = key
        .columns
        .iter()
        .map(|name| position(child, name))
        .collect::<Option<_>>()?;
    let column = |at: usize| format!("c.{}", quote(&child.source.columns[at].name));
    // NULL refers to nothing, unless the target takes no NULL: what stands in for it would refer to nobody.
    let takes_null = |name: &String| {
        let mut fields = child.fields.iter();
        fields.any(|field| field.column.name == *name && !field.column.value.not_null)
    };
    let mut referencing: Vec<String> = key
        .columns
        .iter()
        .zip(&columns)
        .filter(|(name, _)| takes_null(name))
        .map(|(_, at)| format!("{} IS NOT NULL", column(*at)))
        .collect();
    referencing.push("1".to_owned());
    let parent = plan.tables.iter().find(|table| table.name() == key.parent);
    let missing = match parent.and_then(|parent| Some((parent, parent.source.rowid?))) {
        Some((parent, parent_rowid)) => {
            let equal: Vec<String> = key
                .parent_columns
                .iter()
                .zip(&columns)
                .map(|(name, at)| {
                    let parent_at = position(parent, name)?;
                    let (ours, theirs) = (column(*at), &parent.source.columns[parent_at].name);
                    let theirs = format!("p.{}", quote(theirs));
                    let mut equal = format!("{theirs} = {ours} COLLATE BINARY");
                    // To SQLite, 1 and 1.0 are equal; as text they are not.
                    let texts = holds_text(child, *at) && holds_text(parent, parent_at);
                    if !texts && becomes_text(child, *at) {
                        let _ = write!(equal, " AND CAST({theirs} AS TEXT) = CAST({ours} AS TEXT)");
                    }
                    Some(equal)
                })
                .collect::<Option<_>>()?;
            format!(
                "NOT EXISTS (SELECT 1 FROM main.{table} p WHERE {equal}
                    AND NOT (?1 AND EXISTS (SELECT 1 FROM temp.aside x WHERE x.tbl = {name} AND x.rid = p.{parent_rowid})))",
                table = quote(&parent.source.name),
                equal = equal.join(" AND "),
                name = literal(&parent.source.name),
            )
        }
        None if parent.is_some() => return None,
        None => "1".to_owned(),
    };
    let nullable = key.set_null && key.columns.iter().all(takes_null);
    let (table, reason) = (
        literal(child.name()),
        literal(&format!(
            "{}:{}",
            if nullable { "nulled" } else { "orphan" },
            key.name
        )),
    );
    let from = format!(
        "FROM main.{} c WHERE {} AND {missing} AND NOT (?1 AND EXISTS (SELECT 1 FROM temp.aside x WHERE x.tbl = {table} AND x.rid = c.{rowid}))",
        quote(child.name()),
        referencing.join(" AND "),
    );
    let sql = if nullable {
        let columns: Vec<String> = columns.iter().map(|at| format!("({at})")).collect();
        format!(
            "INSERT OR IGNORE INTO temp.nulled SELECT {table}, rid, col.column1, {reason}
             FROM (SELECT c.{rowid} AS rid {from}) CROSS JOIN (VALUES {}) col",
            columns.join(", ")
        )
    } else {
        format!("INSERT OR IGNORE INTO temp.aside SELECT {table}, c.{rowid}, {reason} {from}")
    };
    Some(Search { sql })
}

/// Whether the column of the source at `at` has the affinity TEXT, and so holds neither INTEGER nor REAL.
fn holds_text(table: &TablePlan, at: usize) -> bool {
    let declared = table.source.columns[at].declared.to_ascii_uppercase();
    // An INT anywhere in the declaration comes first.
    !declared.contains("INT")
        && ["CHAR", "CLOB", "TEXT"]
            .iter()
            .any(|text| declared.contains(text))
}

/// Whether the column of the source at `at` becomes text.
fn becomes_text(table: &TablePlan, at: usize) -> bool {
    let mut fields = table.fields.iter();
    fields.any(|field| {
        field.from == Some(at) && matches!(field.column.value.kind, Kind::Text | Kind::Varchar(_))
    })
}

fn position(table: &TablePlan, column: &str) -> Option<usize> {
    table
        .source
        .columns
        .iter()
        .position(|known| known.name.eq_ignore_ascii_case(column))
}

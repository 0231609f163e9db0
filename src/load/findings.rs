//! Owns the search, before anything is loaded, for rows that the target must refuse: SQLite enforced no
//! foreign key, PostgreSQL does. Set-based queries on the source, to a fixed point: the child of a row that
//! stays behind is an orphan too. Rows that PostgreSQL has already refused are passed in.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use rusqlite::{Connection, params};

use crate::convert::reason::Reason;
use crate::convert::value::Kind;
use crate::load::plan::{Plan, SourceColumn, TablePlan};
use crate::postgres::catalogue::{Catalogue, ForeignKey};
use crate::sql::{literal, quote};

/// What was found, by table and row id.
#[derive(Debug, Default, Clone)]
pub(crate) struct Findings {
    tables: BTreeMap<String, TableFindings>,
}

/// What was found in one table.
#[derive(Debug, Default, Clone)]
pub(crate) struct TableFindings {
    /// Rows that stay behind, with the reason.
    pub aside: HashMap<i64, Reason>,
    /// References that are set to NULL: source column and reason.
    pub nulled: HashMap<i64, Vec<(SourceColumn, Reason)>>,
}

/// A row that is known to stay behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedRow {
    /// Its table.
    pub table: String,
    /// Its row id.
    pub rowid: i64,
    /// Why.
    pub reason: Reason,
}

impl Findings {
    /// Searches the source behind `connection`. Only temporary tables, in memory, are written.
    ///
    /// # Errors
    /// SQLite cannot read a table.
    pub(crate) fn search(
        connection: &Connection,
        plan: &Plan,
        catalogue: &Catalogue,
        refused: &[RefusedRow],
    ) -> rusqlite::Result<Self> {
        connection.execute_batch(
            "DROP TABLE IF EXISTS temp.aside; DROP TABLE IF EXISTS temp.nulled;
             CREATE TEMP TABLE aside (tbl TEXT, rid INTEGER, reason TEXT, PRIMARY KEY (tbl, rid)) WITHOUT ROWID;
             CREATE TEMP TABLE nulled (tbl TEXT, rid INTEGER, col INTEGER, reason TEXT, PRIMARY KEY (tbl, rid, col)) WITHOUT ROWID;",
        )?;
        let mut insert =
            connection.prepare("INSERT OR IGNORE INTO temp.aside VALUES (?1, ?2, ?3)")?;
        for row in refused {
            insert.execute(params![row.table, row.rowid, row.reason.to_string()])?;
        }
        let searches: Vec<_> = catalogue
            .foreign_keys
            .iter()
            .filter_map(|key| orphan_search(key, plan))
            .collect();
        let mut any = !refused.is_empty();
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
            table.aside.insert(row.get(1)?, reason(row.get(2)?));
        }
        let mut statement = connection.prepare("SELECT tbl, rid, col, reason FROM temp.nulled")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let table = findings.tables.entry(row.get(0)?).or_default();
            table
                .nulled
                .entry(row.get(1)?)
                .or_default()
                .push((column(row.get(2)?), reason(row.get(3)?)));
        }
        Ok(findings)
    }

    /// What was found in `table`.
    pub(crate) fn of(&self, table: &str) -> Option<&TableFindings> {
        self.tables.get(table)
    }
}

fn column(position: i64) -> SourceColumn {
    SourceColumn(usize::try_from(position).unwrap_or(usize::MAX))
}

/// The search wrote it itself, so it reads back.
fn reason(text: String) -> Reason {
    Reason::parse(&text).unwrap_or(Reason::Rejected(Some(text)))
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

/// A foreign key, seen from the source's side.
struct Reference<'a> {
    key: &'a ForeignKey,
    child: &'a TablePlan,
    rowid: &'static str,
    columns: Vec<SourceColumn>,
}

fn orphan_search(key: &ForeignKey, plan: &Plan) -> Option<Search> {
    let child = plan.tables.iter().find(|table| table.name() == key.table)?;
    let columns = key.columns.iter().map(|name| position(child, name));
    let reference = Reference {
        key,
        child,
        rowid: child.source.rowid?,
        columns: columns.collect::<Option<_>>()?,
    };
    let missing = reference.parent_is_missing(plan)?;
    Some(Search {
        sql: reference.search(&missing),
    })
}

impl Reference<'_> {
    fn column(&self, at: SourceColumn) -> String {
        format!("c.{}", quote(&self.child.source.columns[at.0].name))
    }

    fn takes_null(&self, name: &str) -> bool {
        let mut fields = self.child.fields.iter();
        fields.any(|field| field.column.name == name && !field.column.value.not_null)
    }

    /// The condition under which a row refers to another one. NULL refers to nothing, unless the target takes no NULL:
    /// what stands in for it would refer to nobody.
    fn refers(&self) -> String {
        let columns = self.key.columns.iter().zip(&self.columns);
        let mut conditions: Vec<String> = columns
            .filter(|(name, _)| self.takes_null(name))
            .map(|(_, at)| format!("{} IS NOT NULL", self.column(*at)))
            .collect();
        conditions.push("1".to_owned());
        conditions.join(" AND ")
    }

    /// The condition under which the row that it refers to stays behind. None: that cannot be asked.
    fn parent_is_missing(&self, plan: &Plan) -> Option<String> {
        let mut tables = plan.tables.iter();
        let Some(parent) = tables.find(|table| table.name() == self.key.parent) else {
            return Some("1".to_owned());
        };
        let parent_rowid = parent.source.rowid?;
        Some(format!(
            "NOT EXISTS (SELECT 1 FROM main.{table} p WHERE {equal}
                AND NOT (?1 AND EXISTS (SELECT 1 FROM temp.aside x WHERE x.tbl = {name} AND x.rid = p.{parent_rowid})))",
            table = quote(&parent.source.name),
            equal = self.equals(parent)?,
            name = literal(&parent.source.name),
        ))
    }

    /// The condition under which a row of `parent` is the one that it refers to.
    fn equals(&self, parent: &TablePlan) -> Option<String> {
        let pairs = self.key.parent_columns.iter().zip(&self.columns);
        let equal: Vec<String> = pairs
            .map(|(name, at)| {
                let parent_at = position(parent, name)?;
                let ours = self.column(*at);
                let theirs = &parent.source.columns[parent_at.0].name;
                let theirs = format!("p.{}", quote(theirs));
                let mut equal = format!("{theirs} = {ours} COLLATE BINARY");
                // To SQLite, 1 and 1.0 are equal; as text they are not.
                let texts = holds_text(self.child, *at) && holds_text(parent, parent_at);
                if !texts && becomes_text(self.child, *at) {
                    let _ = write!(equal, " AND CAST({theirs} AS TEXT) = CAST({ours} AS TEXT)");
                }
                Some(equal)
            })
            .collect::<Option<_>>()?;
        Some(equal.join(" AND "))
    }

    fn search(&self, missing: &str) -> String {
        let (key, rowid) = (self.key, self.rowid);
        let nullable = key.set_null && key.columns.iter().all(|name| self.takes_null(name));
        let reason = if nullable {
            Reason::Nulled(key.name.clone())
        } else {
            Reason::Orphan(key.name.clone())
        };
        let (table, reason) = (literal(self.child.name()), literal(&reason.to_string()));
        let from = format!(
            "FROM main.{} c WHERE {} AND {missing} AND NOT (?1 AND EXISTS (SELECT 1 FROM temp.aside x WHERE x.tbl = {table} AND x.rid = c.{rowid}))",
            quote(self.child.name()),
            self.refers(),
        );
        if !nullable {
            return format!(
                "INSERT OR IGNORE INTO temp.aside SELECT {table}, c.{rowid}, {reason} {from}"
            );
        }
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|at| format!("({})", at.0))
            .collect();
        format!(
            "INSERT OR IGNORE INTO temp.nulled SELECT {table}, rid, col.column1, {reason}
             FROM (SELECT c.{rowid} AS rid {from}) CROSS JOIN (VALUES {}) col",
            columns.join(", ")
        )
    }
}

/// Whether the column of the source at `at` has the affinity TEXT, and so holds neither INTEGER nor REAL.
fn holds_text(table: &TablePlan, at: SourceColumn) -> bool {
    let declared = table.source.columns[at.0].declared.to_ascii_uppercase();
    // An INT anywhere in the declaration comes first.
    !declared.contains("INT")
        && ["CHAR", "CLOB", "TEXT"]
            .iter()
            .any(|text| declared.contains(text))
}

/// Whether the column of the source at `at` becomes text.
fn becomes_text(table: &TablePlan, at: SourceColumn) -> bool {
    let mut fields = table.fields.iter();
    fields.any(|field| {
        field.from == Some(at) && matches!(field.column.value.kind, Kind::Text | Kind::Varchar(_))
    })
}

fn position(table: &TablePlan, column: &str) -> Option<SourceColumn> {
    table
        .source
        .columns
        .iter()
        .position(|known| known.name.eq_ignore_ascii_case(column))
        .map(SourceColumn)
}

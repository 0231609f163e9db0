//! What must be found after the move, worked out from the source as it is and the ledger alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;

use super::{Cell, Ground, Kind, Ledger, Row, Stored};

/// A row of `webui_init.leftover`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Aside {
    pub table: String,
    pub rowid: Option<i64>,
    /// Every reason that holds; one of them must be given.
    pub reasons: BTreeSet<String>,
    /// Whether the row itself is in PostgreSQL.
    pub in_place: bool,
    /// The original.
    pub original: String,
}

/// The columns of a table in PostgreSQL, and its rows as they are printed, sorted.
pub struct Moved {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

/// What must be found after the move.
pub struct Expected {
    pub ledger: Ledger,
    /// What each of the app's tables must hold.
    pub tables: BTreeMap<String, Moved>,
    /// What is kept aside, sorted.
    pub asides: Vec<Aside>,
    /// Rows of the source, of every table that has any.
    pub read: BTreeMap<String, u64>,
    /// Rows that are in PostgreSQL and of which nothing is kept aside.
    pub unchanged: u64,
}

/// A table of the source: its columns, and its rows by row id.
struct Held {
    columns: Vec<String>,
    rows: Vec<(i64, Vec<Stored>)>,
}

impl Expected {
    pub(super) fn new(ground: &Ground, connection: &Connection, mut ledger: Ledger) -> Self {
        let held: BTreeMap<String, Held> = super::super::source_tables(connection)
            .into_iter()
            .filter(|table| table != "alembic_version")
            .map(|table| (table.clone(), Held::read(connection, &table)))
            .collect();
        find_orphans(ground, &held, &mut ledger);
        let mut expected = Self {
            ledger,
            tables: BTreeMap::new(),
            asides: Vec::new(),
            read: BTreeMap::new(),
            unchanged: 0,
        };
        for (name, held) in &held {
            if !held.rows.is_empty() {
                expected.read.insert(name.clone(), held.rows.len() as u64);
            }
            if expected.ledger.unknown_tables.contains(name) {
                expected.keep_all(name, held);
            } else {
                expected.add(ground, name, held);
            }
        }
        expected.asides.sort();
        expected
    }

    fn keep_all(&mut self, name: &str, held: &Held) {
        let with_rowid = !name.contains("without_rowid");
        for (rowid, values) in &held.rows {
            self.asides.push(Aside {
                table: name.to_owned(),
                rowid: with_rowid.then_some(*rowid),
                reasons: reason("unknown_table"),
                in_place: false,
                original: held.original(values, |_| true),
            });
        }
    }

    fn add(&mut self, ground: &Ground, name: &str, held: &Held) {
        let table = &ground.tables[name];
        let nothing = BTreeMap::new();
        let unknown = self
            .ledger
            .unknown_columns
            .get(name)
            .cloned()
            .unwrap_or_default();
        let is_key = |column: &str| table.key.iter().any(|key| key == column);
        let mut rows = Vec::new();
        for (rowid, values) in &held.rows {
            let row: Row = (name.to_owned(), *rowid);
            let mut keep = |reasons, in_place, original| {
                self.asides.push(Aside {
                    table: name.to_owned(),
                    rowid: Some(*rowid),
                    reasons,
                    in_place,
                    original,
                });
            };
            let is_unknown = |column: &str| unknown.iter().any(|name| name == column);
            if let Some(reasons) = self.ledger.aside.get(&row) {
                keep(reasons.clone(), false, held.original(values, |_| true));
                continue;
            }
            let is_set = |column: &String| held.value(values, column) != &Stored::Null;
            let has_unknown = unknown.iter().any(is_set);
            if has_unknown {
                let original = held.original(values, |column| is_unknown(column) || is_key(column));
                keep(reason("unknown_column"), true, original);
            }
            let cells = self.ledger.cells.get(&row).unwrap_or(&nothing);
            let mut repairs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for (column, cell) in cells {
                for repair in &cell.repairs {
                    repairs.entry(repair).or_default().insert(column);
                }
            }
            self.unchanged += u64::from(repairs.is_empty() && !has_unknown);
            for (repair, columns) in repairs {
                let original =
                    held.original(values, |column| columns.contains(column) || is_key(column));
                keep(reason(repair), true, original);
            }
            let columns = table.columns.iter();
            let printed = columns.map(|column| match cells.get(&column.name) {
                Some(Cell { becomes, .. }) => becomes.clone(),
                None => printed(held.value(values, &column.name), column.kind),
            });
            rows.push(printed.collect());
        }
        rows.sort();
        let columns = table
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        self.tables.insert(name.to_owned(), Moved { columns, rows });
    }
}

/// Puts aside whatever refers to a row that is not there or stays behind, until nothing does; keys that are set to
/// NULL instead are noted as that.
fn find_orphans(ground: &Ground, held: &BTreeMap<String, Held>, ledger: &mut Ledger) {
    loop {
        let before = ledger.aside.values().map(BTreeSet::len).sum::<usize>();
        for key in &ground.foreign {
            let (child, parent) = (&held[&key.table], &held[&key.parent]);
            let there: HashSet<String> = parent
                .rows
                .iter()
                .filter(|(rowid, _)| !ledger.aside.contains_key(&(key.parent.clone(), *rowid)))
                .map(|(_, values)| format!("{:?}", parent.value(values, &key.parent_column)))
                .collect();
            for (rowid, values) in &child.rows {
                let row = (key.table.clone(), *rowid);
                let value = child.value(values, &key.column);
                if *value == Stored::Null || there.contains(&format!("{value:?}")) {
                    continue;
                }
                if key.set_null {
                    let cell = Cell {
                        becomes: None,
                        repairs: vec![format!("nulled:{}", key.name)],
                    };
                    ledger
                        .cells
                        .entry(row)
                        .or_default()
                        .insert(key.column.clone(), cell);
                } else {
                    ledger
                        .aside
                        .entry(row)
                        .or_default()
                        .insert(format!("orphan:{}", key.name));
                }
            }
        }
        if ledger.aside.values().map(BTreeSet::len).sum::<usize>() == before {
            return;
        }
    }
}

fn reason(reason: &str) -> BTreeSet<String> {
    BTreeSet::from([reason.to_owned()])
}

impl Held {
    fn read(connection: &Connection, table: &str) -> Self {
        let with_rowid = !table.contains("without_rowid");
        let rowid = if with_rowid { "rowid" } else { "0" };
        let name = table.replace('"', "\"\"");
        let sql = format!("SELECT {rowid} AS webui_rowid, * FROM \"{name}\"");
        let mut statement = connection.prepare(&sql).expect("a table");
        let columns: Vec<String> = statement
            .column_names()
            .skip(1)
            .map(str::to_owned)
            .collect();
        let rows = statement.query_map([], |row| {
            let values = (0..columns.len()).map(|n| Ok(Stored::from(row.get_ref(n + 1)?)));
            Ok((row.get(0)?, values.collect::<rusqlite::Result<_>>()?))
        });
        let rows = rows
            .expect("a table")
            .map(|row| row.expect("a row"))
            .collect();
        Self { columns, rows }
    }

    fn value<'a>(&self, values: &'a [Stored], column: &str) -> &'a Stored {
        let at = self.columns.iter().position(|name| name == column);
        &values[at.unwrap_or_else(|| panic!("no column {column}"))]
    }

    /// The JSON in which an original is kept.
    fn original(&self, values: &[Stored], wanted: impl Fn(&str) -> bool) -> String {
        let named = self
            .columns
            .iter()
            .zip(values)
            .filter(|(name, _)| wanted(name));
        let parts: Vec<_> = named
            .map(|(name, value)| format!("{}:{}", quoted(name), original(value)))
            .collect();
        format!("{{{}}}", parts.join(","))
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn original(value: &Stored) -> String {
    match value {
        Stored::Null => "null".to_owned(),
        Stored::Integer(integer) => integer.to_string(),
        Stored::Real(real) if real.is_infinite() => format!(r#"{{"real":"{real}"}}"#),
        Stored::Real(real) => serde_json::Value::from(*real).to_string(),
        Stored::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => quoted(text),
            _ => format!(r#"{{"base64":"{}","text":true}}"#, STANDARD.encode(bytes)),
        },
        Stored::Blob(bytes) => format!(r#"{{"base64":"{}"}}"#, STANDARD.encode(bytes)),
    }
}

/// A healthy value as PostgreSQL prints it.
fn printed(value: &Stored, kind: Kind) -> Option<String> {
    match (kind, value) {
        (_, Stored::Null) => None,
        (Kind::Bool, Stored::Integer(0)) => Some("f".to_owned()),
        (Kind::Bool, Stored::Integer(1)) => Some("t".to_owned()),
        (Kind::Int4 | Kind::Int8, Stored::Integer(integer)) => Some(integer.to_string()),
        (
            Kind::Text | Kind::Varchar(_) | Kind::Json | Kind::Date | Kind::Timestamp,
            Stored::Text(bytes),
        ) => Some(String::from_utf8(bytes.clone()).expect("healthy text")),
        (kind, value) => panic!("{value:?} is no healthy {kind:?}"),
    }
}

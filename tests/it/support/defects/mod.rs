//! Plants defects in a healthy `webui.db` and keeps a ledger: what was planted, and what must become of it.
//!
//! The ledger knows what the program promises, not how it works: nothing here calls into it.

mod expected;
mod ground;
mod kinds;
mod rows;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

pub use expected::{Aside, Expected, Moved};
pub use ground::{Column, Foreign, Ground, Kind, Table, Unique};
pub use kinds::KINDS;

use super::Source;

/// Numbers that a seed decides (`SplitMix64`).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        n ^ (n >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % limit as u64).expect("below a usize")
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// Hexadecimal noise, which no compression makes small enough.
    pub fn noise(&mut self, length: usize) -> String {
        let mut noise = String::with_capacity(length + 16);
        while noise.len() < length {
            write!(noise, "{:016x}", self.roll()).expect("a string");
        }
        noise.truncate(length);
        noise
    }
}

/// A value as `SQLite` stores it.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Stored {
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().to_vec())
    }

    pub fn blob(bytes: impl AsRef<[u8]>) -> Self {
        Self::Blob(bytes.as_ref().to_vec())
    }
}

impl From<ValueRef<'_>> for Stored {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(integer) => Self::Integer(integer),
            ValueRef::Real(real) => Self::Real(real),
            ValueRef::Text(text) => Self::text(text),
            ValueRef::Blob(blob) => Self::blob(blob),
        }
    }
}

/// A row of the source: its table and row id.
pub type Row = (String, i64);

/// What must become of a value.
#[derive(Clone, Debug)]
struct Cell {
    /// As PostgreSQL prints it.
    becomes: Option<String>,
    /// The reasons for which the original is kept; none where nothing is lost.
    repairs: Vec<String>,
}

/// What was planted, and what must become of it.
#[derive(Default)]
pub struct Ledger {
    /// How many of each kind.
    pub planted: BTreeMap<&'static str, u64>,
    cells: BTreeMap<Row, BTreeMap<String, Cell>>,
    /// Rows that stay behind, with every reason that holds.
    aside: BTreeMap<Row, BTreeSet<String>>,
    unknown_columns: BTreeMap<String, Vec<String>>,
    unknown_tables: BTreeSet<String>,
}

/// Plants one defect after the other.
pub struct Planter<'a> {
    pub ground: &'a Ground,
    pub dice: Dice,
    connection: Connection,
    ledger: Ledger,
    /// Rows that others lean on: they must stay sound.
    protected: BTreeSet<Row>,
    /// Cells that others are alike to: they must stay as they are.
    held: BTreeSet<(Row, String)>,
}

/// Plants what the seed decides into `source` and tells what must become of all its rows. Every kind is there where it
/// finds a place, but for those that cost a search: of these a few, and none in every fourth seed.
pub fn plant(ground: &Ground, source: &Source, seed: u64) -> Expected {
    let connection = ground::open_to_plant(&source.path());
    connection.execute_batch("BEGIN").expect("a transaction");
    let mut planter = Planter {
        ground,
        dice: Dice::new(seed),
        connection,
        ledger: Ledger::default(),
        protected: BTreeSet::new(),
        held: BTreeSet::new(),
    };
    // A source whose users all stay behind is refused, and rightly so.
    planter.protect(&("user".to_owned(), 1));
    let start = planter.dice.below(KINDS.len());
    for n in 0..KINDS.len() {
        let kind = &KINDS[(start + n) % KINDS.len()];
        if kind.search && (seed.is_multiple_of(4) || !planter.dice.one_in(4)) {
            continue;
        }
        let times = 1 + planter.dice.below(kind.at_most);
        for _ in 0..times {
            // Not every choice is free; a few more are tried.
            if (0..8).any(|_| (kind.plant)(&mut planter)) {
                *planter.ledger.planted.entry(kind.name).or_default() += 1;
            }
        }
    }
    let Planter {
        connection, ledger, ..
    } = planter;
    let expected = Expected::new(ground, &connection, ledger);
    connection.execute_batch("COMMIT").expect("a transaction");
    connection.close().expect("nothing is open");
    expected
}

impl Planter<'_> {
    /// Row ids of a table, without those that stay behind.
    fn rows(&self, table: &str) -> Vec<i64> {
        let sql = format!("SELECT rowid FROM \"{table}\" ORDER BY rowid");
        let mut statement = self.connection.prepare(&sql).expect("a table");
        let rows = statement.query_map([], |row| row.get(0)).expect("a table");
        rows.map(|row| row.expect("a row id"))
            .filter(|rowid| !self.ledger.aside.contains_key(&(table.to_owned(), *rowid)))
            .collect()
    }

    fn get(&self, (table, rowid): &Row, column: &str) -> Stored {
        let sql = format!("SELECT \"{column}\" FROM \"{table}\" WHERE rowid = ?");
        let mut statement = self.connection.prepare(&sql).expect("a column");
        let get = |row: &rusqlite::Row<'_>| Ok(Stored::from(row.get_ref(0)?));
        statement.query_row([rowid], get).expect("a row")
    }

    /// Stores a value as it is. `false`: the column's affinity would make something else of it.
    fn set(&self, row: &Row, column: &str, value: &Stored) -> bool {
        let before = self.get(row, column);
        self.store(row, column, value);
        if self.get(row, column) == *value {
            return true;
        }
        self.store(row, column, &before);
        false
    }

    fn store(&self, (table, rowid): &Row, column: &str, value: &Stored) {
        use rusqlite::types::Value;
        let (place, value) = match value.clone() {
            Stored::Null => ("?", Value::Null),
            Stored::Integer(integer) => ("?", Value::Integer(integer)),
            Stored::Real(real) => ("?", Value::Real(real)),
            // The only way to text that is not UTF-8.
            Stored::Text(bytes) => ("CAST(? AS TEXT)", Value::Blob(bytes)),
            Stored::Blob(bytes) => ("?", Value::Blob(bytes)),
        };
        let sql = format!("UPDATE \"{table}\" SET \"{column}\" = {place} WHERE rowid = ?");
        let mut statement = self.connection.prepare(&sql).expect("a column");
        let values = [value, Value::Integer(*rowid)];
        statement
            .execute(params_from_iter(values))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn execute(&self, sql: &str) {
        self.connection
            .execute_batch(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Whether nothing was planted in this cell yet.
    fn is_free(&self, row: &Row, column: &str) -> bool {
        let cells = self.ledger.cells.get(row);
        !self.ledger.aside.contains_key(row)
            && cells.is_none_or(|cells| !cells.contains_key(column))
            && !self.held.contains(&(row.clone(), column.to_owned()))
    }

    /// A column that `wanted` takes and no constraint looks at, in a row where it is still free.
    fn free_cell(&mut self, wanted: impl Fn(&Column) -> bool) -> Option<(Row, Column)> {
        let columns = self.ground.tables.iter().flat_map(|(table, of)| {
            let wanted = of
                .columns
                .iter()
                .filter(|column| !column.exposed && wanted(column));
            wanted.map(move |column| (table, column))
        });
        let columns: Vec<_> = columns.collect();
        if columns.is_empty() {
            return None;
        }
        let (table, column) = self.dice.pick(&columns);
        let rows = self.rows(table);
        if rows.is_empty() {
            return None;
        }
        let row = (table.clone(), self.dice.pick(&rows));
        self.is_free(&row, &column.name)
            .then(|| (row, column.clone()))
    }

    /// A row of `table` in which `columns` are free and hold something.
    fn free_row(&mut self, table: &str, columns: &[String]) -> Option<Row> {
        let rows = self.rows(table);
        if rows.is_empty() {
            return None;
        }
        let row = (table.to_owned(), self.dice.pick(&rows));
        let free =
            |column: &String| self.is_free(&row, column) && self.get(&row, column) != Stored::Null;
        columns.iter().all(free).then_some(row)
    }

    /// Notes what must become of a cell.
    fn note(&mut self, row: &Row, column: &str, becomes: Option<String>, repairs: &[&'static str]) {
        let repairs = repairs
            .iter()
            .map(|repair| format!("repaired:{repair}"))
            .collect();
        let cell = Cell { becomes, repairs };
        self.ledger
            .cells
            .entry(row.clone())
            .or_default()
            .insert(column.to_owned(), cell);
    }

    /// Notes that a row stays behind, unless another leans on it or on what falls with it.
    fn put_aside(&mut self, row: &Row, reason: &str) -> bool {
        if !self.may_fall(row) {
            return false;
        }
        self.ledger
            .aside
            .entry(row.clone())
            .or_default()
            .insert(reason.to_owned());
        true
    }

    fn may_fall(&self, row: &Row) -> bool {
        !self.protected.contains(row)
            && self
                .children(row, true)
                .iter()
                .all(|child| self.may_fall(child))
    }

    /// Rows that refer to this one: those that would fall with it, or all.
    fn children(&self, row: &Row, falling: bool) -> Vec<Row> {
        let keys = self.ground.foreign.iter();
        let keys = keys.filter(|key| key.parent == row.0 && !(falling && key.set_null));
        let keys = keys.flat_map(|key| {
            let sql = format!(
                "SELECT c.rowid FROM \"{}\" c JOIN \"{}\" p ON c.\"{}\" = p.\"{}\" WHERE p.rowid = ?",
                key.table, key.parent, key.column, key.parent_column
            );
            let mut statement = self.connection.prepare(&sql).expect("a key");
            let rows = statement.query_map([row.1], |row| row.get(0)).expect("a key");
            let rows: Vec<i64> = rows.map(|row| row.expect("a row id")).collect();
            rows.into_iter().map(|rowid| (key.table.clone(), rowid))
        });
        keys.collect()
    }

    /// What a row refers to. `None`: something of it is not there.
    fn parents(&self, row: &Row) -> Option<Vec<Row>> {
        let mut parents = Vec::new();
        for key in self.ground.foreign.iter().filter(|key| key.table == row.0) {
            if self.get(row, &key.column) == Stored::Null {
                continue;
            }
            let sql = format!(
                "SELECT p.rowid FROM \"{}\" c JOIN \"{}\" p ON c.\"{}\" = p.\"{}\" WHERE c.rowid = ?",
                key.table, key.parent, key.column, key.parent_column
            );
            let mut statement = self.connection.prepare(&sql).expect("a key");
            let parent = statement.query_row([row.1], |row| row.get(0)).ok()?;
            parents.push((key.parent.clone(), parent));
        }
        Some(parents)
    }

    /// Whether the row will be in PostgreSQL, by what is planted so far.
    fn is_sound(&self, row: &Row) -> bool {
        let parents = || self.parents(row);
        !self.ledger.aside.contains_key(row)
            && parents().is_some_and(|parents| parents.iter().all(|parent| self.is_sound(parent)))
    }

    /// Keeps a row that another is alike to in `columns`.
    fn hold(&mut self, row: &Row, columns: &[String]) {
        self.protect(row);
        let held = columns.iter().map(|column| (row.clone(), column.clone()));
        self.held.extend(held);
    }

    /// Keeps a row, and what it refers to, from staying behind.
    fn protect(&mut self, row: &Row) {
        if self.protected.insert(row.clone()) {
            for parent in self.parents(row).unwrap_or_default() {
                self.protect(&parent);
            }
        }
    }
}

//! Owns the schema of the source: its tables and their columns, as SQLite describes them.

use rusqlite::Connection;

/// A table of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its name.
    pub name: String,
    /// Its stored columns, in their order.
    pub columns: Vec<Column>,
    /// The name by which the row id can be read; none for `WITHOUT ROWID` tables.
    pub rowid: Option<&'static str>,
}

/// A column of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name.
    pub name: String,
    /// Whether it is part of the primary key.
    pub key: bool,
    /// Its declared type, which SQLite does not enforce.
    pub declared: String,
    /// Whether it is declared `NOT NULL`.
    pub not_null: bool,
    /// Whether it has a default.
    pub has_default: bool,
}

pub(super) fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM sqlite_schema
         WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name",
    )?;
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    names
        .into_iter()
        .map(|name| table(connection, name))
        .collect()
}

fn table(connection: &Connection, name: String) -> rusqlite::Result<Table> {
    let mut statement = connection
        .prepare("SELECT name, pk, type, \"notnull\", dflt_value IS NOT NULL FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid")?;
    let columns: Vec<Column> = statement
        .query_map([&name], |row| {
            Ok(Column {
                name: row.get(0)?,
                key: row.get::<_, i64>(1)? > 0,
                declared: row.get(2)?,
                not_null: row.get(3)?,
                has_default: row.get(4)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    let without: bool = connection.query_row(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1",
        [&name],
        |row| row.get(0),
    )?;
    // A real column may hide one of the three names of the row id.
    let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(|alias| {
        !without
            && !columns
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(alias))
    });
    Ok(Table {
        name,
        columns,
        rowid,
    })
}

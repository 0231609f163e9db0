//! Owns the catalogue of a target that does not exist yet, as far as it can be foreseen.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::convert::value::{self, Kind};
use crate::load::plan::{Plan, Unasked};
use crate::postgres::catalogue::{Catalogue, Column, ForeignKey, Table};
use crate::sql::quote;
use crate::sqlite::source;

/// A catalogue that nobody has read: good for finding rows without a place, not for sending any.
pub(crate) struct Foreseen(Catalogue);

impl Foreseen {
    /// The plan into it. There is nobody to ask about other types, and [`foreseen`] knows none.
    pub(crate) fn plan(&self, tables: &[source::Table]) -> Plan {
        Unasked::new(tables, &self.0).0
    }

    /// Its tables and foreign keys.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.0
    }
}

/// What can be foreseen of a target that does not exist yet, from the source's own declarations: the
/// app's Alembic gives both sides the same tables, columns and foreign keys at the same revision. They are to be in `schema`.
///
/// # Errors
/// SQLite cannot read its schema.
pub(crate) fn foresee<'a>(
    connection: &Connection,
    schema: &str,
    tables: impl Iterator<Item = &'a source::Table>,
) -> rusqlite::Result<Foreseen> {
    let mut catalogue = Catalogue::of(schema, BTreeMap::new());
    for table in tables {
        let columns = table.columns.iter().map(|column| {
            let times = holds_times(connection, table, column)?;
            Ok(foreseen(column, times))
        });
        let columns = columns.collect::<rusqlite::Result<_>>()?;
        catalogue.tables.insert(
            table.name.clone(),
            Table {
                name: table.name.clone(),
                columns,
                indexes: Vec::new(),
                checked: false,
            },
        );
        catalogue
            .foreign_keys
            .extend(foreseen_keys(connection, &table.name)?);
    }
    Ok(Foreseen(catalogue))
}

/// Whether a column that is declared as a time holds times. Old files hold epochs under DATETIME.
fn holds_times(
    connection: &Connection,
    table: &source::Table,
    column: &source::Column,
) -> rusqlite::Result<bool> {
    if !column.declared.eq_ignore_ascii_case("DATETIME") {
        return Ok(false);
    }
    let (table, column) = (quote(&table.name), quote(&column.name));
    let sql = format!("SELECT EXISTS (SELECT 1 FROM main.{table} WHERE typeof({column}) = 'text')");
    connection.query_row(&sql, [], |row| row.get(0))
}

fn foreseen(column: &source::Column, holds_times: bool) -> Column {
    let declared = column.declared.to_ascii_uppercase();
    let kind = match declared.split('(').next().unwrap_or_default().trim() {
        "BOOLEAN" => Kind::Bool,
        "INTEGER" | "INT" => Kind::Int4,
        "JSON" => Kind::Json,
        "DATE" => Kind::Date,
        "DATETIME" if holds_times => Kind::Timestamp,
        "BIGINT" | "DATETIME" => Kind::Int8,
        _ => Kind::Text,
    };
    Column {
        name: column.name.clone(),
        type_oid: 0,
        type_name: column.declared.clone(),
        send: String::new(),
        value: value::ColumnRule {
            kind,
            not_null: column.not_null,
            default: None,
            input_results: None,
        },
        has_default: column.has_default,
        sequence: None,
    }
}

fn foreseen_keys(connection: &Connection, table: &str) -> rusqlite::Result<Vec<ForeignKey>> {
    let mut statement = connection.prepare(
        "SELECT id, \"table\", \"from\", coalesce(\"to\", 'id'), on_delete FROM pragma_foreign_key_list(?1) ORDER BY id, seq",
    )?;
    let mut rows = statement.query([table])?;
    let mut keys: BTreeMap<i64, ForeignKey> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let on_delete: String = row.get(4)?;
        let parent: String = row.get(1)?;
        let key = keys.entry(row.get(0)?).or_insert_with(|| ForeignKey {
            name: String::new(),
            table: table.to_owned(),
            columns: Vec::new(),
            parent,
            parent_columns: Vec::new(),
            set_null: on_delete == "SET NULL",
        });
        key.columns.push(row.get(2)?);
        // PostgreSQL's own choice of a name, which the app leaves to it for most of its keys.
        key.name = format!("{table}_{}_fkey", key.columns.join("_"));
        key.parent_columns.push(row.get(3)?);
    }
    Ok(keys.into_values().collect())
}

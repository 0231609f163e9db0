//! Owns the plan: what becomes of each table and column of the source, decided by the target's catalogue
//! alone, before PostgreSQL is asked about values of other types. Single rows that the target must refuse are `findings`', single values `value`'s.

use crate::app::names;
use crate::postgres::catalogue::{self, Catalogue};
use crate::sql::quote;
use crate::sqlite::source;

/// A plan whose values of other types PostgreSQL has not been asked about: [`Unasked::ask`] makes a [`Plan`] of it.
#[derive(Debug)]
pub(crate) struct Unasked(pub(super) Plan);

/// What is to be moved, and how. PostgreSQL has been asked about every value of a type that `value` does not know.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Tables that both sides know.
    pub tables: Vec<TablePlan>,
    /// Tables that only the source knows: kept aside whole where they hold anything.
    pub unknown: Vec<source::Table>,
    /// The schema moved into.
    schema: String,
}

/// The position of a column among the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceColumn(pub usize);

/// The position of a field among those that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FieldAt(usize);

/// One table that both sides know.
#[derive(Debug, Clone)]
pub(crate) struct TablePlan {
    /// The source's description.
    pub source: source::Table,
    /// The fields of a row in the target, in the order in which they are sent.
    pub fields: Vec<Field>,
    /// Columns that only the source knows.
    pub unknown_columns: Vec<String>,
    /// The qualified, quoted name in the target.
    pub qualified: String,
    /// Which of the fields are the target's primary key; all of them where it has none.
    pub primary: Vec<FieldAt>,
}

/// One column of the target.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Which of the source's columns it comes from. None: the source has no such column, and the target
    /// neither takes NULL nor has a default.
    pub from: Option<SourceColumn>,
    /// The target's description.
    pub column: catalogue::Column,
}

impl Unasked {
    /// Plans the move of `tables` into `catalogue`.
    pub(crate) fn new(tables: &[source::Table], catalogue: &Catalogue) -> Self {
        let mut plan = Plan {
            tables: Vec::new(),
            unknown: Vec::new(),
            schema: catalogue.schema.clone(),
        };
        for table in tables
            .iter()
            .filter(|table| !names::is_step_record(&table.name))
        {
            match catalogue.tables.get(&table.name) {
                Some(target) => plan.tables.push(TablePlan::new(table, target, catalogue)),
                None => plan.unknown.push(table.clone()),
            }
        }
        Self(plan)
    }
}

impl Plan {
    /// The schema moved into.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether the plan loads this table.
    pub(crate) fn loads(&self, table: &str) -> bool {
        self.tables
            .iter()
            .any(|planned| planned.source.name == table)
    }
}

impl TablePlan {
    fn new(table: &source::Table, target: &catalogue::Table, catalogue: &Catalogue) -> Self {
        let position = |name: &str| {
            table
                .columns
                .iter()
                .position(|column| column.name.eq_ignore_ascii_case(name))
                .map(SourceColumn)
        };
        let fields: Vec<Field> = target
            .columns
            .iter()
            .map(|column| Field {
                from: position(&column.name),
                column: column.clone(),
            })
            .filter(|field| {
                field.from.is_some() || (field.column.value.not_null && !field.column.has_default)
            })
            .collect();
        let unknown_columns = table
            .columns
            .iter()
            .filter(|column| {
                !target
                    .columns
                    .iter()
                    .any(|known| known.name.eq_ignore_ascii_case(&column.name))
            })
            .map(|column| column.name.clone())
            .collect();
        let key = target.indexes.iter().find(|index| index.primary);
        let in_key =
            |name: &str| key.is_none_or(|key| key.columns.iter().any(|column| column == name));
        let primary = (0..fields.len())
            .filter(|at| in_key(&fields[*at].column.name))
            .map(FieldAt)
            .collect();
        Self {
            source: table.clone(),
            fields,
            unknown_columns,
            qualified: catalogue.qualified(&table.name),
            primary,
        }
    }

    /// The same rows with nothing but the fields named.
    #[must_use]
    pub(crate) fn only(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.fields.retain(|field| wanted(&field.column.name));
        let mut columns = Vec::new();
        for field in &mut self.fields {
            if let Some(from) = &mut field.from {
                columns.push(self.source.columns[from.0].clone());
                *from = SourceColumn(columns.len() - 1);
            }
        }
        self.source.columns = columns;
        self.primary.clear();
        self
    }

    /// The table's name.
    pub(crate) fn name(&self) -> &str {
        &self.source.name
    }

    /// Names of the target's columns that are sent.
    pub(crate) fn columns(&self) -> Vec<String> {
        self.fields
            .iter()
            .map(|field| field.column.name.clone())
            .collect()
    }

    /// Names of the target's key columns.
    pub(crate) fn primary_columns(&self) -> Vec<String> {
        self.primary
            .iter()
            .map(|at| self.fields[at.0].column.name.clone())
            .collect()
    }

    /// The statement that takes the rows.
    pub(crate) fn copy_statement(&self) -> String {
        let columns: Vec<String> = self
            .fields
            .iter()
            .map(|field| quote(&field.column.name))
            .collect();
        format!(
            "COPY {} ({}) FROM STDIN (FORMAT binary)",
            self.qualified,
            columns.join(", ")
        )
    }

    /// Positions of the source's key columns.
    pub(crate) fn keys(&self) -> Vec<SourceColumn> {
        key_columns(&self.source)
    }

    /// The fields, each with its position.
    pub(crate) fn placed_fields(&self) -> impl Iterator<Item = (FieldAt, &Field)> {
        let fields = self.fields.iter().enumerate();
        fields.map(|(at, field)| (FieldAt(at), field))
    }
}

/// Positions of a table's key columns.
pub(crate) fn key_columns(table: &source::Table) -> Vec<SourceColumn> {
    let columns = table.columns.iter().enumerate();
    let keys = columns.filter(|(_, column)| column.key);
    keys.map(|(at, _)| SourceColumn(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::value::{self, Kind};
    use std::collections::BTreeMap;

    fn column(name: &str, not_null: bool) -> catalogue::Column {
        catalogue::Column {
            name: name.to_owned(),
            type_oid: 25,
            type_name: "text".to_owned(),
            send: "textsend".to_owned(),
            value: value::ColumnRule {
                kind: Kind::Text,
                not_null,
                default: None,
                input_results: None,
            },
            has_default: false,
            sequence: None,
        }
    }

    fn source_table(name: &str, columns: &[&str]) -> source::Table {
        let columns = columns
            .iter()
            .map(|name| source::Column {
                name: (*name).to_owned(),
                key: *name == "id",
                declared: "TEXT".to_owned(),
                not_null: false,
                has_default: false,
            })
            .collect();
        source::Table {
            name: name.to_owned(),
            columns,
            rowid: Some("rowid"),
        }
    }

    #[test]
    fn every_column_finds_its_place() {
        let target = catalogue::Table {
            name: "user".to_owned(),
            columns: vec![
                column("name", false),
                column("id", true),
                column("new", false),
                column("needed", true),
            ],
            indexes: Vec::new(),
            checked: false,
        };
        let catalogue = Catalogue::of("public", BTreeMap::from([("user".to_owned(), target)]));
        let tables = [
            source_table("alembic_version", &["version_num"]),
            source_table("migratehistory", &["id", "name"]),
            source_table("modelfile", &["id"]),
            source_table("user", &["id", "name", "old"]),
        ];
        let Unasked(plan) = Unasked::new(&tables, &catalogue);
        assert_eq!(
            plan.unknown
                .iter()
                .map(|table| table.name.as_str())
                .collect::<Vec<_>>(),
            ["modelfile"]
        );
        let user = &plan.tables[0];
        assert_eq!(user.unknown_columns, ["old"]);
        assert_eq!(user.keys(), [SourceColumn(0)]);
        let from: Vec<_> = user
            .fields
            .iter()
            .map(|field| (field.column.name.as_str(), field.from))
            .collect();
        let at = |at| Some(SourceColumn(at));
        assert_eq!(from, [("name", at(1)), ("id", at(0)), ("needed", None)]);
        assert_eq!(
            user.copy_statement(),
            r#"COPY "public"."user" ("name", "id", "needed") FROM STDIN (FORMAT binary)"#
        );
    }
}

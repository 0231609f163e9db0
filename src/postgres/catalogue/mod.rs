//! Owns the target's description: tables, columns, indexes, constraints and sequences as PostgreSQL's
//! catalogue tells them, and the statements that drop and restore what would slow a load down. It invents
//! no DDL: what comes back is what `pg_get_indexdef` and `pg_get_constraintdef` said was there.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::convert::value::{self, Kind};
use crate::postgres::error::{TargetError, failed};
use crate::sql::quote;

/// A table of the app in the target.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Its name.
    pub name: String,
    /// Its columns that can be written to, in their order.
    pub columns: Vec<Column>,
    /// Its indexes, in the order in which PostgreSQL looks at them.
    pub indexes: Vec<Index>,
    /// Whether it has check constraints.
    pub checked: bool,
}

/// A column of the target.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Its name.
    pub name: String,
    /// The type's OID.
    pub type_oid: u32,
    /// The type as DDL writes it.
    pub type_name: String,
    /// The function that gives a value its binary form.
    pub send: String,
    /// How values are converted.
    pub value: value::ColumnRule,
    /// Whether PostgreSQL fills it in where nothing is given.
    pub has_default: bool,
    /// The sequence behind its default, qualified and quoted.
    pub sequence: Option<String>,
}

/// An index, that of the primary key included.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// Its name.
    pub name: String,
    /// Whether it allows a key once only.
    pub unique: Option<Nulls>,
    /// Whether it is the primary key's.
    pub primary: bool,
    /// Every column that it looks at.
    pub columns: Vec<String>,
    /// Whether it is over columns alone, and over every row.
    pub plain: bool,
}

/// What a unique index makes of NULLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// None is like another.
    Distinct,
    /// All are alike.
    Equal,
}

/// A foreign key between two tables of the app.
#[derive(Debug, Clone)]
pub(crate) struct ForeignKey {
    /// Its name.
    pub name: String,
    /// The referencing table.
    pub table: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// The referenced table.
    pub parent: String,
    /// Its columns.
    pub parent_columns: Vec<String>,
    /// `ON DELETE SET NULL`: an orphan loses its reference, not its life.
    pub set_null: bool,
}

/// Something that is dropped for the load and restored after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Suspended {
    /// Its table.
    pub table: String,
    /// Its own name.
    pub name: String,
    /// How it is dropped.
    drop: String,
    /// How it comes back.
    restore: String,
    /// Foreign keys go first and come back last: they lean on unique constraints.
    foreign_key: bool,
}

/// The schema that is moved into.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    /// Its name.
    pub schema: String,
    /// Tables by name.
    pub tables: BTreeMap<String, Table>,
    /// Foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    suspendable: Vec<Suspended>,
}

const DOING: &str = "did not describe the app's tables";

/// Tables by name, each with the text of its columns' defaults.
type Described = BTreeMap<String, (Table, Vec<Option<String>>)>;

fn described(columns: Vec<Row>) -> Described {
    let mut tables = Described::new();
    for row in columns {
        let table: String = row.get(0);
        let kind = match Kind::from_catalogue(row.get(2), row.get(3)) {
            // Its own checks make the server decide.
            _ if row.get::<_, bool>(9) => Kind::Other,
            kind => kind,
        };
        let column = Column {
            name: row.get(1),
            type_oid: row.get(2),
            type_name: row.get(4),
            send: row.get(10),
            value: value::ColumnRule {
                kind,
                not_null: row.get(5),
                default: None,
                input_results: None,
            },
            has_default: row.get::<_, Option<String>>(6).is_some() || row.get(8),
            sequence: row.get(7),
        };
        let default: Option<String> = row.get(6);
        let entry = tables.entry(table.clone()).or_insert_with(|| {
            (
                Table {
                    name: table,
                    columns: Vec::new(),
                    indexes: Vec::new(),
                    checked: false,
                },
                Vec::new(),
            )
        });
        entry.0.columns.push(column);
        entry.1.push(default);
    }
    tables
}

impl Catalogue {
    /// Reads the description of every ordinary table in `schema`.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(crate) async fn read(client: &Client, schema: &str) -> Result<Self, TargetError> {
        // Asked for all at once: distance to the server is paid once.
        let (columns, indexes, checked, foreign_keys, suspendable) = tokio::try_join!(
            rows(client, COLUMNS, schema),
            rows(client, INDEXES, schema),
            rows(client, CHECKED, schema),
            foreign_keys(client, schema),
            suspendable(client, schema),
        )?;
        let tables = described(columns);
        let mut catalogue = Self {
            schema: schema.to_owned(),
            tables: BTreeMap::new(),
            foreign_keys,
            suspendable,
        };
        let constants = constants(client, &tables).await?;
        for (name, (mut table, defaults)) in tables {
            for (column, default) in table.columns.iter_mut().zip(defaults) {
                column.value.default = default.and_then(|default| {
                    constants.get(&(default, column.type_name.clone())).cloned()
                });
            }
            catalogue.tables.insert(name, table);
        }
        catalogue.note_indexes(&indexes, &checked);
        Ok(catalogue)
    }

    fn note_indexes(&mut self, indexes: &[Row], checked: &[Row]) {
        for row in indexes {
            if let Some(table) = self.tables.get_mut(row.get::<_, &str>(0)) {
                table.indexes.push(Index {
                    name: row.get(1),
                    unique: row.get::<_, bool>(2).then(|| {
                        if row.get(6) {
                            Nulls::Equal
                        } else {
                            Nulls::Distinct
                        }
                    }),
                    primary: row.get(3),
                    columns: row.get(4),
                    plain: row.get(5),
                });
            }
        }
        for row in checked {
            if let Some(table) = self.tables.get_mut(row.get::<_, &str>(0)) {
                table.checked = true;
            }
        }
    }

    /// A catalogue of the given tables and nothing else.
    pub(crate) fn of(schema: &str, tables: BTreeMap<String, Table>) -> Self {
        Self {
            schema: schema.to_owned(),
            tables,
            foreign_keys: Vec::new(),
            suspendable: Vec::new(),
        }
    }

    /// The qualified, quoted name of a table.
    pub(crate) fn qualified(&self, table: &str) -> String {
        format!("{}.{}", quote(&self.schema), quote(table))
    }

    /// The statements that drop the secondary indexes and foreign keys of `tables`, and those that restore
    /// them. Primary keys stay: foreign keys of tables that are not loaded may need them.
    pub(crate) fn suspend<'a>(&'a self, tables: impl Fn(&str) -> bool + 'a) -> Suspension<'a> {
        let mut items: Vec<&Suspended> = self
            .suspendable
            .iter()
            .filter(|item| tables(&item.table))
            .collect();
        items.sort_by_key(|item| !item.foreign_key);
        Suspension { items }
    }

    /// The foreign keys of one table.
    pub(crate) fn foreign_keys_of<'a>(&'a self, table: &'a str) -> Suspension<'a> {
        let keys = self
            .suspendable
            .iter()
            .filter(|item| item.foreign_key && item.table == table);
        Suspension {
            items: keys.collect(),
        }
    }

    /// What of the indexes and foreign keys described here is not in the database now.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(crate) async fn lost(&self, client: &Client) -> Result<Vec<&str>, TargetError> {
        let now = suspendable(client, &self.schema).await?;
        let described = self.suspendable.iter();
        let lost = described.filter(|item| !now.contains(item));
        Ok(lost.map(|item| item.name.as_str()).collect())
    }
}

/// A set of dropped indexes and foreign keys.
#[derive(Debug)]
pub(crate) struct Suspension<'a> {
    items: Vec<&'a Suspended>,
}

impl Suspension<'_> {
    /// All drops as one script.
    pub(crate) fn drop_script(&self) -> String {
        let drops: Vec<&str> = self.items.iter().map(|item| item.drop.as_str()).collect();
        format!("{};\n", drops.join(";\n"))
    }

    /// The restoring statements, indexes before foreign keys, with the name of what each restores.
    pub(crate) fn restores(&self) -> impl Iterator<Item = &Suspended> {
        self.items.iter().rev().copied()
    }
}

impl Suspended {
    /// Whether it is a foreign key.
    pub(crate) fn is_foreign_key(&self) -> bool {
        self.foreign_key
    }

    /// How it comes back.
    pub(crate) fn restore(&self) -> &str {
        &self.restore
    }
}

/// The binary form of every default that is a constant: an expression without a function call, which can be
/// evaluated without consequences.
async fn constants(
    client: &Client,
    tables: &BTreeMap<String, (Table, Vec<Option<String>>)>,
) -> Result<BTreeMap<(String, String), Vec<u8>>, TargetError> {
    let mut wanted: Vec<(String, String, &'static str)> = Vec::new();
    for (table, defaults) in tables.values() {
        for (column, default) in table.columns.iter().zip(defaults) {
            let Some(default) = default.as_ref().filter(|default| !default.contains('(')) else {
                continue;
            };
            let Some(send) = send_function(column.value.kind) else {
                continue;
            };
            wanted.push((default.clone(), column.type_name.clone(), send));
        }
    }
    wanted.sort();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let values: Vec<String> = wanted
        .iter()
        .map(|(default, type_name, send)| format!("{send}(({default})::{type_name})"))
        .collect();
    let row = client
        .query_typed_one(&format!("SELECT {}", values.join(", ")), &[])
        .await
        .map_err(failed(DOING))?;
    Ok(wanted
        .into_iter()
        .enumerate()
        .filter_map(|(at, (default, type_name, _))| {
            Some(((default, type_name), row.get::<_, Option<Vec<u8>>>(at)?))
        })
        .collect())
}

fn send_function(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Bool => "boolsend",
        Kind::Int2 => "int2send",
        Kind::Int4 => "int4send",
        Kind::Int8 => "int8send",
        Kind::Float4 => "float4send",
        Kind::Float8 => "float8send",
        Kind::Text => "textsend",
        Kind::Varchar(_) => "varcharsend",
        Kind::Json => "json_send",
        Kind::Jsonb => "jsonb_send",
        Kind::Date => "date_send",
        Kind::Timestamp => "timestamp_send",
        Kind::TimestampTz => "timestamptz_send",
        Kind::Uuid => "uuid_send",
        Kind::Bytea => "byteasend",
        Kind::Other => return None,
    })
}

async fn rows(client: &Client, sql: &str, schema: &str) -> Result<Vec<Row>, TargetError> {
    client
        .query_typed(sql, &[(&schema, Type::TEXT)])
        .await
        .map_err(failed(DOING))
}

async fn foreign_keys(client: &Client, schema: &str) -> Result<Vec<ForeignKey>, TargetError> {
    let rows = rows(client, FOREIGN_KEYS, schema).await?;
    Ok(rows
        .iter()
        .map(|row| ForeignKey {
            name: row.get(0),
            table: row.get(1),
            columns: row.get(2),
            parent: row.get(3),
            parent_columns: row.get(4),
            set_null: row.get(5),
        })
        .collect())
}

async fn suspendable(client: &Client, schema: &str) -> Result<Vec<Suspended>, TargetError> {
    let rows = rows(client, SUSPENDABLE, schema).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (table, name, kind, definition): (String, String, String, String) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            let on = format!("{}.{}", quote(schema), quote(&table));
            let constraint = kind != "i";
            let drop = if constraint {
                format!("ALTER TABLE {on} DROP CONSTRAINT {}", quote(&name))
            } else {
                format!("DROP INDEX {}.{}", quote(schema), quote(&name))
            };
            let restore = if constraint {
                format!(
                    "ALTER TABLE {on} ADD CONSTRAINT {} {definition}",
                    quote(&name)
                )
            } else {
                definition
            };
            Suspended {
                table,
                name,
                drop,
                restore,
                foreign_key: kind == "f",
            }
        })
        .collect())
}

const COLUMNS: &str = "
SELECT c.relname::text, a.attname::text, a.atttypid, a.atttypmod,
       format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
       (SELECT quote_ident(sn.nspname) || '.' || quote_ident(s.relname)
          FROM pg_depend dep JOIN pg_class s ON s.oid = dep.refobjid AND s.relkind = 'S'
               JOIN pg_namespace sn ON sn.oid = s.relnamespace
         WHERE dep.classid = 'pg_attrdef'::regclass AND dep.objid = d.oid AND dep.refclassid = 'pg_class'::regclass
         LIMIT 1),
       a.attidentity <> '', t.typtype = 'd', t.typsend::regproc::text
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
 ORDER BY c.relname, a.attnum";

const INDEXES: &str = "
SELECT c.relname::text, i.relname::text, x.indisunique, x.indisprimary,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = x.indrelid AND a.attnum > 0
                AND (a.attnum = ANY (x.indkey)
                     OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid
                                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid = x.indrelid AND d.refobjsubid = a.attnum))
              ORDER BY a.attnum),
       x.indexprs IS NULL AND x.indpred IS NULL,
       pg_get_indexdef(x.indexrelid) LIKE '%NULLS NOT DISTINCT%'
  FROM pg_index x
  JOIN pg_class c ON c.oid = x.indrelid
  JOIN pg_class i ON i.oid = x.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1
 ORDER BY c.relname, x.indexrelid";

const CHECKED: &str = "
SELECT DISTINCT c.relname::text
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND k.contype = 'c'";

const FOREIGN_KEYS: &str = "
SELECT k.conname::text, c.relname::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(n, o)
               JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY o),
       p.relname::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(n, o)
               JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY o),
       k.confdeltype IN ('n', 'd')
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_class p ON p.oid = k.confrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND k.contype = 'f'
 ORDER BY 2, 1";

/// Foreign keys, unique and exclusion constraints, and indexes that belong to no constraint; but not what a
/// foreign key leans on, and not what carries a mark (replica identity, CLUSTER) that a new one would lack.
const SUSPENDABLE: &str = "
SELECT c.relname::text, k.conname::text, k.contype::text, pg_get_constraintdef(k.oid)
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND k.contype IN ('f', 'u', 'x') AND k.conparentid = 0
   AND NOT EXISTS (SELECT FROM pg_constraint f WHERE k.contype <> 'f' AND f.contype = 'f' AND f.conindid = k.conindid)
   AND NOT EXISTS (SELECT FROM pg_index x WHERE k.contype <> 'f' AND x.indexrelid = k.conindid AND (x.indisreplident OR x.indisclustered))
UNION ALL
SELECT c.relname::text, i.relname::text, 'i', pg_get_indexdef(x.indexrelid)
  FROM pg_index x
  JOIN pg_class c ON c.oid = x.indrelid
  JOIN pg_class i ON i.oid = x.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relkind = 'r' AND NOT x.indisprimary AND NOT i.relispartition
   AND NOT x.indisreplident AND NOT x.indisclustered
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid)
 ORDER BY 1, 3, 2";

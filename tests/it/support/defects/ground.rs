//! The ground that defects are planted in: what PostgreSQL's catalogue says of the app's tables, and a `webui.db`
//! with rows in every one of them that needs no repair at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::super::{AWKWARD, Database, Session, Source, insert_chat, open, repository};
use super::Dice;

/// Rows of every table, but for the chats that are bigger.
const ROWS: usize = 12;

/// Valid JSON of every spelling: not a byte of it may change.
const JSON: [&str; 10] = [
    "{}",
    r#"{"b":1.50,  "a":[ ],"b":-0e+7}"#,
    r#""{\"double\": \"encoded {\\\"twice\\\": 1}\"}""#,
    r#"{"google":{"sub":112233445566778899001122}}"#,
    "\t[1,\n 2.00 , 3E4]\r\n ",
    r#"{"path":"C:\\u0000\\temp","surrogate":"\\ud800"}"#,
    r#"["\ud83d\ude00","\u00e9","😀","\u0001"]"#,
    r#"{"text":"Grüße, 世界 \"quoted\" \/"}"#,
    "null",
    r#"{"nested":{"n":[[[[{"deep":[true,false,null]}]]]]}}"#,
];

/// A type of PostgreSQL's, as far as the app's tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Varchar(usize),
    Json,
    Bool,
    Int4,
    Int8,
    Date,
    Timestamp,
}

/// A column of the target.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub not_null: bool,
    /// Its default as PostgreSQL prints it, where that is a constant.
    pub default: Option<String>,
    /// Whether a key, a unique index or a check looks at it.
    pub exposed: bool,
}

/// A table of the target.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub columns: Vec<Column>,
    /// Columns of the primary key.
    pub key: Vec<String>,
}

impl Table {
    pub fn column(&self, name: &str) -> &Column {
        let found = self.columns.iter().find(|column| column.name == name);
        found.unwrap_or_else(|| panic!("no column {name}"))
    }
}

/// A foreign key, of one column.
#[derive(Clone, Debug)]
pub struct Foreign {
    pub name: String,
    pub table: String,
    pub column: String,
    pub parent: String,
    pub parent_column: String,
    pub set_null: bool,
}

/// A unique index over plain columns, or over `lower(column)`.
#[derive(Clone, Debug)]
pub struct Unique {
    pub name: String,
    pub table: String,
    pub columns: Vec<String>,
    pub lower: bool,
    pub primary: bool,
}

/// What is known of the target, and healthy files for it.
pub struct Ground {
    pub tables: BTreeMap<String, Table>,
    pub foreign: Vec<Foreign>,
    pub uniques: Vec<Unique>,
    /// Table and column of every text that a B-tree holds.
    pub indexed: Vec<(String, String)>,
    /// Whether this server's `lower` folds letters beyond ASCII.
    pub folds: bool,
    folder: TempDir,
}

impl Ground {
    /// Reads the catalogue of `database`, which holds the app's schema, and makes the healthy files.
    pub fn new(database: &Database<'_>) -> Self {
        let mut session = database.session();
        let mut ground = Self {
            tables: BTreeMap::new(),
            foreign: foreign_keys(&mut session),
            uniques: uniques(&mut session),
            indexed: pairs(&mut session, INDEXED),
            folds: session.value("SELECT lower('Ä') = 'ä'") == "t",
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        ground.read_columns(&mut session);
        for (n, typed) in [true, false].into_iter().enumerate() {
            let source = Source::from_sql(&loose_schema(typed));
            source.edit(|connection| ground.fill(connection));
            std::fs::copy(source.path(), ground.folder.path().join(n.to_string())).expect("a file");
        }
        ground
    }

    /// A copy of the healthy file: with the types that the app declares, or with none, so that every column keeps
    /// whatever storage class it is given, as columns of old versions did.
    pub fn source(&self, typed: bool) -> Source {
        let source = Source::none();
        let healthy = self.folder.path().join(usize::from(!typed).to_string());
        std::fs::copy(healthy, source.path()).expect("a file");
        source
    }

    fn read_columns(&mut self, session: &mut Session) {
        let mut exposed: BTreeSet<(String, String)> = pairs(session, CHECKED).into_iter().collect();
        for key in &self.foreign {
            exposed.insert((key.table.clone(), key.column.clone()));
            exposed.insert((key.parent.clone(), key.parent_column.clone()));
        }
        for unique in &self.uniques {
            exposed.extend(
                unique
                    .columns
                    .iter()
                    .map(|name| (unique.table.clone(), name.clone())),
            );
        }
        for row in session.query(COLUMNS) {
            let [table, name, of, not_null, default] = row.try_into().expect("five columns");
            let (table, name) = (table.expect("a name"), name.expect("a name"));
            let column = Column {
                kind: kind(&of.expect("a type")),
                not_null: not_null.as_deref() == Some("t"),
                // A function's result cannot be foretold.
                default: default
                    .filter(|default| !default.contains('('))
                    .map(|default| session.value(&format!("SELECT {default}"))),
                exposed: exposed.contains(&(table.clone(), name.clone())),
                name,
            };
            self.tables.entry(table).or_default().columns.push(column);
        }
        for unique in self.uniques.iter().filter(|unique| unique.primary) {
            if let Some(table) = self.tables.get_mut(&unique.table) {
                table.key.clone_from(&unique.columns);
            }
        }
    }

    /// Rows that the app could have written, in every table, and some chats of a usual size.
    fn fill(&self, connection: &Connection) {
        let mut dice = Dice::new(0);
        for (name, table) in &self.tables {
            let columns: Vec<_> = table
                .columns
                .iter()
                .map(|c| format!("\"{}\"", c.name))
                .collect();
            let places = vec!["?"; columns.len()].join(", ");
            let sql = format!(
                "INSERT INTO \"{name}\" ({}) VALUES ({places})",
                columns.join(", ")
            );
            let mut insert = connection.prepare(&sql).expect("a table");
            for n in 0..ROWS {
                let values = table
                    .columns
                    .iter()
                    .map(|c| self.healthy(name, c, n, &mut dice));
                insert
                    .execute(rusqlite::params_from_iter(values))
                    .expect("a row");
            }
        }
        for n in 0..4 {
            insert_chat(connection, 100 + n, n);
        }
    }

    fn healthy(&self, table: &str, column: &Column, n: usize, dice: &mut Dice) -> Value {
        let name = column.name.as_str();
        let number = i64::try_from(n).expect("few rows");
        if let Some(key) = self
            .foreign
            .iter()
            .find(|key| key.table == table && key.column == name)
        {
            // Trees of two levels.
            return match (key.parent == table, n.checked_sub(ROWS / 2)) {
                (false, _) => Value::Text(format!("{}-{n}", key.parent)),
                (true, Some(root)) => Value::Text(format!("{table}-{root}")),
                (true, None) => Value::Null,
            };
        }
        // A member is a user or an app, never both.
        match (table, name) {
            ("channel_member", "user_id") if !n.is_multiple_of(2) => return Value::Null,
            ("channel_member", "app_id") if n.is_multiple_of(2) => return Value::Null,
            _ => {}
        }
        if !column.not_null && !column.exposed && dice.one_in(4) {
            return Value::Null;
        }
        match column.kind {
            Kind::Text | Kind::Varchar(_) if name == "id" => Value::Text(format!("{table}-{n}")),
            Kind::Text if name == "email" => Value::Text(format!("Person{n}@example.org")),
            Kind::Text if name == "user_id" => Value::Text(format!("user-{n}")),
            Kind::Text if column.exposed => Value::Text(format!("{table}.{name}.{n}")),
            Kind::Text => Value::Text(format!("{} {n}", dice.pick(&AWKWARD))),
            Kind::Varchar(limit) => Value::Text("ü".repeat(limit)),
            Kind::Json => Value::Text(dice.pick(&JSON).to_owned()),
            Kind::Bool => Value::Integer(i64::from(dice.one_in(2))),
            Kind::Int4 => Value::Integer(number),
            // Seconds, milliseconds and nanoseconds: all of them are in use, none is to be scaled.
            Kind::Int8 => {
                let unit = dice.pick(&[1, 1_000, 1_000_000_000]);
                Value::Integer((1_700_000_000 + number) * unit + number % unit)
            }
            Kind::Date => Value::Text(format!("19{:02}-02-{:02}", 60 + n, n + 1)),
            Kind::Timestamp => Value::Text(format!("2024-01-02 03:04:{:02}.123456", n + 10)),
        }
    }
}

/// The app's schema at head as `SQLite` takes it, without what would refuse a defect: old versions, and the tools that
/// people used, left files without these constraints.
fn loose_schema(typed: bool) -> String {
    const TYPES: [&str; 8] = [
        " VARCHAR(50)",
        " VARCHAR",
        " TEXT",
        " JSON",
        " BIGINT",
        " BOOLEAN",
        " DATETIME",
        " DATE",
    ];
    let head = repository("tests/fixtures/head.sql");
    let mut loose = String::new();
    let fixture = std::fs::read_to_string(Path::new(&head)).expect("the fixture");
    for statement in fixture.split_inclusive(";\n") {
        if statement.starts_with("CREATE UNIQUE INDEX") {
            continue;
        }
        if !statement.starts_with("CREATE TABLE") || statement.contains("alembic_version") {
            loose.push_str(statement);
            continue;
        }
        let mut lines = statement.lines();
        let head = lines.next().expect("CREATE TABLE");
        let refuses = |line: &str| {
            ["UNIQUE", "CONSTRAINT uq_", "CONSTRAINT ck_", ");"]
                .iter()
                .any(|start| line.starts_with(start))
        };
        let lines = lines
            .map(|line| line.trim().trim_end_matches(','))
            .filter(|line| !refuses(line));
        let lines = lines.map(|line| {
            let mut line = line.replace(" NOT NULL", "");
            for name in TYPES.iter().filter(|_| !typed) {
                line = line.replace(name, "");
            }
            line
        });
        let lines: Vec<_> = lines.collect();
        writeln!(loose, "{head}\n{}\n);", lines.join(",\n")).expect("a string");
    }
    loose
}

fn kind(name: &str) -> Kind {
    match name {
        "text" | "character varying" => Kind::Text,
        "json" => Kind::Json,
        "boolean" => Kind::Bool,
        "integer" => Kind::Int4,
        "bigint" => Kind::Int8,
        "date" => Kind::Date,
        "timestamp without time zone" => Kind::Timestamp,
        _ => {
            let limit = name
                .strip_prefix("character varying(")
                .and_then(|rest| rest.strip_suffix(')'));
            let limit = limit.and_then(|limit| limit.parse().ok());
            Kind::Varchar(limit.unwrap_or_else(|| panic!("the app has a new type, {name}")))
        }
    }
}

const COLUMNS: &str = "
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
      AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum";

const CHECKED: &str = "
    SELECT c.relname, a.attname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey) WHERE k.contype = 'c'";

const INDEXED: &str = "
    SELECT DISTINCT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version' AND i.indpred IS NULL
      AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
    ORDER BY 1, 2";

fn pairs(session: &mut Session, sql: &str) -> Vec<(String, String)> {
    let rows = session.query(sql).into_iter();
    rows.map(|row| {
        let [one, other] = row.try_into().expect("two columns");
        (one.expect("a name"), other.expect("a name"))
    })
    .collect()
}

fn foreign_keys(session: &mut Session) -> Vec<Foreign> {
    let sql = "
        SELECT k.conname, c.relname, a.attname, p.relname, b.attname, k.confdeltype = 'n', cardinality(k.conkey)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class p ON p.oid = k.confrelid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
        JOIN pg_attribute b ON b.attrelid = p.oid AND b.attnum = k.confkey[1]
        WHERE k.contype = 'f' ORDER BY 1";
    let rows = session.query(sql).into_iter();
    rows.map(|row| {
        let row: Vec<String> = row
            .into_iter()
            .map(|field| field.expect("a value"))
            .collect();
        let [
            name,
            table,
            column,
            parent,
            parent_column,
            set_null,
            columns,
        ] = row.try_into().expect("seven columns");
        assert_eq!(
            columns, "1",
            "{name} has several columns: the generator does not know such keys"
        );
        Foreign {
            name,
            table,
            column,
            parent,
            parent_column,
            set_null: set_null == "t",
        }
    })
    .collect()
}

fn uniques(session: &mut Session) -> Vec<Unique> {
    let sql = "
        SELECT i.relname, c.relname, x.indisprimary, coalesce(pg_get_expr(x.indexprs, x.indrelid), ''),
          (SELECT string_agg(a.attname, ',' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (x.indkey))
        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
        WHERE x.indisunique AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version' ORDER BY 1";
    let rows = session.query(sql).into_iter();
    rows.map(|row| {
        let row: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
        let [name, table, primary, expression, columns] = row.try_into().expect("five columns");
        let lower = !expression.is_empty();
        assert!(
            !lower || expression == "lower((email)::text)",
            "{name} is over {expression}: not known here"
        );
        let columns = if lower { "email" } else { &columns };
        let columns = columns.split(',').map(str::to_owned).collect();
        Unique {
            name,
            table,
            columns,
            lower,
            primary: primary == "t",
        }
    })
    .collect()
}

/// Opens a file to plant in: nothing is enforced.
pub fn open_to_plant(path: &Path) -> Connection {
    let connection = open(path);
    connection
        .execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")
        .expect("pragmas");
    connection
}

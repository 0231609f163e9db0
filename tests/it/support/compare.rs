//! Whether PostgreSQL holds what `SQLite` held: an oracle that shares nothing with the program.

use rusqlite::types::ValueRef;

use super::source::tables;
use super::{Database, Snapshot, Source, boot};

/// Every difference between the source's tables and those of schema `public`, as text: none after a move of rows
/// that need no repair.
pub fn differences(source: &Source, database: &Database) -> Vec<String> {
    let (_folder, sqlite) = source.copy();
    let mut session = database.session();
    let mut found = Vec::new();
    for table in tables(&sqlite) {
        let types = session.query(&format!(
            "SELECT attname, atttypid::regtype FROM pg_attribute \
             WHERE attrelid = to_regclass('public.\"{table}\"') AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ));
        let columns: Vec<(String, String)> = types
            .into_iter()
            .map(|row| {
                let mut row = row.into_iter().flatten();
                (row.next().expect("a name"), row.next().expect("a type"))
            })
            .collect();
        if columns.is_empty() {
            found.push(format!("{table} is not in PostgreSQL"));
            continue;
        }
        let names: Vec<_> = columns
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let names = names.join(", ");
        let mut actual: Vec<Vec<Option<String>>> =
            session.query(&format!("SELECT {names} FROM public.\"{table}\""));
        let mut statement = sqlite
            .prepare(&format!("SELECT {names} FROM \"{table}\""))
            .expect("the same columns");
        let mut rows = statement.query([]).expect("a table");
        let mut expected = Vec::new();
        while let Some(row) = rows.next().expect("a row") {
            let values = columns
                .iter()
                .enumerate()
                .map(|(n, (_, of_type))| printed(row.get_ref(n).expect("a value"), of_type));
            expected.push(values.collect::<Vec<_>>());
        }
        actual.sort();
        expected.sort();
        if actual.len() != expected.len() {
            found.push(format!(
                "{table}: {} rows in SQLite, {} in PostgreSQL",
                expected.len(),
                actual.len()
            ));
        } else if let Some((left, right)) = expected
            .iter()
            .zip(&actual)
            .find(|(left, right)| left != right)
        {
            found.push(format!(
                "{table}: {left:?} in SQLite is {right:?} in PostgreSQL"
            ));
        }
    }
    found
}

/// The value as PostgreSQL prints one of that type.
fn printed(value: ValueRef, of_type: &str) -> Option<String> {
    let text = match value {
        ValueRef::Null => return None,
        ValueRef::Integer(integer) => integer.to_string(),
        ValueRef::Real(real) => real.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(blob) => format!("{blob:?}"),
    };
    match (of_type, text.as_str()) {
        ("boolean", "0") => Some("f".to_owned()),
        ("boolean", "1") => Some("t".to_owned()),
        _ => Some(text),
    }
}

/// Fails unless the target is marked and holds the source's rows, all of them and no others.
#[track_caller]
pub fn expect_moved(source: &Source, database: &Database) {
    let differences = differences(source, database);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(database.marked(), "every row is there, but no marker");
}

/// Fails unless an ordinary boot moves everything, starts its app, and leaves the source as it was `before`.
#[track_caller]
pub fn expect_next_boot_moves(source: &Source, database: &Database, before: &Snapshot) {
    boot(source, &database.url())
        .run()
        .expect(0)
        .prints("started\n");
    expect_moved(source, database);
    assert_eq!(source.snapshot(), *before);
}

/// Fails unless the target holds nothing of a move: no marker, no kept-aside row, no row in any of the app's tables.
#[track_caller]
pub fn expect_untouched(database: &Database) {
    assert!(!database.marked(), "a marker");
    let mut counts = database.counts();
    counts.retain(|table, rows| *rows > 0 && table != "alembic_version");
    assert!(counts.is_empty(), "rows: {counts:?}");
    if database.value("SELECT to_regclass('webui_init.leftover') IS NOT NULL") == "t" {
        assert_eq!(
            database.value("SELECT count(*) FROM webui_init.leftover"),
            "0",
            "rows kept aside"
        );
    }
}

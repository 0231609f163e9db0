//! What must hold at any instant: nothing of the move or all of it, the source as it was, and the app started on
//! PostgreSQL only where all of it is there.

use crate::site::{Site, Tables};
use crate::support::{Database, Source, differences};

/// What PostgreSQL holds, and what is wrong with that.
pub struct Held {
    /// The marker is there.
    pub moved: bool,
    pub violations: Vec<String>,
}

/// Looks at the target, directly and from outside.
pub fn held(site: &Site, database: &Database, expected: &Source, before: &Tables) -> Held {
    let mut violations = Vec::new();
    let mut session = database.session();
    let mut count = |table: &str, what: &str| -> i64 {
        let exists = format!("SELECT to_regclass('{table}') IS NOT NULL");
        if session.value(&exists) == "t" {
            let sql = format!("SELECT {what} FROM {table}");
            session.value(&sql).parse().expect("a number")
        } else {
            0
        }
    };
    let markers = count("webui_init.migration", "count(*)");
    let moved = markers > 0;
    if markers > 1 {
        violations.push(format!("{markers} markers"));
    }
    let kept_aside = count("webui_init.leftover", "count(*)");
    if kept_aside > 0 {
        violations.push(format!("{kept_aside} rows kept aside"));
    }
    let now = Tables::of(database);
    if moved {
        let told = count("webui_init.migration", "coalesce(max(rows), 0)");
        let rows: i64 = expected
            .counts()
            .into_iter()
            .filter(|(table, _)| table != "alembic_version")
            .map(|(_, rows)| rows)
            .sum();
        if told != rows {
            violations.push(format!("the marker tells of {told} rows, not {rows}"));
        }
        let mut differences = differences(expected, database);
        let more = differences.split_off(differences.len().min(2)).len();
        violations.extend(differences.iter().map(|text| shortened(text)));
        if more > 0 {
            violations.push(format!("{more} more tables differ"));
        }
    } else {
        let mut rows = now.rows.clone();
        // The app's schema may have been made meanwhile.
        if before.rows.is_empty() {
            rows.retain(|table, rows| *rows > 0 && table != "alembic_version");
        }
        if rows != before.rows {
            rows.retain(|table, rows| before.rows.get(table) != Some(rows));
            violations.push(format!(
                "without a marker there are {}",
                shortened(&format!("{rows:?}"))
            ));
        }
        let sequences = &site.as_made().sequences;
        if now.rows.contains_key("config") && now.sequences != *sequences {
            violations.push(format!(
                "sequences at {:?} instead of {sequences:?}",
                now.sequences
            ));
        }
    }
    if now.rows.contains_key("config") && now.fixtures != site.as_made().fixtures {
        violations.push("indexes or constraints are not as the app made them".into());
    }
    Held { moved, violations }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

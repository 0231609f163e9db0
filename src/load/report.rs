//! Owns the account of a move: the summary in the log and the same as JSON in the marker. Counts and keys,
//! never contents.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::load::reader::TableTally;
use crate::output::progress;

/// The account of a move.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Rows now in the app's tables.
    pub rows: u64,
    /// Of these, stored exactly as they were.
    pub unchanged: u64,
    /// Originals kept in `webui_init.leftover`.
    pub kept_aside: u64,
    /// Bytes sent to PostgreSQL.
    pub bytes: u64,
    /// Seconds by stage; none of a move that was only foretold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub seconds: BTreeMap<&'static str, f64>,
    /// Every table that held rows.
    pub tables: Vec<TableReport>,
}

/// The account of one table.
#[derive(Debug, Serialize)]
pub struct TableReport {
    /// Its name.
    pub table: String,
    /// Rows in the source.
    pub read: u64,
    /// Rows in the target.
    pub rows: u64,
    /// Originals kept, by reason.
    pub kept_aside: BTreeMap<String, KeptReport>,
}

/// Originals kept for one reason.
#[derive(Debug, Serialize)]
pub struct KeptReport {
    /// How many.
    pub count: u64,
    /// Whether the row is in the target, and only a part of it was kept aside.
    pub row_is_in_place: bool,
    /// Keys of the first few.
    pub keys: Vec<String>,
}

impl Report {
    /// Adds up the tallies.
    pub fn new(tallies: &[TableTally], seconds: BTreeMap<&'static str, f64>) -> Self {
        let tables: Vec<TableReport> = tallies
            .iter()
            .filter(|tally| tally.read > 0)
            .map(TableReport::new)
            .collect();
        let kept = |in_place: bool| -> u64 {
            let all = tables.iter().flat_map(|table| table.kept_aside.values());
            all.filter(|kept| kept.row_is_in_place == in_place)
                .map(|kept| kept.count)
                .sum()
        };
        let rows = tallies.iter().map(|tally| tally.digest.rows).sum();
        Self {
            rows,
            unchanged: rows - tallies.iter().map(|tally| tally.altered).sum::<u64>(),
            kept_aside: kept(true) + kept(false),
            bytes: tallies.iter().map(|tally| tally.bytes).sum(),
            seconds,
            tables,
        }
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// The summary for the log: a table of tables, then what was repaired and kept aside.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{} rows of {} tables are in PostgreSQL ({} sent)",
            self.rows,
            self.tables.iter().filter(|table| table.rows > 0).count(),
            progress::bytes(self.bytes)
        );
        let width = self
            .tables
            .iter()
            .map(|table| table.table.len())
            .max()
            .unwrap_or(0)
            .max(5);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n  {:<width$} {:>10} {:>10} {:>10} {:>10}",
            "table", "in SQLite", "moved", "repaired", "kept aside"
        );
        for table in &self.tables {
            let _ = write!(
                text,
                "\n  {:<width$} {:>10} {:>10} {:>10} {:>10}",
                table.table,
                table.read,
                table.rows,
                table.kept(true),
                table.kept(false)
            );
        }
        for (in_place, title) in [
            (true, "stored in another form, the original kept"),
            (false, "not stored, kept aside"),
        ] {
            for table in &self.tables {
                for (reason, kept) in table
                    .kept_aside
                    .iter()
                    .filter(|(_, kept)| kept.row_is_in_place == in_place)
                {
                    let more = if kept.count > kept.keys.len() as u64 {
                        ", …"
                    } else {
                        ""
                    };
                    let _ = write!(
                        text,
                        "\n  {title}: {} of {} because of {reason} ({}{more})",
                        kept.count,
                        table.table,
                        kept.keys.join("; ")
                    );
                }
            }
        }
        text
    }
}

impl TableReport {
    fn new(tally: &TableTally) -> Self {
        let kept_aside = tally
            .leftovers
            .iter()
            .map(|(reason, kept)| {
                let kept = KeptReport {
                    count: kept.count,
                    row_is_in_place: reason.row_is_in_place(),
                    keys: kept.keys.clone(),
                };
                (reason.to_string(), kept)
            })
            .collect();
        Self {
            table: tally.table.clone(),
            read: tally.read,
            rows: tally.digest.rows,
            kept_aside,
        }
    }

    fn kept(&self, in_place: bool) -> u64 {
        self.kept_aside
            .values()
            .filter(|kept| kept.row_is_in_place == in_place)
            .map(|kept| kept.count)
            .sum()
    }
}

//! Owns the account of a move: the summary in the log and the same as JSON in the marker. Counts and keys,
//! never contents.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::load::reader::TableTally;
use crate::output::progress;
use crate::output::words::{columns, count};

/// The account of a move.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
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
pub(crate) struct TableReport {
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
pub(crate) struct KeptReport {
    /// How many.
    pub count: u64,
    /// Whether the row is in the target, and only a part of it was kept aside.
    pub row_is_in_place: bool,
    /// Keys of the first few.
    pub keys: Vec<String>,
}

impl Report {
    /// Adds up the tallies.
    pub(crate) fn new(tallies: &[TableTally], seconds: BTreeMap<&'static str, f64>) -> Self {
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
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// The rows in PostgreSQL, and of how many tables.
    pub(crate) fn sum(&self) -> String {
        let tables = self.tables.iter().filter(|table| table.rows > 0).count();
        format!(
            "{} in {}",
            count(self.rows, "row"),
            count(tables as u64, "table")
        )
    }

    /// Tells of a move that is done: one line, one more where something is kept aside, and every table at `debug`.
    pub(crate) fn log(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        tracing::info!(
            rows = self.rows,
            bytes = self.bytes,
            kept_aside = self.kept_aside,
            seconds,
            "moved and verified {} ({}) in {seconds:.1} s",
            self.sum(),
            progress::bytes(self.bytes)
        );
        for table in &self.tables {
            tracing::debug!(
                table = table.table,
                read = table.read,
                rows = table.rows,
                "{}: {} of {}",
                table.table,
                table.rows,
                count(table.read, "row")
            );
        }
        if self.kept_aside > 0 {
            tracing::warn!(
                kept_aside = self.kept_aside,
                "kept aside in webui_init.leftover, where `webui-init leftovers` lists them: {}{}",
                count(self.kept_aside, "original"),
                self.exceptions("is stored in another form", "is not stored")
            );
        }
    }

    /// Each table, for people.
    pub(crate) fn table(&self) -> String {
        let rows: Vec<[String; 5]> = self
            .tables
            .iter()
            .map(|table| {
                [
                    table.table.clone(),
                    table.read.to_string(),
                    table.rows.to_string(),
                    table.kept(true).to_string(),
                    table.kept(false).to_string(),
                ]
            })
            .collect();
        columns(
            ["table", "webui.db", "moved", "repaired", "kept aside"],
            &rows,
        )
    }

    /// What is not stored exactly as it was, a line each for a table and a reason.
    pub(crate) fn exceptions(&self, in_place: &str, aside: &str) -> String {
        let mut text = String::new();
        for (row_is_in_place, what) in [(true, in_place), (false, aside)] {
            for table in &self.tables {
                let kept = table.kept_aside.iter();
                for (reason, kept) in
                    kept.filter(|(_, kept)| kept.row_is_in_place == row_is_in_place)
                {
                    let more = if kept.count > kept.keys.len() as u64 {
                        "; …"
                    } else {
                        ""
                    };
                    // Writing to a String cannot fail.
                    let _ = write!(
                        text,
                        "\n  {} {what} ({reason}): {}{more}",
                        count(kept.count, &format!("row of {}", table.table)),
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

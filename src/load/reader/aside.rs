//! Owns what is kept aside: the originals of rows and values that the target does not hold as they were, for
//! `webui_init.leftover`.

use std::collections::BTreeMap;

use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::sink::Sink;
use super::stream::Stream;
use super::tally::{Kept, TableTally};
use super::{ReadError, TableReader, column_list, value_of};
use crate::convert::reason::Reason;
use crate::load::plan::{Plan, SourceColumn, key_columns};
use crate::sql::quote;
use crate::sqlite::source::{self, Source};

/// The COPY that takes what is kept aside.
pub(crate) const LEFTOVER_COPY: &str = "COPY webui_init.leftover (target_schema, table_name, source_rowid, reason, row) FROM STDIN (FORMAT binary)";
const LEFTOVER: &str = "webui_init.leftover";

/// One original that must be kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leftover {
    /// Row id, or position in reading order where the table has none.
    pub(super) rowid: i64,
    /// The column; none for the whole row.
    pub(super) column: Option<SourceColumn>,
    pub(super) reason: Reason,
}

impl Stream {
    /// The COPY of what is kept aside.
    pub(super) fn of_leftovers() -> Self {
        Self::new(LEFTOVER_COPY.to_owned(), LEFTOVER)
    }
}

impl TableReader<'_> {
    /// Second visit to the rows that something was noted about, now for their originals.
    pub(super) fn keep_originals<S: Sink>(
        &self,
        leftovers: &[Leftover],
        stream: &mut Stream,
        tally: &mut TableTally,
        sink: &mut S,
    ) -> Result<(), ReadError<S::Stopped>> {
        if leftovers.is_empty() {
            return Ok(());
        }
        let mut groups = leftovers.chunk_by(|a, b| a.rowid == b.rowid);
        let in_place = |group: &&[Leftover]| group[0].reason.row_is_in_place();
        tally.altered += groups.clone().filter(in_place).count() as u64;
        let Some(rowid) = self.table.source.rowid else {
            let mut next = groups.next();
            return self.each_row(|position, row| {
                if let Some(group) = next.filter(|group| group[0].rowid == position) {
                    self.keep(None, group, row, stream, tally);
                    next = groups.next();
                }
                stream.flush_if_full(sink)
            });
        };
        let columns = column_list(&self.table.source);
        let table = quote(self.table.name());
        let sql = format!("SELECT {rowid}, {columns} FROM main.{table} WHERE {rowid} = ?1");
        let mut statement = self.prepare(&sql)?;
        for group in groups {
            let mut rows = statement
                .query([group[0].rowid])
                .map_err(|error| self.source.failed(error))?;
            if let Some(row) = rows.next().map_err(|error| self.source.failed(error))? {
                self.keep(Some(group[0].rowid), group, row, stream, tally);
            }
            stream.flush_if_full(sink)?;
        }
        Ok(())
    }

    /// Writes the leftovers of one row: one for each reason, holding the columns concerned and the key.
    fn keep(
        &self,
        rowid: Option<i64>,
        group: &[Leftover],
        row: &Row<'_>,
        stream: &mut Stream,
        tally: &mut TableTally,
    ) {
        let mut reasons: Vec<&Reason> = group.iter().map(|leftover| &leftover.reason).collect();
        reasons.sort();
        reasons.dedup();
        for reason in reasons {
            let concerned = |at: SourceColumn| {
                !reason.row_is_in_place()
                    || self.table.source.columns[at.0].key
                    || group
                        .iter()
                        .any(|leftover| leftover.reason == *reason && leftover.column == Some(at))
            };
            self.leftover(rowid, reason, row, concerned, stream, tally);
        }
    }

    pub(super) fn keep_unknown_columns<S: Sink>(
        &self,
        leftovers: &[Leftover],
        stream: &mut Stream,
        tally: &mut TableTally,
        sink: &mut S,
    ) -> Result<(), ReadError<S::Stopped>> {
        let columns = self.table.source.columns.iter().enumerate();
        let unknown: Vec<SourceColumn> = columns
            .filter(|(_, column)| self.table.unknown_columns.contains(&column.name))
            .map(|(at, _)| SourceColumn(at))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        self.each_row(|rowid, row| {
            if unknown
                .iter()
                .any(|at| self.says_something(*at, rowid, row))
            {
                // Leftovers come in the order of the rows. A row that is kept aside whole needs no more.
                match leftovers.binary_search_by_key(&rowid, |leftover| leftover.rowid) {
                    Ok(at) if !leftovers[at].reason.row_is_in_place() => return Ok(()),
                    Ok(_) => {}
                    Err(_) => tally.altered += 1,
                }
                let concerned =
                    |at: SourceColumn| unknown.contains(&at) || self.table.source.columns[at.0].key;
                self.leftover(
                    self.table.source.rowid.map(|_| rowid),
                    &Reason::UnknownColumn,
                    row,
                    concerned,
                    stream,
                    tally,
                );
            }
            stream.flush_if_full(sink)
        })
    }

    /// Whether the value of a column that the target lacks is content. A key that is the row id itself is not: an old
    /// Open WebUI numbered its documents that way.
    fn says_something(&self, at: SourceColumn, rowid: i64, row: &Row<'_>) -> bool {
        match value_of(row, at) {
            ValueRef::Null => false,
            ValueRef::Integer(number) => {
                !(self.table.source.columns[at.0].key
                    && self.table.source.rowid.is_some()
                    && number == rowid)
            }
            _ => true,
        }
    }

    fn leftover(
        &self,
        rowid: Option<i64>,
        reason: &Reason,
        row: &Row<'_>,
        concerned: impl Fn(SourceColumn) -> bool,
        stream: &mut Stream,
        tally: &mut TableTally,
    ) {
        let columns = self
            .table
            .source
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| (SourceColumn(at), column))
            .filter(|(at, _)| concerned(*at));
        let values = columns.map(|(at, column)| (column.name.as_str(), value_of(row, at)));
        stream.leftover(self.plan.schema(), self.table.name(), rowid, reason, values);
        let kept = tally.leftovers.entry(reason.clone()).or_default();
        kept.add(|| key(&self.table.source, &self.table.keys(), rowid, row));
    }
}

/// A row's key as text: its primary key if it has one, else its row id.
pub(super) fn key(
    table: &source::Table,
    keys: &[SourceColumn],
    rowid: Option<i64>,
    row: &Row<'_>,
) -> String {
    let parts: Vec<String> = keys
        .iter()
        .map(|at| match value_of(row, *at) {
            // Escaped: a key must not be able to forge a line of the log.
            ValueRef::Text(text) => String::from_utf8_lossy(text)
                .chars()
                .take(64)
                .flat_map(char::escape_debug)
                .collect(),
            ValueRef::Integer(integer) => integer.to_string(),
            _ => "?".to_owned(),
        })
        .collect();
    match (parts.is_empty(), rowid) {
        (false, _) => parts.join(", "),
        (true, Some(rowid)) => format!("row {rowid}"),
        (true, None) => format!("a row of {}", table.name),
    }
}

/// Keeps a whole table aside. None if it is empty.
pub(super) fn read_unknown<S: Sink>(
    source: &Source,
    plan: &Plan,
    table: &source::Table,
    sink: &mut S,
) -> Result<Option<TableTally>, ReadError<S::Stopped>> {
    let failed = |error| ReadError::from(source.failed(error));
    let sql = format!(
        "SELECT {}, {} FROM main.{}",
        table.rowid.unwrap_or("NULL"),
        column_list(table),
        quote(&table.name)
    );
    let mut statement = source.connection().prepare(&sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut stream = Stream::of_leftovers();
    let mut kept = Kept::default();
    let keys = key_columns(table);
    while let Some(row) = rows.next().map_err(failed)? {
        let rowid: Option<i64> = row.get(0).map_err(failed)?;
        let values = table
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| (column.name.as_str(), value_of(row, SourceColumn(at))));
        stream.leftover(
            plan.schema(),
            &table.name,
            rowid,
            &Reason::UnknownTable,
            values,
        );
        stream.flush_if_full(sink)?;
        kept.add(|| key(table, &keys, rowid, row));
    }
    stream.finish(sink)?;
    Ok((kept.count > 0).then(|| TableTally {
        table: table.name.clone(),
        read: kept.count,
        bytes: stream.sent,
        leftovers: BTreeMap::from([(Reason::UnknownTable, kept)]),
        ..TableTally::default()
    }))
}

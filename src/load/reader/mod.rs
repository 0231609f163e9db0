//! Owns the reading side of the move: rows out of SQLite, in row id order, converted and hashed, into chunks
//! of PostgreSQL's binary COPY format. It runs on a thread of its own and hands chunks over a bounded channel, so that
//! reading, converting and sending overlap. It does not know PostgreSQL: the same reading serves to foretell a move.

mod aside;
mod sink;
mod stream;
mod tally;

use std::convert::Infallible;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement};

pub(crate) use self::aside::LEFTOVER_COPY;
use self::aside::{Leftover, key, read_unknown};
pub(crate) use self::sink::{ChannelSink, Discard, Event, NoReceiver, Sink};
use self::stream::Stream;
pub(crate) use self::tally::{TableTally, refused_parents};
use crate::convert::digest::{Digest, RowHash};
use crate::convert::reason::Reason;
use crate::convert::value::{self, Refusal};
use crate::load::findings::{Findings, RefusedRow, TableFindings};
use crate::load::plan::{Plan, SourceColumn, TablePlan};
use crate::sql::quote;
use crate::sqlite::source::{Source, SourceError, Table};

/// Why reading ended early.
#[derive(Debug)]
pub(crate) enum ReadError<Stopped> {
    /// The source's fault.
    Source(SourceError),
    /// The sink takes no more.
    Stopped(Stopped),
}

impl<Stopped> From<SourceError> for ReadError<Stopped> {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// From a sink that never stops, only the source's fault is left.
pub(crate) fn only_source<T>(read: Result<T, ReadError<Infallible>>) -> Result<T, SourceError> {
    read.map_err(|error| match error {
        ReadError::Source(error) => error,
        ReadError::Stopped(never) => match never {},
    })
}

/// Reads every table of the plan, then what is kept aside of it.
///
/// # Errors
/// The source cannot be read, or nobody takes the rows.
pub(crate) fn read<S: Sink>(
    source: &Source,
    plan: &Plan,
    findings: &Findings,
    sink: &mut S,
) -> Result<Vec<TableTally>, ReadError<S::Stopped>> {
    let nothing = TableFindings::default();
    let mut tallies = Vec::new();
    for table in &plan.tables {
        let reader = TableReader {
            source,
            plan,
            table,
            findings: findings.of(table.name()).unwrap_or(&nothing),
        };
        tallies.push(reader.run(sink)?);
    }
    for table in &plan.unknown {
        tallies.extend(read_unknown(source, plan, table, sink)?);
    }
    Ok(tallies)
}

/// Reads one table and hands over every row that would be sent, each as its row id and its bytes.
///
/// # Errors
/// The source cannot be read, or nobody takes the rows.
pub(crate) fn read_singly<E>(
    source: &Source,
    plan: &Plan,
    findings: &Findings,
    table: &TablePlan,
    mut take: impl FnMut(i64, Bytes) -> Result<(), E>,
) -> Result<(), ReadError<E>> {
    let nothing = TableFindings::default();
    let findings = findings.of(table.name()).unwrap_or(&nothing);
    let reader = TableReader {
        source,
        plan,
        table,
        findings,
    };
    let mut output = Output::new(Stream::new(String::new(), table.name()));
    reader.each_row(|rowid, row| {
        reader.row(rowid, row, &mut output, &mut Discard);
        output.leftovers.clear();
        let bytes = std::mem::take(&mut output.stream.buffer);
        if bytes.is_empty() {
            return Ok(());
        }
        take(rowid, Bytes::from(bytes)).map_err(ReadError::Stopped)
    })
}

/// What the rows of one table become.
struct Output {
    stream: Stream,
    digest: Digest,
    leftovers: Vec<Leftover>,
}

impl Output {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            digest: Digest::default(),
            leftovers: Vec::new(),
        }
    }
}

struct TableReader<'a> {
    source: &'a Source,
    plan: &'a Plan,
    table: &'a TablePlan,
    findings: &'a TableFindings,
}

/// The column's value; the row id comes first in every row.
fn value_of<'row>(row: &'row Row<'_>, column: SourceColumn) -> ValueRef<'row> {
    row.get_ref_unwrap(column.0 + 1)
}

fn column_list(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| quote(&column.name));
    columns.collect::<Vec<_>>().join(", ")
}

impl TableReader<'_> {
    fn run<S: Sink>(&self, sink: &mut S) -> Result<TableTally, ReadError<S::Stopped>> {
        let mut tally = TableTally {
            table: self.table.name().to_owned(),
            ..TableTally::default()
        };
        let mut output = Output::new(Stream::new(self.table.copy_statement(), self.table.name()));
        self.each_row(|rowid, row| {
            tally.read += 1;
            self.row(rowid, row, &mut output, sink);
            output.stream.flush_if_full(sink)
        })?;
        output.stream.finish(sink)?;
        let Output {
            stream,
            digest,
            leftovers,
        } = output;
        (tally.digest, tally.bytes) = (digest, stream.sent);
        // Those of an earlier round are known already.
        let refused = leftovers.iter().filter(|leftover| {
            matches!(leftover.reason, Reason::Refused(_))
                && !self.findings.aside.contains_key(&leftover.rowid)
        });
        tally.refused = refused
            .map(|leftover| RefusedRow {
                table: tally.table.clone(),
                rowid: leftover.rowid,
                reason: leftover.reason.clone(),
            })
            .collect();

        let mut aside = Stream::of_leftovers();
        self.keep_originals(&leftovers, &mut aside, &mut tally, sink)?;
        self.keep_unknown_columns(&leftovers, &mut aside, &mut tally, sink)?;
        aside.finish(sink)?;
        tally.bytes += aside.sent;
        Ok(tally)
    }

    /// Visits every row in row id order, whatever indexes the file has.
    fn each_row<E>(
        &self,
        mut visit: impl FnMut(i64, &Row<'_>) -> Result<(), ReadError<E>>,
    ) -> Result<(), ReadError<E>> {
        let failed = |error| self.source.failed(error);
        let (columns, table) = (column_list(&self.table.source), quote(self.table.name()));
        let sql = match self.table.source.rowid {
            Some(rowid) => {
                format!("SELECT {rowid}, {columns} FROM main.{table} NOT INDEXED ORDER BY {rowid}")
            }
            None => format!("SELECT 0, {columns} FROM main.{table}"),
        };
        let mut statement = self.prepare(&sql)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut last: Option<i64> = None;
        while let Some(row) = rows.next().map_err(failed)? {
            let rowid = match self.table.source.rowid {
                Some(_) => row.get(0).map_err(failed)?,
                None => last.map_or(0, |last| last + 1),
            };
            if last.is_some_and(|last| last >= rowid) {
                return Err(self.source.disordered(self.table.name()).into());
            }
            last = Some(rowid);
            visit(rowid, row)?;
        }
        Ok(())
    }

    fn prepare(&self, sql: &str) -> Result<Statement<'_>, SourceError> {
        let prepared = self.source.connection().prepare(sql);
        prepared.map_err(|error| self.source.failed(error))
    }

    /// Converts one row and appends it to the stream, or notes why not.
    fn row<S: Sink>(&self, rowid: i64, row: &Row<'_>, output: &mut Output, sink: &mut S) {
        if let Some(reason) = self.findings.aside.get(&rowid) {
            output.leftovers.push(Leftover {
                rowid,
                column: None,
                reason: reason.clone(),
            });
            return;
        }
        let (start, noted) = (output.stream.buffer.len(), output.leftovers.len());
        let mut hash = sink
            .wants_digests()
            .then(|| RowHash::new(self.table.fields.len()));
        let mut key = sink
            .wants_rows()
            .then(|| RowHash::new(self.table.primary.len()));
        if let Err(refusal) = self.fields(rowid, row, output, (hash.as_mut(), key.as_mut())) {
            output.stream.buffer.truncate(start);
            output.leftovers.truncate(noted);
            output.leftovers.push(Leftover {
                rowid,
                column: None,
                reason: Reason::Refused(refusal),
            });
            return;
        }
        let hash = hash.map(RowHash::finish);
        match hash {
            Some(hash) => output.digest.add(hash),
            None => output.digest.rows += 1,
        }
        if let (Some(key), Some(hash)) = (key, hash) {
            let name = || self::key(&self.table.source, &self.table.keys(), Some(rowid), row);
            sink.row(self.table.name(), key.finish(), hash, &name);
        }
        output.stream.rows += 1;
    }

    /// Appends the fields of one row, and adds them to the hashes of the row and of its key.
    fn fields(
        &self,
        rowid: i64,
        row: &Row<'_>,
        output: &mut Output,
        (mut hash, mut key): (Option<&mut RowHash>, Option<&mut RowHash>),
    ) -> Result<(), Refusal> {
        let nulled = self.findings.nulled.get(&rowid);
        let nulled = nulled.map_or(&[][..], Vec::as_slice);
        let buffer = &mut output.stream.buffer;
        // A table has at most 1,600 columns in PostgreSQL.
        let count = u16::try_from(self.table.fields.len()).unwrap_or(u16::MAX);
        buffer.extend_from_slice(&count.to_be_bytes());
        for (at, field) in self.table.placed_fields() {
            let mut value = field
                .from
                .map_or(ValueRef::Null, |from| value_of(row, from));
            if let Some((column, reason)) = nulled.iter().find(|(at, _)| Some(*at) == field.from) {
                output.leftovers.push(Leftover {
                    rowid,
                    column: Some(*column),
                    reason: reason.clone(),
                });
                value = ValueRef::Null;
            }
            let start = buffer.len();
            let repairs = value::encode(value, &field.column.value, buffer)?;
            output
                .leftovers
                .extend(repairs.iter().map(|repair| Leftover {
                    rowid,
                    column: field.from,
                    reason: Reason::Repaired(repair),
                }));
            if let Some(hash) = &mut hash {
                hash.field(field.column.type_oid, &buffer[start..]);
            }
            if let Some(key) = key.as_mut().filter(|_| self.table.primary.contains(&at)) {
                key.field(field.column.type_oid, &buffer[start..]);
            }
        }
        Ok(())
    }
}

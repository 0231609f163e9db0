//! Owns the reading side of the move: rows out of SQLite, in row id order, converted and hashed, into chunks
//! of PostgreSQL's binary COPY format (documentation of COPY, "Binary Format"). It runs on a thread of its
//! own and hands chunks over a bounded channel, so that reading, converting and sending overlap. It does
//! not know PostgreSQL: the same reading serves to foretell a move.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement};
use tokio::sync::mpsc::Sender;

use crate::convert::digest::{Digest, RowHash};
use crate::convert::original;
use crate::convert::reason::Reason;
use crate::convert::value;
use crate::load::findings::{Findings, Seed, TableFindings};
use crate::load::plan::{Plan, TablePlan};
use crate::postgres::catalogue::Catalogue;
use crate::sql::quote;
use crate::sqlite::source::{self, Source, SourceError};

/// Bytes per message. Larger ones save nothing and cost memory.
const CHUNK: usize = 256 * 1024;
/// How many keys of each kind of leftover the report names.
const NAMED_KEYS: usize = 3;

/// How a binary COPY begins.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// How it ends.
pub const TRAILER: &[u8] = &[0xff, 0xff];
const LEFTOVER: &str = "webui_init.leftover";
/// The COPY that takes what is kept aside.
pub const LEFTOVER_COPY: &str = "COPY webui_init.leftover (target_schema, table_name, source_rowid, reason, row) FROM STDIN (FORMAT binary)";

/// What the reader hands over.
#[derive(Debug)]
pub enum Event {
    /// A COPY begins: the statement, and the table for the progress line.
    Begin {
        /// The COPY statement.
        statement: String,
        /// The source's table.
        table: String,
    },
    /// A part of it, and the rows completed with it.
    Chunk(Bytes, u64),
    /// It ends.
    End,
}

/// Where chunks go.
pub trait Sink {
    /// Takes one event; `false` says that nobody wants more.
    fn take(&mut self, event: Event) -> bool;

    /// Whether [`Sink::row`] is to be called.
    fn wants_rows(&self) -> bool {
        false
    }

    /// Whether anybody will look at the digests; else rows are only counted.
    fn wants_digests(&self) -> bool {
        self.wants_rows()
    }

    /// Takes the hashes of one row that is sent: of its key in the target, and of the whole of it. `name` tells
    /// its key as text.
    fn row(&mut self, _table: &str, _key: [u8; 16], _hash: [u8; 16], _name: &dyn Fn() -> String) {}
}

/// A sink that wants nothing: reading alone tells what a move would do.
#[derive(Debug)]
pub struct Nowhere;

impl Sink for Nowhere {
    fn take(&mut self, _event: Event) -> bool {
        true
    }
}

/// The sink of the move: events cross over to the thread that sends them.
#[derive(Debug)]
pub struct Outlet {
    /// The other end.
    pub events: Sender<Event>,
    /// Whether rows are hashed.
    pub digests: bool,
}

impl Sink for Outlet {
    fn take(&mut self, event: Event) -> bool {
        self.events.blocking_send(event).is_ok()
    }

    fn wants_digests(&self) -> bool {
        self.digests
    }
}

/// Why reading ended early.
#[derive(Debug)]
pub enum ReadError {
    /// The source's fault.
    Source(SourceError),
    /// The receiving side is gone; its own error says why.
    NoReceiver,
}

impl From<SourceError> for ReadError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// What became of one table's rows.
#[derive(Debug, Clone, Default)]
pub struct TableTally {
    /// The table.
    pub table: String,
    /// What the target must hold now. All zero for tables that it does not know.
    pub digest: Digest,
    /// Rows read.
    pub read: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Originals kept aside, by reason.
    pub leftovers: BTreeMap<Reason, Kept>,
    /// Rows in the target of which an original, or a part that has no column there, is kept aside.
    pub altered: u64,
    /// Rows that were found only now to have no place in the target.
    pub refused: Vec<Seed>,
}

/// How many originals were kept, and the first few keys.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Number of leftover rows.
    pub count: u64,
    /// Keys of the first of them.
    pub keys: Vec<String>,
}

/// Reads every table of the plan, then what is kept aside of it.
///
/// # Errors
/// The source cannot be read, or nobody takes the rows.
pub fn read(
    source: &Source,
    plan: &Plan,
    findings: &Findings,
    sink: &mut dyn Sink,
) -> Result<Vec<TableTally>, ReadError> {
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

/// The rows that were found only while reading to have no place in the target, of tables that others refer to:
/// their children are orphans, which have to be searched for anew.
pub fn refused_parents(tallies: &[TableTally], catalogue: &Catalogue) -> Vec<Seed> {
    let is_parent = |table: &str| {
        let mut keys = catalogue.foreign_keys.iter();
        keys.any(|key| key.parent == table)
    };
    tallies
        .iter()
        .filter(|tally| is_parent(&tally.table))
        .flat_map(|tally| tally.refused.iter().cloned())
        .collect()
}

/// Reads one table and hands over every row that would be sent, each as its row id and its bytes.
///
/// # Errors
/// The source cannot be read, or nobody takes the rows.
pub fn read_singly(
    source: &Source,
    plan: &Plan,
    findings: &Findings,
    table: &TablePlan,
    mut take: impl FnMut(i64, Bytes) -> bool,
) -> Result<(), ReadError> {
    let nothing = TableFindings::default();
    let findings = findings.of(table.name()).unwrap_or(&nothing);
    let reader = TableReader {
        source,
        plan,
        table,
        findings,
    };
    let mut stream = Stream::new(String::new(), table.name());
    let (mut digest, mut offences) = (Digest::default(), Vec::new());
    reader.each_row(|rowid, row| {
        reader.row(
            rowid,
            row,
            &mut stream,
            &mut digest,
            &mut offences,
            &mut Nowhere,
        );
        offences.clear();
        let bytes = std::mem::take(&mut stream.buffer);
        if bytes.is_empty() || take(rowid, Bytes::from(bytes)) {
            Ok(())
        } else {
            Err(ReadError::NoReceiver)
        }
    })
}

/// One original that must be kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offence {
    /// Row id, or position in reading order where the table has none.
    rowid: i64,
    /// The column; none for the whole row.
    column: Option<usize>,
    reason: Reason,
}

struct TableReader<'a> {
    source: &'a Source,
    plan: &'a Plan,
    table: &'a TablePlan,
    findings: &'a TableFindings,
}

impl TableReader<'_> {
    fn run(&self, sink: &mut dyn Sink) -> Result<TableTally, ReadError> {
        let mut tally = TableTally {
            table: self.table.name().to_owned(),
            ..TableTally::default()
        };
        let mut stream = Stream::new(self.table.copy_statement(), self.table.name());
        let mut offences = Vec::new();
        self.each_row(|rowid, row| {
            tally.read += 1;
            self.row(
                rowid,
                row,
                &mut stream,
                &mut tally.digest,
                &mut offences,
                sink,
            );
            stream.flush_if_full(sink)
        })?;
        stream.finish(sink)?;
        tally.bytes = stream.sent;

        tally.refused = offences
            .iter()
            .filter(|offence| matches!(offence.reason, Reason::Refused(_)))
            .map(|offence| {
                (
                    tally.table.clone(),
                    offence.rowid,
                    offence.reason.to_string(),
                )
            })
            .collect();

        let mut aside = Stream::new(LEFTOVER_COPY.to_owned(), LEFTOVER);
        self.keep_offenders(&offences, &mut aside, &mut tally, sink)?;
        self.keep_unknown_columns(&offences, &mut aside, &mut tally, sink)?;
        aside.finish(sink)?;
        tally.bytes += aside.sent;
        Ok(tally)
    }

    /// Visits every row in row id order, whatever indexes the file has.
    fn each_row(
        &self,
        mut visit: impl FnMut(i64, &Row<'_>) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let columns: Vec<String> = self
            .table
            .source
            .columns
            .iter()
            .map(|column| quote(&column.name))
            .collect();
        let sql = match self.table.source.rowid {
            Some(rowid) => format!(
                "SELECT {rowid}, {} FROM main.{} NOT INDEXED ORDER BY {rowid}",
                columns.join(", "),
                quote(self.table.name())
            ),
            None => format!(
                "SELECT 0, {} FROM main.{}",
                columns.join(", "),
                quote(self.table.name())
            ),
        };
        let mut statement = self.prepare(&sql)?;
        let mut rows = statement
            .query([])
            .map_err(|error| self.source.failed(error))?;
        let mut last: Option<i64> = None;
        while let Some(row) = rows.next().map_err(|error| self.source.failed(error))? {
            let rowid = match self.table.source.rowid {
                Some(_) => row.get(0).map_err(|error| self.source.failed(error))?,
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

    fn prepare(&self, sql: &str) -> Result<Statement<'_>, ReadError> {
        Ok(self
            .source
            .connection()
            .prepare(sql)
            .map_err(|error| self.source.failed(error))?)
    }

    /// Converts one row and appends it to the stream, or notes why not.
    fn row(
        &self,
        rowid: i64,
        row: &Row<'_>,
        stream: &mut Stream,
        digest: &mut Digest,
        offences: &mut Vec<Offence>,
        sink: &mut dyn Sink,
    ) {
        if let Some(reason) = self.findings.aside.get(&rowid) {
            offences.push(Offence {
                rowid,
                column: None,
                reason: Reason::of_finding(reason),
            });
            return;
        }
        let nulled = self
            .findings
            .nulled
            .get(&rowid)
            .map_or(&[][..], Vec::as_slice);
        let (tuple_start, offences_start) = (stream.buffer.len(), offences.len());
        let mut hash = sink
            .wants_digests()
            .then(|| RowHash::new(self.table.fields.len()));
        let mut key = sink
            .wants_rows()
            .then(|| RowHash::new(self.table.primary.len()));
        // A table has at most 1,600 columns in PostgreSQL.
        let count = u16::try_from(self.table.fields.len()).unwrap_or(u16::MAX);
        stream.buffer.extend_from_slice(&count.to_be_bytes());
        for (at, field) in self.table.fields.iter().enumerate() {
            let mut value = field
                .from
                .map_or(ValueRef::Null, |at| row.get_ref_unwrap(at + 1));
            if let Some((at, reason)) = nulled.iter().find(|(at, _)| Some(*at) == field.from) {
                offences.push(Offence {
                    rowid,
                    column: Some(*at),
                    reason: Reason::of_finding(reason),
                });
                value = ValueRef::Null;
            }
            let start = stream.buffer.len();
            match value::encode(value, &field.column.value, &mut stream.buffer) {
                Ok(repairs) => offences.extend(repairs.iter().map(|repair| Offence {
                    rowid,
                    column: field.from,
                    reason: Reason::Repaired(repair),
                })),
                Err(refusal) => {
                    stream.buffer.truncate(tuple_start);
                    offences.truncate(offences_start);
                    offences.push(Offence {
                        rowid,
                        column: None,
                        reason: Reason::Refused(refusal),
                    });
                    return;
                }
            }
            if let Some(hash) = &mut hash {
                hash.field(field.column.type_oid, &stream.buffer[start..]);
            }
            if let Some(key) = key.as_mut().filter(|_| self.table.primary.contains(&at)) {
                key.field(field.column.type_oid, &stream.buffer[start..]);
            }
        }
        let hash = hash.map(RowHash::finish);
        match hash {
            Some(hash) => digest.add(hash),
            None => digest.rows += 1,
        }
        if let (Some(key), Some(hash)) = (key, hash) {
            let name = || self::key(&self.table.source, &self.table.keys(), Some(rowid), row);
            sink.row(self.table.name(), key.finish(), hash, &name);
        }
        stream.rows += 1;
    }

    /// Second visit to the rows that something was noted about, now for their originals.
    fn keep_offenders(
        &self,
        offences: &[Offence],
        stream: &mut Stream,
        tally: &mut TableTally,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        if offences.is_empty() {
            return Ok(());
        }
        let mut groups = offences.chunk_by(|a, b| a.rowid == b.rowid);
        let in_place = |group: &&[Offence]| group[0].reason.row_is_in_place();
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
        let columns: Vec<String> = self
            .table
            .source
            .columns
            .iter()
            .map(|column| quote(&column.name))
            .collect();
        let sql = format!(
            "SELECT {rowid}, {} FROM main.{} WHERE {rowid} = ?1",
            columns.join(", "),
            quote(self.table.name())
        );
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
        group: &[Offence],
        row: &Row<'_>,
        stream: &mut Stream,
        tally: &mut TableTally,
    ) {
        let mut reasons: Vec<&Reason> = group.iter().map(|offence| &offence.reason).collect();
        reasons.sort();
        reasons.dedup();
        for reason in reasons {
            let concerned = |at: usize| {
                !reason.row_is_in_place()
                    || self.table.source.columns[at].key
                    || group
                        .iter()
                        .any(|offence| offence.reason == *reason && offence.column == Some(at))
            };
            self.leftover(rowid, reason, row, concerned, stream, tally);
        }
    }

    fn keep_unknown_columns(
        &self,
        offences: &[Offence],
        stream: &mut Stream,
        tally: &mut TableTally,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        let unknown: Vec<usize> = (0..self.table.source.columns.len())
            .filter(|at| {
                self.table
                    .unknown_columns
                    .contains(&self.table.source.columns[*at].name)
            })
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        self.each_row(|rowid, row| {
            if unknown
                .iter()
                .any(|at| self.says_something(*at, rowid, row))
            {
                // Offences come in the order of the rows. A row that is kept aside whole needs no more.
                match offences.binary_search_by_key(&rowid, |offence| offence.rowid) {
                    Ok(at) if !offences[at].reason.row_is_in_place() => return Ok(()),
                    Ok(_) => {}
                    Err(_) => tally.altered += 1,
                }
                let concerned =
                    |at: usize| unknown.contains(&at) || self.table.source.columns[at].key;
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
    fn says_something(&self, at: usize, rowid: i64, row: &Row<'_>) -> bool {
        match row.get_ref_unwrap(at + 1) {
            ValueRef::Null => false,
            ValueRef::Integer(number) => {
                !(self.table.source.columns[at].key
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
        concerned: impl Fn(usize) -> bool,
        stream: &mut Stream,
        tally: &mut TableTally,
    ) {
        let columns = self
            .table
            .source
            .columns
            .iter()
            .enumerate()
            .filter(|(at, _)| concerned(*at));
        let values = columns.map(|(at, column)| (column.name.as_str(), row.get_ref_unwrap(at + 1)));
        stream.leftover(&self.plan.schema, self.table.name(), rowid, reason, values);
        let kept = tally.leftovers.entry(reason.clone()).or_default();
        kept.count += 1;
        if kept.keys.len() < NAMED_KEYS {
            kept.keys
                .push(key(&self.table.source, &self.table.keys(), rowid, row));
        }
    }
}

/// A row's key as text: its primary key if it has one, else its row id.
fn key(table: &source::Table, keys: &[usize], rowid: Option<i64>, row: &Row<'_>) -> String {
    let parts: Vec<String> = keys
        .iter()
        .map(|at| match row.get_ref_unwrap(at + 1) {
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
fn read_unknown(
    source: &Source,
    plan: &Plan,
    table: &source::Table,
    sink: &mut dyn Sink,
) -> Result<Option<TableTally>, ReadError> {
    let failed = |error| ReadError::from(source.failed(error));
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| quote(&column.name))
        .collect();
    let rowid = table.rowid.unwrap_or("NULL");
    let sql = format!(
        "SELECT {rowid}, {} FROM main.{}",
        columns.join(", "),
        quote(&table.name)
    );
    let mut statement = source.connection().prepare(&sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut stream = Stream::new(LEFTOVER_COPY.to_owned(), LEFTOVER);
    let mut kept = Kept::default();
    let keys: Vec<usize> = (0..table.columns.len())
        .filter(|at| table.columns[*at].key)
        .collect();
    while let Some(row) = rows.next().map_err(failed)? {
        let rowid: Option<i64> = row.get(0).map_err(failed)?;
        let values = table
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| (column.name.as_str(), row.get_ref_unwrap(at + 1)));
        stream.leftover(
            &plan.schema,
            &table.name,
            rowid,
            &Reason::UnknownTable,
            values,
        );
        stream.flush_if_full(sink)?;
        kept.count += 1;
        if kept.keys.len() < NAMED_KEYS {
            kept.keys.push(key(table, &keys, rowid, row));
        }
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

/// One COPY. It begins with its first row: an empty table costs no round trip.
struct Stream {
    statement: Option<String>,
    table: String,
    buffer: Vec<u8>,
    rows: u64,
    sent: u64,
}

impl Stream {
    fn new(statement: String, table: &str) -> Self {
        Self {
            statement: Some(statement),
            table: table.to_owned(),
            buffer: Vec::new(),
            rows: 0,
            sent: 0,
        }
    }

    /// Appends a row of `webui_init.leftover`.
    fn leftover<'a>(
        &mut self,
        schema: &str,
        table: &str,
        rowid: Option<i64>,
        reason: &Reason,
        values: impl Iterator<Item = (&'a str, ValueRef<'a>)>,
    ) {
        self.buffer.extend_from_slice(&5_u16.to_be_bytes());
        self.field(|out| out.extend_from_slice(schema.as_bytes()));
        self.field(|out| out.extend_from_slice(table.as_bytes()));
        match rowid {
            Some(rowid) => self.field(|out| out.extend_from_slice(&rowid.to_be_bytes())),
            None => self.buffer.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
        self.field(|out| out.extend_from_slice(reason.to_string().as_bytes()));
        self.field(|out| original::write_row(values, out));
        self.rows += 1;
    }

    fn field(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        write(&mut self.buffer);
        let length = u32::try_from(self.buffer.len() - start - 4).unwrap_or(u32::MAX);
        self.buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    fn flush_if_full(&mut self, sink: &mut dyn Sink) -> Result<(), ReadError> {
        if self.buffer.len() < CHUNK {
            Ok(())
        } else {
            self.flush(sink)
        }
    }

    fn flush(&mut self, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let Some(bytes) =
            (!self.buffer.is_empty()).then(|| Bytes::from(std::mem::take(&mut self.buffer)))
        else {
            return Ok(());
        };
        self.buffer.reserve(CHUNK + CHUNK / 4);
        if let Some(statement) = self.statement.take() {
            deliver(
                sink,
                Event::Begin {
                    statement,
                    table: self.table.clone(),
                },
            )?;
            deliver(sink, Event::Chunk(Bytes::from_static(HEADER), 0))?;
        }
        self.sent += bytes.len() as u64;
        let mut rest = bytes;
        while rest.len() > CHUNK * 2 {
            deliver(sink, Event::Chunk(rest.split_to(CHUNK), 0))?;
        }
        deliver(sink, Event::Chunk(rest, std::mem::take(&mut self.rows)))
    }

    fn finish(&mut self, sink: &mut dyn Sink) -> Result<(), ReadError> {
        self.flush(sink)?;
        if self.statement.is_none() {
            deliver(sink, Event::Chunk(Bytes::from_static(TRAILER), 0))?;
            deliver(sink, Event::End)?;
        }
        self.buffer = Vec::new();
        Ok(())
    }
}

fn deliver(sink: &mut dyn Sink, event: Event) -> Result<(), ReadError> {
    if sink.take(event) {
        Ok(())
    } else {
        Err(ReadError::NoReceiver)
    }
}

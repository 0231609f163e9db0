//! Owns one COPY as the reader writes it: rows into chunks, chunks to the sink.

use bytes::Bytes;
use rusqlite::types::ValueRef;

use super::ReadError;
use super::sink::{Event, Sink};
use crate::convert::copy_format::{HEADER, NULL, TRAILER, field};
use crate::convert::original;
use crate::convert::reason::Reason;

/// Bytes per message. Larger ones save nothing and cost memory.
const CHUNK: usize = 256 * 1024;

/// One COPY. It begins with its first row: an empty table costs no round trip.
pub(super) struct Stream {
    statement: Option<String>,
    table: String,
    pub(super) buffer: Vec<u8>,
    pub(super) rows: u64,
    pub(super) sent: u64,
}

impl Stream {
    pub(super) fn new(statement: String, table: &str) -> Self {
        Self {
            statement: Some(statement),
            table: table.to_owned(),
            buffer: Vec::new(),
            rows: 0,
            sent: 0,
        }
    }

    /// Appends a row of `webui_init.leftover`.
    pub(super) fn leftover<'a>(
        &mut self,
        schema: &str,
        table: &str,
        rowid: Option<i64>,
        reason: &Reason,
        values: impl Iterator<Item = (&'a str, ValueRef<'a>)>,
    ) {
        self.buffer.extend_from_slice(&5_u16.to_be_bytes());
        let out = &mut self.buffer;
        field(out, |out| out.extend_from_slice(schema.as_bytes()));
        field(out, |out| out.extend_from_slice(table.as_bytes()));
        match rowid {
            Some(rowid) => field(out, |out| out.extend_from_slice(&rowid.to_be_bytes())),
            None => out.extend_from_slice(&NULL),
        }
        field(out, |out| {
            out.extend_from_slice(reason.to_string().as_bytes());
        });
        field(out, |out| original::write_row(values, out));
        self.rows += 1;
    }

    pub(super) fn flush_if_full<S: Sink>(
        &mut self,
        sink: &mut S,
    ) -> Result<(), ReadError<S::Stopped>> {
        if self.buffer.len() < CHUNK {
            Ok(())
        } else {
            self.flush(sink)
        }
    }

    fn flush<S: Sink>(&mut self, sink: &mut S) -> Result<(), ReadError<S::Stopped>> {
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

    pub(super) fn finish<S: Sink>(&mut self, sink: &mut S) -> Result<(), ReadError<S::Stopped>> {
        self.flush(sink)?;
        if self.statement.is_none() {
            deliver(sink, Event::Chunk(Bytes::from_static(TRAILER), 0))?;
            deliver(sink, Event::End)?;
        }
        self.buffer = Vec::new();
        Ok(())
    }
}

fn deliver<S: Sink>(sink: &mut S, event: Event) -> Result<(), ReadError<S::Stopped>> {
    sink.take(event).map_err(ReadError::Stopped)
}

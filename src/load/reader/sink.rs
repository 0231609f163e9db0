//! Owns where the reader's rows go: across to the thread that sends them, or nowhere.

use std::convert::Infallible;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;

/// What the reader hands over.
#[derive(Debug)]
pub(crate) enum Event {
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
pub(crate) trait Sink {
    /// Why it takes no more.
    type Stopped;

    /// Takes one event.
    ///
    /// # Errors
    /// The receiver is gone.
    fn take(&mut self, event: Event) -> Result<(), Self::Stopped>;

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

/// A sink that drops everything: reading alone tells what a move would do.
#[derive(Debug)]
pub(crate) struct Discard;

impl Sink for Discard {
    type Stopped = Infallible;

    fn take(&mut self, _event: Event) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The receiving side of the channel is gone; its own error says why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoReceiver;

/// The sink of the move: events cross over to the thread that sends them.
#[derive(Debug)]
pub(crate) struct ChannelSink {
    /// The other end.
    pub events: Sender<Event>,
    /// Whether rows are hashed.
    pub digests: bool,
}

impl Sink for ChannelSink {
    type Stopped = NoReceiver;

    fn take(&mut self, event: Event) -> Result<(), NoReceiver> {
        self.events.blocking_send(event).map_err(|_| NoReceiver)
    }

    fn wants_digests(&self) -> bool {
        self.digests
    }
}

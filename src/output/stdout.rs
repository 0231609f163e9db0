//! Owns stdout, which carries what a command was asked for and nothing else, and the frame of every JSON document there.

use std::io::{self, ErrorKind, Write as _};

use serde::Serialize;

use crate::output::clock;
use crate::output::secret::Redactor;

/// Writes to stdout. Whoever closed it wants no more, which is no failure.
///
/// # Errors
/// It could not be written, for another reason: the disk that it leads to is full.
pub(crate) fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes what a command answers to people; a server's words in it may hold a secret.
///
/// # Errors
/// As [`out`].
pub(crate) fn say(text: &str) -> io::Result<()> {
    out(&format!("{}\n", Redactor::clean(text)))
}

/// What every document begins with.
#[derive(Debug, Serialize)]
pub(crate) struct Head {
    schema: String,
    version: &'static str,
    time: String,
}

impl Head {
    /// Of the answer of `command`. The number of its schema changes when a field changes its name or meaning, or goes.
    pub(crate) fn new(command: &str) -> Self {
        Self {
            schema: format!("webui-init/{command}/1"),
            version: env!("CARGO_PKG_VERSION"),
            time: clock::now(),
        }
    }
}

/// What every document ends with.
#[derive(Debug, Serialize)]
pub(crate) struct End {
    ok: bool,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Trouble>,
}

/// A failure: one name for each of its parts, in documents as in the log.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Trouble {
    /// The exit code.
    pub exit_code: u8,
    /// What happened.
    pub cause: String,
    /// What was left as it was.
    pub safe: String,
    /// What to do now.
    pub next: String,
}

impl From<Option<Trouble>> for End {
    fn from(error: Option<Trouble>) -> Self {
        Self {
            ok: error.is_none(),
            exit_code: error.as_ref().map_or(0, |error| error.exit_code),
            error,
        }
    }
}

/// A document: who speaks, what was found (unless that could not be found out), and how it ended.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a, T> {
    #[serde(flatten)]
    head: Head,
    #[serde(flatten)]
    body: Option<&'a T>,
    #[serde(flatten)]
    end: End,
}

impl<'a, T: Serialize> Document<'a, T> {
    /// The answer of `command`.
    pub(crate) fn new(command: &str, body: Option<&'a T>, error: Option<Trouble>) -> Self {
        Self {
            head: Head::new(command),
            body,
            end: error.into(),
        }
    }

    /// Writes it to stdout, on one line.
    ///
    /// # Errors
    /// As [`out`].
    pub(crate) fn write(&self) -> io::Result<()> {
        let text = serde_json::to_string(self)?;
        out(&format!("{}\n", Redactor::clean(&text)))
    }
}

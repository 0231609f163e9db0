//! Owns how a command answers: on stdout, as text or as a JSON document, and with an error also there.

use serde::Serialize;

use crate::failure::Failure;
use crate::output::stdout::{Document, Trouble, say};
use crate::postgres::error::chain;

/// What a command found, and the failure that follows from it.
pub type Found<T> = (T, Result<(), Failure>);

/// Writes what `command` found to stdout.
///
/// # Errors
/// The failure that follows from it, or the one that kept it from finding anything.
pub fn answer<T: Serialize>(
    command: &str,
    json: bool,
    found: Result<Found<T>, Failure>,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let (body, outcome) = match found {
        Ok((body, outcome)) => (Some(body), outcome),
        Err(failure) => (None, Err(failure)),
    };
    let written = match &body {
        body if json => {
            let trouble = outcome.as_ref().err().map(Trouble::from);
            Document::new(command, body.as_ref(), trouble).write()
        }
        Some(body) => say(&text(body)),
        None => Ok(()),
    };
    outcome.and(written.map_err(Failure::Output))
}

impl From<&Failure> for Trouble {
    fn from(failure: &Failure) -> Self {
        Self {
            exit_code: failure.exit_code(),
            cause: chain(failure),
            safe: failure.untouched().to_owned(),
            next: failure.advice(),
        }
    }
}

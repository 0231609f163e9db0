//! Owns how a command answers: on stdout, as text or as a JSON document, and with an error also there.

use serde::Serialize;

use crate::failure::row::{Context, Doing};
use crate::failure::{Failure, Told};
use crate::output::stdout::{Document, Trouble, say};
use crate::settings::Settings;

/// What a command found, and the failure that follows from it.
pub(crate) type Found<T> = (T, Result<(), Failure>);

/// Writes what `command` found to stdout.
///
/// # Errors
/// The failure that follows from it, or the one that kept it from finding anything.
pub(crate) fn answer<T: Serialize>(
    command: &str,
    json: bool,
    context: &Context,
    found: Result<Found<T>, Failure>,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    let (body, outcome) = match found {
        Ok((body, outcome)) => (Some(body), outcome),
        Err(failure) => (None, Err(failure)),
    };
    let written = match &body {
        body if json => {
            let trouble = outcome
                .as_ref()
                .err()
                .map(|failure| failure.told(context).into());
            Document::new(command, body.as_ref(), trouble).write()
        }
        Some(body) => say(&text(body)),
        None => Ok(()),
    };
    outcome.and(written.map_err(Failure::Output))
}

/// What a failure of a command that only reads depends on.
pub(crate) fn reading(settings: &Settings) -> Context {
    Context {
        doing: Doing::Reading,
        place: settings.dsn.place(),
        ..Context::default()
    }
}

impl From<Told> for Trouble {
    fn from(told: Told) -> Self {
        Self {
            exit_code: told.code,
            cause: told.cause,
            safe: told.safe,
            next: told.next,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Serializer;
    use serde::ser::Error as _;

    use super::*;

    struct Unspeakable;

    impl Serialize for Unspeakable {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("it has no JSON"))
        }
    }

    #[test]
    fn a_document_that_cannot_be_made_is_a_failure_and_not_answered_as_text() {
        let found = Ok((Unspeakable, Ok(())));
        let ended = answer("plan", true, &Context::default(), found, |_| {
            unreachable!("JSON was asked for")
        });
        let failure = ended.expect_err("nothing was written");
        assert!(matches!(failure, Failure::Output(_)), "{failure:?}");
        assert_eq!(failure.exit_code(), 74);
    }
}

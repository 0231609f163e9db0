//! Owns what must never be printed: the [`Secret`] wrapper and the [`Redactor`] that every line of
//! output passes through. What counts as a secret is decided by `settings` and `dsn`.

use std::fmt;
use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

/// A string that `Debug` does not show and that has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Wraps a secret value.
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that hands it to a server or a child's environment.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A shorter password is no secret, and masking its letters everywhere would make the log unreadable.
const SHORTEST: usize = 4;

/// What stands in the place of a secret.
const MASK: &str = "***";

static SPELLINGS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Masks every registered spelling of a secret in text that is about to leave the process.
///
/// Our own messages never contain secrets; this guards what passes through from elsewhere: the app's
/// output, a library's trace events, a server's error text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Redactor;

impl Redactor {
    /// Adds spellings (raw, percent-encoded, …) that must not be printed from now on.
    pub(crate) fn register(spellings: impl IntoIterator<Item = String>) {
        let mut known = SPELLINGS.write().unwrap_or_else(PoisonError::into_inner);
        for spelling in spellings {
            for variant in [
                escaped(&format!("{spelling:?}")),
                escaped(&json(&spelling)),
                spelling,
            ] {
                if variant.len() >= SHORTEST && !known.contains(&variant) {
                    known.push(variant);
                }
            }
        }
        // A spelling that contains another one must be masked first, or its rest would remain.
        known.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    }

    /// `text` with every registered spelling masked.
    pub(crate) fn clean(text: &str) -> String {
        let known = SPELLINGS.read().unwrap_or_else(PoisonError::into_inner);
        let mut clean = text.to_owned();
        for spelling in known
            .iter()
            .filter(|spelling| text.contains(spelling.as_str()))
        {
            clean = clean.replace(spelling, MASK);
        }
        clean
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The inside of a quoted string literal.
fn escaped(quoted: &str) -> String {
    quoted[1..quoted.len() - 1].to_owned()
}

/// A writer to stderr that masks secrets. `tracing-subscriber` writes one whole event at a time.
#[derive(Debug)]
pub(crate) struct RedactedStderr;

impl Write for RedactedStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let clean = Redactor::clean(&String::from_utf8_lossy(bytes));
        io::stderr().write_all(clean.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_every_spelling_longest_first() {
        Redactor::register(["canary\"x".to_owned(), "canary\"x@db".to_owned()]);
        let cleaned = Redactor::clean(r#"a canary"x@db b {"m":"canary\"x"} c"#);
        assert_eq!(cleaned, r#"a *** b {"m":"***"} c"#);
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }
}

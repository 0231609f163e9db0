//! Owns what the app's schema step says: the number of its steps, and where it fails, of a hundred lines of traceback, the
//! one that names the cause, the migration that was running, and all of it. What follows from them is `failure`'s.

use std::collections::VecDeque;
use std::fmt;

/// How many of the last lines are kept.
const KEPT: usize = 400;

/// What a schema step said, as far as an error repeats it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Complaint {
    /// The last line that named an error, without the wrapping of `SQLAlchemy`.
    pub cause: Option<String>,
    /// The revision that Alembic was going to, and its title: `38d63c18f30f, Add oauth_session table`.
    pub step: Option<String>,
    /// How many migrations it ran.
    pub steps: u64,
    lines: VecDeque<String>,
}

impl Complaint {
    /// Takes one line of output, in the order in which they come.
    pub(crate) fn hear(&mut self, line: &str) {
        if let Some((_, step)) = line.split_once("Running upgrade ") {
            self.step = step.split_once("-> ").map(|(_, to)| to.trim().to_owned());
            self.steps += 1;
        }
        if let Some(cause) = cause(line) {
            self.cause = Some(cause);
        }
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }

    /// Whether the cause has these words.
    pub(crate) fn names(&self, words: &str) -> bool {
        self.cause
            .as_ref()
            .is_some_and(|cause| cause.contains(words))
    }
}

impl Complaint {
    /// All that it said, as it came; the end of it, if it was much.
    pub(crate) fn output(&self) -> String {
        Vec::from(self.lines.clone()).join("\n")
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.cause, self.lines.back()) {
            (Some(cause), _) => write!(f, ": {cause}")?,
            (None, None) => f.write_str("; it wrote nothing")?,
            (None, Some(last)) => write!(f, "; its last line: {last}")?,
        }
        match &self.step {
            Some(step) => write!(f, " (at its migration {step})"),
            None => Ok(()),
        }
    }
}

/// The error that a line names: the end of a Python traceback (`package.SomeError: text`), or Alembic's own word.
fn cause(line: &str) -> Option<String> {
    let text = line.trim();
    if let Some(failed) = text.strip_prefix("FAILED: ") {
        return Some(failed.to_owned());
    }
    if let Some((_, said)) = text.split_once("ERROR [alembic.util.messaging] ") {
        return Some(said.to_owned());
    }
    // Python's interpreter itself, when the module is not there: `/usr/bin/python3: No module named alembic`.
    if let Some((_, module)) = text.split_once(": No module named ") {
        return Some(format!("No module named {module}"));
    }
    // A traceback's last line begins at the margin; source lines within it are indented.
    let (name, said) = line.split_once(": ").unwrap_or((line, ""));
    let class = name.rsplit('.').next().unwrap_or(name);
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
    let is_error = ["Error", "Exception", "Exit", "Interrupt", "Violation"]
        .iter()
        .any(|end| class.ends_with(end));
    if !is_name || !(is_error || name.starts_with("psycopg2.errors.")) || said.is_empty() {
        return None;
    }
    // SQLAlchemy wraps the driver's error: `sqlalchemy.exc.ProgrammingError: (psycopg2.errors.X) text`.
    let inner = said
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(") "))
        .filter(|_| name.starts_with("sqlalchemy."));
    Some(match inner {
        Some((driver, said)) => {
            format!("{}: {said}", driver.rsplit('.').next().unwrap_or(driver))
        }
        None => format!("{class}: {said}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Complaint {
        let mut complaint = Complaint::default();
        text.lines().for_each(|line| complaint.hear(line));
        complaint
    }

    #[test]
    fn the_cause_is_found_before_a_long_statement() {
        let complaint = of(
            "INFO  [alembic.runtime.migration] Running upgrade 3 -> 4, Before\n\
             INFO  [alembic.runtime.migration] Running upgrade a5c220713937 -> 38d63c18f30f, Add oauth_session table\n\
             Traceback (most recent call last):\n  File \"x.py\", line 1, in f\n    raise SomeError: no\n\
             psycopg2.errors.InvalidForeignKey: there is no unique constraint\n\n\
             The above exception was the direct cause of the following exception:\n\
             sqlalchemy.exc.ProgrammingError: (psycopg2.errors.InvalidForeignKey) there is no unique constraint matching given keys\n\n\
             [SQL: \nCREATE TABLE oauth_session (\n  id TEXT NOT NULL,\n a\n b\n c\n d\n e\n f\n g\n h\n i)\n\
             (Background on this error at: https://sqlalche.me/e/20/f405)",
        );
        assert_eq!(
            complaint.cause.as_deref(),
            Some("InvalidForeignKey: there is no unique constraint matching given keys")
        );
        let text = complaint.to_string();
        assert!(text.starts_with(": InvalidForeignKey: there"), "{text}");
        assert!(text.ends_with("(at its migration 38d63c18f30f, Add oauth_session table)"));
        assert_eq!(complaint.steps, 2);
        assert_eq!(
            complaint.output().lines().next(),
            Some("INFO  [alembic.runtime.migration] Running upgrade 3 -> 4, Before")
        );
    }

    #[test]
    fn other_ways_to_fail_are_named_too() {
        for (line, cause) in [
            (
                "ERROR [alembic.util.messaging] Can't locate revision identified by 'ffff'",
                "Can't locate revision identified by 'ffff'",
            ),
            ("FAILED: Multiple head revisions", "Multiple head revisions"),
            (
                "/opt/venv/bin/python: No module named alembic",
                "No module named alembic",
            ),
            ("ValueError: bad", "ValueError: bad"),
            (
                "sqlite3.OperationalError: duplicate column name: info_json",
                "OperationalError: duplicate column name: info_json",
            ),
        ] {
            assert_eq!(of(line).cause.as_deref(), Some(cause));
        }
        for line in [
            "INFO  [alembic] fine: really",
            "    raise ValueError: x",
            "Error while finding module",
            "see https://example.org/Error: x",
        ] {
            assert_eq!(of(line).cause, None, "{line}");
        }
        assert_eq!(of("").to_string(), "; it wrote nothing");
    }
}

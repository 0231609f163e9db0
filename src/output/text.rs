//! Owns the form of a line of the log for people: when, how serious, who speaks, what; and below it, for an event that
//! ends something, what is safe and what to do next.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::output::clock;
use crate::output::log::{APP, FATAL};

/// Formats events as text.
#[derive(Debug)]
pub(crate) struct Text {
    /// Whether lines begin with the time. A person at a terminal knows it.
    stamped: bool,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            stamped: !std::io::stderr().is_terminal(),
        }
    }
}

/// What of an event is shown to people. Its other fields are for programs.
#[derive(Default)]
struct Parts {
    message: String,
    safe: String,
    next: String,
    output: String,
    exit_code: String,
}

impl Parts {
    fn of(&mut self, field: &Field) -> Option<&mut String> {
        match field.name() {
            "message" => Some(&mut self.message),
            "safe" => Some(&mut self.safe),
            "next" => Some(&mut self.next),
            "output" => Some(&mut self.output),
            "exit_code" => Some(&mut self.exit_code),
            _ => None,
        }
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if let Some(part) = self.of(field) {
            // Writing to a String cannot fail.
            let _ = write!(part, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(part) = self.of(field) {
            part.push_str(value);
        }
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let metadata = event.metadata();
        if self.stamped {
            write!(writer, "{} ", clock::now())?;
        }
        writer.write_str(&line(metadata.target(), *metadata.level(), &parts))
    }
}

fn line(target: &str, level: Level, parts: &Parts) -> String {
    let who = match target {
        APP => "open-webui".to_owned(),
        FATAL => format!("webui-init {}", env!("CARGO_PKG_VERSION")),
        _ if target.starts_with("webui_init") => "webui-init".to_owned(),
        // A library's own words, which are shown at the level `trace`.
        other => other.to_owned(),
    };
    let mut text = format!("{level:<5} {who}: {}", parts.message);
    if !parts.exit_code.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(text, " (exit code {})", parts.exit_code);
    }
    for (name, part) in [("Safe", &parts.safe), ("Next", &parts.next)] {
        if !part.is_empty() {
            let _ = write!(text, "\n  {name}: {part}");
        }
    }
    if !parts.output.is_empty() {
        text.push_str("\n  Output of Open WebUI's schema step:");
        for said in parts.output.lines() {
            let _ = write!(text, "\n  | {said}");
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_speaks() {
        let parts = || Parts {
            message: "hello".to_owned(),
            ..Parts::default()
        };
        let of = |target, level| line(target, level, &parts());
        assert_eq!(
            of("webui_init::command::boot", Level::INFO),
            "INFO  webui-init: hello\n"
        );
        assert_eq!(of(APP, Level::DEBUG), "DEBUG open-webui: hello\n");
        assert_eq!(
            of("tokio_postgres::query", Level::TRACE),
            "TRACE tokio_postgres::query: hello\n"
        );
    }

    #[test]
    fn what_ends_the_program_is_one_event() {
        let parts = Parts {
            message: "no".to_owned(),
            safe: "all.".to_owned(),
            next: "go on.".to_owned(),
            output: "a\nb".to_owned(),
            exit_code: "76".to_owned(),
        };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            line(FATAL, Level::ERROR, &parts),
            format!(
                "ERROR webui-init {version}: no (exit code 76)\n  Safe: all.\n  Next: go on.\n  Output of Open WebUI's schema step:\n  | a\n  | b\n"
            )
        );
    }
}

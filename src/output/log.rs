//! Owns the log: stderr only (stdout belongs to the app), text or JSON, every line redacted.

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::output::secret::RedactedStderr;
use crate::output::text::Text;

/// `WEBUI_INIT_LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// The target of this program's own lines.
const OURS: &str = "webui_init";
/// The target of the lines that Open WebUI writes while its schema step runs.
pub(crate) const APP: &str = "open_webui";

/// The target of what ends the program: it is written whatever the filter says, `off` included.
pub(crate) const FATAL: &str = "webui_init::fatal";

/// `WEBUI_INIT_LOG` is no level and no list of `target=level`.
#[derive(Debug, Error)]
#[error("not a level (error, warn, info, debug, trace, off) or a list of target=level")]
pub(crate) struct NotAFilter;

/// The filter of `WEBUI_INIT_LOG`: a level, or `target=level` pairs separated by commas.
///
/// Levels may be spelled as Python's logging does, and so Open WebUI's `GLOBAL_LOG_LEVEL`: `WARNING`, `CRITICAL`,
/// `NOTSET`. A bare level speaks of this program; libraries stay at `warn` unless named or the level is `trace`. What Open WebUI
/// says while its schema step runs (the target [`APP`]) follows `webui_init` unless it is named itself.
///
/// # Errors
/// The text is no such list. A bare word that is no level is none: taken for a target, it would silence all others.
pub(crate) fn parse_filter(text: &str) -> Result<Targets, NotAFilter> {
    let mut filter = Targets::new();
    for item in text.split(',').map(str::trim) {
        filter = match item.split_once('=') {
            Some((target, level)) => filter.with_target(target.trim(), parse_level(level)?),
            None => filter.with_default(parse_level(item)?),
        };
    }
    let filter = filter.with_target(FATAL, LevelFilter::ERROR);
    let filter = match filter.default_level() {
        Some(level) if level > LevelFilter::WARN && level < LevelFilter::TRACE => filter
            .with_default(LevelFilter::WARN)
            .with_target(OURS, level),
        _ => filter,
    };
    let level_of = |wanted: &str| {
        let mut levels = filter.iter().filter(|(target, _)| *target == wanted);
        levels.next().map(|(_, level)| level)
    };
    Ok(match (level_of(OURS), level_of(APP)) {
        (Some(level), None) => filter.with_target(APP, level),
        _ => filter,
    })
}

fn parse_level(text: &str) -> Result<LevelFilter, NotAFilter> {
    match text.trim().to_ascii_lowercase().as_str() {
        "warning" => Ok(LevelFilter::WARN),
        "critical" | "fatal" => Ok(LevelFilter::ERROR),
        // The parser takes nothing for `error`.
        "" => Err(NotAFilter),
        "notset" => Ok(LevelFilter::TRACE),
        level => level.parse().map_err(|_| NotAFilter),
    }
}

/// Installs the log for the rest of the process. A second call changes nothing.
pub(crate) fn install(filter: Targets, format: LogFormat) {
    let layer = match format {
        LogFormat::Text => fmt::layer()
            .with_writer(|| RedactedStderr)
            .with_ansi(false)
            .event_format(Text::default())
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            // It is the path of a module, which may change with any version.
            .with_target(false)
            .with_writer(|| RedactedStderr)
            .boxed(),
    };
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn shows(filter: &str, target: &str, level: Level) -> bool {
        let filter = parse_filter(filter).unwrap();
        filter.would_enable(target, &level)
    }

    #[test]
    fn the_apps_lines_follow_ours_unless_named() {
        assert!(shows("info", APP, Level::INFO) && !shows("info", APP, Level::DEBUG));
        assert!(shows("webui_init=debug", APP, Level::DEBUG));
        assert!(!shows("webui_init=warn", APP, Level::INFO));
        assert!(!shows("warn", APP, Level::INFO));
        assert!(shows("webui_init=warn,open_webui=info", APP, Level::INFO));
    }

    #[test]
    fn a_level_speaks_of_this_program() {
        assert!(shows("debug", "webui_init::load", Level::DEBUG));
        assert!(!shows("debug", "tokio_postgres", Level::INFO));
        assert!(shows("trace", "tokio_postgres", Level::TRACE));
    }

    #[test]
    fn levels_are_understood_in_rusts_and_in_pythons_spelling() {
        for (text, level) in [
            ("warn", Level::WARN),
            ("WARNING", Level::WARN),
            ("critical", Level::ERROR),
            (" info ", Level::INFO),
            ("hyper=off,debug", Level::DEBUG),
            ("NOTSET", Level::TRACE),
        ] {
            let filter = parse_filter(text).unwrap();
            assert!(filter.would_enable("webui_init::boot", &level), "{text}");
            let more = match level {
                Level::ERROR => Level::WARN,
                Level::WARN => Level::INFO,
                Level::INFO => Level::DEBUG,
                _ => Level::TRACE,
            };
            let all = level == Level::TRACE;
            assert_eq!(
                filter.would_enable("webui_init::boot", &more),
                all,
                "{text}"
            );
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for text in [
            "verbose",
            "inf",
            "quiet",
            "",
            "info,loud",
            "webui_init=loud",
            "webui_init",
        ] {
            assert!(parse_filter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_ends_the_program_passes_every_filter() {
        for text in ["off", "error", "webui_init=off", "webui_init::fatal=off"] {
            let filter = parse_filter(text).unwrap();
            assert!(filter.would_enable(FATAL, &Level::ERROR), "{text}");
        }
    }
}

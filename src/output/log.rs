//! Owns the log: stderr only (stdout belongs to the app), text or JSON, every line redacted.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::output::secret::RedactedStderr;

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
pub const APP: &str = "open_webui";

/// The filter of `WEBUI_INIT_LOG`: a level, or `target=level` pairs separated by commas.
///
/// A bare level speaks of this program; libraries stay at `warn` unless named or the level is `trace`. What Open WebUI
/// says while its schema step runs (the target [`APP`]) follows `webui_init` unless it is named itself.
///
/// # Errors
/// The text is no such list.
pub fn parse_filter(text: &str) -> Result<Targets, tracing_subscriber::filter::ParseError> {
    let filter: Targets = text.parse()?;
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

/// Installs the log for the rest of the process. A second call changes nothing.
pub fn install(filter: Targets, format: LogFormat) {
    let layer = match format {
        LogFormat::Text => fmt::layer()
            .with_writer(|| RedactedStderr)
            .with_ansi(false)
            .with_target(false)
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
}

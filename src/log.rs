//! Owns the log: stderr only (stdout belongs to the app), text or JSON, every line redacted.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::secret::RedactedStderr;

/// `WEBUI_INIT_LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// The filter of `WEBUI_INIT_LOG`: a level, or `target=level` pairs separated by commas.
///
/// A bare level speaks of this program; libraries stay at `warn` unless named or the level is `trace`.
///
/// # Errors
/// The text is no such list.
pub fn parse_filter(text: &str) -> Result<Targets, tracing_subscriber::filter::ParseError> {
    let filter: Targets = text.parse()?;
    Ok(match filter.default_level() {
        Some(level) if level > LevelFilter::WARN && level < LevelFilter::TRACE => filter
            .with_default(LevelFilter::WARN)
            .with_target("webui_init", level),
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
            .with_writer(|| RedactedStderr)
            .boxed(),
    };
    let _ = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
}

//! Owns stdout, which carries what a command was asked for and nothing else.

use std::io::Write as _;

/// Writes to stdout. Whoever closed it wants no more, which is no failure.
pub fn out(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes `value` as JSON to stdout, or else its text to the log.
pub fn tell(json: bool, value: &impl serde::Serialize, text: impl FnOnce() -> String) {
    match serde_json::to_string(value) {
        Ok(value) if json => out(&format!("{value}\n")),
        _ => tracing::info!("{}", text()),
    }
}

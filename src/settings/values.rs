//! Owns how single values are read: what is wrong with one is noted, by name and without the value.

use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use crate::output::log;
use crate::output::secret::Secret;
use crate::process::exec::EnvironmentChanges;

/// A variable or the file that `NAME_FILE` names. The app gets the value and does not see `NAME_FILE`.
pub(super) fn secret(
    name: &str,
    value: Option<&String>,
    file: Option<&String>,
    changes: &mut EnvironmentChanges,
    problems: &mut Vec<String>,
) -> Option<Secret> {
    match (value, file) {
        (Some(_), Some(_)) => {
            problems.push(format!(
                "{name} and {name}_FILE: both are set; set one of them"
            ));
            None
        }
        (Some(value), None) => Some(Secret::new(value)),
        (None, Some(file)) => match std::fs::read_to_string(file) {
            Ok(content) => {
                let content = content.trim_end_matches(['\n', '\r']);
                changes.set.push((name.to_owned(), content.into()));
                changes.remove.push(format!("{name}_FILE"));
                if content.is_empty() {
                    problems.push(format!("{name}_FILE: the file it names is empty"));
                    return None;
                }
                Some(Secret::new(content))
            }
            Err(error) => {
                problems.push(format!(
                    "{name}_FILE: the file it names cannot be read ({})",
                    error.kind()
                ));
                None
            }
        },
        (None, None) => None,
    }
}

pub(super) fn boolean(
    name: &str,
    value: Option<&str>,
    default: bool,
    problems: &mut Vec<String>,
) -> bool {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None => default,
        Some("true" | "1" | "yes" | "on") => true,
        Some("false" | "0" | "no" | "off") => false,
        Some(_) => {
            problems.push(format!("{name}: not true or false"));
            default
        }
    }
}

pub(super) fn seconds(
    name: &str,
    value: Option<&str>,
    default: u64,
    problems: &mut Vec<String>,
) -> Duration {
    // A century is as good as for ever, and keeps deadlines within what a clock can add.
    let parsed = value.map_or(Some(default), |text| {
        text.parse().ok().filter(|secs| *secs <= 3_153_600_000)
    });
    Duration::from_secs(parsed.unwrap_or_else(|| {
        problems.push(format!("{name}: not a whole number of seconds"));
        default
    }))
}

pub(super) fn choice<T: Copy>(
    name: &str,
    value: Option<&str>,
    choices: &[(&str, T)],
    problems: &mut Vec<String>,
) -> T {
    let Some(value) = value else {
        return choices[0].1;
    };
    choices.iter().find(|(text, _)| *text == value).map_or_else(
        || {
            let known: Vec<_> = choices.iter().map(|(text, _)| *text).collect();
            problems.push(format!("{name}: not one of {}", known.join(", ")));
            choices[0].1
        },
        |(_, choice)| *choice,
    )
}

pub(super) fn filter(value: Option<&str>, problems: &mut Vec<String>) -> Option<Targets> {
    log::parse_filter(value.unwrap_or("info"))
        .map_err(|error| problems.push(format!("WEBUI_INIT_LOG: {error}")))
        .ok()
}

/// Children have another working directory.
pub(super) fn absolute(path: &String) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

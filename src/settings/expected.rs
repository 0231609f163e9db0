//! Owns what is expected of the data folder: whether there ought to be data to move, and whether it may be moved once more.

use super::read::Environment;
use super::values::{boolean, choice};

/// `WEBUI_INIT_SOURCE`: whether there ought to be data to move, while PostgreSQL has no users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It is found out.
    FoundOut,
    /// A start without any fails.
    Required,
    /// A fresh start is wanted, whatever lies there.
    Nothing,
}

/// What is expected where the source should be.
#[derive(Debug, Clone, Copy)]
pub struct Expectation {
    /// `WEBUI_INIT_SOURCE`.
    pub source: Expected,
    /// Whether `WEBUI_INIT_SQLITE_PATH` names it.
    pub named: bool,
    /// `WEBUI_INIT_MOVE_AGAIN`: whether data that was moved before may be moved once more.
    pub move_again: bool,
}

impl Expectation {
    pub(super) fn read(environment: &Environment, problems: &mut Vec<String>) -> Self {
        let asked = environment.webui_init_source.as_deref();
        let known = [
            ("required", Expected::Required),
            ("none", Expected::Nothing),
        ];
        let source = match asked {
            None => Expected::FoundOut,
            asked => choice("WEBUI_INIT_SOURCE", asked, &known, problems),
        };
        let again = environment.webui_init_move_again.as_deref();
        Self {
            source,
            named: environment.webui_init_sqlite_path.is_some(),
            move_again: boolean("WEBUI_INIT_MOVE_AGAIN", again, false, problems),
        }
    }
}

//! Owns the move of rows from SQLite to PostgreSQL, and nothing that goes the other way.

pub(crate) mod begun;
pub(crate) mod commit;
pub(crate) mod copy_in;
pub(crate) mod error;
pub(crate) mod findings;
pub(crate) mod foresee;
pub(crate) mod isolate;
pub(crate) mod maintenance;
pub(crate) mod other_types;
pub(crate) mod plan;
pub(crate) mod proof;
pub(crate) mod reader;
pub(crate) mod report;
mod restore;
pub(crate) mod watchdog;

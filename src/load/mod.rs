//! Owns the move of rows from SQLite to PostgreSQL, and nothing that goes the other way.

pub mod begun;
pub mod commit;
pub mod copy_in;
pub mod error;
pub mod findings;
pub mod foresee;
pub mod isolate;
pub mod maintenance;
pub mod other_types;
pub mod plan;
pub mod proof;
pub mod reader;
pub mod report;
mod restore;
pub mod watchdog;

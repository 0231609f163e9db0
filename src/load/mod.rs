//! Owns the move of rows from SQLite to PostgreSQL, and nothing that goes the other way.

pub mod copy;
pub mod findings;
pub mod foresee;
pub mod isolate;
pub mod other_types;
pub mod plan;
pub mod proof;
pub mod reader;
pub mod report;
pub mod watchdog;

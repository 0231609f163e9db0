//! Owns the move of rows from SQLite to PostgreSQL, and nothing that goes the other way.

pub mod foresee;

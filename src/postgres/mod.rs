//! Owns PostgreSQL, as the end that data is moved to. It does not know SQLite, nor Open WebUI.

pub mod abilities;
pub mod catalogue;
pub mod dsn;
pub mod error;
pub mod explain;
pub mod place;
pub mod presence;
pub mod target;
pub mod tls;

//! Owns PostgreSQL, as the end that data is moved to. It does not know SQLite, nor Open WebUI.

pub(crate) mod abilities;
pub(crate) mod catalogue;
pub mod dsn;
pub(crate) mod error;
pub(crate) mod explain;
pub(crate) mod place;
pub(crate) mod presence;
pub(crate) mod target;
pub mod tls;

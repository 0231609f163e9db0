//! Owns SQLite, as the end that data is moved from. It does not know PostgreSQL, nor Open WebUI.

pub mod scratch;
pub mod source;
pub mod thread;
pub mod wal;

//! Owns SQLite, as the end that data is moved from: finding `webui.db`, opening it without changing a byte on disk,
//! telling what it is, and noticing that somebody else has it open. It does not know PostgreSQL, nor Open WebUI.
//!
//! How it is opened follows from what lies beside it (SQLite's documentation, "URI filenames" and
//! "Write-Ahead Logging", 8 and 9):
//!
//! | beside the file | opened as | because |
//! | --- | --- | --- |
//! | nothing | `immutable=1` | no locks, no `-shm`; works on a read-only disk |
//! | a `-wal` with content | `mode=ro&vfs=unix-none`, exclusive | the WAL's rows count, its index stays in memory, nothing is checkpointed |
//! | a hot `-journal` | a private copy | SQLite must roll back before it can read |

mod error;
mod header;
mod locate;
mod open;
mod schema;
pub(crate) mod scratch;
mod snapshot;
pub(crate) mod source;
pub(crate) mod thread;
pub(crate) mod wal;
mod watch;

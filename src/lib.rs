//! `webui-init` is the entrypoint of an Open WebUI container. It moves the data of `webui.db`, a SQLite file, into
//! PostgreSQL exactly once, proves that everything arrived, records it, and becomes the app.
//!
//! One flow of values; each stage consumes the one before, and [`command::boot`] puts them together:
//!
//! 1. [`settings`] checks the environment, [`postgres::dsn`] the URL in it;
//! 2. [`ledger::look`] reaches PostgreSQL and reads the marker: where it is there, the move is done;
//! 3. [`ledger::lock`] keeps other instances out, [`ledger::attempts`] counts what failed before;
//! 4. [`sqlite::source`] opens `webui.db` without changing a byte of it;
//! 5. [`app::alembic`] lets Open WebUI make its tables, [`app::upgrade`] brings an older source to their revision;
//! 6. [`load::plan`] pairs tables and columns, [`load::findings`] finds the rows that have no place;
//! 7. [`load::reader`] reads and converts rows by [`convert::value`], [`load::copy_in`] sends them, in one transaction;
//! 8. [`load::proof`] compares what PostgreSQL returns with what was sent; only then is the marker written;
//! 9. [`load::report`] tells what became of each row, [`failure`] what to do if there is no good end;
//! 10. [`process::exec`] replaces this process with the app.
//!
//! The modules below are in the order of layers, the highest first: one imports from lower groups and from its own
//! folder, never from above or beside. `tests/it/layers.rs` reads this order and the imports.

// `pub` is for what tests, benches and fuzzing use; the compiler then sees what nothing else uses.
#![warn(unreachable_pub)]

// The command line.
pub mod cli;

// What the program does, a command each.
mod command;

// Every bad end: exit code, what was left as it was, and what to do next.
mod failure;

// Rows from SQLite to PostgreSQL.
mod load;

// What Open WebUI is.
mod app;

// What was asked for; what is remembered of moves, and the lock around them.
mod ledger;
pub mod settings;

// One end.
mod postgres;

// How values are written; this process.
mod convert;
mod process;

// The other end; what people see.
mod output;
mod sqlite;

// What anything may use.
#[doc(hidden)]
pub mod failpoint;
mod sql;

// For tests, benches and fuzzing.
pub use convert::{digest, json, value};
#[doc(hidden)]
pub use ledger::lock::move_key;
pub use postgres::{dsn, tls};

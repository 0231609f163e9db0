//! `webui-init` is the entrypoint of an Open WebUI container. It takes the data of the SQLite days into
//! PostgreSQL exactly once, proves it, records it, and becomes the app.
//!
//! One flow of values, a line each; every stage consumes the one before, and [`boot`] alone sees them all:
//!
//! 1. [`settings`], [`dsn`], [`tls`], [`secret`]: the environment, checked;
//! 2. [`target`], [`ledger`], [`attempts`]: PostgreSQL, reached, locked, its marker read, and past failures heeded;
//! 3. [`source`], [`wal`], [`scratch`]: `webui.db`, opened without changing a byte;
//! 4. [`app`], [`complaint`], [`names`]: Open WebUI's own Alembic makes the tables and upgrades a private copy;
//! 5. [`catalogue`], [`plan`], [`findings`], [`accounts`]: what goes where, and which rows cannot;
//! 6. [`reader`], [`value`], [`input`], [`json`], [`digest`], [`leftovers`]: rows out of SQLite, as PostgreSQL wants them;
//! 7. [`copy`], [`isolate`], [`watchdog`]: into PostgreSQL, in one transaction, without the rows that it refuses;
//! 8. [`verify`]: the proof, without which nothing is recorded;
//! 9. [`report`], [`progress`], [`log`], [`failure`]: what people are told;
//! 10. [`survey`], [`foresight`], [`audit`]: the same, asked beforehand and afterwards;
//! 11. [`signals`], [`exec`]: the real app, as this process.
//!
//! Beside the flow, [`failpoint`] marks its stages for `tests/faults`; release builds have nothing of it.

pub mod app;
pub mod cli;
pub mod command;
pub mod convert;
pub mod failpoint;
pub mod failure;
pub mod ledger;
pub mod load;
pub mod output;
pub mod postgres;
pub mod process;
pub mod settings;
pub mod sql;
pub mod sqlite;

pub use convert::{digest, json, value};
pub use ledger::lock::move_key;
pub use postgres::{dsn, tls};

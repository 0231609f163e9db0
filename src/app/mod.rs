//! Owns what Open WebUI is: its Alembic, its tables, its revisions, its accounts.

pub mod accounts;
pub mod alembic;
pub mod complaint;
pub mod data_folder;
pub mod inhabitants;
pub mod names;
pub mod occupancy;
pub mod revision;
pub mod upgrade;

pub use alembic::{App, AppError, AppTables, Database, Migrations};

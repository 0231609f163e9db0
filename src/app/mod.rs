//! Owns what Open WebUI is: its Alembic, its tables, its revisions, its accounts.

pub(crate) mod accounts;
pub(crate) mod alembic;
pub(crate) mod complaint;
pub(crate) mod data_folder;
pub(crate) mod inhabitants;
pub(crate) mod names;
pub(crate) mod occupancy;
pub(crate) mod revision;
pub(crate) mod upgrade;

pub(crate) use alembic::{App, AppError, AppTables, Database, Migrations};

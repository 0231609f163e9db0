//! Owns the commands, each under its own name.

pub mod frame;
pub mod leftovers;
pub mod open;

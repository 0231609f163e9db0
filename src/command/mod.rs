//! Owns the commands, each under its own name.

pub mod boot;
pub mod frame;
pub mod leftovers;
pub mod open;
pub mod plan;
pub mod verify;

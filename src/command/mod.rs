//! Owns the commands, each under its own name.

pub mod answer;
pub mod backup;
pub mod boot;
pub mod decide;
pub mod frame;
pub mod leftovers;
pub mod look;
pub mod open;
pub mod plan;
pub mod verify;

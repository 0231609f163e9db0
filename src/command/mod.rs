//! Owns the commands, each under its own name.

pub(crate) mod adopt;
pub(crate) mod answer;
pub(crate) mod backup;
pub(crate) mod boot;
pub(crate) mod decide;
pub(crate) mod frame;
pub(crate) mod leftovers;
pub(crate) mod look;
pub(crate) mod open;
pub(crate) mod plan;
pub(crate) mod verify;

//! Owns this process: the signals that it receives, and what it becomes.

pub(crate) mod exec;
pub(crate) mod signals;

//! Owns this process: the signals that it receives, and what it becomes.

pub mod exec;
pub mod signals;

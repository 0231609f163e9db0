//! Owns what leaves the program: the log, progress, results.

pub mod clock;
pub mod log;
pub mod progress;
pub mod secret;
pub mod stdout;
pub mod text;
pub mod words;

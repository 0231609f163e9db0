//! Owns what leaves the program: the log, progress, results.

pub(crate) mod clock;
pub(crate) mod log;
pub(crate) mod progress;
pub(crate) mod secret;
pub(crate) mod stdout;
pub(crate) mod text;
pub(crate) mod words;

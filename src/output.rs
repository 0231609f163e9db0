//! Owns what leaves the program: the log, progress, results.

pub mod stdout;

//! Owns how values are written: pure, and without a direction. It asks neither database.

pub mod original;
pub mod reason;

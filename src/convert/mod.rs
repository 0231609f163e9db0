//! Owns how values are written: pure, and without a direction. It asks neither database.

pub mod copy_format;
pub mod digest;
pub mod json;
pub mod original;
pub mod reason;
pub mod value;

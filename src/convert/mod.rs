//! Owns how values are written: pure, and without a direction. It asks neither database.

pub(crate) mod copy_format;
pub mod digest;
pub mod json;
pub(crate) mod original;
pub(crate) mod reason;
pub mod value;

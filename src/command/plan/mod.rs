//! Owns `webui-init plan`: what a move would do, without writing anything.

pub mod survey;
pub mod trials;
mod words;

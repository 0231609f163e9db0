//! Owns `webui-init plan`: what a move would do, without writing anything.

pub(crate) mod survey;
pub(crate) mod trials;
mod words;

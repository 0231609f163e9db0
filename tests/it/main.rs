//! One binary with a file per promise; `support` starts the real servers that they need.
#![allow(missing_docs, reason = "tests")]

mod support;

mod cli;
mod end_to_end;
mod exactly_once;
mod fidelity;
mod oracle;
mod revisions;
mod secrets;
mod signals;
mod source;
mod tls;

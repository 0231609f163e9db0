//! One binary with a file per promise; `support` starts the real servers that they need.
#![allow(missing_docs, reason = "tests")]

mod support;

mod absent_data;
mod all_clear;
mod backup;
mod cli;
mod corpus;
mod crowds;
mod damaged_wal;
mod decision;
mod defects;
mod end_to_end;
mod exactly_once;
mod faults;
mod fidelity;
mod images;
mod instances;
mod layers;
mod move_lock;
mod no_way_past;
mod oracle;
mod other_revision;
mod preflight;
mod receipt;
mod restart_loop;
mod revisions;
mod schema_step;
mod secrets;
mod server;
mod signals;
mod source;
mod source_state;
mod tls;

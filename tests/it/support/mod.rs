//! Real servers, files and processes for the tests: nothing here imitates `PostgreSQL` or `SQLite`.
//!
//! What a test needs and a machine lacks is a [`Missing`]; [`need!`] reports it and ends the test as skipped.
#![allow(
    dead_code,
    unused_imports,
    reason = "each file of tests uses its own part"
)]

mod compare;
pub mod defects;
mod disk;
mod pgbouncer;
mod postgres;
mod program;
mod proxy;
pub mod source;

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use compare::{differences, expect_moved, expect_next_boot_moves, expect_untouched};
pub use disk::{SmallDisk, relocate};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use postgres::{Database, PASSWORD, Postgres, ROLE, Session, Version, percent_encoded};
pub use program::{
    Outcome, Program, Running, as_planned, boot, on, schema_command, slow_schema_command,
    start_in_schema_command, start_slow_boot,
};
pub use proxy::{Fault, Proxy, Then, Towards};
pub use source::{
    AWKWARD, HEAD, Snapshot, Source, hold_open, insert, insert_chat, insert_user, open,
    tables as source_tables,
};

/// Something that a test needs and this machine does not have.
#[derive(Clone, Debug)]
pub struct Missing(pub String);

/// Unwraps a `Result<_, Missing>`, or reports the test as skipped and returns from it.
macro_rules! need {
    ($thing:expr) => {
        match $thing {
            Ok(thing) => thing,
            Err(missing) => return crate::support::skipped(&missing),
        }
    };
}
pub(crate) use need;

/// Says that the running test is skipped: on the real stderr, past the harness's capture, and in the file
/// that `scripts/test` counts.
pub fn skipped(missing: &Missing) {
    let thread = std::thread::current();
    let line = format!("SKIPPED: {}: {}\n", thread.name().unwrap_or("?"), missing.0);
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(list) = std::env::var_os("WEBUI_TEST_SKIPPED") {
        let list = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(list);
        list.expect("the list of skipped tests")
            .write_all(line.as_bytes())
            .expect("a writable list");
    }
}

/// Ok for root: namespaces, other users and such.
pub fn root() -> Result<(), Missing> {
    if is_root() {
        Ok(())
    } else {
        Err(Missing("needs root".into()))
    }
}

pub fn is_root() -> bool {
    own_ids().0 == 0
}

/// User and group of this process.
fn own_ids() -> (u32, u32) {
    let own = std::fs::metadata("/proc/self").expect("a proc");
    (own.uid(), own.gid())
}

/// Ok for a command that this version of the program has.
pub fn command(name: &str) -> Result<(), Missing> {
    let help = Program::new(["--help"]).run().expect(0).stdout;
    if help.contains(&format!("webui-init {name} ")) {
        Ok(())
    } else {
        Err(Missing(format!("this version has no command {name:?}")))
    }
}

/// A program of this machine, from `PATH` or where Debian puts what only root calls.
pub fn tool(name: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| Missing(format!("no {name} on this machine")))
}

/// A file of the repository.
pub fn repository(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Where `scripts/deps` puts what it fetches.
pub fn cache() -> PathBuf {
    std::env::var_os("WEBUI_CACHE_DIR").map_or_else(|| repository(".cache"), PathBuf::from)
}

/// Looks every 10 ms until `look` finds something; panics with `what` when `limit` has passed.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < limit,
            "waited {limit:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

//! Owns the places where `tests/faults` catches the program: it can be stopped there, so that it, PostgreSQL or
//! the network can be broken at exactly that moment, or be aborted, or be told of an error. Release builds have
//! none of it: both functions are empty there, and so is what they leave in the code.
//!
//! `WEBUI_FAILPOINT=NAME=ACTION` arms the first arrival at one place, `NAME#N=ACTION` the Nth.

#![allow(missing_docs, reason = "names that say it all")]

use std::io;

pub const CONNECTED: &str = "connected";
pub const LOCKED: &str = "locked";
pub const SOURCE_OPENED: &str = "source_opened";
pub const MOVE_DECIDED: &str = "move_decided";
pub const LEDGER_MADE: &str = "ledger_made";
pub const SCHEMA_MADE: &str = "schema_made";
pub const SOURCE_COPIED: &str = "source_copied";
pub const COPY_UPGRADED: &str = "copy_upgraded";
pub const CATALOGUE_READ: &str = "catalogue_read";
pub const FINDINGS_DONE: &str = "findings_done";
pub const TRANSACTION_BEGUN: &str = "transaction_begun";
pub const TABLES_LOCKED: &str = "tables_locked";
pub const TABLES_CLEARED: &str = "tables_cleared";
pub const COPY_BEGUN: &str = "copy_begun";
pub const COPY_MIDDLE: &str = "copy_middle";
pub const COPY_ENDED: &str = "copy_ended";
pub const ROWS_SENT: &str = "rows_sent";
pub const INDEXES_RESTORED: &str = "indexes_restored";
pub const SEQUENCES_SET: &str = "sequences_set";
pub const VERIFIED: &str = "verified";
pub const MARKER_WRITTEN: &str = "marker_written";
pub const BEFORE_COMMIT: &str = "before_commit";
pub const MOVE_RECORDED: &str = "move_recorded";
pub const ANALYZED: &str = "analyzed";
pub const LOCK_RELEASED: &str = "lock_released";
pub const BEFORE_EXEC: &str = "before_exec";
pub const BACKUP_COMPLETE: &str = "backup_complete";

/// All of them, in the order in which a move comes to them; a backup's last.
pub const ALL: [&str; 27] = [
    CONNECTED,
    LOCKED,
    SOURCE_OPENED,
    MOVE_DECIDED,
    LEDGER_MADE,
    SCHEMA_MADE,
    SOURCE_COPIED,
    COPY_UPGRADED,
    CATALOGUE_READ,
    FINDINGS_DONE,
    TRANSACTION_BEGUN,
    TABLES_LOCKED,
    TABLES_CLEARED,
    COPY_BEGUN,
    COPY_MIDDLE,
    COPY_ENDED,
    ROWS_SENT,
    INDEXES_RESTORED,
    SEQUENCES_SET,
    VERIFIED,
    MARKER_WRITTEN,
    BEFORE_COMMIT,
    MOVE_RECORDED,
    ANALYZED,
    LOCK_RELEASED,
    BEFORE_EXEC,
    BACKUP_COMPLETE,
];

/// A place without an error of its own.
#[inline]
pub fn reach(name: &str) {
    #[cfg(debug_assertions)]
    armed::arrive(name, false);
    let _ = name;
}

/// A place where an error can be injected too.
///
/// # Errors
/// The injected one.
#[inline]
#[cfg_attr(not(debug_assertions), allow(clippy::unnecessary_wraps))]
pub fn or_fail(name: &str) -> io::Result<()> {
    #[cfg(debug_assertions)]
    if armed::arrive(name, true) {
        return Err(io::Error::other(format!("injected at {name}")));
    }
    let _ = name;
    Ok(())
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use nix::sys::signal::{Signal, raise};

    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Armed {
        name: String,
        arrival: u32,
        action: Action,
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Action {
        Stop,
        Abort,
        Fail,
    }

    impl Armed {
        pub(super) fn parse(text: &str) -> Option<Self> {
            let (place, action) = text.split_once('=')?;
            let (name, arrival) = place.split_once('#').unwrap_or((place, "1"));
            Some(Self {
                name: name.to_owned(),
                arrival: arrival.parse().ok()?,
                action: match action {
                    "stop" => Action::Stop,
                    "abort" => Action::Abort,
                    "fail" => Action::Fail,
                    _ => return None,
                },
            })
        }
    }

    /// Whether the caller is to fail.
    pub(super) fn arrive(name: &str, can_fail: bool) -> bool {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        static ARRIVALS: AtomicU32 = AtomicU32::new(0);
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var("WEBUI_FAILPOINT").ok()?;
            Some(Armed::parse(&text).expect("WEBUI_FAILPOINT is NAME=stop, abort or fail"))
        });
        let Some(armed) = armed.as_ref().filter(|armed| armed.name == name) else {
            return false;
        };
        if ARRIVALS.fetch_add(1, Ordering::Relaxed) + 1 != armed.arrival {
            return false;
        }
        match armed.action {
            // Every thread stops, until SIGCONT.
            Action::Stop => drop(raise(Signal::SIGSTOP)),
            Action::Abort => std::process::abort(),
            Action::Fail => {
                assert!(can_fail, "{name} cannot fail");
                return true;
            }
        }
        false
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn names_a_place_an_arrival_and_an_action() {
            let armed = Armed::parse("copy_begun#3=stop").unwrap();
            assert_eq!(
                (armed.name.as_str(), armed.arrival, armed.action),
                ("copy_begun", 3, Action::Stop)
            );
            assert_eq!(Armed::parse("locked=abort").unwrap().arrival, 1);
            assert_eq!(Armed::parse("locked"), None);
            assert_eq!(Armed::parse("locked=explode"), None);
        }
    }
}

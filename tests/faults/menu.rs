//! Every fault at every moment that is of interest for it, in the order in which consecutive seeds walk through them.

use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::case::{Commit, Fault, Mishap, Moment};
use crate::support::{Then, Towards};

/// The stages of a move in their order, and how often each is arrived at by any source.
pub const PLACES: &[(&str, u32)] = &[
    ("connected", 1),
    ("locked", 1),
    ("source_opened", 1),
    ("move_decided", 1),
    ("ledger_made", 1),
    ("schema_made", 1),
    ("source_copied", 1),
    ("copy_upgraded", 1),
    ("catalogue_read", 1),
    ("findings_done", 1),
    ("transaction_begun", 1),
    ("tables_locked", 1),
    ("tables_cleared", 1),
    ("copy_begun", 20),
    ("copy_middle", 20),
    ("copy_ended", 20),
    ("rows_sent", 1),
    ("indexes_restored", 1),
    ("sequences_set", 1),
    ("verified", 1),
    ("marker_written", 1),
    ("before_commit", 1),
    ("move_recorded", 1),
    ("analyzed", 1),
    ("lock_released", 1),
    ("before_exec", 1),
];

/// Places of which the source must be at an older revision to be reached.
pub const OF_THE_COPY: [&str; 2] = ["source_copied", "copy_upgraded"];

/// Places that can return an error.
const FALLIBLE: [&str; 14] = [
    "connected",
    "locked",
    "source_opened",
    "move_decided",
    "ledger_made",
    "schema_made",
    "source_copied",
    "copy_upgraded",
    "catalogue_read",
    "findings_done",
    "verified",
    "move_recorded",
    "analyzed",
    "lock_released",
];

/// Places at which the move's transaction is open.
const IN_THE_TRANSACTION: [&str; 8] = [
    "tables_locked",
    "tables_cleared",
    "copy_begun",
    "copy_middle",
    "rows_sent",
    "indexes_restored",
    "verified",
    "before_commit",
];

/// What is said to PostgreSQL at the stages of a move that only a time limit ends.
const SILENT: [&str; 7] = [
    "refinery_schema_history",
    "pg_get_constraintdef",
    "LOCK TABLE",
    "PGCOPY",
    "CREATE INDEX",
    "record_send",
    "INSERT INTO webui_init.migration",
];

/// Every fault at every moment that is of interest for it.
pub fn menu() -> &'static [(Fault, Moment)] {
    static MENU: OnceLock<Vec<(Fault, Moment)>> = OnceLock::new();
    MENU.get_or_init(|| {
        let mut menu = Vec::new();
        let all: Vec<&str> = PLACES
            .iter()
            .flat_map(|(place, arrivals)| vec![*place; if *arrivals > 1 { 2 } else { 1 }])
            .collect();
        let mut add = |fault: Fault, places: &[&'static str]| {
            menu.extend(places.iter().map(|place| (fault, Moment::Place(place, 1))));
        };
        add(Fault::Kill, &all);
        add(Fault::ServerCrash, &all);
        // Drawn anew from four signals for each run.
        add(Fault::Signal(Signal::SIGTERM), &all);
        add(Fault::Abort, &all);
        add(Fault::Fail, &FALLIBLE);
        add(Fault::SessionEnded, &IN_THE_TRANSACTION);
        add(Fault::BackendKilled, &IN_THE_TRANSACTION);
        add(Fault::LockEnded, &IN_THE_TRANSACTION);
        let of_network = [
            "locked",
            "catalogue_read",
            "tables_cleared",
            "copy_middle",
            "rows_sent",
            "before_commit",
        ];
        for fault in [Fault::Refuse, Fault::Reset, Fault::Pause] {
            add(fault, &of_network);
        }
        let of_two = [
            "locked",
            "schema_made",
            "findings_done",
            "copy_middle",
            "verified",
            "before_commit",
        ];
        add(Fault::KillOfTwo, &of_two);
        add(
            Fault::CrashUnderTwo,
            &["locked", "copy_middle", "before_commit"],
        );
        for commit in [
            Commit::Network(Then::CutAfterDelivery),
            Commit::Network(Then::CutBeforeDelivery),
            Commit::Network(Then::SwallowAnswers),
            Commit::Silence,
            Commit::ServerCrash,
            Commit::Kill,
            Commit::Signal,
        ] {
            // Once for each way: a pooler has its own idea of what becomes of the connection.
            add(Fault::Commit(commit), &["before_commit"; 3]);
        }
        let by_itself = [
            Fault::Schema(Mishap::Killed("stop-before")),
            Fault::Schema(Mishap::Killed("stop-midway")),
            Fault::Schema(Mishap::Killed("stop-midway")),
            Fault::Schema(Mishap::Killed("stop-after")),
            Fault::Schema(Mishap::Fails("fail-before")),
            Fault::Schema(Mishap::Fails("fail-after")),
            Fault::Schema(Mishap::Fails("lie")),
        ];
        let cuts = [Towards::Server, Towards::Client].map(Fault::Cut);
        menu.extend(SILENT.map(|text| (Fault::Silence(text), Moment::ByItself)));
        menu.extend(by_itself.map(|fault| (fault, Moment::ByItself)));
        menu.extend(
            cuts.repeat(6)
                .into_iter()
                .map(|fault| (fault, Moment::ByItself)),
        );
        let at_random = [
            Fault::Kill,
            Fault::ServerCrash,
            Fault::Signal(Signal::SIGTERM),
        ];
        menu.extend(
            at_random
                .repeat(8)
                .into_iter()
                .map(|fault| (fault, Moment::After(Duration::ZERO))),
        );
        menu
    })
}

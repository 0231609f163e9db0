//! Every fault at every moment that is of interest for it, in the order in which consecutive seeds walk through them.

use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;
use webui_init::failpoint;

use crate::case::{Commit, Fault, Mishap, Moment};
use crate::support::{Then, Towards};

/// The stages of a move in their order, and how often each is arrived at by any source.
pub const PLACES: &[(&str, u32)] = &[
    (failpoint::CONNECTED, 1),
    (failpoint::LOCKED, 1),
    (failpoint::SOURCE_OPENED, 1),
    (failpoint::MOVE_DECIDED, 1),
    (failpoint::LEDGER_MADE, 1),
    (failpoint::SCHEMA_MADE, 1),
    (failpoint::SOURCE_COPIED, 1),
    (failpoint::COPY_UPGRADED, 1),
    (failpoint::CATALOGUE_READ, 1),
    (failpoint::FINDINGS_DONE, 1),
    (failpoint::TRANSACTION_BEGUN, 1),
    (failpoint::TABLES_LOCKED, 1),
    (failpoint::TABLES_CLEARED, 1),
    (failpoint::COPY_BEGUN, 20),
    (failpoint::COPY_MIDDLE, 20),
    (failpoint::COPY_ENDED, 20),
    (failpoint::ROWS_SENT, 1),
    (failpoint::INDEXES_RESTORED, 1),
    (failpoint::SEQUENCES_SET, 1),
    (failpoint::VERIFIED, 1),
    (failpoint::MARKER_WRITTEN, 1),
    (failpoint::BEFORE_COMMIT, 1),
    (failpoint::MOVE_RECORDED, 1),
    (failpoint::ANALYZED, 1),
    (failpoint::LOCK_RELEASED, 1),
    (failpoint::BEFORE_EXEC, 1),
];

/// Places of which the source must be at an older revision to be reached.
pub const OF_THE_COPY: [&str; 2] = [failpoint::SOURCE_COPIED, failpoint::COPY_UPGRADED];

/// Places that can return an error.
const FALLIBLE: [&str; 14] = [
    failpoint::CONNECTED,
    failpoint::LOCKED,
    failpoint::SOURCE_OPENED,
    failpoint::MOVE_DECIDED,
    failpoint::LEDGER_MADE,
    failpoint::SCHEMA_MADE,
    failpoint::SOURCE_COPIED,
    failpoint::COPY_UPGRADED,
    failpoint::CATALOGUE_READ,
    failpoint::FINDINGS_DONE,
    failpoint::VERIFIED,
    failpoint::MOVE_RECORDED,
    failpoint::ANALYZED,
    failpoint::LOCK_RELEASED,
];

/// Places at which the move's transaction is open.
const IN_THE_TRANSACTION: [&str; 8] = [
    failpoint::TABLES_LOCKED,
    failpoint::TABLES_CLEARED,
    failpoint::COPY_BEGUN,
    failpoint::COPY_MIDDLE,
    failpoint::ROWS_SENT,
    failpoint::INDEXES_RESTORED,
    failpoint::VERIFIED,
    failpoint::BEFORE_COMMIT,
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
            failpoint::LOCKED,
            failpoint::CATALOGUE_READ,
            failpoint::TABLES_CLEARED,
            failpoint::COPY_MIDDLE,
            failpoint::ROWS_SENT,
            failpoint::BEFORE_COMMIT,
        ];
        for fault in [Fault::Refuse, Fault::Reset, Fault::Pause] {
            add(fault, &of_network);
        }
        let of_two = [
            failpoint::LOCKED,
            failpoint::SCHEMA_MADE,
            failpoint::FINDINGS_DONE,
            failpoint::COPY_MIDDLE,
            failpoint::VERIFIED,
            failpoint::BEFORE_COMMIT,
        ];
        add(Fault::KillOfTwo, &of_two);
        add(
            Fault::CrashUnderTwo,
            &[
                failpoint::LOCKED,
                failpoint::COPY_MIDDLE,
                failpoint::BEFORE_COMMIT,
            ],
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
            add(Fault::Commit(commit), &[failpoint::BEFORE_COMMIT; 3]);
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

#[test]
fn every_place_is_on_the_menu() {
    let of_a_move = failpoint::ALL
        .iter()
        .filter(|place| **place != failpoint::BACKUP_COMPLETE);
    let on_the_menu: Vec<&str> = PLACES.iter().map(|(place, _)| *place).collect();
    assert_eq!(of_a_move.copied().collect::<Vec<_>>(), on_the_menu);
}

//! A model of the protocol between several instances, PostgreSQL and the app, searched exhaustively for three
//! instances and any number of crashes. `protocol` says what can happen, `properties` what must hold, `recovery`
//! what must come in the end; docs/model.md explains all three. `WEBUI_MODEL=all` searches every combination of
//! settings, which takes long.
#![allow(missing_docs, reason = "tests")]

mod action;
mod properties;
mod protocol;
mod recovery;
mod state;

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};
use webui_init::settings::{OnConflict, OnFailure};

use action::Action;
use properties::{
    FAIL_CLOSED, MOVED, NOT_AFTER_AN_ATTEMPT, NOT_BESIDE_A_MOVE, NOT_ON_SQLITE, NOT_OVER_USERS,
    NOTHING_LOST, ONE_MOVE, TOGETHER,
};
use protocol::{Guard, Instance, Protocol};
use state::INSTANCES;

/// The defaults.
const MOVES: Instance = Instance {
    volume: true,
    migrations: true,
    on_failure: OnFailure::Exit,
    on_conflict: OnConflict::Keep,
};
/// A replica that sees no `webui.db`.
const NO_VOLUME: Instance = Instance {
    volume: false,
    ..MOVES
};
/// A replica with `ENABLE_DB_MIGRATIONS=false`.
const WAITS: Instance = Instance {
    migrations: false,
    ..MOVES
};
const FALLS_BACK: Instance = Instance {
    on_failure: OnFailure::Sqlite,
    ..MOVES
};
const REPLACES: Instance = Instance {
    on_conflict: OnConflict::Replace,
    ..MOVES
};
const FAILS: Instance = Instance {
    on_conflict: OnConflict::Fail,
    ..MOVES
};

/// Beside each of them, somebody runs Open WebUI on the same PostgreSQL.
const SCENARIOS: [(&str, [Instance; INSTANCES]); 6] = [
    ("three that move", [MOVES; INSTANCES]),
    ("a replica of each kind", [MOVES, NO_VOLUME, WAITS]),
    ("on conflict, replace", [REPLACES, REPLACES, MOVES]),
    ("on conflict, fail", [FAILS, FAILS, WAITS]),
    ("on failure, SQLite", [FALLS_BACK; INSTANCES]),
    (
        "on failure, SQLite, and replicas",
        [FALLS_BACK, NO_VOLUME, WAITS],
    ),
];

/// The program before a move had an advisory lock of its own, and an attempt left a note.
const ONE_LOCK: [Guard; 2] = [Guard::MoveLock, Guard::Attempt];

fn protocol(instances: [Instance; INSTANCES], without: &[Guard]) -> Protocol {
    Protocol {
        instances,
        app_beside: true,
        without: without.to_vec(),
        anonymous: false,
    }
}

fn scenario(name: &str) -> [Instance; INSTANCES] {
    let found = SCENARIOS.iter().find(|(known, _)| *known == name);
    found.expect("a known scenario").1
}

/// Every multiset of instances that differ, where `WEBUI_MODEL=all` asks for it.
fn scenarios() -> Vec<(String, [Instance; INSTANCES])> {
    let named = SCENARIOS.map(|(name, instances)| (name.to_owned(), instances));
    if std::env::var("WEBUI_MODEL").as_deref() != Ok("all") {
        return named.into();
    }
    // Without the volume, nothing else matters.
    let mut kinds = vec![NO_VOLUME];
    for migrations in [true, false] {
        for on_failure in [OnFailure::Exit, OnFailure::Sqlite] {
            for on_conflict in [OnConflict::Keep, OnConflict::Fail, OnConflict::Replace] {
                kinds.push(Instance {
                    volume: true,
                    migrations,
                    on_failure,
                    on_conflict,
                });
            }
        }
    }
    let mut all = Vec::new();
    for (a, first) in kinds.iter().enumerate() {
        for (b, second) in kinds.iter().enumerate().skip(a) {
            for (c, third) in kinds.iter().enumerate().skip(b) {
                // Somebody has to be able to move.
                if [first, second, third]
                    .iter()
                    .any(|kind| kind.volume && kind.migrations)
                {
                    all.push((format!("{a} {b} {c}"), [*first, *second, *third]));
                }
            }
        }
    }
    all
}

/// Searches all states; returns the properties that do not hold.
fn broken(name: &str, mut protocol: Protocol) -> BTreeSet<&'static str> {
    let begun = Instant::now();
    protocol.anonymous = true;
    let checker = protocol.checker().spawn_bfs().join();
    println!(
        "{name}: {} states, {} transitions, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64()
    );
    let mut found: BTreeSet<_> = checker.discoveries().into_keys().collect();
    assert!(found.remove(MOVED), "{name}: nothing was ever moved");
    found
}

/// A shortest way to break `property`, if there is one.
fn counter_example(protocol: Protocol, property: &'static str) -> Option<Vec<Action>> {
    let checker = protocol
        .checker()
        .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([property])))
        .spawn_bfs()
        .join();
    checker
        .discovery(property)
        .map(stateright::Path::into_actions)
}

/// Fails unless `actions` can happen in this order, and break `property` with the last one.
fn assert_breaks(protocol: &Protocol, property: &'static str, actions: &[Action]) {
    let condition = protocol.property(property).condition;
    let mut state = protocol.init_states().remove(0);
    for action in actions {
        assert!(condition(protocol, &state), "broken before {action:?}");
        let mut possible = Vec::new();
        protocol.actions(&state, &mut possible);
        assert!(possible.contains(action), "{action:?} is not possible");
        if let Some(next) = protocol.next_state(&state, *action) {
            state = next;
        }
    }
    assert!(!condition(protocol, &state), "{property} still holds");
}

/// What one instance does undisturbed, from its start to before `last`.
fn until(last: fn(usize) -> Action, i: usize) -> Vec<Action> {
    let all = [
        Action::Boot,
        Action::FirstLook,
        Action::TryLock,
        Action::Marker,
        Action::OpenSource,
        Action::TablesInUse,
        Action::Upgrade,
        Action::TakeTables,
        Action::LookAgain,
        Action::LoadAndVerify,
        Action::LedgerWrite,
        Action::CheckUnchanged,
        Action::Commit,
        Action::CommitAnswered,
    ];
    all.map(|action| action(i))
        .into_iter()
        .take_while(|action| *action != last(i))
        .collect()
}

#[test]
fn whatever_breaks() {
    for (name, instances) in scenarios() {
        let broken = broken(&name, protocol(instances, &[]));
        assert_eq!(broken, BTreeSet::new(), "{name}");
    }
}

#[test]
fn then_everything_is_moved() {
    let mut kinds = HashSet::new();
    for (name, instances) in scenarios() {
        let begun = Instant::now();
        let mut protocol = protocol(instances, &[]);
        protocol.anonymous = true;
        let recovery = protocol.recovery();
        println!(
            "{name}: {} states, all recover, {:.1} s",
            recovery.states,
            begun.elapsed().as_secs_f64()
        );
        assert_eq!(recovery.stuck, None, "{name}");
        kinds.extend(recovery.kinds);
    }
    // What never happens is not checked. One kind needs the app to be slow.
    assert_eq!(kinds.len(), Action::KINDS - 1);
}

/// The search can fail: where all wait for somebody else to move, nothing ever is.
#[test]
fn nobody_moves() {
    let mut protocol = protocol([WAITS; INSTANCES], &[]);
    protocol.app_beside = false;
    assert!(protocol.recovery().stuck.is_some());
}

/// With one lock only: a COMMIT that hangs, as without its synchronous standby, outlives the instance that sent it. The next start
/// gets the lock, finds the tables locked, and the marker absent.
#[test]
fn one_lock_sqlite_while_a_commit_hangs() {
    let mut actions = until(Action::CommitAnswered, 0);
    actions.extend([Action::AnswerLost(0), Action::OutcomeUnknown(0)]);
    actions.extend(until(Action::TablesInUse, 0));
    actions.extend([Action::Fail(0), Action::StillWithoutMarker(0)]);
    let instances = scenario("on failure, SQLite");
    assert_breaks(&protocol(instances, &ONE_LOCK), NOT_ON_SQLITE, &actions);
}

/// With one lock only: the lock's connection breaks, and the move goes on. Somebody else gets the lock, fails, and falls back.
#[test]
fn one_lock_sqlite_beside_a_move_without_its_lock() {
    let mut actions = until(Action::Commit, 0);
    actions.push(Action::LockConnectionBreaks);
    actions.extend(until(Action::TablesInUse, 1));
    actions.extend([
        Action::Fail(1),
        Action::StillWithoutMarker(1),
        Action::Commit(0),
    ]);
    let instances = scenario("on failure, SQLite");
    assert_breaks(&protocol(instances, &ONE_LOCK), NOT_ON_SQLITE, &actions);
}

/// With one lock only: a replica without the volume starts its app while a move is open whose lock was lost.
#[test]
fn one_lock_fresh_start_beside_a_move() {
    let mut actions = until(Action::LookAgain, 0);
    actions.push(Action::LockConnectionBreaks);
    actions.extend(until(Action::TablesInUse, 1));
    let instances = scenario("a replica of each kind");
    assert_breaks(&protocol(instances, &ONE_LOCK), NOT_BESIDE_A_MOVE, &actions);
}

/// Without the note of an attempt: a replica without the volume starts its app after a move was killed and before it is
/// tried again. Whoever signs up there is the administrator, and the next attempt finds PostgreSQL in use.
#[test]
fn mutation_no_note_of_an_attempt() {
    let mut actions = until(Action::TakeTables, 0);
    actions.push(Action::Kill(0));
    actions.extend(until(Action::TablesInUse, 1));
    let instances = scenario("a replica of each kind");
    let without = protocol(instances, &ONE_LOCK);
    assert_breaks(&without, NOT_AFTER_AN_ATTEMPT, &actions);
    let without = protocol(instances, &[Guard::Attempt]);
    assert!(counter_example(without, NOT_AFTER_AN_ATTEMPT).is_some());
}

/// Gap: an app that was started on SQLite has not opened the file yet when another
/// instance has moved it.
#[test]
fn gap_app_that_is_slow_to_open_sqlite() {
    let mut without = ONE_LOCK.to_vec();
    without.push(Guard::AppOpensAtOnce);
    let mut actions = until(Action::TablesInUse, 0);
    actions.extend([Action::Fail(0), Action::StillWithoutMarker(0)]);
    actions.extend(until(Action::CommitAnswered, 1));
    let instances = scenario("on failure, SQLite");
    assert_breaks(&protocol(instances, &without), NOT_ON_SQLITE, &actions);

    let today = protocol(instances, &[Guard::AppOpensAtOnce]);
    assert!(counter_example(today, NOT_ON_SQLITE).is_some());
}

fn without(name: &str, gone: &[Guard], property: &'static str) -> Option<Vec<Action>> {
    let gone: Vec<Guard> = gone.iter().chain(&ONE_LOCK).copied().collect();
    counter_example(protocol(scenario(name), &gone), property)
}

/// "The lock only saves work": the promise rests on the table locks and the primary key.
#[test]
fn nothing_rests_on_the_lock_or_on_one_look() {
    for guard in [Guard::Lock, Guard::MarkerAgain, Guard::PrimaryKey] {
        for name in ["three that move", "on conflict, replace"] {
            let mut gone = ONE_LOCK.to_vec();
            gone.push(guard);
            let name_ = format!("{name}, without {guard:?}");
            assert_eq!(
                broken(&name_, protocol(scenario(name), &gone)),
                BTreeSet::new()
            );
        }
    }
}

#[test]
fn mutation_no_primary_key_and_no_table_locks() {
    let gone = [Guard::PrimaryKey, Guard::TableLocks];
    for property in [ONE_MOVE, TOGETHER] {
        let actions = without("three that move", &gone, property).expect("a counter-example");
        // As long as nothing breaks, and so the lock is held, even that is enough.
        assert!(actions.into_iter().any(Action::breaks));
    }
}

#[test]
fn mutation_no_primary_key_and_marker_not_read_again() {
    let gone = [Guard::PrimaryKey, Guard::MarkerAgain];
    assert!(without("on conflict, replace", &gone, ONE_MOVE).is_some());
    // Where nothing is replaced, a third look would have to be left out.
    assert_eq!(without("three that move", &gone, ONE_MOVE), None);
    let gone = [gone[0], gone[1], Guard::EmptinessAgain];
    assert!(without("three that move", &gone, TOGETHER).is_some());
}

#[test]
fn mutation_no_table_locks() {
    let gone = [Guard::TableLocks];
    assert!(without("three that move", &gone, NOT_OVER_USERS).is_some());
}

#[test]
fn mutation_tables_not_looked_at_again() {
    let gone = [Guard::EmptinessAgain];
    assert!(without("three that move", &gone, NOT_OVER_USERS).is_some());
}

#[test]
fn mutation_lost_answer_taken_for_success() {
    let gone = [Guard::AskAfterCommit];
    assert!(without("three that move", &gone, FAIL_CLOSED).is_some());
}

#[test]
fn mutation_falling_back_without_being_sure() {
    for guard in [Guard::UnknownIsFinal, Guard::StillWithoutMarker] {
        let mutant = protocol(scenario("on failure, SQLite"), &[guard]);
        let actions = counter_example(mutant, NOT_ON_SQLITE);
        assert!(actions.is_some(), "without {guard:?}");
    }
}

#[test]
fn mutation_one_lock() {
    for (name, property) in [
        ("on failure, SQLite", NOT_ON_SQLITE),
        ("on failure, SQLite", NOTHING_LOST),
        ("a replica of each kind", NOT_BESIDE_A_MOVE),
    ] {
        assert!(without(name, &[], property).is_some(), "{property}");
    }
}

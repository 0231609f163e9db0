//! What must hold in every state that can be reached, however often whatever breaks.

use stateright::Property;
use webui_init::settings::OnConflict;

use crate::protocol::Protocol;
use crate::state::{Because, State, Step};

/// At most one move is committed.
pub const ONE_MOVE: &str = "at most one move";
/// The rows are there exactly if the marker is, and once.
pub const TOGETHER: &str = "rows and marker together";
/// Tables that an app has put users into are not moved into, unless they are set aside.
pub const NOT_OVER_USERS: &str = "nothing is moved over users";
/// No app starts on PostgreSQL without the marker, but for the named exceptions.
pub const FAIL_CLOSED: &str = "fail closed";
/// Not even by those exceptions while somebody's move is open.
pub const NOT_BESIDE_A_MOVE: &str = "no start beside a move";
/// Nor between an attempt that was interrupted and the next.
pub const NOT_AFTER_AN_ATTEMPT: &str = "no start after an attempt";
/// An app runs on SQLite only where nothing is or may yet be committed.
pub const NOT_ON_SQLITE: &str = "not on SQLite after a move";
/// What an app on SQLite has written is part of the move.
pub const NOTHING_LOST: &str = "nothing is lost";
/// The model does something at all.
pub const MOVED: &str = "moved";

pub fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_MOVE, |_, state: &State| state.postgres.markers <= 1),
        Property::always(TOGETHER, |_, state: &State| {
            state.postgres.copies == u8::from(state.postgres.markers > 0)
        }),
        Property::always(NOT_OVER_USERS, |_, state: &State| !state.mixed),
        Property::always(FAIL_CLOSED, fail_closed),
        Property::always(NOT_BESIDE_A_MOVE, |_, state: &State| {
            !fresh(state).any(|(beside_a_move, _)| beside_a_move)
        }),
        Property::always(NOT_AFTER_AN_ATTEMPT, |_, state: &State| {
            !fresh(state).any(|(_, after_an_attempt)| after_an_attempt)
        }),
        Property::always(NOT_ON_SQLITE, |_, state: &State| {
            !state.on_sqlite() || (state.postgres.markers == 0 && !state.may_yet_commit())
        }),
        Property::always(NOTHING_LOST, |_, state: &State| !state.lost),
        Property::sometimes(MOVED, |_, state: &State| state.postgres.markers == 1),
    ]
}

fn fail_closed(protocol: &Protocol, state: &State) -> bool {
    let moved = state.postgres.markers > 0;
    state
        .instances
        .iter()
        .zip(&protocol.instances)
        .all(|(step, instance)| match step {
            Step::OnPostgres(Because::Moved) => moved,
            // Exception: it has no `webui.db`, so that for all it can see this is a fresh start.
            Step::OnPostgres(Because::Fresh { .. }) => !instance.volume,
            // Exception: PostgreSQL has users already, and `keep` is configured.
            Step::OnPostgres(Because::Kept) => {
                instance.on_conflict == OnConflict::Keep && (moved || state.postgres.users)
            }
            _ => true,
        })
}

fn fresh(state: &State) -> impl Iterator<Item = (bool, bool)> {
    state.instances.iter().filter_map(|step| match step {
        Step::OnPostgres(Because::Fresh {
            beside_a_move,
            after_an_attempt,
        }) => Some((*beside_a_move, *after_an_attempt)),
        _ => None,
    })
}

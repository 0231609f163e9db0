//! Owns the starts that move nothing themselves: those that find the move done, those that wait for another instance, and
//! the one that falls back to SQLite because it was asked to.

use std::convert::identity;
use std::time::{Duration, Instant};

use crate::command::boot::{Start, look_and_move};
use crate::command::decide::{Asked, Decision, Why, decide};
use crate::command::frame::Controls;
use crate::command::look;
use crate::failure::row::{Context, Doing};
use crate::failure::{Absent, Failure};
use crate::ledger::lock::LockedTarget;
use crate::ledger::{self, Marker};
use crate::load::error::CopyError;
use crate::postgres::error::{Class, chain};
use crate::postgres::target::{self, Target};
use crate::settings::Settings;
use crate::sqlite::scratch::Scratch;
use crate::sqlite::source::{self, Found};

/// A later boot: one line, and a warning if the old database has been used since.
pub(super) fn after_the_move(settings: &Settings, marker: &Marker) {
    // Whoever was killed between COMMIT and its own cleaning up has no move after it that would do this.
    Scratch::remove_abandoned(&settings.scratch_places());
    tracing::debug!(
        "the move has id {}",
        marker.id.as_deref().unwrap_or("(none)")
    );
    let Some(fingerprint) = &marker.fingerprint else {
        return;
    };
    let unchanged = match source::locate(&settings.source) {
        Ok(Found::File(location)) => location.matches(fingerprint),
        // Gone, or out of sight: there is nothing that could have been changed.
        Ok(Found::Absent) | Err(_) => return,
    };
    match unchanged {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            "{} has changed since it was moved at {}: what was added to it later is not in PostgreSQL",
            settings.source_name(),
            marker.finished_at
        ),
        Err(error) => tracing::debug!(
            "the old database could not be compared with the marker: {}",
            chain(&error)
        ),
    }
}

/// A record is there, and not what it records: the app is started only where no data is left out, or where the record
/// was struck out, and all is as if there never was one.
///
/// # Errors
/// The source still has what is gone, or cannot be read.
pub(super) async fn beside_a_record(
    settings: &Settings,
    controls: &Controls,
    target: &Target,
    marker: &Marker,
) -> Result<Start, Failure> {
    let look = look::beside_a_record(look::open(settings, controls, 3).await?, marker);
    let refused = |why| Err(look.refusal(why, settings, target).into());
    match decide(&look.seen, Asked::from(settings)) {
        Decision::Refuse(why) => refused(why),
        Decision::Forget => {
            let client = target.client().await?;
            let forgotten = ledger::forget(&client, target.schema(), marker);
            if !target::brief(forgotten, identity).await? {
                return refused(Why::UsersGone);
            }
            tracing::warn!(
                "WEBUI_INIT_MOVE_AGAIN=true: the record of the move at {} is struck out",
                marker.at
            );
            drop(client);
            Box::pin(look_and_move(settings, controls)).await
        }
        _ => {
            tracing::warn!(
                "a move into PostgreSQL is recorded ({}), but PostgreSQL has no users, and nothing here has any to move. Open WebUI \
                 starts empty: whoever signs up first becomes its administrator. If people expect their data, stop it and restore \
                 PostgreSQL from its backup.",
                marker.at
            );
            Ok(Start::Postgres)
        }
    }
}

/// The move is done, by somebody else.
pub(super) fn another_has_moved(marker: &Marker) -> Start {
    tracing::info!(
        "another instance has moved {} rows; starting on PostgreSQL",
        marker.rows
    );
    Start::Postgres
}

/// Somebody else moves the data.
///
/// # Errors
/// Nobody has moved it in time, or PostgreSQL cannot be asked.
pub(super) async fn wait_for_another(settings: &Settings, why: Absent) -> Result<Start, Failure> {
    let limit = settings.lock_wait;
    tracing::info!("{why}; waiting for it, up to {} s", limit.as_secs());
    let begun = Instant::now();
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    while begun.elapsed() < limit {
        match target.marker().await {
            Ok(Some(marker)) => return Ok(another_has_moved(&marker)),
            Ok(None) => {}
            Err(error) if error.class() == Class::Transient => {}
            Err(error) => return Err(error.into()),
        }
        target.hang_up();
        tokio::time::sleep(Duration::from_secs(1).min(limit)).await;
    }
    Err(Failure::NotThisInstance {
        waited: limit.as_secs(),
        why,
    })
}

/// `WEBUI_INIT_ON_FAILURE=sqlite`: only where it is certain that nothing was moved and nobody else moves.
///
/// # Errors
/// The failure itself, where that is not certain.
pub(super) async fn fall_back(
    settings: &Settings,
    failure: Failure,
    locked: LockedTarget,
) -> Result<Start, Failure> {
    let nothing_certain = matches!(
        failure.innermost(),
        // The commit may still happen; and without a sound old database there is nothing to fall back on.
        Failure::Copy(CopyError::OutcomeUnknown(_) | CopyError::Source(_)) | Failure::Source(_)
    );
    if nothing_certain {
        return Err(failure);
    }
    match locked.still_without_marker().await {
        Ok(true) => {
            let context = Context {
                doing: Doing::Migrate,
                place: settings.dsn.place(),
                ..Context::default()
            };
            failure.told(&context).log();
            tracing::error!(
                "STARTING OPEN WEBUI ON ITS OLD SQLITE DATABASE, AS WEBUI_INIT_ON_FAILURE=sqlite ASKS. POSTGRESQL IS NOT USED. The \
                 next start tries again, and moves what was written until then too."
            );
            Ok(Start::Sqlite)
        }
        Ok(false) | Err(_) => Err(failure),
    }
}

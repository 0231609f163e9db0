//! Owns the flow of a start: look, decide, do. The move itself is `moving`'s, waiting for others `waiting`'s; what the
//! decision is, `decide` knows.

mod moving;
mod waiting;

use std::convert::identity;
use std::time::Duration;

use crate::app::names;
use crate::command::backup;
use crate::command::boot::moving::Move;
use crate::command::boot::waiting::{
    after_the_move, another_has_moved, beside_a_record, fall_back, wait_for_another,
};
use crate::command::decide::{Asked, Decision, SeenSource, decide};
use crate::command::frame::Controls;
use crate::command::look::{self, Look, Opened};
use crate::failpoint;
use crate::failure::row::Left;
use crate::failure::{Absent, Failure};
use crate::ledger::lock::{Locked, LockedTarget};
use crate::ledger::{self, attempts};
use crate::load::begun::{Held, Taking};
use crate::output::progress;
use crate::postgres::target::{self, Server, Target};
use crate::process::exec::EnvironmentChanges;
use crate::settings::{DATABASE_PARTS, Expected, OnConflict, OnFailure, Settings};

/// How the app may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// On PostgreSQL.
    Postgres,
    /// On its old SQLite file, as `WEBUI_INIT_ON_FAILURE=sqlite` asks.
    Sqlite,
}

/// Brings the data to where the app will look for it.
///
/// # Errors
/// There is data to move and it could not be moved: the app must not be started.
pub(crate) async fn prepare(settings: &Settings, controls: &Controls) -> Result<Start, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let place = settings.dsn.place();
    tracing::info!(
        version,
        "version {version}, looking at PostgreSQL database {place}"
    );
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    look_and_move(settings, controls).await
}

/// Looks, decides and does; also anew, after what changes everything that was seen.
async fn look_and_move(settings: &Settings, controls: &Controls) -> Result<Start, Failure> {
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    let first = target.first_look(settings.wait, names::USER).await?;
    tracing::info!("Connected to PostgreSQL database {}", target.summary());
    failpoint::or_fail(failpoint::CONNECTED)?;
    if let Some(marker) = first.moved() {
        after_the_move(settings, marker);
        return Ok(Start::Postgres);
    }
    if let Some(marker) = &first.marker {
        return beside_a_record(settings, controls, &target, marker).await;
    }
    let server = target.server().await?;
    let locked = match target.lock(&server.schema, settings.lock_wait).await? {
        Locked::Ours(locked) => locked,
        Locked::Done(marker) => return Ok(another_has_moved(&marker)),
    };
    failpoint::or_fail(failpoint::LOCKED)?;
    match under_the_lock(settings, controls, &locked, &server).await {
        Ok(Next::Start) => {
            locked.release();
            failpoint::or_fail(failpoint::LOCK_RELEASED)?;
            Ok(Start::Postgres)
        }
        Ok(Next::Wait(why)) => {
            locked.release();
            wait_for_another(settings, why).await
        }
        Ok(Next::Pause(pause)) => {
            // Neither lock nor connection is held meanwhile, so afterwards everything is looked at anew.
            locked.release();
            tokio::time::sleep(pause).await;
            Box::pin(look_and_move(settings, controls)).await
        }
        Err(failure) if settings.on_failure == OnFailure::Sqlite => {
            fall_back(settings, failure.leaving(controls.left()), locked).await
        }
        Err(failure) => Err(failure),
    }
}

/// What follows once the lock is given back.
enum Next {
    Start,
    Wait(Absent),
    Pause(Duration),
}

async fn under_the_lock(
    settings: &Settings,
    controls: &Controls,
    locked: &LockedTarget,
    server: &Server,
) -> Result<Next, Failure> {
    let opened = look::open(settings, controls, 3).await?;
    failpoint::or_fail(failpoint::SOURCE_OPENED)?;
    let mut look = look::look(settings, locked.target(), server, opened).await?;
    let decision = decide(&look.seen, Asked::from(settings));
    match decision {
        Decision::Fresh => {
            // What was seen counts only if nobody else could have begun a move meanwhile.
            locked.still_held().await?;
            tell_fresh(settings, &look);
            Ok(Next::Start)
        }
        Decision::Wait(why) => Ok(Next::Wait(why)),
        Decision::Later => {
            let pause = look.pause();
            if let Some(failed) = &look.failed {
                tracing::warn!("{}", failed.describe(pause));
            }
            Ok(Next::Pause(pause))
        }
        Decision::Keep => {
            let users = look.opened.map_or(0, |opened| opened.census.users);
            tracing::warn!(
                "PostgreSQL is already in use ({} hold rows), so nothing is moved and {} with its {users} users is left as it is. \
                 WEBUI_INIT_ON_CONFLICT=replace would move it in.",
                look.seen.in_use.join(", "),
                settings.source_name(),
            );
            Ok(Next::Start)
        }
        Decision::Conflict => Err(look.conflict(settings)),
        Decision::Problem => Err(look.seen.problems.swap_remove(0)),
        Decision::Refuse(why) => Err(look.refusal(why, settings, locked.target()).into()),
        // Under the lock there is no record to strike out.
        Decision::Forget => Ok(Next::Pause(Duration::ZERO)),
        Decision::Move => {
            move_the_data(settings, controls, locked, server, look).await?;
            Ok(Next::Start)
        }
    }
}

fn tell_fresh(settings: &Settings, look: &Look) {
    let source = settings.source_name();
    let why = match look.seen.source {
        SeenSource::WithUsers => format!("{source} and its users are left as they are"),
        SeenSource::WithoutUsers => format!("{source} has no users"),
        _ => format!("there is no {source}"),
    };
    if settings.expectation.source == Expected::Nothing {
        tracing::info!("nothing is moved, as WEBUI_INIT_SOURCE=none asks: {why}");
    } else if look.seen.users {
        tracing::info!("nothing to move: {why}");
    } else {
        tracing::warn!(
            "nothing to move: {why}, and PostgreSQL has no users. Open WebUI starts empty: whoever signs up first becomes its \
             administrator. If people expect their data, stop it and mount the volume that holds webui.db. If it is to start \
             empty, WEBUI_INIT_SOURCE=none says so, and this warning goes."
        );
    }
}

/// Makes the ledger, counts the attempt, and moves.
async fn move_the_data(
    settings: &Settings,
    controls: &Controls,
    locked: &LockedTarget,
    server: &Server,
    look: Look,
) -> Result<(), Failure> {
    let Some(opened) = look.opened else {
        return Ok(());
    };
    describe(&opened, locked);
    failpoint::or_fail(failpoint::MOVE_DECIDED)?;
    let mut client = locked.target().client().await?;
    let made = ledger::prepare(&mut client);
    target::brief(made, identity).await?;
    drop(client);
    controls.leaves(Left::Ledger);
    failpoint::or_fail(failpoint::LEDGER_MADE)?;
    attempts::begin(locked.target(), &server.schema).await;
    let taking = Taking {
        app_tables: &look.app_tables,
        held: if settings.on_conflict == OnConflict::Replace {
            Held::SetAside
        } else if look.seen.only_the_administrator {
            Held::OfTheAdministrator(settings.app.admin_email.as_deref())
        } else {
            Held::Refused
        },
    };
    let the_move = Move::new(settings, controls, locked, server, taking);
    let moved = Box::pin(async {
        let source = match &settings.backup {
            Some(folder) => backup::back_up_source(controls, opened.source, folder).await?,
            None => opened.source,
        };
        the_move.run(source, opened.census.users).await
    })
    .await
    .map_err(Failure::in_the_move);
    if let Err(failure) = &moved {
        attempts::end(locked.target(), &server.schema, failure.exit_code()).await;
    }
    moved
}

fn describe(opened: &Opened, locked: &LockedTarget) {
    let (source, census) = (&opened.source, &opened.census);
    let newest = source
        .date(census.newest)
        .unwrap_or_else(|| "unknown".to_owned());
    tracing::info!(
        "found {} ({}, {} users, {} chats, newest change {newest}), to be moved to {}",
        source.name(),
        progress::bytes(source.bytes()),
        census.users,
        census.chats,
        locked.target().summary()
    );
}

/// What the app's environment gets or loses, given how it is started.
pub(crate) fn environment(settings: &Settings, start: Start) -> EnvironmentChanges {
    let mut changes = settings.changes.clone();
    if start == Start::Sqlite {
        changes
            .set
            .retain(|(name, _)| !name.starts_with("DATABASE_"));
        changes.remove.extend(DATABASE_PARTS.map(str::to_owned));
        changes.remove.extend([
            "DATABASE_SCHEMA".to_owned(),
            "DATABASE_URL_FILE".to_owned(),
            "DATABASE_PASSWORD_FILE".to_owned(),
        ]);
        if settings.source_is_the_apps_default {
            changes.remove.push("DATABASE_URL".to_owned());
        } else {
            let url = format!("sqlite:///{}", settings.source.display());
            changes.set.push(("DATABASE_URL".to_owned(), url.into()));
        }
    }
    changes
}

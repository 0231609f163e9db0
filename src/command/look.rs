//! Owns what is seen of both sides before anything is decided: facts, and a list of all that a move would fail at.
//! Nothing is written. What follows from them is `decide`'s.

use std::time::Duration;

use crate::app::accounts;
use crate::app::occupancy::tables_in_use;
use crate::app::revision::refuse_newer;
use crate::app::{App, AppTables, Migrations, names};
use crate::command::decide::{Seen, SeenRecord, SeenSource, Why};
use crate::command::frame::Controls;
use crate::command::open::open_source;
use crate::failure::{Failure, Refusal};
use crate::ledger::Marker;
use crate::ledger::attempts::{self, Failed};
use crate::postgres::target::{Server, Target};
use crate::settings::Settings;
use crate::sqlite::scratch::Scratch;
use crate::sqlite::source::{self, Census, Found, Source};

/// A source that can be read.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The source itself.
    pub source: Source,
    /// Users, chats, newest change.
    pub census: Census,
}

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Look {
    /// What decides.
    pub seen: Seen,
    /// The source, where there is a file.
    pub opened: Option<Opened>,
    /// Which tables are the app's.
    pub app_tables: AppTables,
    /// Moves that failed before.
    pub failed: Option<Failed>,
    /// The record of a move whose data is not there.
    pub marker: Option<Marker>,
}

/// Opens what lies where the source is expected. A private copy, where one is needed, must have `times` its size free.
///
/// # Errors
/// What lies there is no usable `webui.db`.
pub(crate) async fn open(
    settings: &Settings,
    controls: &Controls,
    times: u64,
) -> Result<Option<Opened>, Failure> {
    match source::locate(&settings.source)? {
        Found::File(location) => {
            let (source, census) = open_source(settings, controls, location, times).await?;
            Ok(Some(Opened { source, census }))
        }
        Found::Absent => Ok(None),
    }
}

/// What is seen where there is a record of a move, and not what it records.
pub(crate) fn beside_a_record(opened: Option<Opened>, marker: &Marker) -> Look {
    let record = if marker.current {
        SeenRecord::WithoutUsers
    } else {
        SeenRecord::Returned
    };
    Look {
        seen: Seen {
            record,
            source: source_of(opened.as_ref()),
            ..Seen::default()
        },
        opened,
        app_tables: AppTables::default(),
        failed: None,
        marker: Some(marker.clone()),
    }
}

fn source_of(opened: Option<&Opened>) -> SeenSource {
    match opened {
        None => SeenSource::Absent,
        Some(opened) if opened.census.users == 0 => SeenSource::WithoutUsers,
        Some(_) => SeenSource::WithUsers,
    }
}

/// Looks at PostgreSQL, given what the source holds.
///
/// # Errors
/// Either side cannot be read. What a move would fail at is no error here.
pub(crate) async fn look(
    settings: &Settings,
    target: &Target,
    server: &Server,
    opened: Option<Opened>,
) -> Result<Look, Failure> {
    let app = App::new(&settings.app, None);
    let source = source_of(opened.as_ref());
    let mut look = Look {
        seen: Seen {
            source,
            ..Seen::default()
        },
        opened,
        app_tables: AppTables::default(),
        failed: None,
        marker: None,
    };
    let Some(opened) = look
        .opened
        .as_ref()
        .filter(|_| source == SeenSource::WithUsers)
    else {
        look.seen.begun = is_begun(target, server).await?;
        return Ok(look);
    };
    let migrations = app.migrations();
    let tables = opened.source.tables.iter();
    look.app_tables = AppTables::new(tables.map(|table| table.name.as_str()), &migrations);
    let client = target.client().await?;
    look.seen.in_use = tables_in_use(&client, &server.schema, &look.app_tables).await?;
    drop(client);
    if settings.migrations_enabled {
        look.failed = attempts::read(target, &server.schema).await;
        look.seen.pausing = look.pause() > Duration::ZERO;
        look.seen.problems = problems(settings, &migrations, opened, target, server).await?;
    }
    Ok(look)
}

impl Look {
    /// Why the app is not started where both sides are in use.
    pub(crate) fn conflict(&self, settings: &Settings) -> Failure {
        Failure::Conflict {
            tables: self.seen.in_use.join(", "),
            users: self.seen.in_use.iter().any(|table| table == names::USER),
            source_path: settings.source_name(),
        }
    }

    /// What is left of the pause after failed moves.
    pub(crate) fn pause(&self) -> Duration {
        self.failed
            .as_ref()
            .map(Failed::remaining)
            .unwrap_or_default()
    }

    /// Why a start is refused, with everything that was seen.
    pub(crate) fn refusal(&self, why: Why, settings: &Settings, target: &Target) -> Refusal {
        let target = target.summary().to_owned();
        let source_path = settings.source_name();
        let at = self.marker.as_ref();
        let at = at.map(|marker| marker.at.clone()).unwrap_or_default();
        let users = self.opened.as_ref().map_or(0, |opened| opened.census.users);
        match why {
            Why::UsersGone => Refusal::UsersGone {
                target,
                at,
                users,
                source_path,
            },
            Why::Returned => Refusal::Returned {
                target,
                at,
                source_path,
            },
        }
    }
}

/// Whether somebody has begun a move into this database and PostgreSQL has no users yet.
async fn is_begun(target: &Target, server: &Server) -> Result<bool, Failure> {
    let client = target.client().await?;
    if !attempts::any(&client, &server.schema).await? {
        return Ok(false);
    }
    let users = AppTables::new([names::USER].into_iter(), &Migrations::default());
    Ok(tables_in_use(&client, &server.schema, &users)
        .await?
        .is_empty())
}

/// All that a move would fail at, in the order in which it would.
async fn problems(
    settings: &Settings,
    migrations: &Migrations,
    opened: &Opened,
    target: &Target,
    server: &Server,
) -> Result<Vec<Failure>, Failure> {
    let source = &opened.source;
    let app = App::new(&settings.app, None);
    let mut problems = Vec::new();
    let mut note = |checked: Result<(), Failure>| problems.extend(checked.err());
    note(refuse_newer(source, migrations).map_err(Failure::from));
    let sharing = accounts::in_the_way_of_upgrade(source, migrations)?;
    if !sharing.is_empty() {
        note(Err(Failure::SharedAddresses {
            source_path: source.name().to_owned(),
            accounts: accounts::names(&sharing),
        }));
    }
    note(
        app.check_schema(server.current_schema.as_deref())
            .map_err(Failure::from),
    );
    note(app.check_there().map_err(Failure::from));
    // An older source is upgraded on a private copy. Where the image's head is not known, the move finds out.
    if migrations
        .head()
        .is_some_and(|head| source.revision != Some(head))
    {
        let needed = source.bytes().saturating_mul(2);
        let room = match source.scratch() {
            Some(scratch) => scratch.require(needed),
            None => Scratch::foresee(&settings.scratch_places(), needed),
        };
        note(room.map_err(Failure::from));
    }
    note(target.check_abilities().await.map_err(Failure::from));
    note(
        target
            .check_privileges(&server.schema)
            .await
            .map_err(Failure::from),
    );
    Ok(problems)
}

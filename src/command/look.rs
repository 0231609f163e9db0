//! Owns what is seen of both sides before anything is decided: facts, and a list of all that a move would fail at.
//! Nothing is written. What follows from them is `decide`'s.

use std::path::Path;
use std::time::Duration;

use crate::app::accounts;
use crate::app::data_folder::Traces;
use crate::app::inhabitants::{only_the_administrator, strangers};
use crate::app::occupancy::tables_in_use;
use crate::app::revision::refuse_newer;
use crate::app::{App, AppTables, Migrations, names};
use crate::command::decide::{Seen, SeenRecord, SeenSource, Why};
use crate::command::frame::Controls;
use crate::command::open::open_source;
use crate::failure::{Failure, Refusal};
use crate::ledger::Marker;
use crate::ledger::attempts::{self, Failed};
use crate::ledger::receipt::{Receipt, State, Unreadable};
use crate::postgres::error::chain;
use crate::postgres::presence::{Presence, presence};
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
    /// What lies where the source should be.
    pub traces: Traces,
    /// What shows that the tables in PostgreSQL are another application's.
    pub strangers: Option<String>,
    /// The receipt beside the source, if one says that its data was moved.
    pub receipt: Option<Result<Receipt, Unreadable>>,
    /// Whether everybody who has an account in the source has one in PostgreSQL; asked where there is a receipt.
    pub restored: bool,
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
        marker: Some(marker.clone()),
        ..Look::of(opened)
    }
}

impl Look {
    fn of(opened: Option<Opened>) -> Self {
        Self {
            seen: Seen::default(),
            opened,
            app_tables: AppTables::default(),
            failed: None,
            marker: None,
            traces: Traces::default(),
            strangers: None,
            receipt: None,
            restored: false,
        }
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
    let mut look = Look::of(opened);
    look.seen.source = source_of(look.opened.as_ref());
    look.receipt = moved_before(settings);
    look.seen.receipt = look.receipt.is_some();
    let Some(opened) = look
        .opened
        .as_ref()
        .filter(|_| look.seen.source == SeenSource::WithUsers)
    else {
        look.look_around(settings, target, server).await?;
        return Ok(look);
    };
    let migrations = App::new(&settings.app, None).migrations();
    let tables = opened.source.tables.iter();
    look.app_tables = AppTables::new(tables.map(|table| table.name.as_str()), &migrations);
    let client = target.client().await?;
    look.strangers = strangers(&client, &server.schema, &migrations).await?;
    look.seen.strangers = look.strangers.is_some();
    if look.seen.strangers {
        return Ok(look);
    }
    let used = tables_in_use(&client, &server.schema, &look.app_tables).await?;
    let email = settings.app.admin_email.as_deref();
    look.seen.only_the_administrator =
        only_the_administrator(&client, &server.schema, &used, email).await?;
    if look.receipt.is_some() && used.iter().any(|table| table == names::USER) {
        let accounts = accounts::read(&opened.source)?;
        look.restored = accounts::all_there(&client, &server.schema, &accounts).await?;
    }
    look.seen.in_use = used;
    drop(client);
    if settings.migrations_enabled {
        look.failed = attempts::read(target, &server.schema).await;
        look.seen.pausing = look.pause() > Duration::ZERO;
        look.seen.problems = problems(settings, &migrations, opened, target, server).await?;
    }
    Ok(look)
}

/// The receipt beside the source, where it says that the data is elsewhere.
fn moved_before(settings: &Settings) -> Option<Result<Receipt, Unreadable>> {
    let receipt = Receipt::beside(&settings.source).transpose()?;
    let returned = matches!(&receipt, Ok(receipt) if receipt.state == State::Returned);
    (!returned).then_some(receipt)
}

impl Look {
    /// What tells of data where there is none to move, and whether PostgreSQL is where people live.
    async fn look_around(
        &mut self,
        settings: &Settings,
        target: &Target,
        server: &Server,
    ) -> Result<(), Failure> {
        let client = target.client().await?;
        let found = presence(&client, Some(&server.schema), names::USER).await?;
        self.seen.users = matches!(found, Presence::Rows | Presence::Locked);
        if self.seen.users {
            return Ok(());
        }
        self.seen.begun = attempts::any(&client, &server.schema).await?;
        if self.seen.source != SeenSource::Absent {
            return Ok(());
        }
        self.traces = Traces::look(&settings.source, settings.app.own_data.as_deref());
        if found == Presence::Empty {
            // The app has been started on this PostgreSQL, and has made what it makes at any start.
            self.traces.app.clear();
        }
        self.seen.source = if self.traces.no_folder && self.traces.people.is_empty() {
            SeenSource::NoFolder
        } else if self.traces.is_empty() {
            SeenSource::Absent
        } else {
            SeenSource::Traces
        };
        Ok(())
    }

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
            Why::Strangers => Refusal::Strangers {
                target,
                why: self.strangers.clone().unwrap_or_default(),
            },
            Why::MovedBefore => self.moved_before(source_path, target),
            Why::NamedAbsent => Refusal::NamedAbsent { source_path },
            Why::NoFolder => {
                let folder = settings.source.parent().unwrap_or(Path::new("/"));
                Refusal::NoFolder {
                    folder: folder.display().to_string(),
                }
            }
            Why::Traces => Refusal::Traces {
                source_path,
                traces: self.traces.to_string(),
            },
            Why::Required => Refusal::Required {
                source_path,
                there: self.opened.is_some(),
            },
        }
    }

    fn moved_before(&self, source_path: String, target: String) -> Refusal {
        match &self.receipt {
            Some(Ok(receipt)) => Refusal::MovedBefore {
                source_path,
                at: receipt.at.clone(),
                place: receipt.place(),
                rows: receipt.rows,
                target,
                restored: self.restored,
            },
            unreadable => Refusal::ReceiptUnreadable {
                source_path,
                target,
                why: match unreadable {
                    Some(Err(error)) => chain(error),
                    _ => String::new(),
                },
            },
        }
    }
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

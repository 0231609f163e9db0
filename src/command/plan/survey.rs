//! Owns `webui-init plan`: both sides are read, nothing is written anywhere, and what a move would do is told.
//! The counts come from the reader that the move itself uses.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_postgres::Client;

use crate::app::accounts::{self, Account};
use crate::app::{App, Migrations, names, revision};
use crate::command::answer::reading;
use crate::command::decide::{Asked, Decision, decide};
use crate::command::frame::Controls;
use crate::command::look::{self, Look, Opened};
use crate::command::open::open_to_read;
use crate::command::plan::trials::Trials;
use crate::convert::reason::Reason;
use crate::failure::Failure;
use crate::load::findings::{Findings, RefusedRow};
use crate::load::foresee::foresee;
use crate::load::plan::{Plan, Unasked};
use crate::load::reader::{self, Discard, TableTally};
use crate::load::report::Report;
use crate::output::clock;
use crate::output::stdout::Trouble;
use crate::postgres::catalogue::Catalogue;
use crate::postgres::error::chain;
use crate::postgres::target::{Server, Target};
use crate::settings::{Leftovers, Settings};
use crate::sqlite::source::{self, Census, Found, Source, SourceError};
use crate::sqlite::thread::on_source;

/// What the next boot would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Start the app: the marker is there.
    Moved,
    /// Start the app: there is nothing to move.
    FreshStart,
    /// Start the app on PostgreSQL as it is: both sides are in use.
    Keep,
    /// Fail: both sides are in use.
    Conflict,
    /// Wait for an instance that may move, or that sees the data; then fail.
    Wait,
    /// Fail, for the first of the blockers.
    Refuse,
    /// Set aside what PostgreSQL holds, then move.
    Replace,
    /// Move.
    Move,
}

/// What was found, and what a move would do.
#[derive(Debug, Serialize)]
pub(crate) struct Survey {
    /// What the next boot would do.
    pub state: State,
    /// Database, host and role.
    pub target: String,
    /// The app's revision in PostgreSQL.
    pub target_revision: Option<String>,
    /// Tables of the app that hold rows in PostgreSQL.
    pub in_use: Vec<String>,
    /// The source, if there is one.
    pub source: Option<SourceSurvey>,
    /// Whether somebody has the source open; then a copy of one moment was read.
    pub source_in_use: bool,
    /// Accounts, by their ids, that share an e-mail address but for its case. PostgreSQL takes one of each group.
    pub shared_addresses: Vec<Vec<String>>,
    /// The move, if there would be one.
    pub report: Option<Report>,
    /// What could not be foreseen.
    pub unforeseen: Vec<String>,
    /// All that a move would fail at, whether or not the next start comes to one.
    pub blockers: Vec<Trouble>,
    /// Why the next start fails, if it does.
    #[serde(skip)]
    failure: Option<Failure>,
}

/// The source as found.
#[derive(Debug, Serialize)]
pub(crate) struct SourceSurvey {
    /// Its path.
    pub path: String,
    /// Bytes of the database and its WAL.
    pub bytes: u64,
    /// Its Alembic revision.
    pub revision: Option<String>,
    /// Accounts.
    pub users: i64,
    /// Chats.
    pub chats: i64,
    /// When a chat was last changed.
    pub newest_change: Option<String>,
}

impl SourceSurvey {
    fn new(source: &Source, census: &Census) -> Self {
        Self {
            path: source.name().to_owned(),
            bytes: source.bytes(),
            revision: source.revision.clone(),
            users: census.users,
            chats: census.chats,
            newest_change: census.newest.and_then(clock::of_seconds),
        }
    }
}

/// Reads both sides.
///
/// # Errors
/// As the move's own, as far as they show without writing.
pub(crate) async fn survey(settings: &Settings, controls: &Controls) -> Result<Survey, Failure> {
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    let first = target.first_look(settings.wait, names::USER).await?;
    let mut survey = Survey {
        state: State::Moved,
        target: target.summary().to_owned(),
        target_revision: None,
        in_use: Vec::new(),
        source: None,
        source_in_use: false,
        shared_addresses: Vec::new(),
        report: None,
        unforeseen: Vec::new(),
        blockers: Vec::new(),
        failure: None,
    };
    if first.moved().is_some() {
        return Ok(survey);
    }
    let server = target.server().await?;
    survey.target_revision = revision::of_target(&target, &server.schema).await?;
    let opened = match source::locate(&settings.source)? {
        Found::File(location) => {
            let (source, census, copied) = open_to_read(settings, controls, location, 2).await?;
            survey.source_in_use = copied;
            Some(Opened { source, census })
        }
        Found::Absent => None,
    };
    let mut look = match &first.marker {
        Some(marker) => look::beside_a_record(opened, marker),
        None => look::look(settings, &target, &server, opened).await?,
    };
    if decide(&look.seen, Asked::from(settings)) == Decision::Forget {
        // Then all is as if there never was a record.
        look = look::look(settings, &target, &server, look.opened).await?;
    }
    survey.blockers = look
        .seen
        .problems
        .iter()
        .map(|problem| Trouble::from(problem.told(&reading(settings))))
        .collect();
    survey.in_use.clone_from(&look.seen.in_use);
    let decision = decide(&look.seen, Asked::from(settings));
    (survey.state, survey.failure) = foretold(decision, settings, &target, &mut look);
    let Some(Opened { source, census }) = look.opened else {
        return Ok(survey);
    };
    survey.source = Some(SourceSurvey::new(&source, &census));
    // What a newer file holds, this image cannot judge.
    let newer = matches!(
        survey.failure,
        Some(Failure::Source(SourceError::Newer { .. }))
    );
    if census.users > 0 && !newer && !look.seen.strangers {
        survey.foresee(settings, source, &target, &server).await?;
    }
    Ok(survey)
}

/// What the next start comes to. A pause after failed moves only delays it.
fn foretold(
    mut decision: Decision,
    settings: &Settings,
    target: &Target,
    look: &mut Look,
) -> (State, Option<Failure>) {
    if decision == Decision::Later {
        look.seen.pausing = false;
        decision = decide(&look.seen, Asked::from(settings));
    }
    match decision {
        Decision::Fresh => (State::FreshStart, None),
        Decision::Keep => (State::Keep, None),
        Decision::Wait(why) => {
            let waited = settings.lock_wait.as_secs();
            (State::Wait, Some(Failure::NotThisInstance { waited, why }))
        }
        Decision::Conflict => {
            let conflict = look.conflict(settings);
            (State::Conflict, Some(conflict))
        }
        Decision::Problem => (State::Refuse, Some(look.seen.problems.swap_remove(0))),
        Decision::Refuse(why) => {
            let refusal = look.refusal(why, settings, target);
            (State::Refuse, Some(refusal.into()))
        }
        _ if look.seen.in_use.is_empty() => (State::Move, None),
        _ => (State::Replace, None),
    }
}

impl Survey {
    /// Goes through the rows as a move would.
    async fn foresee(
        &mut self,
        settings: &Settings,
        source: Source,
        target: &Target,
        server: &Server,
    ) -> Result<(), Failure> {
        let migrations = App::new(&settings.app, None).migrations();
        let client = target.client().await?;
        let catalogue = match &self.target_revision {
            Some(revision) if source.revision.as_ref() == Some(revision) => {
                Some(Catalogue::read(&client, &server.schema).await?)
            }
            _ => None,
        };
        let sharing = accounts::sharing(&client, accounts::read(&source)?).await?;
        self.shared_addresses = sharing
            .iter()
            .map(|group| group.iter().map(|account| account.id.clone()).collect())
            .collect();
        if catalogue.is_none() {
            self.unforeseen.push(
                "PostgreSQL has no tables at the source's revision yet, so types and foreign keys are taken from the source's own \
                 declarations; defaults, length limits, unique indexes (but that of e-mail addresses) and checks of the target are \
                 not known"
                    .to_owned(),
            );
        }
        if source.revision.is_none()
            || self.target_revision.is_some() && self.target_revision != source.revision
        {
            self.unforeseen.push(
                "a private copy of the source is upgraded first, by Open WebUI's own migrations; the counts here are those before it"
                    .to_owned(),
            );
        }
        self.report = Some(match catalogue {
            Some(catalogue) => {
                foretell(source, &client, server, catalogue, &mut self.unforeseen).await?
            }
            None => foretell_by_source(source, &server.schema, &migrations, &sharing).await?,
        });
        Ok(())
    }

    /// What the next start comes to, as its exit code says it.
    ///
    /// # Errors
    /// The next start's.
    pub(crate) fn outcome(&mut self, settings: &Settings) -> Result<(), Failure> {
        let exceptions = self.report.as_ref().map_or(0, |report| report.kept_aside);
        match self.failure.take() {
            Some(failure) => Err(failure),
            None if exceptions > 0
                && settings.leftovers == Leftovers::Fail
                && matches!(self.state, State::Move | State::Replace) =>
            {
                self.state = State::Refuse;
                Err(Failure::Leftovers {
                    count: exceptions,
                    summary: String::new(),
                })
            }
            None => Ok(()),
        }
    }
}

/// Goes the way of the move, round by round, with a temporary table in place of the real ones.
async fn foretell(
    source: Source,
    client: &Client,
    server: &Server,
    catalogue: Catalogue,
    unforeseen: &mut Vec<String>,
) -> Result<Report, Failure> {
    let plan = Unasked::new(&source.tables, &catalogue);
    let (mut source, plan) = plan.ask(client, source).await?;
    let mut refused: Vec<RefusedRow> = Vec::new();
    loop {
        let tallies;
        let findings;
        (source, (findings, tallies)) = {
            let (plan, catalogue, refused) = (plan.clone(), catalogue.clone(), refused.clone());
            on_source(source, move |source| {
                read(source, &plan, &catalogue, &refused)
            })
            .await?
        };
        let trials = Trials {
            client,
            server,
            catalogue: &catalogue,
            plan: &plan,
        };
        let mut foreseen;
        (source, foreseen) = match trials.run(source, &findings).await? {
            (source, Ok(foreseen)) => (source, foreseen),
            (source, Err(denied)) => {
                unforeseen.push(format!(
                    "rows that PostgreSQL alone can tell to be alike or too long for an index: {}",
                    chain(&denied)
                ));
                (source, Vec::new())
            }
        };
        let parents = reader::refused_parents(&tallies, &catalogue);
        let at = match foreseen.iter().position(|table| table.while_loading) {
            None if parents.iter().any(|parent| !refused.contains(parent)) => {
                refused.extend(parents);
                continue;
            }
            at => at.or_else(|| {
                let suspension = catalogue.suspend(|table| plan.loads(table));
                let place = |table: &String| foreseen.iter().position(|one| one.name == *table);
                suspension.restores().find_map(|item| place(&item.table))
            }),
        };
        match at.or((!foreseen.is_empty()).then_some(0)) {
            Some(at) => refused.extend(foreseen.swap_remove(at).rows),
            None => return Ok(Report::new(&tallies, BTreeMap::new())),
        }
    }
}

async fn foretell_by_source(
    source: Source,
    schema: &str,
    migrations: &Migrations,
    sharing: &[Vec<Account>],
) -> Result<Report, Failure> {
    let known = source
        .tables
        .iter()
        .filter(|table| migrations.may_know(&table.name));
    let foreseen = foresee(source.connection(), schema, known);
    let foreseen = foreseen.map_err(|error| source.failed(error))?;
    let plan = foreseen.plan(&source.tables);
    let refused: Vec<RefusedRow> = sharing
        .iter()
        .flat_map(|group| group.iter().skip(1))
        .map(|account| RefusedRow {
            table: names::USER.to_owned(),
            rowid: account.rowid,
            reason: Reason::Duplicate(accounts::INDEX.to_owned()),
        })
        .collect();
    let reading = on_source(source, move |source| {
        read(source, &plan, foreseen.catalogue(), &refused)
    });
    let (_, (_, tallies)) = reading.await?;
    Ok(Report::new(&tallies, BTreeMap::new()))
}

fn read(
    source: &Source,
    plan: &Plan,
    catalogue: &Catalogue,
    refused: &[RefusedRow],
) -> Result<(Findings, Vec<TableTally>), SourceError> {
    let findings = Findings::search(source.connection(), plan, catalogue, refused)
        .map_err(|error| source.failed(error))?;
    let tallies = reader::only_source(reader::read(source, plan, &findings, &mut Discard))?;
    Ok((findings, tallies))
}

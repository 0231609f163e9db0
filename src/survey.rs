//! Owns `webui-init plan`: both sides are read, nothing is written anywhere, and what a move would do is told.
//! The counts come from the reader that the move itself uses.

use serde::Serialize;

use crate::app::{App, AppTables, Migrations};
use crate::boot::{Controls, off_thread, open_source};
use crate::catalogue::Catalogue;
use crate::failure::Failure;
use crate::findings::Findings;
use crate::plan::Plan;
use crate::progress;
use crate::reader::{self, Nowhere, ReadError};
use crate::report::Report;
use crate::settings::{OnConflict, Settings};
use crate::source::{self, Census, Found, Source, SourceError};
use crate::target::{Target, tables_in_use};

/// What the next boot would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Start the app: the marker is there.
    Moved,
    /// Start the app: there is nothing to move.
    FreshStart,
    /// Start the app on PostgreSQL as it is: both sides are in use.
    Keep,
    /// Fail: both sides are in use.
    Conflict,
    /// Set aside what PostgreSQL holds, then move.
    Replace,
    /// Move.
    Move,
}

/// What was found, and what a move would do.
#[derive(Debug, Serialize)]
pub struct Survey {
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
    /// The move, if there would be one.
    pub report: Option<Report>,
    /// What could not be foreseen.
    pub unforeseen: Vec<String>,
}

/// The source as found.
#[derive(Debug, Serialize)]
pub struct SourceSurvey {
    /// Its path.
    pub path: String,
    /// Bytes of the database and its WAL.
    pub bytes: u64,
    /// Its Alembic revision.
    pub revision: Option<String>,
    /// Users, chats, newest change.
    pub census: Census,
}

/// Reads both sides.
///
/// # Errors
/// As the move's own, as far as they show without writing.
pub async fn survey(settings: &Settings, controls: &Controls) -> Result<Survey, Failure> {
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    let marker = target.first_look(settings.wait).await?;
    let mut survey = Survey {
        state: State::Moved,
        target: target.summary().to_owned(),
        target_revision: None,
        in_use: Vec::new(),
        source: None,
        report: None,
        unforeseen: Vec::new(),
    };
    if marker.is_some() {
        return Ok(survey);
    }
    let server = target.server().await?;
    survey.target_revision = target.revision(&server.schema).await?;
    survey.state = State::FreshStart;
    let Found::File(location) = source::locate(&settings.source)? else {
        return Ok(survey);
    };
    let (source, census) = open_source(settings, controls, location, 2).await?;
    survey.source = Some(SourceSurvey {
        path: source.name().to_owned(),
        bytes: source.bytes(),
        revision: source.revision.clone(),
        census: census.clone(),
    });
    if census.users == 0 {
        return Ok(survey);
    }
    let migrations = App::new(&settings.app, None).migrations();
    source.refuse_newer(&migrations)?;
    let names = source.tables.iter().map(|table| table.name.as_str());
    let app_tables = AppTables::new(names, &migrations);
    let client = target.client().await?;
    survey.in_use = tables_in_use(&client, &server.schema, &app_tables).await?;
    survey.state = match (survey.in_use.is_empty(), settings.on_conflict) {
        (true, _) => State::Move,
        (false, OnConflict::Keep) => State::Keep,
        (false, OnConflict::Fail) => State::Conflict,
        (false, OnConflict::Replace) => State::Replace,
    };
    let catalogue = match &survey.target_revision {
        Some(revision) if source.revision.as_ref() == Some(revision) => {
            Some(Catalogue::read(&client, &server.schema).await?)
        }
        _ => None,
    };
    drop(client);
    if catalogue.is_none() {
        survey.unforeseen.push(
            "PostgreSQL has no tables at the source's revision yet, so types and foreign keys are taken from the source's own \
             declarations; defaults, length limits, unique indexes and checks of the target are not known"
                .to_owned(),
        );
    }
    if source.revision.is_none()
        || survey.target_revision.is_some() && survey.target_revision != source.revision
    {
        survey.unforeseen.push(
            "a private copy of the source is upgraded first, by Open WebUI's own migrations; the counts here are those before it"
                .to_owned(),
        );
    }
    let schema = server.schema.clone();
    survey.report =
        Some(off_thread(move || foretell(&source, catalogue, &schema, &migrations)).await?);
    Ok(survey)
}

fn foretell(
    source: &Source,
    catalogue: Option<Catalogue>,
    schema: &str,
    migrations: &Migrations,
) -> Result<Report, SourceError> {
    let failed = |error| source.failed(error);
    let catalogue = if let Some(catalogue) = catalogue {
        catalogue
    } else {
        let known = source
            .tables
            .iter()
            .filter(|table| migrations.may_know(&table.name));
        Catalogue::foresee(source.connection(), known).map_err(failed)?
    };
    let mut plan = Plan::new(&source.tables, &catalogue);
    schema.clone_into(&mut plan.schema);
    let findings = Findings::search(source.connection(), &plan, &catalogue, &[]).map_err(failed)?;
    match reader::read(source, &plan, &findings, &mut Nowhere) {
        Ok(tallies) => Ok(Report::new(&tallies, std::collections::BTreeMap::new())),
        Err(ReadError::Source(error)) => Err(error),
        // A sink that takes everything is never gone.
        Err(ReadError::NoReceiver) => Ok(Report::new(&[], std::collections::BTreeMap::new())),
    }
}

impl Survey {
    /// The survey for people.
    pub fn text(&self) -> String {
        let source = self.source.as_ref().map_or_else(
            || "there is no old database".to_owned(),
            |source| {
                format!(
                    "{} ({}, {} users, {} chats, revision {})",
                    source.path,
                    progress::bytes(source.bytes),
                    source.census.users,
                    source.census.chats,
                    source.revision.as_deref().unwrap_or("before Alembic")
                )
            },
        );
        let verdict = match self.state {
            State::Moved => "the move is done; the next start moves nothing".to_owned(),
            State::FreshStart => format!(
                "{source}, so there is nothing to move; Open WebUI starts fresh on PostgreSQL"
            ),
            State::Keep => format!(
                "PostgreSQL is in use ({} hold rows); nothing is moved, and {source} is left as it is",
                self.in_use.join(", ")
            ),
            State::Conflict => {
                format!(
                    "PostgreSQL is in use ({} hold rows); the next start fails",
                    self.in_use.join(", ")
                )
            }
            State::Replace => format!(
                "what PostgreSQL holds ({}) is set aside, then {source} is moved",
                self.in_use.join(", ")
            ),
            State::Move => format!("{source} is moved"),
        };
        let mut text = format!("plan for {}: {verdict}", self.target);
        if let Some(report) = &self.report {
            text.push_str("\nafter a move: ");
            text.push_str(&report.summary());
        }
        for unforeseen in &self.unforeseen {
            text.push_str("\nnot foreseen: ");
            text.push_str(unforeseen);
        }
        text
    }
}

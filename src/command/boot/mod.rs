//! Owns the flow: `Settings → Target (locked) → Source → Plan → Copied → Verified → Recorded → exec`. The only
//! module that sees all stages. It decides; the stages do.

use std::collections::BTreeMap;
use std::convert::identity;
use std::time::{Duration, Instant};

use tokio_postgres::CancelToken;

use crate::app::accounts;
use crate::app::occupancy::tables_in_use;
use crate::app::revision::{self, refuse_newer};
use crate::app::upgrade::upgrade_copy;
use crate::app::{App, AppError, AppTables, Database, Migrations};
use crate::command::frame::Controls;
use crate::command::open::open_source;
use crate::failpoint;
use crate::failure::{Absent, Failure};
use crate::ledger::attempts;
use crate::ledger::lock::{Locked, LockedTarget};
use crate::ledger::{self, Entry, Marker};
use crate::load::copy::{self, Begun, Copied, CopyError, Taking};
use crate::load::findings::{Findings, Seed};
use crate::load::isolate::Isolation;
use crate::load::other_types;
use crate::load::plan::Plan;
use crate::load::proof::{self, VerifyError};
use crate::load::report::Report;
use crate::load::watchdog::Watchdog;
use crate::output::progress;
use crate::postgres::catalogue::Catalogue;
use crate::postgres::error::{Class, chain};
use crate::postgres::target::{self, Server, Target};
use crate::process::exec::EnvironmentChanges;
use crate::settings::{DATABASE_PARTS, Leftovers, OnConflict, OnFailure, Settings};
use crate::sqlite::scratch::Scratch;
use crate::sqlite::source::{self, Census, Fingerprint, Found, Source};
use crate::sqlite::thread::on_source;

/// How the app may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// On PostgreSQL.
    Postgres,
    /// On its old SQLite file, as `WEBUI_INIT_ON_FAILURE=sqlite` asks.
    Sqlite,
}

/// Brings the data to where the app will look for it.
///
/// # Errors
/// There is data to move and it could not be moved: the app must not be started.
pub async fn prepare(settings: &Settings, controls: &Controls) -> Result<Start, Failure> {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    look_and_move(settings, controls).await
}

async fn look_and_move(settings: &Settings, controls: &Controls) -> Result<Start, Failure> {
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    let marker = target.first_look(settings.wait).await?;
    tracing::info!("Connected to PostgreSQL database {}", target.summary());
    failpoint::or_fail("connected")?;
    if let Some(marker) = marker {
        after_the_move(settings, &marker);
        return Ok(Start::Postgres);
    }
    let server = target.server().await?;
    let locked = match target.lock(&server.schema, settings.lock_wait).await? {
        Locked::Ours(locked) => locked,
        Locked::Done(marker) => {
            tracing::info!(
                "another instance has moved {} rows; starting on PostgreSQL",
                marker.rows
            );
            return Ok(Start::Postgres);
        }
    };
    failpoint::or_fail("locked")?;
    match under_the_lock(settings, controls, &locked, &server).await {
        Ok(Decision::StartOnPostgres) => {
            locked.release();
            failpoint::or_fail("lock_released")?;
            Ok(Start::Postgres)
        }
        Ok(Decision::WaitForAnother(why)) => {
            locked.release();
            wait_for_another(settings, why).await
        }
        Ok(Decision::Later(pause)) => {
            // Neither lock nor connection is held meanwhile, so afterwards everything is looked at anew.
            locked.release();
            tokio::time::sleep(pause).await;
            Box::pin(look_and_move(settings, controls)).await
        }
        Err(failure) if settings.on_failure == OnFailure::Sqlite => {
            fall_back(failure, locked).await
        }
        Err(failure) => Err(failure),
    }
}

enum Decision {
    StartOnPostgres,
    WaitForAnother(Absent),
    /// Too soon after the last failure.
    Later(Duration),
}

/// What an instance does that has nothing to move. Somebody may have begun a move who sees more: between a failed
/// attempt and the next one, no app without users may be started.
async fn with_nothing_to_move(
    locked: &LockedTarget,
    server: &Server,
    why: String,
) -> Result<Decision, Failure> {
    // Without the lock, somebody may be moving right now.
    locked.still_held().await?;
    let client = locked.target().client().await?;
    if attempts::any(&client, &server.schema).await? {
        let users = AppTables::new(["user"].into_iter(), &Migrations::default());
        let used = tables_in_use(&client, &server.schema, &users).await?;
        if used.is_empty() {
            return Ok(Decision::WaitForAnother(Absent::SeesNoSource));
        }
    }
    tracing::info!("nothing to move: {why}");
    Ok(Decision::StartOnPostgres)
}

async fn under_the_lock(
    settings: &Settings,
    controls: &Controls,
    locked: &LockedTarget,
    server: &Server,
) -> Result<Decision, Failure> {
    let location = match source::locate(&settings.source)? {
        Found::File(location) => location,
        Found::Absent => {
            let why = format!("there is no {}", settings.source_name());
            return with_nothing_to_move(locked, server, why).await;
        }
    };
    let (source, census) = open_source(settings, controls, location, 3).await?;
    failpoint::or_fail("source_opened")?;
    if census.users == 0 {
        let why = format!("{} has no users", source.name());
        return with_nothing_to_move(locked, server, why).await;
    }
    let app = App::new(&settings.app, None);
    let migrations = app.migrations();
    let app_tables = AppTables::new(
        source.tables.iter().map(|table| table.name.as_str()),
        &migrations,
    );
    let client = locked.target().client().await?;
    let used = tables_in_use(&client, &server.schema, &app_tables).await?;
    drop(client);
    if !used.is_empty() {
        match settings.on_conflict {
            // An app without users is anybody's; so it is not started beside a source that has some.
            OnConflict::Keep if used.iter().any(|table| table == "user") => {
                tracing::warn!(
                    "PostgreSQL is already in use ({} hold rows), so nothing is moved and {} with its {} users is left as it is. \
                     WEBUI_INIT_ON_CONFLICT=replace would move it in.",
                    used.join(", "),
                    source.name(),
                    census.users
                );
                return Ok(Decision::StartOnPostgres);
            }
            OnConflict::Keep | OnConflict::Fail => {
                return Err(Failure::Conflict {
                    tables: used.join(", "),
                    source_path: source.name().to_owned(),
                });
            }
            OnConflict::Replace => {}
        }
    }
    if !settings.migrations_enabled {
        return Ok(Decision::WaitForAnother(Absent::MayNot));
    }
    if let Some(failed) = attempts::read(locked.target(), &server.schema).await {
        let pause = failed.remaining();
        if !pause.is_zero() {
            tracing::warn!("{}", failed.describe(pause));
            return Ok(Decision::Later(pause));
        }
    }
    describe(&source, &census, locked);
    refuse_newer(&source, &migrations)?;
    let sharing = accounts::in_the_way_of_upgrade(&source, &migrations)?;
    if !sharing.is_empty() {
        return Err(Failure::SharedAddresses {
            source_path: source.name().to_owned(),
            accounts: accounts::names(&sharing),
        });
    }
    app.check_schema(server.current_schema.as_deref())?;
    locked.target().check_abilities().await?;
    locked.check_privileges(&server.schema).await?;
    failpoint::or_fail("move_decided")?;
    let mut client = locked.target().client().await?;
    let made = ledger::prepare(&mut client);
    target::brief(made, identity).await?;
    drop(client);
    failpoint::or_fail("ledger_made")?;
    attempts::begin(locked.target(), &server.schema).await;
    let moved = Move {
        settings,
        controls,
        locked,
        server,
        app_tables: &app_tables,
        begun: Instant::now(),
        seconds: BTreeMap::new(),
    }
    .run(source, census.users)
    .await
    .map_err(Failure::in_the_move);
    if let Err(failure) = &moved {
        attempts::end(locked.target(), &server.schema, failure.exit_code()).await;
    }
    moved.map(|()| Decision::StartOnPostgres)
}

fn describe(source: &Source, census: &Census, locked: &LockedTarget) {
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

/// One move, and what its steps share.
struct Move<'a> {
    settings: &'a Settings,
    controls: &'a Controls,
    locked: &'a LockedTarget,
    server: &'a Server,
    app_tables: &'a AppTables,
    begun: Instant,
    seconds: BTreeMap<&'static str, f64>,
}

impl<'a> Move<'a> {
    async fn run(mut self, original: Source, users: i64) -> Result<(), Failure> {
        let reporter = &self.controls.reporter;
        reporter.update(|progress| progress.source_bytes = original.bytes());
        // Importing the app may create or rename files in its data folder; it gets an empty one.
        let scratch = match original.scratch() {
            Some(scratch) => Some(scratch),
            None => self.controls.make_scratch(self.settings, 0).ok(),
        };
        let app = App::new(&self.settings.app, scratch.as_deref().map(Scratch::path));

        reporter.stage("letting Open WebUI make its tables");
        let since = Instant::now();
        // The app needs a connection of its own.
        self.locked.target().hang_up();
        app.upgrade(Database::Target(&self.settings.dsn)).await?;
        failpoint::or_fail("schema_made")?;
        drop(scratch);
        let head = revision::of_target(self.locked.target(), &self.server.schema)
            .await?
            .ok_or_else(|| AppError::WrongRevision {
                database: "PostgreSQL",
                found: "none".to_owned(),
                expected: "its head".to_owned(),
            })?;
        self.seconds.insert("schema", since.elapsed().as_secs_f64());

        let fingerprint = original.fingerprint()?;
        let source_revision = original.revision.clone();
        let source = if source_revision.as_deref() == Some(head.as_str()) {
            original
        } else {
            let since = Instant::now();
            let make_scratch = |room| self.controls.make_scratch(self.settings, room);
            let copy =
                upgrade_copy(&self.settings.app, reporter, original, &head, make_scratch).await?;
            self.seconds
                .insert("upgrade", since.elapsed().as_secs_f64());
            self.check_users(
                users,
                copy.census()?.users,
                users,
                "Open WebUI's upgrade of the copy",
            )?;
            copy
        };

        let since = Instant::now();
        let client = self.locked.target().client().await?;
        let reading = Catalogue::read(&client, &self.server.schema);
        let catalogue = target::brief(reading, identity).await?;
        let mut plan = Plan::new(&source.tables, &catalogue);
        let source = other_types::ask(&client, source, &mut plan).await?;
        drop(client);
        failpoint::or_fail("catalogue_read")?;
        let (copied, source) = self.load(source, &catalogue, &plan).await?;
        let moved = copied.tallies.iter().find(|tally| tally.table == "user");
        let left = signed(moved.map_or(0, |tally| tally.digest.rows));
        self.check_users(users, left, 1, "the load")?;
        self.seconds.insert("load", since.elapsed().as_secs_f64());

        self.prove_and_record(
            copied,
            source,
            Origin {
                fingerprint,
                source_revision,
                head,
            },
        )
        .await
    }

    /// Whose statement it is that a signal cancels.
    fn set_running(&self, token: CancelToken) {
        let connector = self.locked.target().connector();
        self.controls.set_running(Some((connector, token)));
    }

    fn watchdog(&self, transaction: &str) -> Watchdog<'a> {
        let (settings, controls) = (self.settings, self.controls);
        Watchdog::new(self.locked, transaction, settings.wait, &controls.reporter)
    }

    /// Refuses to go on with fewer users than `least`: an app without users is anybody's.
    fn check_users(
        &self,
        had: i64,
        left: i64,
        least: i64,
        step: &'static str,
    ) -> Result<(), Failure> {
        if left >= least {
            return Ok(());
        }
        let source_path = self.settings.source_name();
        Err(Failure::UsersLost {
            source_path,
            had,
            left,
            step,
        })
    }

    /// Loads until PostgreSQL refuses nothing any more. Each round knows of more rows that stay behind, so it
    /// ends.
    async fn load(
        &self,
        mut source: Source,
        catalogue: &Catalogue,
        plan: &Plan,
    ) -> Result<(Copied, Source), Failure> {
        let reporter = &self.controls.reporter;
        let mut seeds: Vec<Seed> = Vec::new();
        loop {
            reporter.stage("looking for rows that PostgreSQL must refuse");
            let (catalogue_, plan_, seeds_) = (catalogue.clone(), plan.clone(), seeds.clone());
            let findings;
            (source, findings) = on_source(source, move |source| {
                let found = Findings::search(source.connection(), &plan_, &catalogue_, &seeds_);
                found.map_err(|error| source.failed(error))
            })
            .await?;
            failpoint::or_fail("findings_done")?;
            let taking = Taking {
                app_tables: self.app_tables,
                replace: self.settings.on_conflict == OnConflict::Replace,
            };
            let (catalogue_, plan_) = (catalogue.clone(), plan.clone());
            if !taking.replace {
                reporter.stage("clearing what an attempt before this one left");
                let client = self.locked.target().client().await?;
                self.set_running(client.cancel_token());
                copy::reclaim(&client, plan, || self.controls.cancel()).await?;
            }
            reporter.stage("waiting for the app's tables");
            let begun = Begun::new(self.locked, catalogue_, plan_).await?;
            self.set_running(begun.cancel_token());
            let watchdog = self.watchdog(begun.transaction());
            watchdog
                .over(begun.take_tables(self.server, taking))
                .await
                .map_err(CopyError::from)??;
            failpoint::or_fail("tables_cleared")?;
            let result;
            (source, result) = watchdog
                .over(begun.load(source, findings.clone(), self.settings.verify, reporter))
                .await
                .map_err(CopyError::from)??;
            let more = match result {
                Ok(copied) => return Ok((copied, source)),
                Err(CopyError::ParentsRefused(refused)) => refused,
                Err(CopyError::RowsRefused {
                    table,
                    source: refusal,
                }) => {
                    let code = refusal
                        .code()
                        .map_or("", tokio_postgres::error::SqlState::code);
                    tracing::info!(
                        "PostgreSQL refuses rows of {table} (SQLSTATE {code}); looking for them one by one"
                    );
                    reporter.stage("looking for the rows that PostgreSQL refuses");
                    self.locked.target().hang_up();
                    let refused;
                    let isolation = Isolation {
                        locked: self.locked,
                        server: self.server,
                        catalogue,
                        plan,
                        reporter,
                        patience: self.settings.wait,
                    };
                    let begun = |token| self.set_running(token);
                    (source, refused) = isolation.run(source, findings, &table, begun).await?;
                    if refused.is_empty() {
                        return Err(CopyError::RowsRefused {
                            table,
                            source: refusal,
                        }
                        .into());
                    }
                    refused
                }
                Err(error) => return Err(error.into()),
            };
            reporter.update(|progress| (progress.rows, progress.bytes) = (0, 0));
            seeds.extend(more);
        }
    }

    /// The proof, the marker, the commit.
    async fn prove_and_record(
        mut self,
        copied: Copied,
        source: Source,
        origin: Origin,
    ) -> Result<(), Failure> {
        let reporter = &self.controls.reporter;
        let since = Instant::now();
        let watchdog = self.watchdog(copied.transaction());
        let verified = watchdog
            .over(proof::verify(copied, self.settings.verify, reporter))
            .await
            .map_err(VerifyError::from)??;
        self.seconds.insert("verify", since.elapsed().as_secs_f64());
        failpoint::or_fail("verified")?;

        let report = Report::new(&verified.copied().tallies, self.seconds);
        if self.settings.leftovers == Leftovers::Fail && report.leftovers > 0 {
            return Err(Failure::Leftovers {
                count: report.leftovers,
                summary: report.summary(),
            });
        }
        let json = report.json();
        let entry = Entry {
            target_schema: &self.server.schema,
            source_path: &self.settings.source_name(),
            fingerprint: &origin.fingerprint,
            source_revision: origin.source_revision.as_deref(),
            target_revision: &origin.head,
            rows: signed(report.rows),
            bytes: signed(report.bytes),
            leftovers: signed(report.leftovers),
            report: &json,
            seconds: self.begun.elapsed().as_secs_f64(),
        };
        reporter.stage("committing");
        let plan = verified
            .record(&entry, self.locked, watchdog, || source.check_unchanged())
            .await?;
        failpoint::or_fail("move_recorded")?;
        self.controls.set_running(None);
        reporter.stage("");
        tracing::info!(
            "moved in {:.1} s and verified: {}",
            self.begun.elapsed().as_secs_f64(),
            report.summary()
        );
        if report.leftovers > 0 {
            tracing::warn!(
                "{} originals are kept in webui_init.leftover; `webui-init leftovers` lists them",
                report.leftovers
            );
        }
        copy::analyze(self.locked, &plan).await;
        failpoint::or_fail("analyzed")?;
        Ok(())
    }
}

/// Where the data comes from and at which revision it arrives, for the marker.
struct Origin {
    fingerprint: Fingerprint,
    source_revision: Option<String>,
    head: String,
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A later boot: one line, and a warning if the old database has been used since.
fn after_the_move(settings: &Settings, marker: &Marker) {
    // Whoever was killed between COMMIT and its own cleaning up has no move after it that would do this.
    Scratch::remove_abandoned(&settings.scratch_places());
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

/// Somebody else moves the data.
async fn wait_for_another(settings: &Settings, why: Absent) -> Result<Start, Failure> {
    let limit = settings.lock_wait;
    tracing::info!("{why}; waiting for it, up to {} s", limit.as_secs());
    let begun = Instant::now();
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    while begun.elapsed() < limit {
        match target.marker().await {
            Ok(Some(marker)) => {
                tracing::info!(
                    "another instance has moved {} rows; starting on PostgreSQL",
                    marker.rows
                );
                return Ok(Start::Postgres);
            }
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
async fn fall_back(failure: Failure, locked: LockedTarget) -> Result<Start, Failure> {
    let nothing_certain = matches!(
        failure,
        // The commit may still happen; and without a sound old database there is nothing to fall back on.
        Failure::Copy(CopyError::OutcomeUnknown(_) | CopyError::Source(_)) | Failure::Source(_)
    );
    if nothing_certain {
        return Err(failure);
    }
    match locked.still_without_marker().await {
        Ok(true) => {
            tracing::error!(
                "the move failed: {}. Next: {}",
                chain(&failure),
                failure.advice()
            );
            tracing::error!(
                "STARTING OPEN WEBUI ON ITS OLD SQLITE DATABASE, AS WEBUI_INIT_ON_FAILURE=sqlite ASKS. POSTGRESQL IS NOT USED."
            );
            Ok(Start::Sqlite)
        }
        Ok(false) | Err(_) => Err(failure),
    }
}

/// What the app's environment gets or loses, given how it is started.
pub fn environment(settings: &Settings, start: Start) -> EnvironmentChanges {
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

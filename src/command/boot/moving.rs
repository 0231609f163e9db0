//! Owns one move: `Source → Plan → Copied → Verified → Recorded`. It puts the stages together; the stages do the work.

use std::collections::BTreeMap;
use std::convert::identity;
use std::time::Instant;

use tokio_postgres::{CancelToken, Error as PgError};

use crate::app::upgrade::upgrade_copy;
use crate::app::{App, AppError, Database};
use crate::app::{names, revision};
use crate::command::frame::Controls;
use crate::failpoint;
use crate::failure::Failure;
use crate::failure::row::Left;
use crate::ledger::Entry;
use crate::ledger::lock::LockedTarget;
use crate::ledger::receipt::{self, Receipt};
use crate::load::begun::{Begun, Held, Taking};
use crate::load::copy_in::{Copied, Loaded};
use crate::load::error::{CopyError, Refused};
use crate::load::findings::{Findings, RefusedRow};
use crate::load::isolate::Isolation;
use crate::load::maintenance;
use crate::load::plan::{Plan, Unasked};
use crate::load::proof::{self, VerifyError};
use crate::load::report::Report;
use crate::load::watchdog::Watchdog;
use crate::postgres::catalogue::Catalogue;
use crate::postgres::target::{self, Server};
use crate::settings::{Leftovers, Settings};
use crate::sqlite::scratch::Scratch;
use crate::sqlite::source::{Fingerprint, Source};
use crate::sqlite::thread::on_source;

/// One move, and what its steps share.
pub(super) struct Move<'a> {
    settings: &'a Settings,
    controls: &'a Controls,
    locked: &'a LockedTarget,
    server: &'a Server,
    taking: Taking<'a>,
    begun: Instant,
    seconds: BTreeMap<&'static str, f64>,
}

impl<'a> Move<'a> {
    /// A move that begins now, into a target that nobody else moves into and whose tables of the app are empty or may be
    /// set aside.
    pub(super) fn new(
        settings: &'a Settings,
        controls: &'a Controls,
        locked: &'a LockedTarget,
        server: &'a Server,
        taking: Taking<'a>,
    ) -> Self {
        Self {
            settings,
            controls,
            locked,
            server,
            taking,
            begun: Instant::now(),
            seconds: BTreeMap::new(),
        }
    }

    /// Goes the whole way: the app's tables, an older source's upgrade, the load, the proof, the marker.
    ///
    /// # Errors
    /// Whatever ends it; PostgreSQL then holds nothing of the move.
    pub(super) async fn run(mut self, original: Source, users: i64) -> Result<(), Failure> {
        let reporter = &self.controls.reporter;
        reporter.update(|progress| progress.source_bytes = original.bytes());
        let head = self.make_tables(&original).await?;
        let origin = Origin {
            fingerprint: original.fingerprint()?,
            source_revision: original.revision.clone(),
            head,
        };
        let source = self.bring_to_head(original, &origin, users).await?;

        let since = Instant::now();
        let client = self.locked.target().client().await?;
        let reading = Catalogue::read(&client, &self.server.schema);
        let catalogue = target::brief(reading, identity).await?;
        let plan = Unasked::new(&source.tables, &catalogue);
        let (source, plan) = plan.ask(&client, source).await?;
        drop(client);
        failpoint::or_fail(failpoint::CATALOGUE_READ)?;
        let (copied, source) = self.load(source, &catalogue, &plan).await?;
        let moved = copied
            .tallies
            .iter()
            .find(|tally| tally.table == names::USER);
        let left = signed(moved.map_or(0, |tally| tally.digest.rows));
        self.check_users(users, left, 1, "the load")?;
        self.seconds.insert("load", since.elapsed().as_secs_f64());
        self.prove_and_record(copied, source, origin).await
    }

    /// Lets the app make its tables, and returns the revision that PostgreSQL is at then.
    async fn make_tables(&mut self, original: &Source) -> Result<String, Failure> {
        // Importing the app may create or rename files in its data folder; it gets an empty one.
        let scratch = match original.scratch() {
            Some(scratch) => Some(scratch),
            None => self.controls.make_scratch(self.settings, 0).ok(),
        };
        let app = App::new(&self.settings.app, scratch.as_deref().map(Scratch::path));
        let reporter = &self.controls.reporter;
        reporter.stage("letting Open WebUI make its tables");
        let since = Instant::now();
        // The app needs a connection of its own.
        self.locked.target().hang_up();
        self.controls.leaves(Left::Tables);
        app.upgrade(Database::Target(&self.settings.dsn)).await?;
        failpoint::or_fail(failpoint::SCHEMA_MADE)?;
        let head = revision::of_target(self.locked.target(), &self.server.schema)
            .await?
            .ok_or_else(|| AppError::WrongRevision {
                database: "PostgreSQL",
                found: "none".to_owned(),
                expected: "its head".to_owned(),
            })?;
        self.seconds.insert("schema", since.elapsed().as_secs_f64());
        Ok(head)
    }

    /// The source at the target's revision: itself, or a private copy that the app has upgraded.
    async fn bring_to_head(
        &mut self,
        original: Source,
        origin: &Origin,
        users: i64,
    ) -> Result<Source, Failure> {
        if origin.source_revision.as_ref() == Some(&origin.head) {
            return Ok(original);
        }
        let since = Instant::now();
        let reporter = &self.controls.reporter;
        let make_scratch = |room| self.controls.make_scratch(self.settings, room);
        let app = &self.settings.app;
        let copy = upgrade_copy(app, reporter, original, &origin.head, make_scratch).await?;
        self.seconds
            .insert("upgrade", since.elapsed().as_secs_f64());
        let left = copy.census()?.users;
        self.check_users(users, left, users, "Open WebUI's upgrade of the copy")?;
        Ok(copy)
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
        let mut known: Vec<RefusedRow> = Vec::new();
        loop {
            let (findings, loaded, more);
            (source, findings) = self.search(source, catalogue, plan, &known).await?;
            (source, loaded) = self.attempt(source, &findings, catalogue, plan).await?;
            match loaded {
                Loaded::Complete(copied) => return Ok((*copied, source)),
                Loaded::Refused(Refused::Parents(refused)) => more = refused,
                Loaded::Refused(Refused::Rows { table, source: why }) => {
                    (source, more) = self
                        .find_refused(source, findings, catalogue, plan, (table, why))
                        .await?;
                }
            }
            let reporter = &self.controls.reporter;
            reporter.update(|progress| (progress.rows, progress.bytes) = (0, 0));
            known.extend(more);
        }
    }

    async fn search(
        &self,
        source: Source,
        catalogue: &Catalogue,
        plan: &Plan,
        refused: &[RefusedRow],
    ) -> Result<(Source, Findings), Failure> {
        let reporter = &self.controls.reporter;
        reporter.stage("looking for rows that PostgreSQL must refuse");
        let (catalogue, plan, refused) = (catalogue.clone(), plan.clone(), refused.to_vec());
        let found = on_source(source, move |source| {
            let found = Findings::search(source.connection(), &plan, &catalogue, &refused);
            found.map_err(|error| source.failed(error))
        })
        .await?;
        failpoint::or_fail(failpoint::FINDINGS_DONE)?;
        Ok(found)
    }

    /// One transaction, up to the point where all rows are in and indexes are back.
    async fn attempt(
        &self,
        source: Source,
        findings: &Findings,
        catalogue: &Catalogue,
        plan: &Plan,
    ) -> Result<(Source, Loaded), Failure> {
        let reporter = &self.controls.reporter;
        if matches!(self.taking.held, Held::Refused) {
            reporter.stage("clearing what an attempt before this one left");
            let client = self.locked.target().client().await?;
            self.set_running(client.cancel_token());
            maintenance::reclaim(&client, plan, || self.controls.cancel()).await?;
        }
        reporter.stage("waiting for the app's tables");
        let begun = Begun::new(self.locked, catalogue.clone(), plan.clone()).await?;
        self.set_running(begun.cancel_token());
        let watchdog = self.watchdog(begun.transaction());
        let taken = watchdog
            .over(begun.take_tables(self.server, self.taking))
            .await
            .map_err(CopyError::from)??;
        failpoint::or_fail(failpoint::TABLES_CLEARED)?;
        let loaded = watchdog
            .over(taken.load(source, findings.clone(), self.settings.verify, reporter))
            .await
            .map_err(CopyError::from)??;
        Ok(loaded)
    }

    /// PostgreSQL has refused rows of a table without saying which: they are looked for one by one.
    async fn find_refused(
        &self,
        source: Source,
        findings: Findings,
        catalogue: &Catalogue,
        plan: &Plan,
        (table, why): (String, PgError),
    ) -> Result<(Source, Vec<RefusedRow>), Failure> {
        let code = why.code().map_or("", tokio_postgres::error::SqlState::code);
        tracing::info!(
            "PostgreSQL refuses rows of {table} (SQLSTATE {code}); looking for them one by one"
        );
        let reporter = &self.controls.reporter;
        reporter.stage("looking for the rows that PostgreSQL refuses");
        self.locked.target().hang_up();
        let isolation = Isolation {
            locked: self.locked,
            server: self.server,
            catalogue,
            plan,
            reporter,
            patience: self.settings.wait,
        };
        let begun = |token| self.set_running(token);
        let (source, refused) = isolation.run(source, findings, &table, begun).await?;
        if refused.is_empty() {
            return Err(CopyError::RowsRefused { table, source: why }.into());
        }
        Ok((source, refused))
    }

    /// Leaves a receipt beside the old database. The move is complete without it.
    async fn leave_a_receipt(&self, revision: &str) {
        let schema = &self.server.schema;
        let marker = self.locked.target().marker().await.ok().flatten();
        let place = self.settings.dsn.place();
        let Some(receipt) =
            marker.and_then(|marker| Receipt::new(&place, &marker, schema, revision))
        else {
            return;
        };
        match receipt.write(&self.settings.source) {
            Ok(()) => tracing::debug!("{} says where the data is", receipt::NAME),
            Err(error) => tracing::debug!("no {} was written: {error}", receipt::NAME),
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
        failpoint::or_fail(failpoint::VERIFIED)?;

        let report = Report::new(
            &verified.copied().tallies,
            std::mem::take(&mut self.seconds),
        );
        if self.settings.leftovers == Leftovers::Fail && report.kept_aside > 0 {
            return Err(Failure::Leftovers {
                count: report.kept_aside,
                summary: report.exceptions("would be stored in another form", "would stay out"),
            });
        }
        let json = report.json();
        let entry = Entry {
            id: None,
            target_schema: &self.server.schema,
            source_path: &self.settings.source_name(),
            fingerprint: &origin.fingerprint,
            source_revision: origin.source_revision.as_deref(),
            target_revision: &origin.head,
            rows: signed(report.rows),
            bytes: signed(report.bytes),
            leftovers: signed(report.kept_aside),
            report: &json,
            seconds: self.begun.elapsed().as_secs_f64(),
        };
        reporter.stage("committing");
        let plan = verified
            .record(&entry, self.locked, watchdog, || source.check_unchanged())
            .await?;
        failpoint::or_fail(failpoint::MOVE_RECORDED)?;
        self.controls.set_running(None);
        reporter.stage("");
        report.log(self.begun.elapsed());
        self.leave_a_receipt(&origin.head).await;
        maintenance::analyze(self.locked, &plan).await;
        failpoint::or_fail(failpoint::ANALYZED)?;
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

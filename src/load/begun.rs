//! Owns the beginning of the one transaction in which everything happens: from [`Begun`] to [`Taken`], the tables that are
//! ours alone, empty and without secondary indexes. Dropping either closes the connection, and PostgreSQL rolls back.

use std::fmt::Write as _;
use std::sync::Arc;

use deadpool_postgres::{ClientWrapper, Object};
use tokio_postgres::CancelToken;

use crate::app::AppTables;
use crate::app::inhabitants::only_the_administrator;
use crate::app::names;
use crate::app::occupancy::tables_in_use;
use crate::failpoint;
use crate::ledger;
use crate::ledger::lock::LockedTarget;
use crate::load::error::{CopyError, refused};
use crate::load::plan::Plan;
use crate::postgres::catalogue::{Catalogue, Suspension};
use crate::postgres::error::failed;
use crate::postgres::target::{self, Server};
use crate::sql::{literal, quote};

/// A transaction in which nothing has been done yet.
#[derive(Debug)]
pub(crate) struct Begun {
    client: ClientWrapper,
    transaction: String,
    catalogue: Arc<Catalogue>,
    plan: Arc<Plan>,
}

/// How the target's tables are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taking<'a> {
    /// Which tables are the app's; others do not count.
    pub app_tables: &'a AppTables,
    /// What becomes of rows that are there.
    pub held: Held<'a>,
}

/// What becomes of rows that PostgreSQL holds in the app's tables.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Held<'a> {
    /// There are none; if some have appeared, nothing is moved.
    Refused,
    /// They are set aside if they are nothing but the account that the app makes by itself for this address.
    OfTheAdministrator(Option<&'a str>),
    /// They are set aside, as `WEBUI_INIT_ON_CONFLICT=replace` asks.
    SetAside,
}

/// The tables are locked, empty and without secondary indexes. Made by [`Begun::take_tables`] alone.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(super) client: ClientWrapper,
    pub(super) transaction: String,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) plan: Arc<Plan>,
}

impl Begun {
    /// Begins the transaction. Nothing is taken yet.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached.
    pub(crate) async fn new(
        locked: &LockedTarget,
        catalogue: Catalogue,
        plan: Plan,
    ) -> Result<Self, CopyError> {
        // Taken out of the pool for good: whatever happens, this connection is closed, not handed on.
        let client = Object::take(locked.target().client().await?);
        target::begin(&client).await?;
        failpoint::reach(failpoint::TRANSACTION_BEGUN);
        locked.announce_move(&client, plan.schema()).await?;
        let transaction = target::transaction_id(&client).await?;
        Ok(Self {
            client,
            transaction,
            catalogue: Arc::new(catalogue),
            plan: Arc::new(plan),
        })
    }

    /// Takes the tables of the plan: from here on they are ours alone, and empty.
    ///
    /// # Errors
    /// Somebody else was faster, or PostgreSQL refuses.
    pub(crate) async fn take_tables(
        self,
        server: &Server,
        taking: Taking<'_>,
    ) -> Result<Taken, CopyError> {
        let Self {
            client,
            transaction,
            catalogue,
            plan,
        } = self;
        let taken = Taken {
            client,
            transaction,
            catalogue,
            plan,
        };
        taken.lock(server).await?;
        failpoint::reach(failpoint::TABLES_LOCKED);
        taken.clear(taking).await?;
        Ok(taken)
    }

    /// The transaction's id, for asking what becomes of it.
    pub(crate) fn transaction(&self) -> &str {
        &self.transaction
    }

    /// For cancelling whatever statement is running.
    pub(crate) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }
}

impl Taken {
    async fn lock(&self, server: &Server) -> Result<(), CopyError> {
        let tables: Vec<&str> = self
            .plan
            .tables
            .iter()
            .map(|table| table.qualified.as_str())
            .collect();
        let mut script = server.compression().to_owned();
        if !tables.is_empty() {
            // An app that runs beside us and holds a table must become an error, not a wait without end.
            script.push_str("SET LOCAL lock_timeout = '60s';\n");
            let _ = writeln!(
                script,
                "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE;",
                tables.join(", ")
            );
            script.push_str("SET LOCAL lock_timeout = 0;\n");
        }
        self.run("to lock the app's tables", &script).await
    }

    /// Makes sure that nobody else was faster, and empties what the app has put there by itself.
    async fn clear(&self, taking: Taking<'_>) -> Result<(), CopyError> {
        // Only now is it certain: nobody can write any more.
        if ledger::read(&self.client, Some(self.plan.schema()))
            .await?
            .is_some()
        {
            return Err(CopyError::AlreadyMoved);
        }
        let used = tables_in_use(&self.client, self.plan.schema(), taking.app_tables).await?;
        if !used.is_empty() && !self.may_set_aside(&used, taking.held).await? {
            return Err(CopyError::CameIntoUse(used.join(", ")));
        }
        let mut script: String = format!(
            "DELETE FROM webui_init.leftover WHERE target_schema = {};\n",
            literal(self.plan.schema())
        );
        if self.plan.loads(names::SEEDED) && used.is_empty() {
            // The app seeds its defaults here; left in place, they would shadow the settings that are moved.
            let _ = writeln!(
                script,
                "DELETE FROM {};",
                self.catalogue.qualified(names::SEEDED)
            );
        }
        script.push_str(&self.suspension().drop_script());
        self.run("to clear the way for the load", &script).await?;
        if used.is_empty() {
            Ok(())
        } else {
            self.set_aside(&used).await
        }
    }

    async fn may_set_aside(&self, used: &[String], held: Held<'_>) -> Result<bool, CopyError> {
        Ok(match held {
            Held::Refused => false,
            Held::SetAside => true,
            Held::OfTheAdministrator(email) => {
                only_the_administrator(&self.client, self.plan.schema(), used, email).await?
            }
        })
    }

    /// Copies what the tables of the app hold into a schema of its own and empties them.
    async fn set_aside(&self, used: &[String]) -> Result<(), CopyError> {
        let name = "SELECT 'webui_init_replaced_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS')";
        let row = self.client.query_typed_one(name, &[]).await;
        let schema: String = row.map_err(failed("did not tell the time"))?.get(0);
        let held = self
            .catalogue
            .tables
            .keys()
            .filter(|table| *table == names::SEEDED || used.contains(table));
        let mut script = format!("CREATE SCHEMA {};\n", quote(&schema));
        let mut emptied = Vec::new();
        for table in held {
            let kept = format!("{}.{}", quote(&schema), quote(table));
            let table = self.catalogue.qualified(table);
            let _ = writeln!(script, "CREATE TABLE {kept} AS TABLE {table};");
            emptied.push(table);
        }
        let _ = writeln!(script, "TRUNCATE {};", emptied.join(", "));
        self.run("to set aside what it held", &script).await?;
        tracing::warn!(
            "what PostgreSQL held ({}) is kept in its schema {schema}",
            used.join(", ")
        );
        Ok(())
    }

    pub(super) fn suspension(&self) -> Suspension<'_> {
        self.catalogue.suspend(|table| self.plan.loads(table))
    }

    pub(super) async fn run(&self, step: &str, script: &str) -> Result<(), CopyError> {
        self.client
            .batch_execute(script)
            .await
            .map_err(refused(step))
    }
}

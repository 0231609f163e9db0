//! A server with its poolers for one worker, which alone may crash it, and the databases in it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::case::Way;
use crate::support::{
    Database, Missing, PgBouncer, PoolMode, Postgres, Session, Version, wait_for,
};

/// The sites of one worker; made when a run needs them.
#[derive(Default)]
pub struct Sites(HashMap<Version, Site>);

impl Sites {
    pub fn of(&mut self, version: Version) -> &Site {
        self.0
            .entry(version)
            .or_insert_with(|| Site::new(version).expect("found before"))
    }

    /// Forgets everything: after a run that broke off, nobody knows in what state it is.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A server, both poolers, and a database to make others from.
pub struct Site {
    pub server: Postgres,
    session_pool: PgBouncer,
    transaction_pool: PgBouncer,
    template: String,
    as_made: Tables,
}

/// What a move must leave as it was, or as the app made it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Rows of each table.
    pub rows: BTreeMap<String, i64>,
    /// Indexes, constraints and sequences, as definitions.
    pub fixtures: Vec<String>,
    /// Where each sequence is.
    pub sequences: Vec<String>,
}

impl Tables {
    pub fn of(database: &Database) -> Self {
        let mut session = database.session();
        let mut list = |sql: &str| -> Vec<String> {
            let rows = session.query(sql).into_iter();
            rows.map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
                .collect()
        };
        Self {
            rows: database.counts(),
            fixtures: list(
                "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL \
                 SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) \
                 FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1",
            ),
            sequences: list(
                "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1",
            ),
        }
    }
}

impl Site {
    fn new(version: Version) -> Result<Self, Missing> {
        let server = Postgres::start(version, &[])?;
        // After a crash the pooler must not wait for its usual 15 seconds before it tries again. And it may be caught
        // for its usual ten minutes: cut off in the middle of a statement, a client leaves it with a server connection
        // that it resets in vain, and for as long the next client that needs a new one waits.
        let settings = [
            "server_login_retry = 1",
            "server_idle_timeout = 5",
            "ignore_startup_parameters = extra_float_digits",
        ];
        let session_pool = PgBouncer::start(&server, PoolMode::Session, &settings)?;
        let transaction_pool = PgBouncer::start(&server, PoolMode::Transaction, &settings)?;
        let database = server.create_database("bootstrapped");
        database.bootstrap();
        database.query(
            "INSERT INTO config (key, value, updated_at) \
             SELECT 'default.' || n, '\"by default\"', 1 FROM generate_series(0, 377) AS n",
        );
        let as_made = Tables::of(&database);
        let template = database.name;
        Ok(Self {
            server,
            session_pool,
            transaction_pool,
            template,
            as_made,
        })
    }

    /// What the app's schema is like when it is made and bootstrapped.
    pub fn as_made(&self) -> &Tables {
        &self.as_made
    }

    /// A database for one run.
    pub fn database(&self, bootstrapped: bool) -> Database<'_> {
        if bootstrapped {
            let options = format!("TEMPLATE \"{}\"", self.template);
            self.server.create_database_with("run", &options)
        } else {
            self.server.create_database("run")
        }
    }

    /// The port at which a way begins.
    pub fn port(&self, way: Way) -> u16 {
        match way {
            Way::Direct => self.server.port(),
            Way::SessionPool => self.session_pool.port(),
            Way::TransactionPool => self.transaction_pool.port(),
        }
    }

    /// Waits until the server takes connections again, after it has restarted itself.
    pub fn wait_for_server(&self) {
        wait_for("PostgreSQL to recover", Duration::from_secs(30), || {
            Session::try_open(&self.server.superuser_url("postgres")).ok()
        });
    }

    /// A session of the superuser's in a run's database.
    pub fn administrator(&self, database: &Database) -> Session {
        Session::open(&self.server.superuser_url(&database.name))
    }

    /// Waits until PostgreSQL has noticed that its clients are gone, and has rolled back.
    pub fn settle(&self, database: &Database) {
        let mut session = self.administrator(database);
        wait_for("PostgreSQL to roll back", Duration::from_secs(30), || {
            let busy = session.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'",
            );
            (busy == "0").then_some(())
        });
    }

    pub fn drop_database(&self, database: &Database) {
        let sql = format!("DROP DATABASE \"{}\" WITH (FORCE)", database.name);
        self.server.superuser().query(&sql);
    }
}

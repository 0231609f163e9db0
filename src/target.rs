//! Owns the target: reaching PostgreSQL with patience for what passes, telling what state it is in, and the
//! advisory lock that saves instances from moving at the same time. Writing rows is `copy`'s.

use std::future::Future;
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error as PgError};

use crate::app::AppTables;
use crate::dsn::Dsn;
use crate::ledger::{self, LedgerError, Marker};
use crate::names;
use crate::source::{literal, quote};
use crate::tls::{self, Connector, TlsError};

/// The oldest server that is supported, as `server_version_num` counts.
const OLDEST: i32 = 130_000;
/// How long an attempt to reach PostgreSQL may take besides connecting.
const GREETING: Duration = Duration::from_secs(5);
/// How long a statement that needs no work may take before the network is taken for dead.
const BRIEF: Duration = Duration::from_secs(30);

/// Why the target cannot be used.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Certificates or keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No connection in time.
    #[error("PostgreSQL ({target}) could not be reached within {waited} s")]
    Unreachable {
        /// Which server and database.
        target: String,
        /// Seconds waited.
        waited: u64,
        /// The last failure.
        source: Box<TargetError>,
    },
    /// PostgreSQL's answer, or the connection's end.
    #[error("PostgreSQL {doing}")]
    Postgres {
        /// What failed, as a predicate.
        doing: &'static str,
        /// Its cause.
        source: PgError,
    },
    /// The marker could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Nothing came back.
    #[error("PostgreSQL did not answer in time")]
    Stalled,
    /// It cannot be written to: a standby, or a database that a provider has set to read-only.
    #[error("PostgreSQL is read-only: a standby, or default_transaction_read_only is on")]
    ReadOnly,
    /// Another instance held the lock too long.
    #[error("another instance has been moving data for {waited} s and is not done")]
    Locked {
        /// Seconds waited.
        waited: u64,
    },
    /// A server that the move is not made for.
    #[error("{0}")]
    Unsupported(String),
    /// A server that speaks PostgreSQL's protocol and cannot do something that the move rests on.
    #[error("this server cannot do what the move needs: {ability}")]
    Unable {
        /// What it cannot do.
        ability: &'static str,
        /// Its answer.
        source: PgError,
    },
    /// The role may not make what has to be made.
    #[error("the role may not {0}")]
    MayNot(&'static str),
    /// `DATABASE_SCHEMA` names nothing.
    #[error("the schema {0:?} does not exist in the database")]
    NoSuchSchema(String),
}

/// What the lock rests on; it is taken before anything else is tried.
const ADVISORY_LOCKS: &str = "advisory locks that a transaction holds";
/// What the move rests on besides, and a statement that needs it.
const ABILITIES: [(&str, &str); 5] = [
    (
        "the id of a transaction and what became of it",
        "SELECT pg_catalog.pg_xact_status(pg_catalog.pg_current_xact_id())",
    ),
    (
        "the binary form of a row, and its hash",
        "SELECT pg_catalog.sha256(pg_catalog.record_send(ROW(1, 'a'::text)))",
    ),
    ("savepoints", "SAVEPOINT probe; RELEASE SAVEPOINT probe"),
    (
        "locks on whole tables",
        "CREATE TEMPORARY TABLE webui_init_probe (n int8 PRIMARY KEY); \
         LOCK TABLE pg_temp.webui_init_probe IN ACCESS EXCLUSIVE MODE",
    ),
    (
        "sequences that a transaction can restart",
        "CREATE TEMPORARY SEQUENCE webui_init_sequence; \
         ALTER SEQUENCE pg_temp.webui_init_sequence RESTART WITH 7",
    ),
];

/// What is tried needs an ability of the server; an error that will not pass says that it lacks it.
async fn able<T>(
    ability: &'static str,
    tried: impl Future<Output = Result<T, TargetError>>,
) -> Result<T, TargetError> {
    match tried.await {
        Err(TargetError::Postgres { source, .. }) if classify(&source) != Class::Transient => {
            Err(TargetError::Unable { ability, source })
        }
        tried => tried,
    }
}

/// What becomes of an error if one waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It may pass: refused connections, a server that starts, too many connections.
    Transient,
    /// Somebody else is in the way.
    Busy,
    /// Password, role or privilege.
    Refused,
    /// A wrong name or setting.
    Configuration,
    /// Anything else.
    Other,
}

/// The one table from PostgreSQL's errors to what can be done about them.
pub fn classify(error: &PgError) -> Class {
    let Some(state) = error.code() else {
        return classify_connection(error);
    };
    if *state == SqlState::INVALID_CATALOG_NAME || *state == SqlState::INVALID_SCHEMA_NAME {
        return Class::Configuration;
    }
    match state.code() {
        // PgBouncer reports its own refusals with the protocol violation's code.
        "08P01" if said(error, "no such database") => Class::Configuration,
        "08P01" if said(error, "authentication") || said(error, "no such user") => Class::Refused,
        "42501" | "25006" => Class::Refused,
        // lock_not_available: somebody else is at work on the same tables.
        "55P03" => Class::Busy,
        code => match &code[..2] {
            "08" | "53" | "57" | "40" => Class::Transient,
            "28" => Class::Refused,
            _ => Class::Other,
        },
    }
}

fn classify_connection(error: &PgError) -> Class {
    let text = crate::failure::chain(error);
    if let Some(handshake) = tls::handshake_error(error) {
        // A certificate that is not trusted will not change by waiting; a reset in the handshake may.
        return if handshake.is_about_certificate() {
            Class::Configuration
        } else {
            Class::Transient
        };
    }
    if text.contains("TLS") {
        Class::Configuration
    } else if text.contains("authentication") || text.contains("password") {
        Class::Refused
    } else if text.contains("invalid configuration") || text.contains("invalid connection string") {
        Class::Configuration
    } else {
        Class::Transient
    }
}

fn said(error: &PgError, words: &str) -> bool {
    error
        .as_db_error()
        .is_some_and(|db| db.message().contains(words))
}

impl TargetError {
    /// What becomes of it if one waits.
    pub fn class(&self) -> Class {
        match self {
            Self::Postgres { source, .. } | Self::Ledger(LedgerError::Postgres { source, .. }) => {
                classify(source)
            }
            Self::Stalled | Self::ReadOnly => Class::Transient,
            Self::MayNot(_) => Class::Refused,
            Self::Tls(_)
            | Self::Unsupported(_)
            | Self::Unable { .. }
            | Self::NoSuchSchema(_)
            | Self::Ledger(LedgerError::NoSchema) => Class::Configuration,
            Self::Unreachable { .. }
            | Self::Locked { .. }
            | Self::Ledger(LedgerError::Migrations(_)) => Class::Other,
        }
    }
}

/// Turns PostgreSQL's error into ours, with what was being done.
pub fn failed(doing: &'static str) -> impl FnOnce(PgError) -> TargetError {
    move |source| TargetError::Postgres { doing, source }
}

/// Gives a statement that needs no work a time limit: a half-open connection never answers.
///
/// # Errors
/// The statement's own, or [`TargetError::Stalled`].
pub async fn brief<T, E>(
    statement: impl Future<Output = Result<T, E>>,
    map: impl FnOnce(E) -> TargetError,
) -> Result<T, TargetError> {
    match tokio::time::timeout(BRIEF, statement).await {
        Ok(result) => result.map_err(map),
        Err(_) => Err(TargetError::Stalled),
    }
}

/// A PostgreSQL that answers.
#[derive(Debug)]
pub struct Target {
    pool: Pool,
    connector: Connector,
    summary: String,
    schema: Option<String>,
    /// How long an attempt to connect may take: long enough to get past hosts and addresses that do not answer.
    attempt: Duration,
}

/// What the server can do, read when there is work to do.
#[derive(Debug, Clone)]
pub struct Server {
    /// The schema of the app's tables.
    pub schema: String,
    /// The schema in which the role makes tables unless it names another.
    pub current_schema: Option<String>,
    /// `server_version_num`.
    pub version: i32,
    /// Whether TOAST can compress with lz4.
    pub lz4: bool,
}

impl Server {
    /// The statement by which a transaction compresses long values as fast as this server can. It also decides
    /// which keys are too long for an index.
    pub fn compression(&self) -> &'static str {
        if self.lz4 {
            "SET LOCAL default_toast_compression = 'lz4';\n"
        } else {
            ""
        }
    }
}

impl Target {
    /// Prepares the pool; nothing is connected yet.
    ///
    /// # Errors
    /// A certificate or key file cannot be used.
    pub fn new(dsn: &Dsn, schema: Option<&str>) -> Result<Self, TargetError> {
        let connector = Connector::new(dsn.tls())?;
        let config = dsn.config();
        let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(u32::MAX);
        let connecting = config.get_connect_timeout().copied().unwrap_or(BRIEF);
        let attempt = connecting
            .saturating_mul(hosts.max(2))
            .saturating_add(GREETING);
        let manager = Manager::from_connect(
            config,
            connector.clone(),
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        // Lock, move, and one to look something up beside them.
        let pool = Pool::builder(manager)
            .max_size(3)
            .build()
            .map_err(|error| TargetError::Unsupported(error.to_string()))?;
        Ok(Self {
            pool,
            connector,
            summary: dsn.summary(),
            schema: schema.map(str::to_owned),
            attempt,
        })
    }

    /// Database, host and role, for messages.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// How connections are made, for cancelling a statement.
    pub fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// A connection from the pool.
    ///
    /// # Errors
    /// PostgreSQL's, or none came within the time limit.
    pub async fn client(&self) -> Result<Object, TargetError> {
        match tokio::time::timeout(BRIEF, self.pool.get()).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(PoolError::Backend(source))) => Err(TargetError::Postgres {
                doing: "did not accept the connection",
                source,
            }),
            Ok(Err(error)) => Err(TargetError::Unsupported(error.to_string())),
            Err(_) => Err(TargetError::Stalled),
        }
    }

    /// Closes the connections that are not in use: behind a small pooler, somebody else waits for them.
    pub fn hang_up(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Closes every idle connection for good. What is checked out closes when it is dropped.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Connects and reads the marker, waiting up to `patience` for a server that is not there yet.
    ///
    /// # Errors
    /// At once for what waiting does not change, else [`TargetError::Unreachable`].
    pub async fn first_look(&self, patience: Duration) -> Result<Option<Marker>, TargetError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(250);
        let mut told: Option<Instant> = None;
        loop {
            // A host that swallows packets must not stretch the wait, nor a connection that fell silent use it up:
            // the next one may reach a server that has taken over.
            let left = patience
                .saturating_sub(begun.elapsed())
                .max(Duration::from_secs(1));
            let limit = left.min(self.attempt.max(patience / 4));
            let error = match tokio::time::timeout(limit, self.marker()).await {
                Ok(Ok(marker)) => return Ok(marker),
                Ok(Err(error)) if error.class() == Class::Transient => error,
                Ok(Err(error)) => return Err(error),
                Err(_) => TargetError::Stalled,
            };
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(TargetError::Unreachable {
                    target: self.summary.clone(),
                    waited: begun.elapsed().as_secs(),
                    source: Box::new(error),
                });
            }
            if told.is_none_or(|at| at.elapsed() > Duration::from_secs(5)) {
                let cause = crate::failure::chain(&error);
                tracing::info!("waiting for PostgreSQL, {} s left: {cause}", left.as_secs());
                told = Some(Instant::now());
            }
            self.hang_up();
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 3 / 2).min(Duration::from_secs(3));
        }
    }

    /// Reads the marker once.
    ///
    /// # Errors
    /// PostgreSQL's; a refusal is never "absent".
    pub async fn marker(&self) -> Result<Option<Marker>, TargetError> {
        let client = self.client().await?;
        let marker = brief(
            ledger::read(&client, self.schema.as_deref()),
            TargetError::from,
        )
        .await?;
        if marker.is_none() && is_read_only(&client).await? {
            return Err(TargetError::ReadOnly);
        }
        Ok(marker)
    }

    /// Asks what the server can do.
    ///
    /// # Errors
    /// The server or its encoding is not supported, or the schema does not exist.
    pub async fn server(&self) -> Result<Server, TargetError> {
        let client = self.client().await?;
        let row = brief(
            client.query_typed_one(
                "SELECT current_setting('server_version_num')::int4, version(), current_setting('server_encoding'),
                        coalesce($1, current_schema()::text),
                        EXISTS (SELECT FROM pg_namespace WHERE nspname = coalesce($1, current_schema()::text)),
                        coalesce((SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'), false),
                        current_schema()::text",
                &[(&self.schema, Type::TEXT)],
            ),
            failed("did not describe itself"),
        )
        .await?;
        let (version, banner, encoding): (i32, String, String) =
            (row.get(0), row.get(1), row.get(2));
        if !banner.starts_with("PostgreSQL") {
            return Err(TargetError::Unsupported(format!(
                "the server speaks PostgreSQL's protocol but is something else: {banner}"
            )));
        }
        if version < OLDEST {
            return Err(TargetError::Unsupported(format!(
                "the server is too old; version 13 or later is needed: {banner}"
            )));
        }
        if encoding != "UTF8" {
            return Err(TargetError::Unsupported(format!(
                "the database's encoding is {encoding}; Open WebUI's texts need UTF8, which is chosen when a database is created"
            )));
        }
        let schema: Option<String> = row.get(3);
        let schema = schema.ok_or(LedgerError::NoSchema)?;
        if !row.get::<_, bool>(4) {
            return Err(TargetError::NoSuchSchema(schema));
        }
        Ok(Server {
            schema,
            version,
            lz4: row.get(5),
            current_schema: row.get(6),
        })
    }

    /// The app's revision in `schema`; none before its Alembic has run.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn revision(&self, schema: &str) -> Result<Option<String>, TargetError> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT version_num::text FROM {}.alembic_version",
            quote(schema)
        );
        match brief(
            client.query_typed_opt(&sql, &[]),
            failed("did not tell the app's revision"),
        )
        .await
        {
            Ok(row) => Ok(row.map(|row| row.get(0))),
            Err(TargetError::Postgres { source, .. })
                if source.code() == Some(&SqlState::UNDEFINED_TABLE) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the lock, or waits for whoever has it: returns the marker as soon as it is there.
    ///
    /// # Errors
    /// [`TargetError::Locked`] after `patience`; PostgreSQL's own.
    pub async fn lock(self, schema: &str, patience: Duration) -> Result<Locked, TargetError> {
        let begun = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            if let Some(lock) = self.try_lock(schema).await? {
                // A move that lost its lock, or whose COMMIT hangs, outlives the connection that held the lock.
                if self.move_is_open(schema).await? {
                    drop(Object::take(lock));
                    self.wait_for_holder(begun, patience, &mut told).await?;
                    continue;
                }
                // Looked at again under the lock: whoever had it may have finished meanwhile.
                return Ok(match self.marker().await? {
                    Some(marker) => Locked::Done(marker),
                    None => Locked::Ours(LockedTarget { target: self, lock }),
                });
            }
            if let Some(marker) = self.marker().await? {
                return Ok(Locked::Done(marker));
            }
            self.wait_for_holder(begun, patience, &mut told).await?;
        }
    }

    async fn wait_for_holder(
        &self,
        begun: Instant,
        patience: Duration,
        told: &mut Option<Instant>,
    ) -> Result<(), TargetError> {
        if begun.elapsed() >= patience {
            return Err(TargetError::Locked {
                waited: begun.elapsed().as_secs(),
            });
        }
        if told.is_none_or(|at| at.elapsed() > Duration::from_secs(15)) {
            tracing::info!(
                "another instance is moving the data; waiting for it, up to {} s",
                patience.as_secs()
            );
            *told = Some(Instant::now());
        }
        self.hang_up();
        tokio::time::sleep(Duration::from_millis(500).min(patience)).await;
        Ok(())
    }

    /// Whether a transaction that moves rows into `schema` is open. To be asked under the lock: no other can begin
    /// then, for it would find its own lock lost.
    async fn move_is_open(&self, schema: &str) -> Result<bool, TargetError> {
        let client = self.client().await?;
        // A transaction of its own, which gives the lock back at once.
        let row = brief(
            client.query_typed_one(
                "SELECT pg_try_advisory_xact_lock($1)",
                &[(&move_key(schema), Type::INT8)],
            ),
            failed("did not answer about the advisory lock"),
        )
        .await?;
        Ok(!row.get::<_, bool>(0))
    }

    /// One try. The transaction of a failed one ends at once, so that a waiter behind a pooler does not
    /// occupy a server connection.
    async fn try_lock(&self, schema: &str) -> Result<Option<Object>, TargetError> {
        let client = self.client().await?;
        let doing = "did not answer about the advisory lock";
        let key = lock_key(schema);
        let arguments: [(&(dyn ToSql + Sync), Type); 1] = [(&key, Type::INT8)];
        let asked = client.query_typed_one("SELECT pg_try_advisory_xact_lock($1)", &arguments);
        // In one round trip, in this order.
        let ((), row) = tokio::try_join!(
            biased;
            begin(&client),
            able(ADVISORY_LOCKS, brief(asked, failed(doing))),
        )?;
        let got: bool = row.get(0);
        if got {
            return Ok(Some(client));
        }
        brief(client.batch_execute("ROLLBACK"), failed(doing)).await?;
        drop(client);
        self.hang_up();
        Ok(None)
    }
}

/// Who may go on.
#[derive(Debug)]
pub enum Locked {
    /// This instance has the lock, and the marker is absent.
    Ours(LockedTarget),
    /// Another instance has completed the move.
    Done(Marker),
}

/// The target, while this instance holds the advisory lock and has read the marker as absent. Only from it
/// can a move begin.
#[derive(Debug)]
pub struct LockedTarget {
    target: Target,
    lock: Object,
}

impl LockedTarget {
    /// The target itself.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Makes the transaction that `client` has begun known as a move into `schema`, until it ends. From then on the
    /// lock may be lost: whoever gets it waits for that end.
    ///
    /// # Errors
    /// The lock is lost already, or somebody else's move is still open.
    pub async fn announce_move(&self, client: &Client, schema: &str) -> Result<(), TargetError> {
        let doing = "did not give the advisory lock of the move";
        let script = format!(
            "SET LOCAL lock_timeout = '20s'; SELECT pg_advisory_xact_lock({}); SET LOCAL lock_timeout = 0",
            move_key(schema)
        );
        brief(client.batch_execute(&script), failed(doing)).await?;
        self.still_held().await
    }

    /// Asks the connection that holds the lock whether it lives.
    ///
    /// # Errors
    /// It does not: somebody else may have the lock now.
    pub async fn still_held(&self) -> Result<(), TargetError> {
        let doing = "has ended the connection that held the advisory lock";
        brief(self.lock.batch_execute("SELECT 1"), failed(doing)).await
    }

    /// Whether the server works on a statement of `transaction`, or waits for something else than this program; an
    /// error where that cannot be known. Asked over the connection that holds the lock, for a new one may not be had.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub async fn at_work(&self, transaction: &str) -> Result<bool, TargetError> {
        let asked = if self.lock.is_closed() {
            at_work(&*self.target.client().await?, transaction).await
        } else {
            at_work(&self.lock, transaction).await
        };
        asked.map_err(failed("did not tell whether it is at work"))
    }

    /// Asks the connection that holds the lock whether it still does and the marker still is absent. Used
    /// before the app is started on something else than PostgreSQL.
    ///
    /// # Errors
    /// It cannot be known.
    pub async fn still_without_marker(self) -> Result<bool, TargetError> {
        let schema = self.target.schema.clone();
        let marker = brief(
            ledger::read(&self.lock, schema.as_deref()),
            TargetError::from,
        )
        .await?;
        Ok(marker.is_none())
    }

    /// Tries beforehand, in a transaction that is rolled back, what the move rests on: servers that speak
    /// PostgreSQL's protocol differ in what they can do, whatever they call themselves.
    ///
    /// # Errors
    /// [`TargetError::Unable`] names the first thing that the server cannot do.
    pub async fn check_abilities(&self) -> Result<(), TargetError> {
        let client = Object::take(self.target.client().await?);
        let privilege = client.query_typed_one(
            "SELECT has_database_privilege(current_database(), 'TEMPORARY')",
            &[],
        );
        let ((), row) = tokio::try_join!(
            biased;
            begin(&client),
            brief(privilege, failed("did not report the role's privileges")),
        )?;
        let temporary: bool = row.get(0);
        let tried = ABILITIES
            .iter()
            .filter(|(_, statement)| temporary || !statement.contains("TEMPORARY"))
            .map(|(ability, statement)| {
                let statement = client.batch_execute(statement);
                able(
                    ability,
                    brief(statement, failed("did not answer what it can do")),
                )
            });
        // Asked for all at once, answered in order. The connection ends here, and the transaction with it.
        futures_util::future::try_join_all(tried).await?;
        Ok(())
    }

    /// Asks beforehand whether the role may make the app's tables and the schema of the marker: the app's own
    /// message about it would be a long one.
    ///
    /// # Errors
    /// [`TargetError::MayNot`].
    pub async fn check_privileges(&self, schema: &str) -> Result<(), TargetError> {
        let client = self.target.client().await?;
        let row = brief(
            client.query_typed_one(
                "SELECT has_schema_privilege($1, 'CREATE'),
                        CASE WHEN to_regnamespace('webui_init') IS NULL
                             THEN has_database_privilege(current_database(), 'CREATE')
                             ELSE has_schema_privilege('webui_init', 'CREATE') END",
                &[(&schema, Type::TEXT)],
            ),
            failed("did not tell the role's privileges"),
        )
        .await?;
        if !row.get::<_, bool>(0) {
            return Err(TargetError::MayNot("create tables in the app's schema"));
        }
        if !row.get::<_, bool>(1) {
            return Err(TargetError::MayNot(
                "create the schema webui_init in this database",
            ));
        }
        Ok(())
    }

    /// Ends the lock and the connections.
    pub fn release(self) {
        // Dropping it would hand the open transaction back to the pool; taken out, it is closed with it.
        drop(Object::take(self.lock));
        self.target.close();
    }
}

/// Tables of the app that hold rows, of those in `schema` that are the app's. Tables of
/// extensions, the one that the app fills by itself and the schema step's records do not count.
///
/// # Errors
/// PostgreSQL's, above all a missing privilege.
pub async fn tables_in_use(
    client: &Client,
    schema: &str,
    app_tables: &AppTables,
) -> Result<Vec<String>, TargetError> {
    let doing = "did not tell which tables hold rows";
    let rows = brief(
        client.query_typed(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname <> $2 AND c.relname <> ALL ($3)
               AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
             ORDER BY 1",
            &[
                (&schema, Type::TEXT),
                (&names::SEEDED, Type::TEXT),
                (&names::STEP_RECORDS.as_slice(), Type::TEXT_ARRAY),
            ],
        ),
        failed(doing),
    )
    .await?;
    let checks: Vec<String> = rows
        .iter()
        .map(|row| row.get::<_, String>(0))
        .filter(|table| app_tables.include(table))
        .map(|table| {
            format!(
                "SELECT {} WHERE EXISTS (SELECT FROM {}.{})",
                literal(&table),
                quote(schema),
                quote(&table)
            )
        })
        .collect();
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    let rows = brief(
        client.query_typed(&checks.join(" UNION ALL "), &[]),
        failed(doing),
    )
    .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Begins a transaction that no time limit of a provider ends, in one round trip.
///
/// # Errors
/// PostgreSQL's.
pub async fn begin(client: &Client) -> Result<(), TargetError> {
    let begun = client.batch_execute("BEGIN");
    tokio::try_join!(
        biased;
        brief(begun, failed("did not begin a transaction")),
        without_timeouts(client),
    )?;
    Ok(())
}

/// The id of the transaction that `client` has begun, for asking others what becomes of it.
///
/// # Errors
/// PostgreSQL's.
pub async fn transaction_id(client: &Client) -> Result<String, TargetError> {
    let asked = client.query_typed_one("SELECT pg_current_xact_id()::text", &[]);
    let row = brief(asked, failed("did not tell the transaction's id")).await?;
    Ok(row.get(0))
}

/// Switches off, for this transaction, every time limit that a provider may have set. In its place the server is
/// told to ask, every now and then, whether this end is still there: a host that vanished must not keep locks for
/// the hours that TCP would wait by itself.
///
/// # Errors
/// PostgreSQL's.
async fn without_timeouts(client: &Client) -> Result<(), TargetError> {
    brief(
        client.query_typed(
            "SELECT set_config(name, value, true) FROM pg_settings JOIN (VALUES
               ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
               ('transaction_timeout', '0'), ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'),
               ('tcp_keepalives_count', '3')) wanted (name, value) USING (name)",
            &[],
        ),
        failed("did not lift its time limits"),
    )
    .await?;
    Ok(())
}

/// A standby, or, as providers do with a database whose disk is full, one where transactions begin read-only.
async fn is_read_only(client: &Client) -> Result<bool, TargetError> {
    let row = brief(
        client.query_typed_one(
            "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'",
            &[],
        ),
        failed("did not tell whether it can be written to"),
    )
    .await?;
    Ok(row.get(0))
}

/// Whose transaction it is, everybody may see in `pg_locks`; what its server process does may be hidden, or not
/// tracked at all, and then it counts as work.
async fn at_work(client: &Client, transaction: &str) -> Result<bool, PgError> {
    let arguments: [(&(dyn ToSql + Sync), Type); 1] = [(&transaction, Type::TEXT)];
    // What a transaction has once read of other sessions it would read again.
    let ((), row) = tokio::try_join!(
        biased;
        client.batch_execute("SELECT pg_stat_clear_snapshot()"),
        client.query_typed_opt(
            "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
              WHERE locktype = 'transactionid' AND transactionid = $1::text::xid8::xid AND mode = 'ExclusiveLock'
                AND granted AND coalesce(state, 'disabled') IN ('active', 'disabled')
                AND wait_event_type IS DISTINCT FROM 'Client'",
            &arguments,
        ),
    )?;
    Ok(row.is_some())
}

/// Advisory locks are numbers per database; this one means "whoever may look into moving into this schema".
fn lock_key(schema: &str) -> i64 {
    advisory_key(&format!("webui-init move into {schema}"))
}

/// And this one "rows are being moved into this schema": it is the transaction's that moves them.
pub fn move_key(schema: &str) -> i64 {
    advisory_key(&format!("webui-init rows into {schema}"))
}

fn advisory_key(meaning: &str) -> i64 {
    let digest = Sha256::digest(meaning);
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(key)
}

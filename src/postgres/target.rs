//! Owns the target: connections to PostgreSQL, what the server can do, and the transactions that are begun there.
//! Reading the marker and the advisory lock are `ledger`'s, writing rows is `copy`'s.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error as PgError};

use crate::postgres::dsn::Dsn;
use crate::postgres::error::{TargetError, failed};
use crate::postgres::tls::Connector;

/// The oldest server that is supported, as `server_version_num` counts.
const OLDEST: i32 = 130_000;
/// How long an attempt to reach PostgreSQL may take besides connecting.
const GREETING: Duration = Duration::from_secs(5);
/// How long a statement that needs no work may take before the network is taken for dead.
const BRIEF: Duration = Duration::from_secs(30);

/// Gives a statement that needs no work a time limit: a half-open connection never answers.
///
/// # Errors
/// The statement's own, or [`TargetError::Stalled`].
pub(crate) async fn brief<T, E, F: From<TargetError>>(
    statement: impl Future<Output = Result<T, E>>,
    map: impl FnOnce(E) -> F,
) -> Result<T, F> {
    match tokio::time::timeout(BRIEF, statement).await {
        Ok(result) => result.map_err(map),
        Err(_) => Err(TargetError::Stalled.into()),
    }
}

/// A PostgreSQL that answers.
#[derive(Debug)]
pub(crate) struct Target {
    pool: Pool,
    connector: Connector,
    summary: String,
    schema: Option<String>,
    /// How long an attempt to connect may take: long enough to get past hosts and addresses that do not answer.
    attempt: Duration,
}

/// What the server can do, read when there is work to do.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The schema of the app's tables.
    pub schema: String,
    /// The schema in which the role makes tables unless it names another.
    pub current_schema: Option<String>,
    /// Whether TOAST can compress with lz4.
    pub lz4: bool,
}

impl Server {
    /// The statement by which a transaction compresses long values as fast as this server can. It also decides
    /// which keys are too long for an index.
    pub(crate) fn compression(&self) -> &'static str {
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
    pub(crate) fn new(dsn: &Dsn, schema: Option<&str>) -> Result<Self, TargetError> {
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
            .map_err(|error| TargetError::Pool(error.into()))?;
        Ok(Self {
            pool,
            connector,
            summary: dsn.summary(),
            schema: schema.map(str::to_owned),
            attempt,
        })
    }

    /// Database, host and role, for messages.
    pub(crate) fn summary(&self) -> &str {
        &self.summary
    }

    /// `DATABASE_SCHEMA`; none where the session's own is meant.
    pub(crate) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// How long an attempt to connect may take.
    pub(crate) fn attempt(&self) -> Duration {
        self.attempt
    }

    /// How connections are made, for cancelling a statement.
    pub(crate) fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// A connection from the pool.
    ///
    /// # Errors
    /// PostgreSQL's, or none came within the time limit.
    pub(crate) async fn client(&self) -> Result<Object, TargetError> {
        match tokio::time::timeout(BRIEF, self.pool.get()).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(PoolError::Backend(source))) => Err(TargetError::Postgres {
                doing: "did not accept the connection",
                source,
            }),
            Ok(Err(error)) => Err(TargetError::Pool(error.into())),
            Err(_) => Err(TargetError::Stalled),
        }
    }

    /// Closes the connections that are not in use: behind a small pooler, somebody else waits for them.
    pub(crate) fn hang_up(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Closes every idle connection for good. What is checked out closes when it is dropped.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// Asks what the server can do.
    ///
    /// # Errors
    /// The server or its encoding is not supported, or the schema does not exist.
    pub(crate) async fn server(&self) -> Result<Server, TargetError> {
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
        let schema = schema.ok_or(TargetError::NoSchema)?;
        if !row.get::<_, bool>(4) {
            return Err(TargetError::NoSuchSchema(schema));
        }
        Ok(Server {
            schema,
            lz4: row.get(5),
            current_schema: row.get(6),
        })
    }
}

/// Begins a transaction that no time limit of a provider ends, in one round trip.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn begin(client: &Client) -> Result<(), TargetError> {
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
pub(crate) async fn transaction_id(client: &Client) -> Result<String, TargetError> {
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
pub(crate) async fn is_read_only(client: &Client) -> Result<bool, TargetError> {
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
pub(crate) async fn at_work(client: &Client, transaction: &str) -> Result<bool, PgError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::dsn::LibpqEnv;
    use crate::postgres::error::{Class, chain};

    #[tokio::test]
    async fn a_pool_that_is_closed_is_not_a_server_that_is_too_old() {
        let dsn =
            Dsn::parse("postgresql://u@127.0.0.1/d", &LibpqEnv::default()).expect("an address");
        let target = Target::new(&dsn, None).expect("a pool");
        target.close();
        let error = target.client().await.expect_err("the pool is closed");
        assert_eq!(error.class(), Class::Other);
        assert_eq!(
            chain(&error),
            "no connection could be had: Pool has been closed"
        );
    }
}

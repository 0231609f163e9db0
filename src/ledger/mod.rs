//! Owns exactly once: the schema `webui_init` with its migrations, the marker that says a move is complete, the locks
//! around a move, and the attempts that failed. Whether the marker may be written is `load::proof`'s knowledge.

use std::time::Duration;

use thiserror::Error;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error as PgError};

use crate::postgres::error::{Class, TargetError, classify, is_absence};
use crate::sqlite::source::Fingerprint;

pub(crate) mod attempts;
pub(crate) mod leftovers;
pub(crate) mod lock;
pub(crate) mod look;
pub(crate) mod privileges;
pub(crate) mod receipt;

mod embedded {
    #![allow(missing_docs)]
    refinery::embed_migrations!("migrations");
}

/// Why the ledger cannot be read or made.
#[derive(Debug, Error)]
pub(crate) enum LedgerError {
    /// PostgreSQL's error.
    #[error("the record of the move (webui_init.migration) could not be {doing}")]
    Postgres {
        /// "read", "made" or "written".
        doing: &'static str,
        /// Its cause.
        source: PgError,
    },
    /// refinery's error that is not PostgreSQL's.
    #[error("the tables of schema webui_init could not be made")]
    Migrations(#[source] Box<refinery::Error>),
    /// PostgreSQL cannot be used, or did not answer.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No connection in time.
    #[error("PostgreSQL ({target}) could not be reached within {waited} s")]
    Unreachable {
        /// Which server and database.
        target: String,
        /// Seconds waited.
        waited: u64,
        /// The last failure.
        source: Box<LedgerError>,
    },
    /// Another instance held the lock too long.
    #[error("another instance has been moving data for {waited} s and is not done")]
    Locked {
        /// Seconds waited.
        waited: u64,
    },
}

impl LedgerError {
    /// What becomes of it if one waits.
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Postgres { source, .. } => classify(source),
            Self::Target(error) => error.class(),
            Self::Migrations(_) | Self::Unreachable { .. } | Self::Locked { .. } => Class::Other,
        }
    }
}

/// A complete move, as recorded.
#[derive(Debug, Clone)]
pub(crate) struct Marker {
    /// What the source was; none if an other version wrote it in a way that this one cannot read.
    pub fingerprint: Option<Fingerprint>,
    /// Rows moved.
    pub rows: i64,
    /// When, as PostgreSQL writes it.
    pub finished_at: String,
    /// The same in RFC 3339, in UTC.
    pub at: String,
    /// Its id; none if its table was made before records had one.
    pub id: Option<String>,
    /// Whether the data is still in PostgreSQL, and has not gone back to SQLite.
    pub current: bool,
}

/// Reads the marker. Absent means that PostgreSQL said so: the table or the row is not there. A refusal is
/// an error, never "absent".
///
/// # Errors
/// Whatever else PostgreSQL answers.
pub(crate) async fn read(
    client: &Client,
    schema: Option<&str>,
) -> Result<Option<Marker>, LedgerError> {
    // `id` and `state` are the table's columns if it has them, and those of `older` otherwise: a start that finds a marker
    // upgrades no table.
    let row = client
        .query_typed_opt(
            "SELECT record.* FROM (SELECT NULL::uuid AS id, 'moved'::text AS state) AS older, LATERAL (
                 SELECT source_fingerprint, rows, finished_at::text, id::text, state = 'moved',
                        to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
                 FROM webui_init.migration WHERE target_schema = coalesce($1, current_schema()::text)) AS record",
            &[(&schema, Type::TEXT)],
        )
        .await;
    match row {
        Ok(row) => Ok(row.map(|row| Marker {
            fingerprint: serde_json::from_str(row.get(0)).ok(),
            rows: row.get(1),
            finished_at: row.get(2),
            id: row.get(3),
            current: row.get(4),
            at: row.get(5),
        })),
        Err(error) if is_absence(&error) => Ok(None),
        Err(source) => Err(LedgerError::Postgres {
            doing: "read",
            source,
        }),
    }
}

/// Strikes out this record, which no longer says what is so. Whether it was there to be struck out.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn forget(
    client: &Client,
    schema: Option<&str>,
    marker: &Marker,
) -> Result<bool, LedgerError> {
    let sql = "DELETE FROM webui_init.migration
               WHERE target_schema = coalesce($1, current_schema()::text) AND finished_at::text = $2";
    let arguments: [(&(dyn ToSql + Sync), Type); 2] =
        [(&schema, Type::TEXT), (&marker.finished_at, Type::TEXT)];
    let deleted = client.execute_typed(sql, &arguments).await;
    let deleted = deleted.map_err(|source| LedgerError::Postgres {
        doing: "written",
        source,
    })?;
    Ok(deleted > 0)
}

/// Makes or upgrades the schema `webui_init`. To be called under the lock, and only when there is
/// something to move: a boot that finds the marker does no DDL.
///
/// # Errors
/// The role may not create schemas, or the connection broke.
pub(crate) async fn prepare(client: &mut Client) -> Result<(), LedgerError> {
    // The lock is one per target schema, this schema is one per database: two moves into two schemas may make
    // it at the same moment, and the slower one is told so.
    for _ in 0..3 {
        if make(client).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    match make(client).await {
        // What the first version made is enough for a move. Later tables must not fail one that an administrator
        // allowed no more than that.
        Err(_) if serves(client).await => Ok(()),
        result => result,
    }
}

async fn serves(client: &Client) -> bool {
    let sql = "SELECT to_regclass('webui_init.migration') IS NOT NULL AND to_regclass('webui_init.leftover') IS NOT NULL";
    let row = client.query_typed_one(sql, &[]).await;
    row.is_ok_and(|row| row.get(0))
}

async fn make(client: &mut Client) -> Result<(), LedgerError> {
    let failed = |source| LedgerError::Postgres {
        doing: "made",
        source,
    };
    // Asked first, because IF NOT EXISTS needs the privilege even where the schema exists: an administrator
    // may have made it for a role that cannot.
    let exists = client
        .query_typed_one("SELECT to_regnamespace('webui_init') IS NOT NULL", &[])
        .await
        .map_err(failed)?
        .get::<_, bool>(0);
    if !exists {
        client
            .batch_execute("CREATE SCHEMA webui_init")
            .await
            .map_err(failed)?;
    }
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name("webui_init.refinery_schema_history");
    runner
        .run_async(client)
        .await
        .map_err(|error| LedgerError::Migrations(Box::new(error)))?;
    Ok(())
}

/// What the marker row says beside what PostgreSQL fills in.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// Its id; none for a new one.
    pub id: Option<&'a str>,
    /// The schema moved into.
    pub target_schema: &'a str,
    /// Path of the source.
    pub source_path: &'a str,
    /// The source as it was.
    pub fingerprint: &'a Fingerprint,
    /// Its Alembic revision before the move.
    pub source_revision: Option<&'a str>,
    /// The target's.
    pub target_revision: &'a str,
    /// Rows moved.
    pub rows: i64,
    /// Bytes sent.
    pub bytes: i64,
    /// Rows written to `leftover`.
    pub leftovers: i64,
    /// The report as JSON.
    pub report: &'a str,
    /// Seconds that the move took so far.
    pub seconds: f64,
}

/// Inserts the marker, in the transaction that moved the rows, which thereby forgets the attempts that failed.
///
/// # Errors
/// Above all a unique violation: somebody else's move was recorded first.
pub(crate) async fn write(client: &Client, entry: &Entry<'_>) -> Result<(), LedgerError> {
    let fingerprint = serde_json::to_string(entry.fingerprint).unwrap_or_default();
    client
        .execute_typed(
            "INSERT INTO webui_init.migration (target_schema, source_path, source_fingerprint, source_revision,
                 target_revision, rows, bytes, leftovers, report, started_at, finished_at, tool_version, id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::json,
                 clock_timestamp() - make_interval(secs => $10), clock_timestamp(), $11,
                 coalesce($12::text::uuid, gen_random_uuid()))",
            &[
                (&entry.target_schema, Type::TEXT),
                (&entry.source_path, Type::TEXT),
                (&fingerprint, Type::TEXT),
                (&entry.source_revision, Type::TEXT),
                (&entry.target_revision, Type::TEXT),
                (&entry.rows, Type::INT8),
                (&entry.bytes, Type::INT8),
                (&entry.leftovers, Type::INT8),
                (&entry.report, Type::TEXT),
                (&entry.seconds, Type::FLOAT8),
                (&env!("CARGO_PKG_VERSION"), Type::TEXT),
                (&entry.id, Type::TEXT),
            ],
        )
        .await
        .map_err(|source| LedgerError::Postgres { doing: "written", source })?;
    attempts::forget(client, entry.target_schema).await;
    Ok(())
}

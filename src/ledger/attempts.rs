//! Owns what is known of moves that failed: a count in `webui_init.attempt`, and how long the next one waits
//! because of it. A container in a restart loop must not keep PostgreSQL busy with loads that fail.
//!
//! An attempt is counted as failed when it begins, and its row goes with the transaction that writes the marker; so
//! one that was killed counts as well, for one small statement. Noting and pausing are best effort: whatever goes wrong
//! with them leaves a line at level `debug` and changes nothing else. When a move is begun or waits is `boot`'s knowledge.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error as PgError};

use crate::postgres::error::{TargetError, chain, failed, is_absence};
use crate::postgres::target::{self, Target};
use crate::sql::literal;

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_mins(1);
/// How long a note may take. Nobody waits for it, least of all the end of a failed move.
const BRIEF: Duration = Duration::from_secs(3);

/// The attempts that failed so far.
#[derive(Debug)]
pub(crate) struct Failed {
    /// How many.
    failures: i32,
    /// How the last one ended; none if it was killed or interrupted.
    exit_code: Option<i32>,
    /// When, as PostgreSQL writes it.
    last: String,
    /// How long ago that was. Negative if a clock was set back.
    seconds_ago: f64,
}

impl Failed {
    /// What is left of the pause that follows the last failure.
    pub(crate) fn remaining(&self) -> Duration {
        // Until a clock that was set back has caught up, hours may pass.
        let passed = Duration::try_from_secs_f64(self.seconds_ago).unwrap_or(LONGEST);
        pause_after(self.failures).saturating_sub(passed)
    }

    /// One line on it for the log, given what is waited for now.
    pub(crate) fn describe(&self, remaining: Duration) -> String {
        let how = match self.exit_code {
            Some(code) => format!("with exit code {code}"),
            None => "without an exit code (killed or interrupted)".to_owned(),
        };
        format!(
            "{} attempts to move the data have failed, the last at {} {how}; the next one begins in {:.0} s. The log of that start \
             tells the cause and, after \"Next:\", what to do",
            self.failures,
            self.last,
            remaining.as_secs_f64().ceil(),
        )
    }
}

/// None after one failure, which may have passed; then a second, doubled with each further one.
fn pause_after(failures: i32) -> Duration {
    match u32::try_from(failures.saturating_sub(2)) {
        Ok(doublings) => 1_u64
            .checked_shl(doublings)
            .map_or(LONGEST, Duration::from_secs)
            .min(LONGEST),
        Err(_) => Duration::ZERO,
    }
}

/// Whether an attempt at this schema is known that was not completed. Unlike everything else here this decides
/// whether an app is started, so what cannot be read is an error.
///
/// # Errors
/// PostgreSQL's, but that there is no such table.
pub(crate) async fn any(client: &Client, schema: &str) -> Result<bool, TargetError> {
    let sql = "SELECT FROM webui_init.attempt WHERE target_schema = $1";
    let doing = "did not tell of failed attempts";
    let arguments: [(&(dyn ToSql + Sync), Type); 1] = [(&schema, Type::TEXT)];
    let asked = client.query_typed_opt(sql, &arguments);
    match target::brief(asked, failed(doing)).await {
        Ok(row) => Ok(row.is_some()),
        Err(TargetError::Postgres { source, .. }) if is_absence(&source) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads how many attempts at this schema failed; none also if that cannot be read.
pub(crate) async fn read(target: &Target, schema: &str) -> Option<Failed> {
    let sql = "SELECT failures, exit_code, to_char(failed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'),
                      extract(epoch FROM clock_timestamp() - failed_at)::float8
               FROM webui_init.attempt WHERE target_schema = $1";
    let row = best_effort(target, "read", async |client: &Client| {
        client.query_typed_opt(sql, &[(&schema, Type::TEXT)]).await
    })
    .await??;
    Some(Failed {
        failures: row.get(0),
        exit_code: row.get(1),
        last: row.get(2),
        seconds_ago: row.get(3),
    })
}

/// Counts an attempt that begins now.
pub(crate) async fn begin(target: &Target, schema: &str) {
    let (schema, version) = (literal(schema), env!("CARGO_PKG_VERSION"));
    let sql = format!(
        "SET LOCAL lock_timeout = '2s';
         INSERT INTO webui_init.attempt AS known (target_schema, failures, exit_code, failed_at, tool_version)
         VALUES ({schema}, 1, NULL, clock_timestamp(), '{version}')
         ON CONFLICT (target_schema) DO UPDATE SET failures = known.failures + 1, exit_code = NULL,
             failed_at = excluded.failed_at, tool_version = excluded.tool_version"
    );
    note(target, &sql).await;
}

/// Adds to the attempt that began how it failed, and when. Where its row is gone, its move was committed after all.
pub(crate) async fn end(target: &Target, schema: &str, exit_code: u8) {
    let sql = format!(
        "SET LOCAL lock_timeout = '2s';
         UPDATE webui_init.attempt SET exit_code = {exit_code}, failed_at = clock_timestamp() WHERE target_schema = {}",
        literal(schema)
    );
    note(target, &sql).await;
}

/// Forgets the failed attempts, in the transaction that writes the marker. A savepoint keeps a refusal from ending
/// that transaction.
pub(crate) async fn forget(client: &Client, schema: &str) {
    let sql = format!(
        "SAVEPOINT attempt; DELETE FROM webui_init.attempt WHERE target_schema = {}; RELEASE attempt",
        literal(schema)
    );
    if let Err(error) = client.batch_execute(&sql).await {
        tracing::debug!("failed attempts could not be forgotten: {error}");
        // If this fails, so will the marker.
        let _ = client.batch_execute("ROLLBACK TO attempt").await;
    }
}

/// Runs a script whose statements are one transaction by being one message.
async fn note(target: &Target, script: &str) {
    best_effort(target, "noted", async |client: &Client| {
        client.batch_execute(script).await
    })
    .await;
}

async fn best_effort<T>(
    target: &Target,
    doing: &str,
    statement: impl AsyncFnOnce(&Client) -> Result<T, PgError>,
) -> Option<T> {
    let attempt = async {
        let client = brief(target.client()).await??;
        match brief(statement(&client)).await {
            Ok(result) => result.map_err(failed("did not know of failed attempts")),
            Err(stalled) => {
                // Given up in the middle of a statement, so closed and not handed back to the pool.
                drop(Object::take(client));
                Err(stalled)
            }
        }
    };
    match attempt.await {
        Ok(result) => Some(result),
        // Before the first move there is no such table.
        Err(TargetError::Postgres { source, .. }) if is_absence(&source) => None,
        Err(error) => {
            tracing::debug!("failed attempts could not be {doing}: {}", chain(&error));
            None
        }
    }
}

async fn brief<T>(work: impl Future<Output = T>) -> Result<T, TargetError> {
    let limited = tokio::time::timeout(BRIEF, work).await;
    limited.map_err(|_| TargetError::Stalled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_from_the_second_failure_on() {
        let seconds = |failures| pause_after(failures).as_secs();
        assert_eq!([-1, 0, 1, 2, 3, 4, 7].map(seconds), [0, 0, 0, 1, 2, 4, 32]);
        assert_eq!([8, 9, 70, i32::MAX].map(seconds), [60; 4]);
    }

    #[test]
    fn time_that_has_passed_is_not_waited_for_again() {
        let remaining = |seconds_ago| {
            let failed = Failed {
                failures: 6,
                exit_code: Some(74),
                last: String::new(),
                seconds_ago,
            };
            failed.remaining().as_secs()
        };
        // A clock that was set back, or says nothing, is not waited for.
        assert_eq!(
            [0.0, 6.0, 16.0, 1e18, -5.0, f64::NAN].map(remaining),
            [16, 10, 0, 0, 0, 0]
        );
    }
}

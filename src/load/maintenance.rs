//! Owns the care for the tables around a move: VACUUM of what a failed attempt left, ANALYZE of what arrived.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::{ToSql, Type};

use crate::ledger::lock::LockedTarget;
use crate::load::plan::Plan;
use crate::postgres::error::{TargetError, chain, failed};
use crate::postgres::target;

/// How long VACUUM may take before the load: what it has not done by then, it is not waited for.
const VACUUM: Duration = Duration::from_mins(10);
/// How long ANALYZE may take after the move, before the app is started without.
const ANALYZE: Duration = Duration::from_mins(2);

/// Gives back the room that rows of a rolled-back attempt still take: PostgreSQL leaves them where they are,
/// and a load after it would not overwrite them, so that a restart loop would eat the disk. VACUUM and not
/// TRUNCATE: the new files of a TRUNCATE stay behind for ever if the server crashes before COMMIT.
///
/// # Errors
/// The connection breaks. That a table cannot be vacuumed, or not in time, is no error; `cancel` ends the statement
/// then.
pub(crate) async fn reclaim<C: Future<Output = ()>>(
    client: &ClientWrapper,
    plan: &Plan,
    cancel: impl FnOnce() -> C,
) -> Result<(), TargetError> {
    const WORTH_IT: &str = "4 * 1024 * 1024";
    let doing = "did not tell the sizes of its tables";
    let names = plan.tables.iter().map(|table| table.qualified.as_str());
    let names: Vec<&str> = names.chain(["webui_init.leftover"]).collect();
    let sql = format!(
        "SELECT name FROM unnest($1::text[]) name WHERE pg_table_size(to_regclass(name)) > {WORTH_IT}"
    );
    let arguments: [(&(dyn ToSql + Sync), Type); 1] = [(&names, Type::TEXT_ARRAY)];
    let rows = target::brief(client.query_typed(&sql, &arguments), failed(doing)).await?;
    let swollen: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    if swollen.is_empty() {
        return Ok(());
    }
    tracing::debug!("vacuuming {}", swollen.join(", "));
    let statement = format!("VACUUM {}", swollen.join(", "));
    let error = match tokio::time::timeout(VACUUM, client.batch_execute(&statement)).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) if error.as_db_error().is_none() => {
            return Err(failed("did not clear its tables")(error));
        }
        Ok(Err(error)) => chain(&error),
        Err(_) => {
            cancel().await;
            format!("it took more than {} s", VACUUM.as_secs())
        }
    };
    tracing::debug!("not vacuumed: {error}");
    Ok(())
}

/// Tells the planner about the new rows. The move is complete without it.
pub(crate) async fn analyze(locked: &LockedTarget, plan: &Plan) {
    let tables: Vec<&str> = plan
        .tables
        .iter()
        .map(|table| table.qualified.as_str())
        .collect();
    if tables.is_empty() {
        return;
    }
    let analyzed = async {
        let client = locked.target().client().await?;
        let statement = format!("ANALYZE {}", tables.join(", "));
        match tokio::time::timeout(ANALYZE, client.batch_execute(&statement)).await {
            Ok(done) => done.map_err(failed("did not analyze the tables")),
            Err(_) => Err(TargetError::Stalled),
        }
    };
    if let Err(error) = pin!(analyzed).await {
        tracing::warn!(
            "the data is moved, but {}; autovacuum will do it later",
            chain(&error)
        );
    }
}

//! Owns the proof: what PostgreSQL now holds is what was meant to be written, table by table. It runs in
//! the transaction of the move, and it alone makes a [`Verified`].

use thiserror::Error;

use crate::copy::{Copied, Verified};
use crate::digest::{self, Digest};
use crate::progress::Reporter;
use crate::settings::Verify;
use crate::target::{TargetError, failed};

/// Why the proof failed.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// PostgreSQL did not answer.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It holds something else than was sent.
    #[error("table {table} holds {found} rows after the load where {sent} were sent{}", if *same_count { ", and their content differs" } else { "" })]
    Differs {
        /// The table.
        table: String,
        /// Rows sent.
        sent: u64,
        /// Rows found.
        found: u64,
        /// Whether only the digest differs.
        same_count: bool,
    },
}

/// Compares every table, and what was kept aside, with what the reader counted and hashed.
///
/// # Errors
/// Any difference.
pub async fn verify(
    copied: Copied,
    how: Verify,
    reporter: &Reporter,
) -> Result<Verified, VerifyError> {
    reporter.stage("verifying");
    for table in &copied.plan().tables {
        let Some(tally) = copied
            .tallies
            .iter()
            .find(|tally| tally.table == table.name())
        else {
            continue;
        };
        reporter.update(|progress| table.name().clone_into(&mut progress.table));
        let sql = match how {
            Verify::Full => digest::query(&table.qualified, &table.columns()),
            Verify::Count => digest::count_query(&table.qualified),
        };
        let found = ask(&copied, &sql).await?;
        let agrees =
            found == tally.digest || (how == Verify::Count && found.rows == tally.digest.rows);
        if !agrees {
            return Err(VerifyError::Differs {
                table: table.name().to_owned(),
                sent: tally.digest.rows,
                found: found.rows,
                same_count: found.rows == tally.digest.rows,
            });
        }
    }
    let schema = copied.plan().schema.replace('\'', "''");
    let found = ask(
        &copied,
        &digest::count_query(&format!(
            "webui_init.leftover WHERE target_schema = '{schema}'"
        )),
    )
    .await?;
    if found.rows != copied.leftovers() {
        return Err(VerifyError::Differs {
            table: "webui_init.leftover".to_owned(),
            sent: copied.leftovers(),
            found: found.rows,
            same_count: false,
        });
    }
    Ok(Verified(copied))
}

async fn ask(copied: &Copied, sql: &str) -> Result<Digest, TargetError> {
    let row = copied
        .client()
        .query_typed_one(sql, &[])
        .await
        .map_err(failed("did not compute a table's digest"))?;
    let sum = |at: usize| row.get::<_, String>(at).parse().unwrap_or_default();
    Ok(Digest {
        rows: row.get::<_, i64>(0).unsigned_abs(),
        high: sum(1),
        low: sum(2),
    })
}

//! Owns the proof: what PostgreSQL now holds is what was meant to be written, table by table. It runs in
//! the transaction of the move, and it alone makes a [`Verified`].

use futures_util::TryStreamExt;
use futures_util::stream::FuturesOrdered;
use thiserror::Error;

use crate::convert::digest::{self, Digest};
use crate::load::copy_in::Copied;
use crate::output::progress::Reporter;
use crate::postgres::error::{TargetError, failed};
use crate::settings::Verify;
use crate::sql::literal;

/// Bytes from which a table's digest is worth more than one process.
const WORTH_WORKERS: u64 = 8 << 20;

/// Why the proof failed.
#[derive(Debug, Error)]
pub(crate) enum VerifyError {
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

/// What PostgreSQL returns has been compared with what was meant: only [`verify`] makes one, and without it no move is
/// recorded.
#[derive(Debug)]
pub(crate) struct Verified {
    copied: Copied,
}

impl Verified {
    /// What was copied.
    pub(crate) fn copied(&self) -> &Copied {
        &self.copied
    }

    pub(super) fn into_copied(self) -> Copied {
        self.copied
    }
}

/// Compares every table, and what was kept aside, with what the reader counted and hashed.
///
/// # Errors
/// Any difference.
pub(crate) async fn verify(
    copied: Copied,
    how: Verify,
    reporter: &Reporter,
) -> Result<Verified, VerifyError> {
    reporter.stage("verifying");
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for table in &copied.plan().tables {
        let tally = copied
            .tallies
            .iter()
            .find(|tally| tally.table == table.name());
        let Some(tally) = tally else { continue };
        let question = Question {
            table: table.name().to_owned(),
            sent: tally.digest,
            how,
            sql: match how {
                Verify::Full => digest::query(&table.qualified, &table.columns()),
                Verify::Count => digest::count_query(&table.qualified),
            },
        };
        if how == Verify::Full && tally.bytes > WORTH_WORKERS {
            large.push(question);
        } else {
            small.push(question);
        }
    }
    small.push(Question {
        table: "webui_init.leftover".to_owned(),
        sent: Digest {
            rows: copied.leftovers(),
            ..Digest::default()
        },
        how: Verify::Count,
        sql: digest::count_query(&format!(
            "webui_init.leftover WHERE target_schema = {}",
            literal(copied.plan().schema())
        )),
    });
    // Starting workers takes longer than most tables do: those come first, without.
    compare(&copied, small, reporter).await?;
    if !large.is_empty() {
        let prepared = copied.client().batch_execute(digest::IN_PARALLEL).await;
        prepared.map_err(failed("did not prepare to compute digests"))?;
        compare(&copied, large, reporter).await?;
    }
    Ok(Verified { copied })
}

/// What one table must hold, and how PostgreSQL is asked for it.
struct Question {
    table: String,
    sent: Digest,
    how: Verify,
    sql: String,
}

/// Asks all questions at once and hears the answers one after the other: distance to the server is paid once.
async fn compare(
    copied: &Copied,
    questions: Vec<Question>,
    reporter: &Reporter,
) -> Result<(), VerifyError> {
    let mut answers: FuturesOrdered<_> = questions
        .into_iter()
        .map(async |question| {
            let found = ask(copied, &question.sql).await?;
            Ok::<_, VerifyError>((question, found))
        })
        .collect();
    while let Some((
        Question {
            table, sent, how, ..
        },
        found,
    )) = answers.try_next().await?
    {
        let agrees = found == sent || (how == Verify::Count && found.rows == sent.rows);
        if !agrees {
            return Err(VerifyError::Differs {
                table,
                sent: sent.rows,
                found: found.rows,
                same_count: found.rows == sent.rows,
            });
        }
        reporter.update(|progress| progress.table = table);
    }
    Ok(())
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

//! Owns what is done after the rows: indexes and foreign keys come back, sequences go on behind the last row.

use futures_util::TryStreamExt;
use futures_util::stream::FuturesOrdered;

use crate::load::begun::Taken;
use crate::load::error::{CopyError, Stopped, refused};
use crate::load::reader::TableTally;
use crate::output::progress::Reporter;
use crate::postgres::error::failed;
use crate::sql::quote;

impl Taken {
    pub(super) async fn restore(&self, reporter: &Reporter) -> Result<(), Stopped> {
        let suspension = self.suspension();
        // Asked for all at once, answered one after the other: distance to the server is paid once.
        let mut restored: FuturesOrdered<_> = suspension
            .restores()
            .map(|item| async move {
                let done = self.client.batch_execute(item.restore()).await;
                done.map_err(|error| {
                    if item.is_foreign_key() {
                        refused(&format!("{} on {}", item.name, item.table))(error).into()
                    } else {
                        self.rows_refused(&item.table, error)
                    }
                })?;
                Ok::<_, Stopped>(&item.table)
            })
            .collect();
        while let Some(table) = restored.try_next().await? {
            reporter.update(|progress| progress.table.clone_from(table));
        }
        let lost = self.catalogue.lost(&self.client).await?;
        if !lost.is_empty() {
            return Err(CopyError::NotRestored(lost.join(", ")).into());
        }
        Ok(())
    }

    /// `ALTER SEQUENCE` rolls back, `setval` would not.
    pub(super) async fn set_sequences(&self, tallies: &[TableTally]) -> Result<(), CopyError> {
        for table in &self.plan.tables {
            let loaded = tallies
                .iter()
                .any(|tally| tally.table == table.name() && tally.digest.rows > 0);
            for field in table.fields.iter().filter(|_| loaded) {
                let Some(sequence) = &field.column.sequence else {
                    continue;
                };
                let sql = format!(
                    "SELECT max({})::bigint FROM {}",
                    quote(&field.column.name),
                    table.qualified
                );
                let row = self
                    .client
                    .query_typed_one(&sql, &[])
                    .await
                    .map_err(failed("did not tell a sequence's end"))?;
                if let Some(last) = row.get::<_, Option<i64>>(0).filter(|last| *last > 0) {
                    let next = last.saturating_add(1);
                    self.run(
                        &format!("the sequence {sequence}"),
                        &format!("ALTER SEQUENCE {sequence} RESTART WITH {next}"),
                    )
                    .await?;
                }
            }
        }
        Ok(())
    }
}

//! Owns `webui-init leftovers`: what could not be stored as it was, listed.

use crate::failure::Failure;
use crate::ledger::leftovers;
use crate::output::stdout::out;
use crate::postgres::target::Target;
use crate::settings::Settings;

/// Lists them, one after the other.
///
/// # Errors
/// PostgreSQL cannot be reached or read.
pub async fn list_leftovers(settings: &Settings, json: bool) -> Result<(), Failure> {
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    target.first_look(settings.wait).await?;
    let client = target.client().await?;
    let mut count = 0_u64;
    let mut separator = "[";
    leftovers::read(&client, settings.schema.as_deref(), |leftover| {
        count += 1;
        match serde_json::to_string(&leftover) {
            Ok(line) if json => out(&format!(
                "{}{line}\n",
                std::mem::replace(&mut separator, ",")
            )),
            _ => {
                let rowid = leftover.rowid.map_or_else(
                    || "without row id".to_owned(),
                    |rowid| format!("row {rowid}"),
                );
                tracing::info!("{} {rowid}: {}", leftover.table, leftover.reason);
            }
        }
    })
    .await?;
    if json {
        out(if count == 0 { "[]\n" } else { "]\n" });
    } else {
        tracing::info!(
            "{count} originals are kept in webui_init.leftover; --json shows them whole"
        );
    }
    Ok(())
}

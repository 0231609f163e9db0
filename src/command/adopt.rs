//! Owns `webui-init adopt`: a PostgreSQL that holds the moved data and has lost the record of it, as after a restore
//! without schema `webui_init`, gets its record back. The receipt beside the old database says that there was a move, and
//! the accounts on both sides that this is where it went; nothing else is written.

use std::collections::BTreeMap;
use std::convert::identity;

use crate::app::{names, revision};
use crate::command::frame::Controls;
use crate::command::look::{self, Look};
use crate::failure::{Failure, Refusal};
use crate::ledger::lock::{Locked, LockedTarget};
use crate::ledger::receipt::Receipt;
use crate::ledger::{self, Entry, Marker};
use crate::load::report::Report;
use crate::postgres::error::chain;
use crate::postgres::target::{self, Target};
use crate::settings::Settings;
use crate::sqlite::source::Source;

/// Records the move that the receipt tells of. Returns what was done, for people.
///
/// # Errors
/// There is no receipt, or PostgreSQL does not hold everybody who has an account in the old database.
pub(crate) async fn adopt(settings: &Settings, controls: &Controls) -> Result<String, Failure> {
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    let first = target.first_look(settings.wait, names::USER).await?;
    if let Some(marker) = first.moved() {
        return Ok(already(&target, marker));
    }
    let source_path = settings.source_name();
    let summary = target.summary().to_owned();
    let refused = |why: String| {
        Failure::from(Refusal::NothingToAdopt {
            target: summary.clone(),
            why,
        })
    };
    if first.marker.is_some() {
        return Err(refused(
            "a move is recorded there, and its users are gone".to_owned(),
        ));
    }
    let receipt = match Receipt::beside(&settings.source) {
        Ok(Some(receipt)) => receipt,
        Ok(None) => return Err(refused(format!("there is no receipt beside {source_path}"))),
        Err(error) => return Err(refused(chain(&error))),
    };
    let server = target.server().await?;
    let locked = match target.lock(&server.schema, settings.lock_wait).await? {
        Locked::Ours(locked) => locked,
        Locked::Done(marker) => {
            let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
            return Ok(already(&target, &marker));
        }
    };
    let opened = look::open(settings, controls, 1).await?;
    let look = look::look(settings, locked.target(), &server, opened).await?;
    let Look {
        opened: Some(opened),
        restored: true,
        ..
    } = look
    else {
        return Err(refused(format!(
            "not everybody who has an account in {source_path} has one there"
        )));
    };
    record(
        &locked,
        &server.schema,
        &source_path,
        &opened.source,
        &receipt,
    )
    .await?;
    locked.release();
    Ok(format!(
        "recorded: the data of {source_path} was moved into {summary}, {} rows at {}; the next start goes on with it",
        receipt.rows, receipt.at
    ))
}

/// Writes the record that the receipt is of.
async fn record(
    locked: &LockedTarget,
    schema: &str,
    source_path: &str,
    source: &Source,
    receipt: &Receipt,
) -> Result<(), Failure> {
    let revision = revision::of_target(locked.target(), schema).await?;
    let entry = Entry {
        id: receipt.uuid(),
        target_schema: schema,
        source_path,
        fingerprint: &source.fingerprint()?,
        source_revision: source.revision.as_deref(),
        target_revision: revision.as_deref().unwrap_or(&receipt.target_revision),
        rows: receipt.rows,
        bytes: 0,
        leftovers: 0,
        report: &Report::new(&[], BTreeMap::new()).json(),
        seconds: 0.0,
    };
    let mut client = locked.target().client().await?;
    target::brief(ledger::prepare(&mut client), identity).await?;
    target::brief(ledger::write(&client, &entry), identity).await?;
    Ok(())
}

fn already(target: &Target, marker: &Marker) -> String {
    format!(
        "nothing to do: the move into {} at {} is recorded",
        target.summary(),
        marker.at
    )
}

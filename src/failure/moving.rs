//! Owns the rows of a move under way.

use crate::failure::codes::{EX_DATAERR, EX_SOFTWARE, EX_TEMPFAIL, EX_UNAVAILABLE};
use crate::failure::postgres::{When, of_answer, of_ledger, of_target};
use crate::failure::row::{Context, Row, Safe};
use crate::failure::source::of_source;
use crate::load::error::CopyError;
use crate::load::proof::VerifyError;

const IMPOSSIBLE: &str = "this should be impossible; please report it with the log. Until then, removing DATABASE_URL starts Open WebUI \
                          on webui.db as before.";

/// The row of an error of the load.
pub(super) fn of_copy(error: &CopyError, context: &Context) -> Row {
    match error {
        CopyError::Target(error) => of_target(error, When::Moving, context),
        CopyError::Ledger(error) => of_ledger(error, When::Moving, context),
        CopyError::Source(error) => of_source(error),
        CopyError::Refused { source, step } => {
            let row = of_answer(source, When::Moving, context);
            match row.cause.clone() {
                Some(cause) => row.because(format!("{cause} ({step})")),
                None => row,
            }
        }
        CopyError::RowsRefused { .. } => Row::new(
            EX_DATAERR,
            Safe::Both,
            "repair these rows in a copy of webui.db, and point WEBUI_INIT_SQLITE_PATH to it.",
        ),
        CopyError::CameIntoUse(_) => Row::new(
            EX_TEMPFAIL,
            Safe::Both,
            "stop what else writes to this database, perhaps an Open WebUI that was started without webui-init; then start again.",
        ),
        CopyError::AlreadyMoved => {
            Row::new(EX_TEMPFAIL, Safe::Moved, "start again: the data is there.")
        }
        CopyError::OutcomeUnknown(_) => Row::new(
            EX_UNAVAILABLE,
            Safe::Unknown,
            "start again when PostgreSQL can be reached: the next start finds out by itself.",
        ),
        CopyError::NotRestored(_) | CopyError::ReaderLost => {
            Row::new(EX_SOFTWARE, Safe::Both, IMPOSSIBLE)
        }
    }
}

/// The row of a proof that failed.
pub(super) fn of_proof(error: &VerifyError, context: &Context) -> Row {
    match error {
        VerifyError::Target(error) => of_target(error, When::Moving, context),
        VerifyError::Differs { .. } => Row::new(EX_SOFTWARE, Safe::Both, IMPOSSIBLE),
    }
}

//! Owns why a load ends without having moved anything, and what it learned on the way: rows that PostgreSQL refuses are no
//! error, the load begins again without them.

use thiserror::Error;
use tokio_postgres::Error as PgError;

use crate::ledger::LedgerError;
use crate::load::findings::RefusedRow;
use crate::postgres::error::TargetError;
use crate::sqlite::source::SourceError;

/// Why the move did not happen.
#[derive(Debug, Error)]
pub(crate) enum CopyError {
    /// PostgreSQL's answer, or the connection's end.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The marker could not be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// PostgreSQL refused a step of the load.
    #[error("PostgreSQL refused {step}")]
    Refused {
        /// The step, as a noun phrase.
        step: String,
        /// Its answer.
        source: PgError,
    },
    /// PostgreSQL refused rows of a table, or an index over them.
    #[error("PostgreSQL refused rows of {table}")]
    RowsRefused {
        /// The table.
        table: String,
        /// Its answer.
        source: PgError,
    },
    /// Somebody used the target between the first look and now.
    #[error("PostgreSQL came into use while the move was being prepared: {0} hold rows")]
    CameIntoUse(String),
    /// Somebody else completed the move.
    #[error("another instance completed the move first")]
    AlreadyMoved,
    /// What was restored is not what was dropped.
    #[error("indexes or constraints did not come back as they were: {0}")]
    NotRestored(String),
    /// COMMIT was sent, its answer lost, and the server cannot be asked what became of it.
    #[error(
        "the connection broke while PostgreSQL was committing, and it could not be asked how that ended"
    )]
    OutcomeUnknown(#[source] Box<LedgerError>),
    /// The reader thread ended without a result.
    #[error("the reader ended without a result")]
    ReaderLost,
}

/// What PostgreSQL refused: the next load leaves it out.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Rows without a place in the target were found on the way, and others refer to them.
    Parents(Vec<RefusedRow>),
    /// Some rows of one table, which must be searched for.
    Rows {
        /// The table.
        table: String,
        /// PostgreSQL's answer.
        source: PgError,
    },
}

/// Why a load stops before its end.
#[derive(Debug)]
pub(super) enum Stopped {
    /// To begin again, without these rows.
    Refused(Refused),
    /// For good.
    Failed(CopyError),
}

impl<E: Into<CopyError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

pub(super) fn refused(step: &str) -> impl FnOnce(PgError) -> CopyError + use<> {
    let step = step.to_owned();
    |source| CopyError::Refused { step, source }
}

//! Owns the reasons for which an original is kept in `webui_init.leftover`, and how they are written there.

use std::fmt;

use crate::convert::value::{Refusal, Repair};

/// Why an original is kept in `webui_init.leftover`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A value was stored in a form that PostgreSQL takes; the row is in place.
    Repaired(Repair),
    /// A reference to a row that is not there was set to NULL, by the constraint's own rule; the row is in place.
    Nulled(String),
    /// The row refers to one that is not there; the foreign key.
    Orphan(String),
    /// A value cannot be stored and its column takes no NULL.
    Refused(Refusal),
    /// PostgreSQL refused the row: `duplicate:` or `check:` and the constraint, or `refused:` and the SQLSTATE.
    Rejected(String),
    /// The target has no such table.
    UnknownTable,
    /// The target's table has no such column; the row is in place.
    UnknownColumn,
}

impl Reason {
    /// The reason of a finding, from its text.
    pub fn of_finding(text: &str) -> Self {
        match text.split_once(':') {
            Some(("nulled", constraint)) => Self::Nulled(constraint.to_owned()),
            Some(("orphan", constraint)) => Self::Orphan(constraint.to_owned()),
            _ => Self::Rejected(text.to_owned()),
        }
    }

    /// Whether the row itself is in the target, and only a part of it is kept aside.
    pub fn row_is_in_place(&self) -> bool {
        matches!(
            self,
            Self::Repaired(_) | Self::Nulled(_) | Self::UnknownColumn
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repaired(repair) => write!(f, "repaired:{}", repair.code()),
            Self::Nulled(constraint) => write!(f, "nulled:{constraint}"),
            Self::Orphan(constraint) => write!(f, "orphan:{constraint}"),
            Self::Refused(refusal) => write!(f, "refused:{}", refusal.code()),
            Self::Rejected(reason) => f.write_str(reason),
            Self::UnknownTable => f.write_str("unknown_table"),
            Self::UnknownColumn => f.write_str("unknown_column"),
        }
    }
}

/// Whether a reason, as `webui_init.leftover` spells it, is of a row that is in the target itself.
pub fn is_of_a_row_in_place(reason: &str) -> bool {
    reason.starts_with("repaired:") || reason.starts_with("nulled:") || reason == "unknown_column"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_whether_its_row_is_in_place() {
        for reason in [
            Reason::Repaired(Repair::JsonNul),
            Reason::Nulled("fk_a".to_owned()),
            Reason::UnknownColumn,
            Reason::UnknownTable,
            Reason::Orphan("fk_b".to_owned()),
            Reason::Rejected("duplicate:pk".to_owned()),
        ] {
            assert_eq!(
                is_of_a_row_in_place(&reason.to_string()),
                reason.row_is_in_place(),
                "{reason}"
            );
        }
    }

    #[test]
    fn reasons_read_back() {
        assert_eq!(
            Reason::of_finding("nulled:fk_a"),
            Reason::Nulled("fk_a".to_owned())
        );
        for reason in [
            "orphan:fk_b",
            "duplicate:uq_user_email_lower",
            "refused:54000",
        ] {
            assert_eq!(Reason::of_finding(reason).to_string(), reason);
        }
    }
}

//! Owns the reasons for which an original is kept in `webui_init.leftover`, and how they are written there.

use std::fmt;

use crate::convert::value::{Refusal, Repair};

/// Why an original is kept in `webui_init.leftover`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// A value was stored in a form that PostgreSQL takes; the row is in place.
    Repaired(Repair),
    /// A reference to a row that is not there was set to NULL, by the constraint's own rule; the row is in place.
    Nulled(String),
    /// The row refers to one that is not there; the foreign key.
    Orphan(String),
    /// A value cannot be stored and its column takes no NULL.
    Refused(Refusal),
    /// PostgreSQL holds another row under which this one collides; the constraint or the index.
    Duplicate(String),
    /// PostgreSQL found the row against a check; the constraint.
    Check(String),
    /// PostgreSQL refused the row for another reason; its SQLSTATE, where it named one.
    Rejected(Option<String>),
    /// The target has no such table.
    UnknownTable,
    /// The target's table has no such column; the row is in place.
    UnknownColumn,
}

impl Reason {
    /// Reads it back from its text. None: another version wrote it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Some((kind, name)) = text.split_once(':') else {
            return match text {
                "unknown_table" => Some(Self::UnknownTable),
                "unknown_column" => Some(Self::UnknownColumn),
                "refused" => Some(Self::Rejected(None)),
                _ => None,
            };
        };
        let name = name.to_owned();
        match kind {
            "repaired" => Repair::ALL
                .into_iter()
                .find(|repair| repair.code() == name)
                .map(Self::Repaired),
            "nulled" => Some(Self::Nulled(name)),
            "orphan" => Some(Self::Orphan(name)),
            "duplicate" => Some(Self::Duplicate(name)),
            "check" => Some(Self::Check(name)),
            "refused" => Some(
                Refusal::ALL
                    .into_iter()
                    .find(|refusal| refusal.code() == name)
                    .map_or(Self::Rejected(Some(name)), Self::Refused),
            ),
            _ => None,
        }
    }

    /// Whether the row itself is in the target, and only a part of it is kept aside.
    pub(crate) fn row_is_in_place(&self) -> bool {
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
            Self::Duplicate(constraint) => write!(f, "duplicate:{constraint}"),
            Self::Check(constraint) => write!(f, "check:{constraint}"),
            Self::Rejected(Some(state)) => write!(f, "refused:{state}"),
            Self::Rejected(None) => f.write_str("refused"),
            Self::UnknownTable => f.write_str("unknown_table"),
            Self::UnknownColumn => f.write_str("unknown_column"),
        }
    }
}

/// Whether a reason, as `webui_init.leftover` spells it, is of a row that is in the target itself.
pub(crate) fn is_of_a_row_in_place(reason: &str) -> bool {
    Reason::parse(reason).is_some_and(|reason| reason.row_is_in_place())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_back_from_its_text() {
        let name = || "fk_a".to_owned();
        let mut reasons = vec![
            (Reason::Nulled(name()), true),
            (Reason::Orphan(name()), false),
            (Reason::Duplicate(name()), false),
            (Reason::Check(name()), false),
            (Reason::Rejected(Some("54000".to_owned())), false),
            (Reason::Rejected(None), false),
            (Reason::UnknownTable, false),
            (Reason::UnknownColumn, true),
        ];
        reasons.extend(Repair::ALL.map(|repair| (Reason::Repaired(repair), true)));
        reasons.extend(Refusal::ALL.map(|refusal| (Reason::Refused(refusal), false)));
        for (reason, in_place) in reasons {
            let text = reason.to_string();
            assert_eq!(is_of_a_row_in_place(&text), in_place, "{text}");
            assert_eq!(Reason::parse(&text), Some(reason));
        }
        for foreign in ["", "moved_to_mars", "repaired:by_magic", "other:thing"] {
            assert_eq!(Reason::parse(foreign), None, "{foreign}");
        }
    }
}

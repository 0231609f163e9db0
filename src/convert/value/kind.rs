//! What a target column takes.

use std::collections::HashMap;
use std::sync::Arc;

/// A target type that this module converts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `text`, and `varchar` without a limit
    Text,
    /// `varchar(n)`, `n` in characters
    Varchar(u32),
    /// `json`
    Json,
    /// `jsonb`
    Jsonb,
    /// `date`
    Date,
    /// `timestamp without time zone`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
    /// `uuid`
    Uuid,
    /// `bytea`
    Bytea,
    /// Any other type: PostgreSQL's own input function decides.
    Other,
}

impl Kind {
    /// The kind of a column from its `pg_attribute.atttypid` and `atttypmod`, those of the base type
    /// where it is a domain.
    pub fn from_catalogue(type_oid: u32, typmod: i32) -> Self {
        match (type_oid, typmod) {
            (16, _) => Self::Bool,
            (17, _) => Self::Bytea,
            (20, _) => Self::Int8,
            (21, _) => Self::Int2,
            (23, _) => Self::Int4,
            (25, _) => Self::Text,
            (114, _) => Self::Json,
            (700, _) => Self::Float4,
            (701, _) => Self::Float8,
            // The modifier of varchar(n) is n plus a header of 4.
            (1043, _) => u32::try_from(typmod.saturating_sub(4)).map_or(Self::Text, Self::Varchar),
            (1082, _) => Self::Date,
            // With fewer than six decimals the server would round once more.
            (1114, -1 | 6) => Self::Timestamp,
            (1184, -1 | 6) => Self::TimestampTz,
            (2950, _) => Self::Uuid,
            (3802, _) => Self::Jsonb,
            _ => Self::Other,
        }
    }
}

/// What a target column takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnRule {
    /// Its type.
    pub kind: Kind,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// Binary form of its default, if that is a constant other than NULL.
    pub default: Option<Vec<u8>>,
    /// What PostgreSQL makes of the texts that occur, where the kind is [`Kind::Other`].
    pub input_results: Option<Arc<InputResults>>,
}

/// The binary form that PostgreSQL's own input function gives to each text; none where it refuses.
pub type InputResults = HashMap<Vec<u8>, Option<Vec<u8>>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_from_the_catalogue() {
        assert_eq!(Kind::from_catalogue(1043, 54), Kind::Varchar(50));
        assert_eq!(Kind::from_catalogue(1043, -1), Kind::Text);
        assert_eq!(Kind::from_catalogue(1114, 6), Kind::Timestamp);
        assert_eq!(Kind::from_catalogue(1184, 3), Kind::Other);
        assert_eq!(Kind::from_catalogue(1042, 9), Kind::Other);
        assert_eq!(Kind::from_catalogue(1700, -1), Kind::Other);
        assert_eq!(Kind::from_catalogue(1043, i32::MIN), Kind::Text);
    }
}

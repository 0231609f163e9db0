//! Owns the count of what became of each table's rows.

use std::collections::BTreeMap;

use crate::convert::digest::Digest;
use crate::convert::reason::Reason;
use crate::load::findings::RefusedRow;
use crate::postgres::catalogue::Catalogue;

/// How many keys of each kind of leftover the report names.
const NAMED_KEYS: usize = 3;

/// What became of one table's rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableTally {
    /// The table.
    pub table: String,
    /// What the target must hold now. All zero for tables that it does not know.
    pub digest: Digest,
    /// Rows read.
    pub read: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Originals kept aside, by reason.
    pub leftovers: BTreeMap<Reason, Kept>,
    /// Rows in the target of which an original, or a part that has no column there, is kept aside.
    pub altered: u64,
    /// Rows that were found only now to have no place in the target.
    pub refused: Vec<RefusedRow>,
}

/// How many originals were kept, and the first few keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    /// Number of leftover rows.
    pub count: u64,
    /// Keys of the first of them.
    pub keys: Vec<String>,
}

impl Kept {
    /// One more. Only the first few are named.
    pub(super) fn add(&mut self, key: impl FnOnce() -> String) {
        self.count += 1;
        if self.keys.len() < NAMED_KEYS {
            self.keys.push(key());
        }
    }
}

/// The rows that were found only while reading to have no place in the target, of tables that others refer to:
/// their children are orphans, which have to be searched for anew.
pub(crate) fn refused_parents(tallies: &[TableTally], catalogue: &Catalogue) -> Vec<RefusedRow> {
    let is_parent = |table: &str| {
        let mut keys = catalogue.foreign_keys.iter();
        keys.any(|key| key.parent == table)
    };
    tallies
        .iter()
        .filter(|tally| is_parent(&tally.table))
        .flat_map(|tally| tally.refused.iter().cloned())
        .collect()
}

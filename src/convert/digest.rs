//! Owns the digest: what a table holds, as one number that does not depend on the order of rows. Each row
//! contributes the first 128 bits of a SHA-256 over its binary image; a table's digest is the sum of its
//! rows', so that a row that is missing, doubled or changed shows.
//!
//! The image of a row is what PostgreSQL's `record_send` makes of it, so the server computes the same digest
//! from what it has stored and only the sums cross the network. SHA-256 is in every supported server
//! without an extension, unlike others also on a FIPS system.

use sha2::{Digest as _, Sha256};

use crate::sql::quote;

/// Count and digest of a table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    /// Number of rows.
    pub rows: u64,
    /// Sum over all rows of the first eight bytes of their hash, read as signed.
    pub high: i128,
    /// The same of the next eight bytes.
    pub low: i128,
}

/// The hash of one row, field by field.
#[derive(Debug)]
pub struct RowHash(Sha256);

impl RowHash {
    /// Begins a row of `columns` fields.
    pub fn new(columns: usize) -> Self {
        let mut hash = Sha256::new();
        hash.update(u32::try_from(columns).unwrap_or(u32::MAX).to_be_bytes());
        Self(hash)
    }

    /// Adds a field: its type, and length and bytes as binary COPY has them.
    pub fn field(&mut self, type_oid: u32, image: &[u8]) {
        self.0.update(type_oid.to_be_bytes());
        self.0.update(image);
    }

    /// The row's hash: 128 bits.
    pub fn finish(self) -> [u8; 16] {
        let mut hash = [0; 16];
        hash.copy_from_slice(&self.0.finalize()[..16]);
        hash
    }
}

impl Digest {
    /// Adds a row by its hash.
    pub fn add(&mut self, hash: [u8; 16]) {
        let half = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&hash[at..at + 8]);
            i128::from(i64::from_be_bytes(bytes))
        };
        self.rows += 1;
        self.high += half(0);
        self.low += half(8);
    }
}

/// The query by which PostgreSQL computes the digest of what it holds: rows, high, low as text. The hash comes
/// out of a function in FROM: computed once for its two uses, and by parallel workers where there are some.
pub fn query(qualified: &str, columns: &[String]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| format!("t.{}", quote(column)))
        .collect();
    let half = |from: u8| {
        format!(
            "coalesce(sum(('x' || encode(substr(h, {from}, 8), 'hex'))::bit(64)::bigint), 0)::text"
        )
    };
    format!(
        "SELECT count(*), {}, {} FROM {qualified} t, unnest(ARRAY[sha256(record_send(ROW({})))]) AS h",
        half(1),
        half(9),
        columns.join(", ")
    )
}

/// Lets the planner share the work of [`query`] among workers, for this transaction: it knows neither how long
/// the values outside of a table's own pages are, nor that hashing them is all the work.
pub const IN_PARALLEL: &str = "SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;";

/// The query for every row's hash, of its key and of the whole of it.
pub fn rows_query(qualified: &str, key: &[String], columns: &[String]) -> String {
    let hash = |columns: &[String]| {
        let columns: Vec<String> = columns
            .iter()
            .map(|column| format!("t.{}", quote(column)))
            .collect();
        format!(
            "substr(sha256(record_send(ROW({}))), 1, 16)",
            columns.join(", ")
        )
    };
    format!("SELECT {}, {} FROM {qualified} t", hash(key), hash(columns))
}

/// The query that only counts.
pub fn count_query(qualified: &str) -> String {
    format!("SELECT count(*), '0', '0' FROM {qualified}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &[u8]) -> [u8; 16] {
        let mut hash = RowHash::new(1);
        hash.field(25, text);
        hash.finish()
    }

    #[test]
    fn order_does_not_matter_but_doubles_do() {
        let digest = |rows: &[&[u8]]| {
            let mut digest = Digest::default();
            for text in rows {
                digest.add(row(text));
            }
            digest
        };
        assert_eq!(digest(&[b"a", b"b"]), digest(&[b"b", b"a"]));
        assert_ne!(digest(&[b"a", b"a"]), digest(&[b"b", b"b"]));
        assert_ne!(digest(&[b"a", b"b"]).high, digest(&[b"a", b"c"]).high);
    }
}

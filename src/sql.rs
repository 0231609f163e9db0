//! Owns how names and texts are written in SQL, alike for SQLite and PostgreSQL.

/// Quotes an identifier, for SQLite as for PostgreSQL.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Writes a text as a literal, for SQLite as for PostgreSQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

//! Owns the names that are Open WebUI's: what this program knows of it without asking. Tables, columns and revisions
//! are read from the image, the file and PostgreSQL; what stands here is what none of them can say.

/// The schema step's own records, one a tool: Alembic's, and Peewee's, which images up to 0.9.5 run whenever their
/// database module is imported, on PostgreSQL too. They say what was done to a database, so they belong to the database
/// that they stand in: they are neither moved nor counted nor kept aside.
pub(crate) const STEP_RECORDS: [&str; 2] = [ALEMBIC, "migratehistory"];

/// Where Alembic notes the revision of a database.
pub(crate) const ALEMBIC: &str = "alembic_version";

/// The table that the app fills by itself at its first start, before anybody has signed up.
pub(crate) const SEEDED: &str = "config";

/// How the upgrade of Open WebUI 0.9.6, 0.10.0 and 0.10.1 ends where an old file has several users (its revision
/// b10670c03dd5): what it makes for the first of them, it makes again for the second.
pub(crate) const CANNOT_UPGRADE_SEVERAL_USERS: &str = "column object 'info_json' already assigned";

/// How every upgrade ends of a file that was left in the middle of that revision: by those versions, when Open WebUI
/// upgraded the file itself, or by an interruption.
pub(crate) const HALF_UPGRADED: &str = "duplicate column name: info_json";

/// The table of accounts: an app in which it is empty is anybody's.
pub(crate) const USER: &str = "user";

/// Columns of [`USER`] that every version has that moves here; a table of that name without them is another application's.
pub(crate) const USER_COLUMNS: [&str; 6] = [
    "id",
    "name",
    "email",
    "role",
    "profile_image_url",
    "created_at",
];

/// The table of what people sign in with, a row for each of [`USER`].
pub(crate) const AUTH: &str = "auth";

/// Whether a table is the record of a schema step.
pub(crate) fn is_step_record(table: &str) -> bool {
    STEP_RECORDS.contains(&table)
}

//! Owns the question whether a server can do what the move rests on. Servers that speak PostgreSQL's protocol differ in
//! that, whatever they call themselves; so it is tried, and what fails names itself.

use std::future::Future;

use deadpool_postgres::Object;
use futures_util::future::try_join_all;
use tokio_postgres::error::SqlState;

use crate::postgres::error::{Class, TargetError, classify, failed};
use crate::postgres::target::{Target, begin, brief};

/// What the lock rests on; it is taken before anything else is tried.
pub(crate) const ADVISORY_LOCKS: &str = "advisory locks that a transaction holds";
/// What the move rests on besides, and a statement that needs it.
const ABILITIES: [(&str, &str); 5] = [
    (
        "the id of a transaction and what became of it",
        "SELECT pg_catalog.pg_xact_status(pg_catalog.pg_current_xact_id())",
    ),
    (
        "the binary form of a row, and its hash",
        "SELECT pg_catalog.sha256(pg_catalog.record_send(ROW(1, 'a'::text)))",
    ),
    ("savepoints", "SAVEPOINT probe; RELEASE SAVEPOINT probe"),
    (
        "locks on whole tables",
        "CREATE TEMPORARY TABLE webui_init_probe (n int8); \
         LOCK TABLE pg_temp.webui_init_probe IN ACCESS EXCLUSIVE MODE",
    ),
    (
        "sequences that a transaction can restart",
        "CREATE TEMPORARY SEQUENCE webui_init_sequence; \
         ALTER SEQUENCE pg_temp.webui_init_sequence RESTART WITH 7",
    ),
];

/// What is tried needs an ability of the server; an error that will not pass says that it lacks it.
pub(crate) async fn able<T>(
    ability: &'static str,
    tried: impl Future<Output = Result<T, TargetError>>,
) -> Result<T, TargetError> {
    match tried.await {
        Err(TargetError::Postgres { source, .. }) if classify(&source) != Class::Transient => {
            Err(TargetError::Unable { ability, source })
        }
        tried => tried,
    }
}

impl Target {
    /// Tries beforehand, in a transaction that is rolled back, what the move rests on: servers that speak
    /// PostgreSQL's protocol differ in what they can do, whatever they call themselves.
    ///
    /// # Errors
    /// [`TargetError::Unable`] names the first thing that the server cannot do.
    pub(crate) async fn check_abilities(&self) -> Result<(), TargetError> {
        let client = Object::take(self.client().await?);
        let privilege = client.query_typed_one(
            "SELECT has_database_privilege(current_database(), 'TEMPORARY')",
            &[],
        );
        let ((), row) = tokio::try_join!(
            biased;
            begin(&client),
            brief(privilege, failed("did not report the role's privileges")),
        )?;
        let temporary: bool = row.get(0);
        let tried = ABILITIES
            .iter()
            .filter(|(_, statement)| temporary || !statement.contains("TEMPORARY"))
            .map(|(ability, statement)| {
                let statement = client.batch_execute(statement);
                able(
                    ability,
                    brief(statement, failed("did not answer what it can do")),
                )
            });
        // Asked for all at once, answered in order. The connection ends here, and the transaction with it.
        match try_join_all(tried).await {
            // Says nothing about the server's abilities; the move itself meets it, and says at which rows.
            Err(TargetError::Postgres { source, .. })
                if source.code() == Some(&SqlState::DISK_FULL) =>
            {
                Ok(())
            }
            tried => tried.map(drop),
        }
    }
}

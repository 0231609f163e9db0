//! Owns the question whether the role may make what a move needs, asked before anything is made.

use tokio_postgres::types::Type;

use crate::postgres::error::{TargetError, failed};
use crate::postgres::target::{Target, brief};

impl Target {
    /// Asks beforehand whether the role may make the app's tables and the schema of the marker: the app's own
    /// message about it would be a long one.
    ///
    /// # Errors
    /// [`TargetError::MayNot`].
    pub(crate) async fn check_privileges(&self, schema: &str) -> Result<(), TargetError> {
        let client = self.client().await?;
        let row = brief(
            client.query_typed_one(
                "SELECT has_schema_privilege($1, 'CREATE'),
                        CASE WHEN to_regnamespace('webui_init') IS NULL
                             THEN has_database_privilege(current_database(), 'CREATE')
                             ELSE has_schema_privilege('webui_init', 'CREATE') END",
                &[(&schema, Type::TEXT)],
            ),
            failed("did not tell the role's privileges"),
        )
        .await?;
        if !row.get::<_, bool>(0) {
            return Err(TargetError::MayNot("create tables in the app's schema"));
        }
        if !row.get::<_, bool>(1) {
            return Err(TargetError::MayNot(
                "create the schema webui_init in this database",
            ));
        }
        Ok(())
    }
}

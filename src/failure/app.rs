//! Owns the rows of Open WebUI's own schema step.

use std::path::Path;

use crate::app::{AppError, names};
use crate::failure::codes::{EX_CONFIG, EX_PROTOCOL};
use crate::failure::row::{Context, Row, Safe};

/// The row of an error of the schema step.
pub(super) fn of_app(error: &AppError, context: &Context) -> Row {
    match error {
        AppError::SchemaUnknown { .. } => Row::new(
            EX_CONFIG,
            Safe::Both,
            format!(
                "as an administrator, set the role's search_path so that the schema comes first: ALTER ROLE {user} IN DATABASE \
                 {database} SET search_path TO …; and leave DATABASE_SCHEMA as it is. Or use an image of Open WebUI 0.12 or later, or \
                 leave DATABASE_SCHEMA out.",
                user = context.place.user,
                database = context.place.database,
            ),
        ),
        AppError::Start { program, dir, .. } => start(program, dir),
        AppError::Failed { complaint, .. } => Row::new(
            EX_PROTOCOL,
            Safe::Both,
            failed(|words| complaint.names(words)),
        ),
        AppError::WrongRevision { found, .. } => Row::new(
            EX_PROTOCOL,
            Safe::Both,
            if found == "none" {
                "the schema step did nothing in this database. If WEBUI_INIT_SCHEMA_COMMAND is set, correct it: it has to bring the \
                 database that DATABASE_URL names to Open WebUI's newest revision. Else WEBUI_INIT_APP_DIR may name the wrong folder."
            } else {
                "the schema step stopped half-way. If WEBUI_INIT_SCHEMA_COMMAND is set, correct it; else WEBUI_INIT_APP_DIR may name \
                 another version of Open WebUI."
            },
        ),
    }
}

/// The folder is the interpreter's working directory, and the kernel names neither.
fn start(program: &str, dir: &Path) -> Row {
    let dir_is_there = dir.is_dir();
    let row = Row::new(
        EX_PROTOCOL,
        Safe::Both,
        if dir_is_there {
            "set WEBUI_INIT_PYTHON to the interpreter that runs Open WebUI in this image."
        } else {
            "set WEBUI_INIT_APP_DIR to the folder that holds the open_webui package (/app/backend in Open WebUI's own image)."
        },
    );
    if dir_is_there {
        row
    } else {
        row.because(format!(
            "there is no folder {} to run Open WebUI's schema step ({program}) in",
            dir.display()
        ))
    }
}

fn failed(names: impl Fn(&str) -> bool) -> &'static str {
    if names("No module named alembic") || names("No module named 'alembic'") {
        "set WEBUI_INIT_PYTHON to the interpreter that runs Open WebUI: this one has no Alembic."
    } else if names("No module named") {
        "set WEBUI_INIT_PYTHON to the interpreter that runs Open WebUI, and WEBUI_INIT_APP_DIR to the folder that holds the \
         open_webui package."
    } else if names(names::HALF_UPGRADED) {
        "webui.db was upgraded by half before this start: Open WebUI 0.9.6, 0.10.0 and 0.10.1 leave a file with several users so, and \
         so does an upgrade that was interrupted. Restore the backup that was made before that upgrade, and use an image up to 0.9.5, \
         or 0.10.2 or later."
    } else if names(names::CANNOT_UPGRADE_SEVERAL_USERS) {
        "use an image up to 0.9.5, or 0.10.2 or later: Open WebUI 0.9.6, 0.10.0 and 0.10.1 cannot upgrade a webui.db of this age that \
         has several users."
    } else if names("Can't locate revision") {
        "this database has the record of another application's migrations, or of a newer Open WebUI: give Open WebUI a database of \
         its own, or use the image version that last ran here."
    } else if names("already exists") || names("InvalidForeignKey") || names("DuplicateTable") {
        "the schema holds tables that this Open WebUI did not make: give it an empty database, or a schema of its own by \
         DATABASE_SCHEMA."
    } else if names("InsufficientPrivilege") || names("permission denied") {
        "let the role of DATABASE_URL own the database, or grant it what the message says is missing."
    } else {
        "the message is Open WebUI's own, and an ordinary start of this image on this database would end with it too. Search Open \
         WebUI's issues for it, or use the image version that last ran here; removing DATABASE_URL starts Open WebUI on webui.db as \
         before. WEBUI_INIT_LOG=debug shows its whole output."
    }
}

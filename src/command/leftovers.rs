//! Owns `webui-init leftovers`: what could not be stored as it was, listed, one row after the other.

use std::collections::HashMap;
use std::io;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::app::names;
use crate::command::answer::{answer, reading};
use crate::convert::reason::is_of_a_row_in_place;
use crate::failure::Failure;
use crate::ledger::leftovers::{self, Leftover};
use crate::output::secret::Redactor;
use crate::output::stdout::{Head, out, say};
use crate::postgres::catalogue::Catalogue;
use crate::postgres::target::Target;
use crate::settings::Settings;

/// A row that was kept aside, as listed.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    table: &'a str,
    /// The row by its primary key, as far as the original has it.
    key: Option<String>,
    rowid: Option<i64>,
    reason: &'a str,
    row_is_in_place: bool,
    row: &'a RawValue,
}

/// Lists them.
///
/// # Errors
/// PostgreSQL cannot be reached or read.
pub(crate) async fn list_leftovers(settings: &Settings, json: bool) -> Result<(), Failure> {
    let mut list = List {
        json,
        count: 0,
        begun: false,
        written: Ok(()),
    };
    match list.read(settings).await {
        Ok(recorded) => list.end(recorded).map_err(Failure::Output),
        // A list that breaks off is no JSON, so that nobody takes it for whole.
        Err(failure) if list.begun => Err(failure),
        Err(failure) => answer::<()>("leftovers", json, &reading(settings), Err(failure), |()| {
            String::new()
        }),
    }
}

struct List {
    json: bool,
    count: u64,
    begun: bool,
    written: io::Result<()>,
}

impl List {
    /// Whether a move is recorded.
    async fn read(&mut self, settings: &Settings) -> Result<bool, Failure> {
        let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
        let first = target.first_look(settings.wait, names::USER).await?;
        let marker = first.marker;
        let client = target.client().await?;
        let keys = primary_keys(&target).await;
        let schema = settings.schema.as_deref();
        leftovers::read(&client, schema, |leftover| self.take(&keys, &leftover)).await?;
        Ok(marker.is_some())
    }

    fn take(&mut self, keys: &HashMap<String, Vec<String>>, leftover: &Leftover) {
        if self.written.is_err() {
            return;
        }
        let listed = Listed {
            table: &leftover.table,
            key: key(keys.get(&leftover.table), &leftover.row),
            rowid: leftover.rowid,
            reason: &leftover.reason,
            row_is_in_place: is_of_a_row_in_place(&leftover.reason),
            row: &leftover.row,
        };
        let text = if self.json {
            self.separator() + &serde_json::to_string(&listed).unwrap_or_default() + "\n"
        } else {
            listed.text() + "\n"
        };
        self.written = out(&text);
        self.begun = true;
        self.count += 1;
    }

    /// What stands before a row: the head of the document, or a comma.
    fn separator(&self) -> String {
        if self.begun {
            return ",".to_owned();
        }
        let head = serde_json::to_string(&Head::new("leftovers")).unwrap_or_default();
        format!("{},\"kept_aside\":[\n", head.trim_end_matches('}'))
    }

    fn end(self, recorded: bool) -> io::Result<()> {
        self.written?;
        let Self {
            json, count, begun, ..
        } = self;
        if json {
            let head = if begun {
                String::new()
            } else {
                Self {
                    written: Ok(()),
                    ..self
                }
                .separator()
            };
            return out(&format!(
                "{head}],\"count\":{count},\"ok\":true,\"exit_code\":0}}\n"
            ));
        }
        say(&match (count, recorded) {
            (0, false) => {
                "No move has been recorded in this database, so nothing is kept aside.".to_owned()
            }
            (0, true) => {
                "Nothing is kept aside: every row was stored exactly as it was.".to_owned()
            }
            (1, _) => {
                "1 original is kept aside in webui_init.leftover; --json shows it whole.".to_owned()
            }
            (count, _) => {
                format!(
                    "{count} originals are kept aside in webui_init.leftover; --json shows them whole."
                )
            }
        })
    }
}

impl Listed<'_> {
    fn text(&self) -> String {
        let which = match (&self.key, self.rowid) {
            (Some(key), _) => key.clone(),
            (None, Some(rowid)) => format!("row {rowid} of webui.db"),
            (None, None) => "a row without a key".to_owned(),
        };
        let what = if self.row_is_in_place {
            "stored in another form"
        } else {
            "not stored"
        };
        Redactor::clean(&format!("{} {which}: {what} ({})", self.table, self.reason))
    }
}

/// The columns of each table's primary key, as far as PostgreSQL has the tables.
async fn primary_keys(target: &Target) -> HashMap<String, Vec<String>> {
    let read = async {
        let server = target.server().await?;
        let client = target.client().await?;
        Catalogue::read(&client, &server.schema).await
    };
    let Ok(catalogue) = read.await else {
        return HashMap::new();
    };
    let keys = catalogue.tables.into_iter().filter_map(|(name, table)| {
        let primary = table.indexes.into_iter().find(|index| index.primary)?;
        Some((name, primary.columns))
    });
    keys.collect()
}

/// A row's primary key, from its original. Where PostgreSQL has no such table, its `id`.
fn key(columns: Option<&Vec<String>>, row: &RawValue) -> Option<String> {
    let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(row.get()).ok()?;
    let id = vec!["id".to_owned()];
    let parts = columns
        .unwrap_or(&id)
        .iter()
        .map(|column| match row.get(column)? {
            serde_json::Value::String(text) => Some(text.escape_debug().to_string()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
    let parts: Option<Vec<String>> = parts.collect();
    parts
        .filter(|parts| !parts.is_empty())
        .map(|parts| parts.join(", "))
}

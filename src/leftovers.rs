//! Owns what could not be stored as it was: the reasons, the JSON in which the original is
//! kept, and reading it again for `webui-init leftovers`.

use std::fmt;
use std::pin::pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use rusqlite::types::ValueRef;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::target::{TargetError, failed};

use crate::value::{Refusal, Repair};

/// Why an original is kept in `webui_init.leftover`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A value was stored in a form that PostgreSQL takes; the row is in place.
    Repaired(Repair),
    /// A reference to a row that is not there was set to NULL, by the constraint's own rule; the row is in place.
    Nulled(String),
    /// The row refers to one that is not there; the foreign key.
    Orphan(String),
    /// A value cannot be stored and its column takes no NULL.
    Refused(Refusal),
    /// PostgreSQL refused the row: `duplicate:` or `check:` and the constraint, or `refused:` and the SQLSTATE.
    Rejected(String),
    /// The target has no such table.
    UnknownTable,
    /// The target's table has no such column; the row is in place.
    UnknownColumn,
}

impl Reason {
    /// The reason of a finding, from its text.
    pub fn of_finding(text: &str) -> Self {
        match text.split_once(':') {
            Some(("nulled", constraint)) => Self::Nulled(constraint.to_owned()),
            Some(("orphan", constraint)) => Self::Orphan(constraint.to_owned()),
            _ => Self::Rejected(text.to_owned()),
        }
    }

    /// Whether the row itself is in the target, and only a part of it is kept aside.
    pub fn row_is_in_place(&self) -> bool {
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
            Self::Rejected(reason) => f.write_str(reason),
            Self::UnknownTable => f.write_str("unknown_table"),
            Self::UnknownColumn => f.write_str("unknown_column"),
        }
    }
}

/// Whether a reason, as `webui_init.leftover` spells it, is of a row that is in the target itself.
pub fn is_of_a_row_in_place(reason: &str) -> bool {
    reason.starts_with("repaired:") || reason.starts_with("nulled:") || reason == "unknown_column"
}

/// Appends a JSON object of the given columns. What JSON, or PostgreSQL's reading of it, cannot hold is
/// written as an object: `{"base64": …}` for BLOBs, and for text with a NUL or invalid UTF-8 (then with
/// `"text": true`); `{"real": …}` for infinities.
pub fn write_row<'a>(columns: impl Iterator<Item = (&'a str, ValueRef<'a>)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (name, value)) in columns.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

fn write_value(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Integer(integer) => out.extend_from_slice(integer.to_string().as_bytes()),
        ValueRef::Real(real) if real.is_finite() => {
            out.extend_from_slice(serde_json::Value::from(real).to_string().as_bytes());
        }
        ValueRef::Real(real) => {
            out.extend_from_slice(format!("{{\"real\":\"{real}\"}}").as_bytes());
        }
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => write_string(text, out),
            _ => write_base64(bytes, ",\"text\":true", out),
        },
        ValueRef::Blob(bytes) => write_base64(bytes, "", out),
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a string to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn write_base64(bytes: &[u8], mark: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"base64\":\"");
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.extend_from_slice(format!("\"{mark}}}").as_bytes());
}

/// A row of `webui_init.leftover`.
#[derive(Debug, Serialize)]
pub struct Leftover {
    /// The table it comes from.
    pub table: String,
    /// Its row id there, if it had one.
    pub rowid: Option<i64>,
    /// Why it is kept.
    pub reason: String,
    /// The original.
    pub row: Box<RawValue>,
}

/// Reads what is kept aside for `schema`, or for the session's own, handing each to `take`.
///
/// # Errors
/// PostgreSQL's. No table of leftovers means that there are none.
pub async fn read(
    client: &Client,
    schema: Option<&str>,
    mut take: impl FnMut(Leftover),
) -> Result<(), TargetError> {
    let doing = "did not return what is kept aside";
    let sql = "SELECT table_name, source_rowid, reason, row::text FROM webui_init.leftover
               WHERE target_schema = coalesce($1, current_schema()::text) ORDER BY id";
    let stream = match client.query_typed_raw(sql, [(&schema, Type::TEXT)]).await {
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(()),
        stream => stream.map_err(failed(doing))?,
    };
    let mut stream = pin!(stream);
    while let Some(row) = stream.try_next().await.map_err(failed(doing))? {
        // PostgreSQL has checked that it is JSON.
        let Ok(original) = RawValue::from_string(row.get(3)) else {
            continue;
        };
        take(Leftover {
            table: row.get(0),
            rowid: row.get(1),
            reason: row.get(2),
            row: original,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_every_storage_class() {
        let mut out = Vec::new();
        let columns = [
            ("n", ValueRef::Null),
            ("i", ValueRef::Integer(-7)),
            ("r", ValueRef::Real(1.5)),
            ("inf", ValueRef::Real(f64::NEG_INFINITY)),
            ("t\"", ValueRef::Text("a\"\u{1F600}".as_bytes())),
            ("z", ValueRef::Text(b"a\0b")),
            ("b", ValueRef::Blob(&[255])),
        ];
        write_row(columns.into_iter(), &mut out);
        let expected = r#"{"n":null,"i":-7,"r":1.5,"inf":{"real":"-inf"},"t\"":"a\"😀","z":{"base64":"YQBi","text":true},"b":{"base64":"/w=="}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_reason_says_whether_its_row_is_in_place() {
        for reason in [
            Reason::Repaired(Repair::JsonNul),
            Reason::Nulled("fk_a".to_owned()),
            Reason::UnknownColumn,
            Reason::UnknownTable,
            Reason::Orphan("fk_b".to_owned()),
            Reason::Rejected("duplicate:pk".to_owned()),
        ] {
            assert_eq!(
                is_of_a_row_in_place(&reason.to_string()),
                reason.row_is_in_place(),
                "{reason}"
            );
        }
    }

    #[test]
    fn reasons_read_back() {
        assert_eq!(
            Reason::of_finding("nulled:fk_a"),
            Reason::Nulled("fk_a".to_owned())
        );
        for reason in [
            "orphan:fk_b",
            "duplicate:uq_user_email_lower",
            "refused:54000",
        ] {
            assert_eq!(Reason::of_finding(reason).to_string(), reason);
        }
    }
}

//! From a value to a field: the conversion of its type, and what stands in where there is none.

use rusqlite::types::ValueRef;

use super::kind::{ColumnRule, InputResults, Kind};
use super::number::{boolean, float4, float8, put_integer};
use super::repair::{Refusal, Repairs};
use super::text::{put_json, put_plain, put_text, put_varchar, uuid};
use super::time::{put_date, put_timestamp};
use crate::convert::json::Dialect;

/// Appends one COPY field to `out`: its length as a big-endian `i32` and that many bytes, or -1 for
/// NULL. On a refusal nothing is appended.
pub fn encode(
    value: ValueRef<'_>,
    column: &ColumnRule,
    out: &mut Vec<u8>,
) -> Result<Repairs, Refusal> {
    if value == ValueRef::Null && !column.not_null {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(Repairs::NONE);
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let result = match (&column.input_results, column.kind) {
        (Some(input_results), Kind::Other) => input_result(value, input_results, out),
        (_, kind) => convert(value, kind, out),
    };
    let result = result.and_then(|repairs| close_field(start, out).map(|()| repairs));
    result.or_else(|refusal| {
        out.truncate(start);
        stand_in(refusal, column, out)
    })
}

/// Fills in the length of the field that begins at `start`.
fn close_field(start: usize, out: &mut [u8]) -> Result<(), Refusal> {
    let length = i32::try_from(out.len() - start - 4).map_err(|_| Refusal::OutOfRange)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Stores NULL, the default or `''` in place of a value that cannot be.
fn stand_in(refusal: Refusal, column: &ColumnRule, out: &mut Vec<u8>) -> Result<Repairs, Refusal> {
    let start = out.len();
    if !column.not_null {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
    } else if let Some(default) = &column.default {
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(default);
        close_field(start, out).inspect_err(|_| out.truncate(start))?;
    } else if let (Refusal::NullInNotNull, Kind::Text | Kind::Varchar(_)) = (refusal, column.kind) {
        out.extend_from_slice(&[0; 4]);
    } else {
        return Err(refusal);
    }
    Ok(refusal.repair().into())
}

/// The text of a value, by which PostgreSQL is asked about a type that this module does not know.
pub(crate) fn as_text(value: ValueRef<'_>) -> Option<(Vec<u8>, Repairs)> {
    let mut text = Vec::new();
    let repairs = convert(value, Kind::Text, &mut text).ok()?;
    Some((text, repairs))
}

fn input_result(
    value: ValueRef<'_>,
    input_results: &InputResults,
    out: &mut Vec<u8>,
) -> Result<Repairs, Refusal> {
    if value == ValueRef::Null {
        return Err(Refusal::NullInNotNull);
    }
    let (text, repairs) = as_text(value).ok_or(Refusal::NotConvertible)?;
    let answer = input_results.get(&text).and_then(Option::as_ref);
    out.extend_from_slice(answer.ok_or(Refusal::NotConvertible)?);
    Ok(repairs)
}

fn convert(value: ValueRef<'_>, kind: Kind, out: &mut Vec<u8>) -> Result<Repairs, Refusal> {
    match kind {
        _ if value == ValueRef::Null => Err(Refusal::NullInNotNull),
        Kind::Other => Err(Refusal::NotConvertible),
        Kind::Bool => {
            let (value, repairs) = boolean(value)?;
            out.push(value.into());
            Ok(repairs)
        }
        Kind::Int2 => put_integer(
            value,
            |wide| Some(i16::try_from(wide).ok()?.to_be_bytes()),
            out,
        ),
        Kind::Int4 => put_integer(
            value,
            |wide| Some(i32::try_from(wide).ok()?.to_be_bytes()),
            out,
        ),
        Kind::Int8 => put_integer(value, |wide| Some(wide.to_be_bytes()), out),
        Kind::Float4 => {
            let (value, repairs) = float4(value)?;
            out.extend_from_slice(&value.to_be_bytes());
            Ok(repairs)
        }
        Kind::Float8 => {
            let (value, repairs) = float8(value)?;
            out.extend_from_slice(&value.to_be_bytes());
            Ok(repairs)
        }
        Kind::Text => Ok(put_text(value, out)),
        Kind::Varchar(limit) => Ok(put_varchar(value, limit, out)),
        Kind::Json => put_json(value, Dialect::Json, out),
        Kind::Jsonb => {
            out.push(1);
            put_json(value, Dialect::Jsonb, out)
        }
        Kind::Date => put_date(value, out),
        Kind::Timestamp => put_timestamp(value, false, out),
        Kind::TimestampTz => put_timestamp(value, true, out),
        Kind::Uuid => {
            out.extend_from_slice(&uuid(value).ok_or(Refusal::NotConvertible)?);
            Ok(Repairs::NONE)
        }
        Kind::Bytea => {
            put_plain(value, out);
            Ok(Repairs::NONE)
        }
    }
}

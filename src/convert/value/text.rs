//! Text, and what travels as text: JSON, UUIDs, plain bytes.

use std::io::Write as _;

use rusqlite::types::ValueRef;

use super::scan::{Scan, trim};
use super::{Refusal, Repair, Repairs};
use crate::convert::json::{self, Dialect, Fault, Mend};

/// Bytes as they are; numbers as Python prints them.
pub(super) fn put_plain(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Integer(value) => print(out, format_args!("{value}")),
        ValueRef::Real(value) => put_real(value, out),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => out.extend_from_slice(bytes),
    }
}

fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec does not fail.
    let _ = out.write_fmt(text);
}

/// The fewest digits that name the number, laid out as Python's `repr`: an exponent below 1e-4 and
/// from 1e16 on, and always a point or an exponent. Finite numbers are JSON.
fn put_real(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    let magnitude = value.abs();
    if value == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return print(out, format_args!("{value:?}"));
    }
    let start = out.len();
    print(out, format_args!("{value:e}"));
    // Rust writes 1e16 and 1e-5 where Python writes 1e+16 and 1e-05.
    let Some(at) = out[start..].iter().position(|&byte| byte == b'e') else {
        return;
    };
    let sign = start + at + 1;
    if out.get(sign) != Some(&b'-') {
        out.insert(sign, b'+');
    }
    if out.len() == sign + 2 {
        out.insert(sign + 1, b'0');
    }
}

pub(super) fn put_text(value: ValueRef<'_>, out: &mut Vec<u8>) -> Repairs {
    if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = value
        && clean(bytes).is_none()
    {
        return put_sanitized(bytes, out);
    }
    put_plain(value, out);
    Repairs::NONE
}

/// The bytes as text, if PostgreSQL takes them as they are.
fn clean(bytes: &[u8]) -> Option<&str> {
    if memchr::memchr(0, bytes).is_some() {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

/// NUL and surrogates are removed, as the app's `sanitize_text_for_db` does; what is not UTF-8 at
/// all, which the app could not even read, becomes U+FFFD.
fn put_sanitized(mut bytes: &[u8], out: &mut Vec<u8>) -> Repairs {
    let mut repairs = Repairs::NONE;
    loop {
        let (valid, invalid) = match std::str::from_utf8(bytes) {
            Ok(_) => (bytes, None),
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                (valid, Some((rest, error.error_len().unwrap_or(rest.len()))))
            }
        };
        let mut pieces = valid.split(|&byte| byte == 0);
        out.extend_from_slice(pieces.next().unwrap_or_default());
        for piece in pieces {
            repairs.insert(Repair::NulInText);
            out.extend_from_slice(piece);
        }
        let Some((rest, length)) = invalid else {
            return repairs;
        };
        bytes = if let [0xED, 0xA0..=0xBF, 0x80..=0xBF, rest @ ..] = rest {
            repairs.insert(Repair::LoneSurrogate);
            rest
        } else {
            repairs.insert(Repair::InvalidUtf8);
            out.extend_from_slice("\u{FFFD}".as_bytes());
            &rest[length..]
        };
    }
}

pub(super) fn put_varchar(value: ValueRef<'_>, limit: u32, out: &mut Vec<u8>) -> Repairs {
    let start = out.len();
    let mut repairs = put_text(value, out);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let stored = &out[start..];
    if stored.len() <= limit {
        return repairs;
    }
    // Every byte but 10xxxxxx begins a character.
    let mut characters = stored
        .iter()
        .enumerate()
        .filter(|&(_, &byte)| byte & 0xC0 != 0x80);
    if let Some((cut, _)) = characters.nth(limit) {
        // As the SQL standard has it, blanks beyond the limit go without a word.
        if stored[cut..].iter().any(|&byte| byte != b' ') {
            repairs.insert(Repair::TooLong);
        }
        out.truncate(start + cut);
    }
    repairs
}

pub(super) fn put_json(
    value: ValueRef<'_>,
    dialect: Dialect,
    out: &mut Vec<u8>,
) -> Result<Repairs, Refusal> {
    let bytes = match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Real(value) if !value.is_finite() => {
            out.extend_from_slice(b"null");
            return Ok(Repair::JsonNonFinite.into());
        }
        number => {
            put_plain(number, out);
            return Ok(Repairs::NONE);
        }
    };
    if let Some(text) = clean(bytes) {
        return mend(text, dialect, Repairs::NONE, out);
    }
    let mut sanitized = Vec::with_capacity(bytes.len());
    let repairs = put_sanitized(bytes, &mut sanitized);
    let text = std::str::from_utf8(&sanitized).map_err(|_| Refusal::JsonInvalid)?;
    mend(text, dialect, repairs, out)
}

fn mend(
    text: &str,
    dialect: Dialect,
    mut repairs: Repairs,
    out: &mut Vec<u8>,
) -> Result<Repairs, Refusal> {
    let note = |mend| {
        repairs.insert(match mend {
            Mend::Nul => Repair::JsonNul,
            Mend::LoneSurrogate => Repair::JsonLoneSurrogate,
            Mend::NonFinite => Repair::JsonNonFinite,
            Mend::Control => Repair::JsonControl,
        });
    };
    json::mend(text, dialect, out, note).map_err(|fault| match fault {
        Fault::Empty => Refusal::EmptyJson,
        Fault::Invalid => Refusal::JsonInvalid,
        Fault::TooDeep => Refusal::JsonTooDeep,
        Fault::NumberOutOfRange => Refusal::OutOfRange,
    })?;
    Ok(repairs)
}

/// What PostgreSQL takes: 32 hexadecimal digits, a hyphen after any group of four, braces around. A
/// BLOB of 16 bytes is the UUID itself.
pub(super) fn uuid(value: ValueRef<'_>) -> Option<[u8; 16]> {
    let text = match value {
        ValueRef::Blob(bytes) if bytes.len() == 16 => return bytes.try_into().ok(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => trim(bytes),
        _ => return None,
    };
    let text = match text {
        [b'{', inner @ .., b'}'] => inner,
        _ => text,
    };
    let mut scan = Scan(text);
    let mut uuid = [0; 16];
    for (position, byte) in uuid.iter_mut().enumerate() {
        if position != 0 && position % 2 == 0 {
            scan.eat(b'-');
        }
        let [high, low, rest @ ..] = scan.0 else {
            return None;
        };
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(nibble(*high)? * 16 + nibble(*low)?).ok()?;
        scan.0 = rest;
    }
    scan.0.is_empty().then_some(uuid)
}

#[cfg(test)]
mod tests {
    use rusqlite::types::ValueRef::{Blob, Integer, Real};

    use crate::convert::value::Kind;
    use crate::convert::value::Repair::*;
    use crate::convert::value::tests::{becomes, nulled, text};

    #[test]
    fn text_is_what_the_app_would_read() {
        becomes(Integer(-7), Kind::Text, "-7", &[]);
        becomes(Blob("Ä".as_bytes()), Kind::Text, "Ä", &[]);
        becomes(
            Blob(b"\xff\xc3(\xe2\x82"),
            Kind::Text,
            "\u{fffd}\u{fffd}(\u{fffd}",
            &[InvalidUtf8],
        );
        becomes(text("\0a\0b\0"), Kind::Text, "ab", &[NulInText]);
        becomes(
            Blob(b"a\xed\xa0\xbd\xed\xb8\x80b\0\xff"),
            Kind::Text,
            "ab\u{fffd}",
            &[InvalidUtf8, NulInText, LoneSurrogate],
        );
        becomes(
            Blob(b"\xed\xa0"),
            Kind::Text,
            "\u{fffd}\u{fffd}",
            &[InvalidUtf8],
        );
    }

    #[test]
    fn reals_as_python_prints_them() {
        for (real, expected) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (-1e-4, "-0.0001"),
            (1e-5, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
        ] {
            becomes(Real(real), Kind::Text, expected, &[]);
        }
    }

    #[test]
    fn varchar_counts_characters() {
        becomes(text("äöü"), Kind::Varchar(3), "äöü", &[]);
        becomes(text("äöüx"), Kind::Varchar(3), "äöü", &[TooLong]);
        becomes(text("äöü   "), Kind::Varchar(3), "äöü", &[]);
        becomes(text("äöü  x"), Kind::Varchar(3), "äöü", &[TooLong]);
        becomes(
            text("abc\0d"),
            Kind::Varchar(3),
            "abc",
            &[TooLong, NulInText],
        );
        becomes(Integer(12345), Kind::Varchar(3), "123", &[TooLong]);
    }

    #[test]
    fn json_from_every_storage_class() {
        becomes(Integer(1), Kind::Json, "1", &[]);
        becomes(Real(1.0), Kind::Json, "1.0", &[]);
        becomes(Real(f64::INFINITY), Kind::Json, "null", &[JsonNonFinite]);
        becomes(Blob(b" [1 ,2]"), Kind::Json, " [1 ,2]", &[]);
        becomes(text("{}"), Kind::Jsonb, "\x01{}", &[]);
        becomes(
            text("[\"a\0\\u0000\",NaN]"),
            Kind::Json,
            "[\"a\",null]",
            &[NulInText, JsonNul, JsonNonFinite],
        );
        becomes(
            Blob(b"\"\xff\xed\xa0\x80\\ud800\""),
            Kind::Json,
            "\"\u{fffd}\"",
            &[InvalidUtf8, LoneSurrogate, JsonLoneSurrogate],
        );
        nulled(text(" \n"), Kind::Json, EmptyJson);
        nulled(text("{'a': 1}"), Kind::Json, JsonInvalid);
        nulled(text(&"[".repeat(9999)), Kind::Json, JsonTooDeep);
        nulled(text("1e999999"), Kind::Jsonb, OutOfRange);
    }

    #[test]
    fn uuids_and_bytes() {
        let bytes: [u8; 16] = std::array::from_fn(|n| 0x11 * u8::try_from(n).unwrap());
        for value in [
            "00112233-4455-6677-8899-aabbccddeeff",
            "00112233445566778899AABBCCDDEEFF",
            "{0011-2233-4455-6677-8899-aabb-ccdd-eeff}",
        ] {
            becomes(text(value), Kind::Uuid, bytes, &[]);
        }
        becomes(Blob(&bytes), Kind::Uuid, bytes, &[]);
        for value in [
            "",
            "16 bytes of text",
            "0-0112233-4455-6677-8899-aabbccddeeff",
            "{00112233-4455-6677-8899-aabbccddeeff",
            "short",
        ] {
            nulled(text(value), Kind::Uuid, NotConvertible);
        }
        nulled(Integer(1), Kind::Uuid, NotConvertible);
        becomes(Blob(b"\0\xff"), Kind::Bytea, b"\0\xff", &[]);
        becomes(text("\\x41"), Kind::Bytea, "\\x41", &[]);
        becomes(Integer(12), Kind::Bytea, "12", &[]);
    }
}

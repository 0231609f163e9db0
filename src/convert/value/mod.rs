//! One SQLite value -> the bytes of one field of PostgreSQL's binary COPY format, by the *target's*
//! type.
//!
//! Owns every conversion between storage classes and types, and the names of the repairs. Pure: asks
//! neither database. Leaves to its caller to ask PostgreSQL about the types that only its own input
//! functions know ([`Kind::Other`]), and to keep the original of whatever is reported here.
//!
//! What is read as what:
//!
//! | target | INTEGER, REAL | TEXT, BLOB |
//! | --- | --- | --- |
//! | `boolean` | 0 and 1; any other number is true, reported | PostgreSQL's spellings, or a number |
//! | integers | in range, rounded half away from zero | a decimal number, likewise |
//! | floats | the nearest | PostgreSQL's spellings |
//! | `text`, `varchar` | as Python prints them | the text, UTF-8 |
//! | `json`, `jsonb` | as Python prints them | the text, mended by [`crate::convert::json`] |
//! | `date`, `timestamp`, `timestamptz` | an epoch, or YYYYMMDD | ISO 8601, an epoch, or YYYYMMDD |
//! | `uuid` | - | PostgreSQL's spellings, or 16 bytes |
//! | `bytea` | as Python prints them | the bytes |
//! | any other | as Python prints them, then PostgreSQL's own input function | PostgreSQL's own input function |

mod number;
mod scan;
mod text;
mod time;

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::ValueRef;

use crate::convert::json::Dialect;
use number::{boolean, float4, float8, put_integer};
use text::{put_json, put_plain, put_text, put_varchar, uuid};
use time::{put_date, put_timestamp};

/// A target type that this module converts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `text`, and `varchar` without a limit
    Text,
    /// `varchar(n)`, `n` in characters
    Varchar(u32),
    /// `json`
    Json,
    /// `jsonb`
    Jsonb,
    /// `date`
    Date,
    /// `timestamp without time zone`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
    /// `uuid`
    Uuid,
    /// `bytea`
    Bytea,
    /// Any other type: PostgreSQL's own input function decides.
    Other,
}

impl Kind {
    /// The kind of a column from its `pg_attribute.atttypid` and `atttypmod`, those of the base type
    /// where it is a domain.
    pub fn from_catalogue(type_oid: u32, typmod: i32) -> Self {
        match (type_oid, typmod) {
            (16, _) => Self::Bool,
            (17, _) => Self::Bytea,
            (20, _) => Self::Int8,
            (21, _) => Self::Int2,
            (23, _) => Self::Int4,
            (25, _) => Self::Text,
            (114, _) => Self::Json,
            (700, _) => Self::Float4,
            (701, _) => Self::Float8,
            // The modifier of varchar(n) is n plus a header of 4.
            (1043, _) => u32::try_from(typmod.saturating_sub(4)).map_or(Self::Text, Self::Varchar),
            (1082, _) => Self::Date,
            // With fewer than six decimals the server would round once more.
            (1114, -1 | 6) => Self::Timestamp,
            (1184, -1 | 6) => Self::TimestampTz,
            (2950, _) => Self::Uuid,
            (3802, _) => Self::Jsonb,
            _ => Self::Other,
        }
    }
}

/// What a target column takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its type.
    pub kind: Kind,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// Binary form of its default, if that is a constant other than NULL.
    pub default: Option<Vec<u8>>,
    /// What PostgreSQL makes of the texts that occur, where the kind is [`Kind::Other`].
    pub answers: Option<Arc<Answers>>,
}

/// The binary form that PostgreSQL's own input function gives to each text; none where it refuses.
pub type Answers = HashMap<Vec<u8>, Option<Vec<u8>>>;

/// Why something else than the source's value is stored. Most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Repair {
    /// Not a value of the type: NULL or the default instead.
    NotConvertible,
    /// A number or date beyond the type's range: NULL or the default instead.
    OutOfRange,
    /// Not JSON: NULL or the default instead.
    JsonInvalid,
    /// JSON nested deeper than [`crate::convert::json::MAX_DEPTH`]: NULL or the default instead.
    JsonTooDeep,
    /// Blank where JSON belongs: NULL or the default instead.
    EmptyJson,
    /// Blank where a date or time belongs: NULL or the default instead.
    EmptyDate,
    /// NULL where it is refused: the default or `''` instead.
    NullInNotNull,
    /// Cut to the characters that `varchar(n)` takes.
    TooLong,
    /// Bytes that are not UTF-8 became U+FFFD.
    InvalidUtf8,
    /// NUL characters were taken out.
    NulInText,
    /// Surrogates encoded as UTF-8 were taken out.
    LoneSurrogate,
    /// See [`crate::convert::json::Mend::Nul`].
    JsonNul,
    /// See [`crate::convert::json::Mend::LoneSurrogate`].
    JsonLoneSurrogate,
    /// See [`crate::convert::json::Mend::NonFinite`].
    JsonNonFinite,
    /// See [`crate::convert::json::Mend::Control`].
    JsonControl,
    /// A number other than 0 and 1 became true.
    NonzeroBool,
    /// A number or time lost digits that the type does not hold.
    Rounded,
}

impl Repair {
    /// All of them, in order.
    pub const ALL: [Self; 17] = [
        Self::NotConvertible,
        Self::OutOfRange,
        Self::JsonInvalid,
        Self::JsonTooDeep,
        Self::EmptyJson,
        Self::EmptyDate,
        Self::NullInNotNull,
        Self::TooLong,
        Self::InvalidUtf8,
        Self::NulInText,
        Self::LoneSurrogate,
        Self::JsonNul,
        Self::JsonLoneSurrogate,
        Self::JsonNonFinite,
        Self::JsonControl,
        Self::NonzeroBool,
        Self::Rounded,
    ];

    /// The name under which the original is kept.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotConvertible => "not_convertible",
            Self::OutOfRange => "out_of_range",
            Self::JsonInvalid => "json_invalid",
            Self::JsonTooDeep => "json_too_deep",
            Self::EmptyJson => "empty_json",
            Self::EmptyDate => "empty_date",
            Self::NullInNotNull => "null_in_not_null",
            Self::TooLong => "too_long",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NulInText => "nul_in_text",
            Self::LoneSurrogate => "lone_surrogate",
            Self::JsonNul => "json_nul",
            Self::JsonLoneSurrogate => "json_lone_surrogate",
            Self::JsonNonFinite => "json_non_finite",
            Self::JsonControl => "json_control",
            Self::NonzeroBool => "nonzero_bool",
            Self::Rounded => "rounded",
        }
    }
}

/// The repairs of one value: usually none, sometimes several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Repairs(u32);

impl Repairs {
    /// No repair: the value arrives as it was.
    pub const NONE: Self = Self(0);

    /// Whether the value arrives as it was.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `repair` is among them.
    pub fn contains(self, repair: Repair) -> bool {
        self.0 & (1 << repair as u8) != 0
    }

    /// Adds one.
    pub fn insert(&mut self, repair: Repair) {
        self.0 |= 1 << repair as u8;
    }

    /// The most severe.
    pub fn first(self) -> Option<Repair> {
        self.iter().next()
    }

    /// Most severe first.
    pub fn iter(self) -> impl Iterator<Item = Repair> {
        Repair::ALL
            .into_iter()
            .filter(move |&repair| self.contains(repair))
    }
}

impl From<Repair> for Repairs {
    fn from(repair: Repair) -> Self {
        Self(1 << repair as u8)
    }
}

/// Why nothing can be stored: the column refuses NULL and has no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Not a value of the type.
    NotConvertible,
    /// A number or date beyond the type's range.
    OutOfRange,
    /// Not JSON.
    JsonInvalid,
    /// JSON nested deeper than [`crate::convert::json::MAX_DEPTH`].
    JsonTooDeep,
    /// Blank where JSON belongs.
    EmptyJson,
    /// Blank where a date or time belongs.
    EmptyDate,
    /// NULL.
    NullInNotNull,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NotConvertible,
        Self::OutOfRange,
        Self::JsonInvalid,
        Self::JsonTooDeep,
        Self::EmptyJson,
        Self::EmptyDate,
        Self::NullInNotNull,
    ];

    /// The name under which the row is kept.
    pub fn code(self) -> &'static str {
        self.repair().code()
    }

    /// What it is called where NULL or the default can stand in.
    fn repair(self) -> Repair {
        match self {
            Self::NotConvertible => Repair::NotConvertible,
            Self::OutOfRange => Repair::OutOfRange,
            Self::JsonInvalid => Repair::JsonInvalid,
            Self::JsonTooDeep => Repair::JsonTooDeep,
            Self::EmptyJson => Repair::EmptyJson,
            Self::EmptyDate => Repair::EmptyDate,
            Self::NullInNotNull => Repair::NullInNotNull,
        }
    }
}

/// Appends one COPY field to `out`: its length as a big-endian `i32` and that many bytes, or -1 for
/// NULL. On a refusal nothing is appended.
pub fn encode(value: ValueRef<'_>, column: &Column, out: &mut Vec<u8>) -> Result<Repairs, Refusal> {
    if value == ValueRef::Null && !column.not_null {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(Repairs::NONE);
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let result = match (&column.answers, column.kind) {
        (Some(answers), Kind::Other) => look_up(value, answers, out),
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
fn stand_in(refusal: Refusal, column: &Column, out: &mut Vec<u8>) -> Result<Repairs, Refusal> {
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
pub fn question(value: ValueRef<'_>) -> Option<(Vec<u8>, Repairs)> {
    let mut text = Vec::new();
    let repairs = convert(value, Kind::Text, &mut text).ok()?;
    Some((text, repairs))
}

fn look_up(value: ValueRef<'_>, answers: &Answers, out: &mut Vec<u8>) -> Result<Repairs, Refusal> {
    if value == ValueRef::Null {
        return Err(Refusal::NullInNotNull);
    }
    let (text, repairs) = question(value).ok_or(Refusal::NotConvertible)?;
    let answer = answers.get(&text).and_then(Option::as_ref);
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

#[cfg(test)]
mod tests {
    use super::Repair::*;
    use super::*;
    use ValueRef::{Blob, Integer, Null, Real};

    fn text(text: &str) -> ValueRef<'_> {
        ValueRef::Text(text.as_bytes())
    }

    fn column(kind: Kind) -> Column {
        Column {
            kind,
            not_null: false,
            default: None,
            answers: None,
        }
    }

    /// The bytes after the length, `None` for NULL, and the repairs.
    fn stored(
        value: ValueRef<'_>,
        column: &Column,
    ) -> Result<(Option<Vec<u8>>, Vec<Repair>), Refusal> {
        let mut out = b"before".to_vec();
        let result = encode(value, column, &mut out);
        let field = out.split_off(6);
        assert_eq!(out, b"before");
        let repairs = match result {
            Ok(repairs) => repairs.iter().collect(),
            Err(refusal) => {
                assert_eq!(field, b"", "a refusal appends nothing");
                return Err(refusal);
            }
        };
        let (length, bytes) = field.split_first_chunk().expect("a length");
        match i32::from_be_bytes(*length) {
            -1 => assert_eq!(bytes, b""),
            length => assert_eq!(usize::try_from(length), Ok(bytes.len())),
        }
        Ok(((length != &[0xFF; 4]).then(|| bytes.to_vec()), repairs))
    }

    #[track_caller]
    fn becomes(value: ValueRef<'_>, kind: Kind, expected: impl AsRef<[u8]>, repairs: &[Repair]) {
        assert_eq!(
            stored(value, &column(kind)),
            Ok((Some(expected.as_ref().to_vec()), repairs.to_vec()))
        );
    }

    #[track_caller]
    fn nulled(value: ValueRef<'_>, kind: Kind, repair: Repair) {
        assert_eq!(stored(value, &column(kind)), Ok((None, vec![repair])));
    }

    #[test]
    fn codes_are_distinct_and_repairs_keep_their_order() {
        let codes: std::collections::BTreeSet<_> = Repair::ALL.map(Repair::code).into();
        assert_eq!(codes.len(), Repair::ALL.len());
        assert!(Repair::ALL.is_sorted());
        let mut repairs = Repairs::from(Rounded);
        repairs.insert(NotConvertible);
        assert_eq!(
            repairs.iter().collect::<Vec<_>>(),
            [NotConvertible, Rounded]
        );
        assert_eq!(repairs.first(), Some(NotConvertible));
        assert!(!repairs.is_empty() && repairs.contains(Rounded) && !repairs.contains(TooLong));
    }

    #[test]
    fn kinds_from_the_catalogue() {
        assert_eq!(Kind::from_catalogue(1043, 54), Kind::Varchar(50));
        assert_eq!(Kind::from_catalogue(1043, -1), Kind::Text);
        assert_eq!(Kind::from_catalogue(1114, 6), Kind::Timestamp);
        assert_eq!(Kind::from_catalogue(1184, 3), Kind::Other);
        assert_eq!(Kind::from_catalogue(1042, 9), Kind::Other);
        assert_eq!(Kind::from_catalogue(1700, -1), Kind::Other);
        assert_eq!(Kind::from_catalogue(1043, i32::MIN), Kind::Text);
    }

    #[test]
    fn booleans() {
        for value in [
            Integer(1),
            Real(1.0),
            text("1"),
            text(" tRu "),
            text("YES"),
            text("on"),
            text("1.0"),
            Blob(b"y"),
        ] {
            becomes(value, Kind::Bool, [1], &[]);
        }
        for value in [
            Integer(0),
            Real(-0.0),
            text("0"),
            text("f"),
            text("no"),
            text("of"),
            text("0e9"),
        ] {
            becomes(value, Kind::Bool, [0], &[]);
        }
        for value in [
            Integer(2),
            Integer(-1),
            Real(0.5),
            Real(f64::INFINITY),
            text("2"),
            text("1e-400"),
        ] {
            becomes(value, Kind::Bool, [1], &[NonzeroBool]);
        }
        for value in [
            text(""),
            text("o"),
            text("truely"),
            text("maybe"),
            Real(f64::NAN),
            Blob(b"\xff"),
        ] {
            nulled(value, Kind::Bool, NotConvertible);
        }
    }

    #[test]
    fn integers() {
        let int8 = |value: i64| value.to_be_bytes();
        becomes(Integer(i64::MIN), Kind::Int8, int8(i64::MIN), &[]);
        becomes(
            Integer(1_700_000_000_123),
            Kind::Int8,
            int8(1_700_000_000_123),
            &[],
        );
        becomes(Real(1e18), Kind::Int8, int8(1_000_000_000_000_000_000), &[]);
        becomes(Real(-2.5), Kind::Int8, int8(-3), &[Rounded]);
        becomes(
            Real(0.499_999_999_999_999_94),
            Kind::Int8,
            int8(0),
            &[Rounded],
        );
        becomes(text("\t12.0\n"), Kind::Int8, int8(12), &[]);
        becomes(text("1e3"), Kind::Int8, int8(1000), &[]);
        becomes(text("+.5"), Kind::Int8, int8(1), &[Rounded]);
        becomes(text("-123.456e1"), Kind::Int8, int8(-1235), &[Rounded]);
        becomes(
            text("0.05e-99999999999999999999"),
            Kind::Int8,
            int8(0),
            &[Rounded],
        );
        becomes(text("0e99999999999999999999"), Kind::Int8, int8(0), &[]);
        becomes(
            text("9223372036854775807.4"),
            Kind::Int8,
            int8(i64::MAX),
            &[Rounded],
        );
        becomes(
            text("-9223372036854775808"),
            Kind::Int8,
            int8(i64::MIN),
            &[],
        );
        for value in [
            "9223372036854775807.5",
            "1e19",
            "1e99999999999999999999",
            &"9".repeat(100_000),
        ] {
            nulled(text(value), Kind::Int8, OutOfRange);
        }
        nulled(Real(9_223_372_036_854_775_808.0), Kind::Int8, OutOfRange);
        nulled(Real(f64::NEG_INFINITY), Kind::Int8, OutOfRange);
        nulled(Integer(2_147_483_648), Kind::Int4, OutOfRange);
        nulled(text("-32769"), Kind::Int2, OutOfRange);
        becomes(Integer(-32768), Kind::Int2, (-32768_i16).to_be_bytes(), &[]);
        for value in [
            "", " ", "abc", "1e", ".", "+", "--1", "1 2", "0x10", "inf", "1_000",
        ] {
            nulled(text(value), Kind::Int4, NotConvertible);
        }
    }

    #[test]
    fn floats() {
        becomes(Integer(3), Kind::Float8, 3_f64.to_be_bytes(), &[]);
        becomes(
            Integer(i64::MAX),
            Kind::Float8,
            9_223_372_036_854_775_808_f64.to_be_bytes(),
            &[Rounded],
        );
        becomes(
            text(" -Infinity "),
            Kind::Float8,
            f64::NEG_INFINITY.to_be_bytes(),
            &[],
        );
        becomes(
            text("1e-999"),
            Kind::Float8,
            0_f64.to_be_bytes(),
            &[Rounded],
        );
        becomes(text("0.1"), Kind::Float4, 0.1_f32.to_be_bytes(), &[]);
        becomes(Real(0.1), Kind::Float4, 0.1_f32.to_be_bytes(), &[Rounded]);
        becomes(Real(0.5), Kind::Float4, 0.5_f32.to_be_bytes(), &[]);
        nulled(text("1e999"), Kind::Float8, OutOfRange);
        nulled(Real(1e39), Kind::Float4, OutOfRange);
        nulled(text("1,5"), Kind::Float8, NotConvertible);
    }

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
    fn dates() {
        let date = |days: i32| days.to_be_bytes();
        becomes(text("2000-01-01"), Kind::Date, date(0), &[]);
        becomes(
            text("1999-12-31 23:59:59.999+00"),
            Kind::Date,
            date(-1),
            &[],
        );
        becomes(text("2024-02-29"), Kind::Date, date(8825), &[]);
        becomes(text("0001-01-01"), Kind::Date, date(-730_119), &[]);
        becomes(text("5874897-12-31"), Kind::Date, date(2_145_031_948), &[]);
        becomes(Integer(0), Kind::Date, date(-10_957), &[]);
        becomes(Integer(-1), Kind::Date, date(-10_958), &[]);
        becomes(Real(946_684_800.5), Kind::Date, date(0), &[]);
        for value in [
            Integer(20_240_229),
            Real(20_240_229.0),
            text("20240229"),
            text("1709164800"),
        ] {
            becomes(value, Kind::Date, date(8825), &[]);
        }
        nulled(text(""), Kind::Date, EmptyDate);
        nulled(text("  "), Kind::Timestamp, EmptyDate);
        for value in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "0000-01-01",
            "5874898-01-01",
            "1e25",
            "2024-01-01 24:01",
        ] {
            nulled(text(value), Kind::Date, OutOfRange);
        }
        for value in [
            "24-01-01",
            "2024-1",
            "01.02.2024",
            "today",
            "2024-01/01",
            "2024-01-01x",
            "2024-01-01 10",
            "\u{663}",
        ] {
            nulled(text(value), Kind::Date, NotConvertible);
        }
    }

    #[test]
    fn timestamps() {
        let at = |micros: i64| micros.to_be_bytes();
        for kind in [Kind::Timestamp, Kind::TimestampTz] {
            becomes(text("2000-01-01"), kind, at(0), &[]);
            becomes(
                text("2000-01-01T00:00:01.000002Z"),
                kind,
                at(1_000_002),
                &[],
            );
            becomes(text("1999-12-31 24:00:00"), kind, at(0), &[]);
            becomes(text("2000-01-01 00:00:00.0000019"), kind, at(2), &[Rounded]);
            becomes(text("2000-01-01 00:00:00.0000010"), kind, at(1), &[]);
            for value in [
                Integer(946_684_801),
                Integer(946_684_801_000),
                Integer(946_684_801_000_000),
                Integer(946_684_801_000_000_000),
                Real(946_684_801.0),
                text("946684801"),
                text("946684801000.0"),
            ] {
                becomes(value, kind, at(1_000_000), &[]);
            }
            becomes(Integer(946_684_800_000_000_999), kind, at(1), &[Rounded]);
            becomes(Real(946_684_800.25), kind, at(250_000), &[]);
            becomes(text("946684800.123456"), kind, at(123_456), &[]);
            becomes(
                Integer(i64::MIN),
                kind,
                at(-10_170_056_836_854_776),
                &[Rounded],
            );
            nulled(text("294277-01-01"), kind, OutOfRange);
            nulled(Real(1e20), kind, OutOfRange);
            nulled(text("2000-01-01 00:00+16"), kind, OutOfRange);
            nulled(text("2000-01-01 00:60"), kind, OutOfRange);
            nulled(text("2000-01-01 23:59:60.1"), kind, OutOfRange);
            becomes(text("1999-12-31 23:59:60"), kind, at(0), &[]);
        }
        becomes(
            text("2000-01-01 05:30+05:30"),
            Kind::TimestampTz,
            at(0),
            &[],
        );
        becomes(
            text("2000-01-01 05:30 +0530"),
            Kind::Timestamp,
            at(19_800_000_000),
            &[],
        );
        becomes(text("1999-12-31 19:00-05"), Kind::TimestampTz, at(0), &[]);
    }

    #[test]
    fn offsets() {
        for (offset, seconds) in [
            ("Z", 0),
            ("+01", 3600),
            ("-0130", -5400),
            (" +01:30", 5400),
            ("-01:00:01", -3601),
        ] {
            let micros: i64 = -seconds * 1_000_000;
            becomes(
                text(&format!("2000-01-01 00:00{offset}")),
                Kind::TimestampTz,
                micros.to_be_bytes(),
                &[],
            );
        }
        for offset in ["+1", "+013", "+013000", "+01:", "+01:60", "UTC", "+01 x"] {
            nulled(
                text(&format!("2000-01-01 00:00{offset}")),
                Kind::TimestampTz,
                NotConvertible,
            );
        }
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

    #[test]
    fn what_stands_in() {
        let plain = |kind| Column {
            kind,
            not_null: true,
            default: None,
            answers: None,
        };
        let defaulted = |kind| Column {
            default: Some(b"default".to_vec()),
            answers: None,
            ..plain(kind)
        };
        assert_eq!(stored(Null, &column(Kind::Json)), Ok((None, vec![])));
        assert_eq!(
            stored(Null, &plain(Kind::Text)),
            Ok((Some(vec![]), vec![NullInNotNull]))
        );
        assert_eq!(
            stored(Null, &plain(Kind::Varchar(1))),
            Ok((Some(vec![]), vec![NullInNotNull]))
        );
        assert_eq!(
            stored(Null, &defaulted(Kind::Text)),
            Ok((Some(b"default".to_vec()), vec![NullInNotNull]))
        );
        assert_eq!(
            stored(Null, &plain(Kind::Int8)),
            Err(Refusal::NullInNotNull)
        );
        assert_eq!(
            stored(text("x"), &plain(Kind::Int8)),
            Err(Refusal::NotConvertible)
        );
        assert_eq!(
            stored(text("x"), &defaulted(Kind::Int8)),
            Ok((Some(b"default".to_vec()), vec![NotConvertible]))
        );
        assert_eq!(
            stored(text(""), &plain(Kind::Json)),
            Err(Refusal::EmptyJson)
        );
        assert_eq!(
            stored(text(""), &defaulted(Kind::Json)),
            Ok((Some(b"default".to_vec()), vec![EmptyJson]))
        );
        assert_eq!(
            stored(text("{"), &defaulted(Kind::Json)),
            Ok((Some(b"default".to_vec()), vec![JsonInvalid]))
        );
        let answers = [
            (b"1.50".to_vec(), Some(b"numeric".to_vec())),
            (b"one".to_vec(), None),
        ];
        for not_null in [false, true] {
            let other = Column {
                kind: Kind::Other,
                not_null,
                default: None,
                answers: Some(Arc::new(answers.clone().into())),
            };
            let null = |repair, refusal| {
                if not_null {
                    Err(refusal)
                } else {
                    Ok((None, repair))
                }
            };
            assert_eq!(
                stored(text("1.50"), &other),
                Ok((Some(b"numeric".to_vec()), vec![]))
            );
            assert_eq!(
                stored(text("one"), &other),
                null(vec![NotConvertible], Refusal::NotConvertible)
            );
            assert_eq!(
                stored(text("never asked"), &other),
                null(vec![NotConvertible], Refusal::NotConvertible)
            );
            assert_eq!(stored(Null, &other), null(vec![], Refusal::NullInNotNull));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_bytes(bytes: Vec<u8>, integer: i64, bits: u64, not_null: bool) {
            let kinds = [
                Kind::Bool, Kind::Int2, Kind::Int4, Kind::Int8, Kind::Float4, Kind::Float8, Kind::Text, Kind::Varchar(3), Kind::Json,
                Kind::Jsonb, Kind::Date, Kind::Timestamp, Kind::TimestampTz, Kind::Uuid, Kind::Bytea,
            ];
            for kind in kinds {
                let column = Column { kind, not_null, default: None, answers: None };
                for value in [Integer(integer), Real(f64::from_bits(bits)), ValueRef::Text(&bytes), Blob(&bytes)] {
                    match stored(value, &column) {
                        Ok((None, repairs)) => assert!(!not_null && !repairs.is_empty()),
                        Ok((Some(_), _)) => {}
                        Err(_) => assert!(not_null),
                    }
                }
            }
        }
    }
}

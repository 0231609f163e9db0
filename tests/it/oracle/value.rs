//! A value of the source, as SQLite has it and as a literal for PostgreSQL.

use rusqlite::types::ValueRef;
use webui_init::value::Kind;

/// A value of one of SQLite's storage classes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Value {
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(bytes) | Self::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn literal(&self, kind: Kind) -> Option<String> {
        let whole = matches!(
            kind,
            Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Date | Kind::Timestamp | Kind::TimestampTz
        );
        match self {
            Self::Null | Self::Real(f64::INFINITY | f64::NEG_INFINITY) => None,
            Self::Real(real) if real.is_nan() => None,
            Self::Integer(integer) => Some(integer.to_string()),
            // All digits: those of the shortest form stand for the number, but beyond 2^53 they are not it.
            Self::Real(real) if real.abs() > 1e15 && whole => Some(format!("{real:.1}")),
            // Python's: a point or an exponent of at least two digits with its sign.
            Self::Real(real) => {
                let text = format!("{real:?}");
                Some(match text.split_once('e') {
                    None => text,
                    Some((mantissa, exponent)) => {
                        let exponent: i32 = exponent.parse().expect("an exponent");
                        format!(
                            "{mantissa}e{}{:02}",
                            if exponent < 0 { '-' } else { '+' },
                            exponent.abs()
                        )
                    }
                })
            }
            Self::Blob(bytes) if kind == Kind::Uuid && bytes.len() == 16 => None,
            Self::Text(bytes) | Self::Blob(bytes) => String::from_utf8(bytes.clone()).ok(),
        }
    }
}

//! What stands in for a value, and the words in which the parts beside this file are tested.

use std::sync::Arc;

use rusqlite::types::ValueRef::{self, Blob, Integer, Null, Real};

use super::Repair::{EmptyJson, JsonInvalid, NotConvertible, NullInNotNull};
use super::{ColumnRule, Kind, Refusal, Repair, encode};

pub(super) fn text(text: &str) -> ValueRef<'_> {
    ValueRef::Text(text.as_bytes())
}

fn column(kind: Kind) -> ColumnRule {
    ColumnRule {
        kind,
        not_null: false,
        default: None,
        input_results: None,
    }
}

/// The bytes after the length, `None` for NULL, and the repairs.
fn stored(
    value: ValueRef<'_>,
    column: &ColumnRule,
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
pub(super) fn becomes(
    value: ValueRef<'_>,
    kind: Kind,
    expected: impl AsRef<[u8]>,
    repairs: &[Repair],
) {
    assert_eq!(
        stored(value, &column(kind)),
        Ok((Some(expected.as_ref().to_vec()), repairs.to_vec()))
    );
}

#[track_caller]
pub(super) fn nulled(value: ValueRef<'_>, kind: Kind, repair: Repair) {
    assert_eq!(stored(value, &column(kind)), Ok((None, vec![repair])));
}

#[test]
fn what_stands_in() {
    let plain = |kind| ColumnRule {
        kind,
        not_null: true,
        default: None,
        input_results: None,
    };
    let defaulted = |kind| ColumnRule {
        default: Some(b"default".to_vec()),
        input_results: None,
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
    let input_results = [
        (b"1.50".to_vec(), Some(b"numeric".to_vec())),
        (b"one".to_vec(), None),
    ];
    for not_null in [false, true] {
        let other = ColumnRule {
            kind: Kind::Other,
            not_null,
            default: None,
            input_results: Some(Arc::new(input_results.clone().into())),
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
            let column = ColumnRule { kind, not_null, default: None, input_results: None };
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

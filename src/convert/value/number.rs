//! Numbers and booleans, from numbers and from text that spells them.

use rusqlite::types::ValueRef;

use super::scan::{Scan, trim};
use super::{Refusal, Repair, Repairs};

/// A number's integer part, rounded half away from zero, and whether that is all of it.
pub(super) struct Rounded {
    pub(super) value: i64,
    pub(super) exact: bool,
}

impl Rounded {
    fn repairs(&self) -> Repairs {
        if self.exact {
            Repairs::NONE
        } else {
            Repair::Rounded.into()
        }
    }
}

pub(super) fn boolean(value: ValueRef<'_>) -> Result<(bool, Repairs), Refusal> {
    if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = value
        && let Some(value) = boolean_word(bytes)
    {
        return Ok((value, Repairs::NONE));
    }
    let number = match value {
        ValueRef::Integer(value) => Some(value),
        ValueRef::Real(value) if value.is_nan() => return Err(Refusal::NotConvertible),
        ValueRef::Real(0.0) => Some(0),
        ValueRef::Real(1.0) => Some(1),
        ValueRef::Real(_) => None,
        ValueRef::Text(text) | ValueRef::Blob(text) => match round_text(text, 0) {
            Ok(Rounded { value, exact }) => Some(value).filter(|_| exact),
            Err(Refusal::OutOfRange) => None,
            Err(refusal) => return Err(refusal),
        },
        ValueRef::Null => return Err(Refusal::NullInNotNull),
    };
    Ok(match number {
        Some(0) => (false, Repairs::NONE),
        Some(1) => (true, Repairs::NONE),
        _ => (true, Repair::NonzeroBool.into()),
    })
}

/// PostgreSQL's spellings: any unambiguous prefix of these words, in any case.
fn boolean_word(text: &[u8]) -> Option<bool> {
    let text = trim(text);
    let prefix_of = |word: &[u8], shortest: usize| {
        text.len() >= shortest
            && text.len() <= word.len()
            && text.eq_ignore_ascii_case(&word[..text.len()])
    };
    if prefix_of(b"true", 1) || prefix_of(b"yes", 1) || prefix_of(b"on", 2) || text == b"1" {
        Some(true)
    } else if prefix_of(b"false", 1) || prefix_of(b"no", 1) || prefix_of(b"off", 2) || text == b"0"
    {
        Some(false)
    } else {
        None
    }
}

pub(super) fn put_integer<const N: usize>(
    value: ValueRef<'_>,
    narrow: impl FnOnce(i64) -> Option<[u8; N]>,
    out: &mut Vec<u8>,
) -> Result<Repairs, Refusal> {
    let rounded = match value {
        ValueRef::Integer(value) => Rounded { value, exact: true },
        ValueRef::Real(value) => round_real(value)?,
        ValueRef::Text(text) | ValueRef::Blob(text) => round_text(text, 0)?,
        ValueRef::Null => return Err(Refusal::NullInNotNull),
    };
    out.extend_from_slice(&narrow(rounded.value).ok_or(Refusal::OutOfRange)?);
    Ok(rounded.repairs())
}

pub(super) fn round_real(value: f64) -> Result<Rounded, Refusal> {
    if value.is_nan() {
        return Err(Refusal::NotConvertible);
    }
    let whole = value.round();
    // The bounds of i64; the upper one is exclusive.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) {
        return Err(Refusal::OutOfRange);
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let whole = whole as i64;
    Ok(Rounded {
        value: whole,
        exact: value.fract() == 0.0,
    })
}

/// Reads a decimal number, exactly, times ten to the power of `shift`.
pub(super) fn round_text(text: &[u8], shift: i64) -> Result<Rounded, Refusal> {
    const LIMIT: i128 = 10_i128.pow(19);
    let number = Decimal::parse(text).ok_or(Refusal::NotConvertible)?;
    let point = i64::try_from(number.whole.len())
        .unwrap_or(i64::MAX)
        .saturating_add(number.exponent)
        .saturating_add(shift);
    let mut value = 0_i128;
    let mut exact = true;
    let mut position = 0_i64;
    for digit in number.digits() {
        if position < point {
            value = value * 10 + i128::from(digit);
        } else {
            exact &= digit == 0;
            value += i128::from(position == point && digit >= 5);
        }
        if value > LIMIT {
            return Err(Refusal::OutOfRange);
        }
        position += 1;
    }
    while value != 0 && position < point {
        value *= 10;
        if value > LIMIT {
            return Err(Refusal::OutOfRange);
        }
        position += 1;
    }
    let value = if number.negative { -value } else { value };
    let value = i64::try_from(value).map_err(|_| Refusal::OutOfRange)?;
    Ok(Rounded { value, exact })
}

/// The parts of `[+-]digits[.digits][e[+-]digits]`.
struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut scan = Scan(trim(text));
        let negative = scan.sign();
        let whole = scan.digits();
        let fraction = if scan.eat(b'.') { scan.digits() } else { b"" };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut exponent = 0;
        if scan.eat(b'e') || scan.eat(b'E') {
            let negative = scan.sign();
            let digits = scan.digits();
            if digits.is_empty() {
                return None;
            }
            // Far beyond every range, and far from overflow.
            exponent = digits.iter().fold(0, |sum, digit| {
                (sum * 10 + i64::from(digit - b'0')).min(1 << 40)
            });
            if negative {
                exponent = -exponent;
            }
        }
        scan.0.is_empty().then_some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole
            .iter()
            .chain(self.fraction)
            .map(|digit| digit - b'0')
    }
}

pub(super) fn float8(value: ValueRef<'_>) -> Result<(f64, Repairs), Refusal> {
    match value {
        ValueRef::Integer(value) => {
            #[expect(clippy::cast_precision_loss, reason = "the loss is what is reported")]
            let float = value as f64;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "i128 holds every i64 as float"
            )]
            let exact = float as i128 == i128::from(value);
            Ok((float, lost(!exact)))
        }
        ValueRef::Real(value) => Ok((value, Repairs::NONE)),
        ValueRef::Text(text) | ValueRef::Blob(text) => parse_float(text, f64::is_infinite, 0.0),
        ValueRef::Null => Err(Refusal::NullInNotNull),
    }
}

pub(super) fn float4(value: ValueRef<'_>) -> Result<(f32, Repairs), Refusal> {
    if let ValueRef::Text(text) | ValueRef::Blob(text) = value {
        return parse_float(text, f32::is_infinite, 0.0);
    }
    let (wide, mut repairs) = float8(value)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the loss is what is reported"
    )]
    let narrow = wide as f32;
    if narrow.is_infinite() && wide.is_finite() {
        return Err(Refusal::OutOfRange);
    }
    #[expect(clippy::float_cmp, reason = "is it the same number?")]
    if f64::from(narrow) != wide && !wide.is_nan() {
        repairs.insert(Repair::Rounded);
    }
    Ok((narrow, repairs))
}

fn parse_float<T>(
    text: &[u8],
    is_infinite: impl FnOnce(T) -> bool,
    zero: T,
) -> Result<(T, Repairs), Refusal>
where
    T: Copy + PartialEq + std::str::FromStr,
{
    let text = trim(text);
    let value: T = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Refusal::NotConvertible)?;
    // The words for infinity and "not a number" have no digits.
    let Some(number) = Decimal::parse(text) else {
        return Ok((value, Repairs::NONE));
    };
    if is_infinite(value) {
        return Err(Refusal::OutOfRange);
    }
    let underflow = value == zero && number.digits().any(|digit| digit != 0);
    Ok((value, lost(underflow)))
}

pub(super) fn lost(digits: bool) -> Repairs {
    if digits {
        Repair::Rounded.into()
    } else {
        Repairs::NONE
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::types::ValueRef::{Blob, Integer, Real};

    use crate::convert::value::Kind;
    use crate::convert::value::Repair::*;
    use crate::convert::value::tests::{becomes, nulled, text};

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
}

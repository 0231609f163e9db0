//! Dates and timestamps, from ISO 8601, epochs and YYYYMMDD.

use rusqlite::types::ValueRef;

use super::number::{Rounded, lost, round_real, round_text};
use super::scan::{Scan, trim};
use super::{Refusal, Repairs};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 2000-01-01, PostgreSQL's day 0, counted from 1970-01-01.
const POSTGRES_EPOCH_DAYS: i64 = 10_957;

/// A point on the calendar, as precise as PostgreSQL's.
struct Instant {
    /// Days since 2000-01-01.
    days: i64,
    /// Microseconds since midnight; 24:00 at most.
    micros: i64,
    /// Seconds east of UTC.
    offset: i64,
    /// Whether no digits beyond the microseconds were lost.
    exact: bool,
}

pub(super) fn put_date(value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<Repairs, Refusal> {
    /// 5874898-01-01, the first day that PostgreSQL's dates do not reach.
    const END_DAYS: i32 = 2_145_031_949;
    let days = i32::try_from(instant(value)?.days)
        .ok()
        .filter(|&days| days < END_DAYS)
        .ok_or(Refusal::OutOfRange)?;
    out.extend_from_slice(&days.to_be_bytes());
    Ok(Repairs::NONE)
}

pub(super) fn put_timestamp(
    value: ValueRef<'_>,
    with_zone: bool,
    out: &mut Vec<u8>,
) -> Result<Repairs, Refusal> {
    /// 294277-01-01, the first day that PostgreSQL's timestamps do not reach.
    const END_MICROS: i64 = 9_223_371_331_200_000_000;
    let instant = instant(value)?;
    // PostgreSQL reads past the offset where the type has no zone. Text without one is UTC.
    let offset = if with_zone { instant.offset } else { 0 };
    let micros = instant
        .days
        .checked_mul(MICROS_PER_DAY)
        .and_then(|micros| micros.checked_add(instant.micros - offset * MICROS_PER_SECOND))
        .filter(|&micros| micros < END_MICROS)
        .ok_or(Refusal::OutOfRange)?;
    out.extend_from_slice(&micros.to_be_bytes());
    Ok(lost(!instant.exact))
}

fn instant(value: ValueRef<'_>) -> Result<Instant, Refusal> {
    match value {
        ValueRef::Null => Err(Refusal::NullInNotNull),
        ValueRef::Integer(value) => Ok(integer_instant(value)),
        ValueRef::Real(value) => real_instant(value),
        ValueRef::Text(text) | ValueRef::Blob(text) => text_instant(trim(text)),
    }
}

fn text_instant(text: &[u8]) -> Result<Instant, Refusal> {
    if text.is_empty() {
        return Err(Refusal::EmptyDate);
    }
    let Rounded { value, exact } = match round_text(text, 0) {
        Err(Refusal::NotConvertible) => return iso_instant(text),
        number => number?,
    };
    if let Some(days) = compact_date(value).filter(|_| exact) {
        return Ok(midnight(days));
    }
    let Rounded {
        value: micros,
        exact,
    } = round_text(text, shift_to_micros(value).into())?;
    Ok(epoch(micros, exact))
}

fn midnight(days: i64) -> Instant {
    Instant {
        days,
        micros: 0,
        offset: 0,
        exact: true,
    }
}

/// An epoch in microseconds.
fn epoch(micros: i64, exact: bool) -> Instant {
    Instant {
        days: micros.div_euclid(MICROS_PER_DAY) - POSTGRES_EPOCH_DAYS,
        micros: micros.rem_euclid(MICROS_PER_DAY),
        offset: 0,
        exact,
    }
}

/// The power of ten from an epoch's unit to microseconds. The unit is told by magnitude, so that
/// each covers the years from 1973 to 5138: seconds below 1e11, then milliseconds, microseconds,
/// nanoseconds.
fn shift_to_micros(epoch: i64) -> i8 {
    match epoch.unsigned_abs() {
        0..=99_999_999_999 => 6,
        100_000_000_000..=99_999_999_999_999 => 3,
        100_000_000_000_000..=99_999_999_999_999_999 => 0,
        _ => -3,
    }
}

/// Days since 2000-01-01 of a number that spells a date of the 20th or 21st century as YYYYMMDD.
/// SQLite's NUMERIC affinity, which DATE columns have, makes such text a number; as seconds it
/// would always fall into August 1970.
fn compact_date(number: i64) -> Option<i64> {
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    calendar_days(year, month, day).filter(|_| (1900..2100).contains(&year))
}

fn integer_instant(value: i64) -> Instant {
    if let Some(days) = compact_date(value) {
        return midnight(days);
    }
    let shift = shift_to_micros(value);
    let scale = 10_i64.pow(shift.unsigned_abs().into());
    if shift >= 0 {
        epoch(value * scale, true)
    } else {
        let rest = value % scale;
        epoch(value / scale + rest / (scale / 2), rest == 0)
    }
}

/// Fractions count as they are printed: 0.1 is a tenth, not the nearest binary fraction.
fn real_instant(value: f64) -> Result<Instant, Refusal> {
    match round_real(value)? {
        Rounded { value, exact: true } => Ok(integer_instant(value)),
        _ => text_instant(format!("{value:?}").as_bytes()),
    }
}

fn iso_instant(text: &[u8]) -> Result<Instant, Refusal> {
    let fields = IsoFields::parse(text).ok_or(Refusal::NotConvertible)?;
    let days = calendar_days(fields.year, fields.month, fields.day).ok_or(Refusal::OutOfRange)?;
    let seconds = fields.hour * 3600 + fields.minute * 60 + fields.second;
    let micros = seconds * MICROS_PER_SECOND + fields.micros;
    let in_range = fields.minute < 60
        && fields.second <= 60
        && micros <= MICROS_PER_DAY
        && fields.offset.abs() < 16 * 3600;
    if !in_range {
        return Err(Refusal::OutOfRange);
    }
    Ok(Instant {
        days,
        micros,
        offset: fields.offset,
        exact: fields.exact,
    })
}

/// Days since 2000-01-01 in the proleptic Gregorian calendar.
fn calendar_days(year: i64, month: i64, day: i64) -> Option<i64> {
    const DAYS_BEFORE: [i64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let month = usize::try_from(month)
        .ok()
        .filter(|month| (1..=12).contains(month))?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = DAYS_BEFORE[month] - DAYS_BEFORE[month - 1] + i64::from(leap && month == 2);
    if year < 1 || !(1..=length).contains(&day) {
        return None;
    }
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400 + i64::from(leap && month > 2);
    // 0001-01-01 is 730,119 days before 2000-01-01.
    Some(before * 365 + leap_days + DAYS_BEFORE[month - 1] + day - 1 - 730_119)
}

#[derive(Default)]
struct IsoFields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// Seconds east of UTC.
    offset: i64,
    /// Whether there is nothing after the microseconds.
    exact: bool,
}

impl IsoFields {
    /// `YYYY-MM-DD[(T| )HH:MM[:SS[.ffffff]][ ][Z|±HH[[:]MM]|±HH:MM:SS]]`, as far as its shape goes.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut scan = Scan(text);
        let mut fields = Self {
            exact: true,
            ..Self::default()
        };
        fields.year = scan.number(4, 7)?;
        let separator = if scan.eat(b'/') { b'/' } else { b'-' };
        if separator == b'-' && !scan.eat(b'-') {
            return None;
        }
        fields.month = scan.number(1, 2)?;
        if !scan.eat(separator) {
            return None;
        }
        fields.day = scan.number(1, 2)?;
        if scan.0.is_empty() {
            return Some(fields);
        }
        if !scan.eat(b'T') && !scan.eat(b't') && !scan.blanks() {
            return None;
        }
        fields.hour = scan.number(1, 2)?;
        if !scan.eat(b':') {
            return None;
        }
        fields.minute = scan.number(2, 2)?;
        if scan.eat(b':') {
            fields.second = scan.number(2, 2)?;
            fields.fraction(&mut scan)?;
        }
        scan.blanks();
        fields.zone(&mut scan)?;
        scan.0.is_empty().then_some(fields)
    }

    fn fraction(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        let point = scan.0;
        if !scan.eat(b'.') {
            return Some(());
        }
        let digits = scan.digits();
        self.exact = digits.iter().skip(6).all(|&digit| digit == b'0');
        // Read and rounded as PostgreSQL does, to the bit.
        let fraction: f64 = match digits {
            [] => 0.0,
            _ => std::str::from_utf8(&point[..=digits.len()])
                .ok()?
                .parse()
                .ok()?,
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most a million")]
        let micros = (fraction * 1e6).round_ties_even() as i64;
        self.micros = micros;
        Some(())
    }

    fn zone(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        if scan.0.is_empty() || scan.eat(b'Z') || scan.eat(b'z') {
            return Some(());
        }
        if !matches!(scan.0, [b'+' | b'-', ..]) {
            return None;
        }
        let west = scan.sign();
        let mut seconds = scan.number(2, 2)? * 3600;
        let part = |scan: &mut Scan<'_>| scan.number(2, 2).filter(|&part| part < 60);
        let colon = scan.eat(b':');
        if colon || !scan.0.is_empty() {
            seconds += part(scan)? * 60;
        }
        if colon && scan.eat(b':') {
            seconds += part(scan)?;
        }
        self.offset = if west { -seconds } else { seconds };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::types::ValueRef::{Integer, Real};

    use crate::convert::value::Kind;
    use crate::convert::value::Repair::*;
    use crate::convert::value::tests::{becomes, nulled, text};

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
}

//! JSON text for PostgreSQL: one pass that leaves valid text alone and mends what Python's `json`
//! writes and reads but PostgreSQL refuses or later trips over.
//!
//! Owns PostgreSQL's `json` grammar (RFC 8259) and the repairs inside it. Leaves to [`crate::convert::value`]
//! whether the bytes are UTF-8, and what stands in a column when the text cannot be mended.

/// Deepest nesting that is passed on.
///
/// PostgreSQL parses JSON recursively on a stack of `max_stack_depth` (2 MB unless configured): on
/// x86-64, version 15 takes 13,080 nested objects and 18 takes 14,495. Python, by which the app reads
/// it, gives up near 1,000.
pub const MAX_DEPTH: usize = 4096;

/// Which of PostgreSQL's two types the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `json`: numbers are kept as text, of any size.
    Json,
    /// `jsonb`: numbers become `numeric` and must fit it.
    Jsonb,
}

/// One kind of change that [`mend`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mend {
    /// A NUL, escaped (`\u0000`) or raw, was taken out of a string.
    Nul,
    /// An escaped surrogate without its other half was taken out of a string.
    LoneSurrogate,
    /// `NaN`, `Infinity` or `-Infinity` became `null`.
    NonFinite,
    /// A raw control character in a string was escaped; it means the same.
    Control,
}

/// Why text cannot be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Nothing but white space.
    Empty,
    /// Not JSON.
    Invalid,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A number beyond `numeric` ([`Dialect::Jsonb`] only).
    NumberOutOfRange,
}

/// Appends `text` to `out` as PostgreSQL takes it, calling `note` for every change.
///
/// Without a change the bytes are the same. On a [`Fault`], `out` is as it was; `note` may have been
/// called.
pub fn mend(
    text: &str,
    dialect: Dialect,
    out: &mut Vec<u8>,
    note: impl FnMut(Mend),
) -> Result<(), Fault> {
    let start = out.len();
    let mut walk = Walk {
        text: text.as_bytes(),
        at: 0,
        copied: 0,
        dialect,
        out,
        note,
    };
    let result = walk.document();
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Are the open containers, innermost last, objects or arrays? One bit each.
struct Nesting {
    objects: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Nesting {
    fn push(&mut self, object: bool) -> Result<(), Fault> {
        let word = self
            .objects
            .get_mut(self.depth / 64)
            .ok_or(Fault::TooDeep)?;
        let bit = 1 << (self.depth % 64);
        *word = if object { *word | bit } else { *word & !bit };
        self.depth += 1;
        Ok(())
    }

    fn innermost_is_object(&self) -> bool {
        let top = self.depth - 1;
        self.objects[top / 64] & (1 << (top % 64)) != 0
    }
}

struct Walk<'a, F> {
    text: &'a [u8],
    at: usize,
    /// Everything before this offset is in `out`, mended.
    copied: usize,
    dialect: Dialect,
    out: &'a mut Vec<u8>,
    note: F,
}

impl<F: FnMut(Mend)> Walk<'_, F> {
    fn document(&mut self) -> Result<(), Fault> {
        if self.next_token().is_none() {
            return Err(Fault::Empty);
        }
        let mut open = Nesting {
            objects: [0; MAX_DEPTH / 64],
            depth: 0,
        };
        loop {
            match self.next_token() {
                Some(b'{') => {
                    self.at += 1;
                    open.push(true)?;
                    if self.next_token() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    open.push(false)?;
                    if self.next_token() != Some(b']') {
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            // A value is complete, or its closing bracket comes next.
            loop {
                let token = self.next_token();
                if open.depth == 0 {
                    if token.is_some() {
                        return Err(Fault::Invalid);
                    }
                    self.out.extend_from_slice(&self.text[self.copied..]);
                    return Ok(());
                }
                self.at += 1;
                match (token, open.innermost_is_object()) {
                    (Some(b'}'), true) | (Some(b']'), false) => open.depth -= 1,
                    (Some(b','), true) => {
                        self.key()?;
                        break;
                    }
                    (Some(b','), false) => break,
                    _ => return Err(Fault::Invalid),
                }
            }
        }
    }

    /// Skips white space; the byte that follows it stays unread.
    fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                token => return token.copied(),
            }
        }
    }

    fn key(&mut self) -> Result<(), Fault> {
        if self.next_token() != Some(b'"') {
            return Err(Fault::Invalid);
        }
        self.string()?;
        if self.next_token() != Some(b':') {
            return Err(Fault::Invalid);
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        let rest = &self.text[self.at..];
        match rest {
            [b'"', ..] => return self.string(),
            [b'0'..=b'9', ..] | [b'-', b'0'..=b'9', ..] => return self.number(),
            _ => {}
        }
        for word in [&b"true"[..], b"false", b"null"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        for word in [&b"NaN"[..], b"Infinity", b"-Infinity"] {
            if rest.starts_with(word) {
                self.replace(word.len(), b"null", Mend::NonFinite);
                return Ok(());
            }
        }
        Err(Fault::Invalid)
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += usize::from(self.text[start] == b'-');
        let whole = self.digits()?;
        if whole.len() > 1 && whole[0] == b'0' {
            return Err(Fault::Invalid);
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        if self.dialect == Dialect::Jsonb && !fits_numeric(&self.text[start..self.at]) {
            return Err(Fault::NumberOutOfRange);
        }
        Ok(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<&[u8], Fault> {
        let rest = &self.text[self.at..];
        let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if length == 0 {
            return Err(Fault::Invalid);
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at += plain_prefix(&self.text[self.at..]);
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.escape()?;
                    // Text in other scripts is one escape after another.
                    while self.text.get(self.at) == Some(&b'\\') {
                        self.escape()?;
                    }
                }
                Some(0) => self.replace(1, b"", Mend::Nul),
                Some(&control @ 1..0x20) => {
                    let hex = b"0123456789abcdef"[usize::from(control & 0xF)];
                    let escaped = [b'\\', b'u', b'0', b'0', b'0' + (control >> 4), hex];
                    self.replace(1, &escaped, Mend::Control);
                }
                _ => return Err(Fault::Invalid),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match code_unit(&self.text[self.at..]).ok_or(Fault::Invalid)? {
                0 => self.replace(6, b"", Mend::Nul),
                0xD800..=0xDBFF => match code_unit(&self.text[self.at + 6..]) {
                    Some(0xDC00..=0xDFFF) => self.at += 12,
                    _ => self.replace(6, b"", Mend::LoneSurrogate),
                },
                0xDC00..=0xDFFF => self.replace(6, b"", Mend::LoneSurrogate),
                _ => self.at += 6,
            },
            _ => return Err(Fault::Invalid),
        }
        Ok(())
    }

    /// Puts `instead` in the place of the next `length` bytes.
    fn replace(&mut self, length: usize, instead: &[u8], mend: Mend) {
        self.out.extend_from_slice(&self.text[self.copied..self.at]);
        self.out.extend_from_slice(instead);
        self.at += length;
        self.copied = self.at;
        (self.note)(mend);
    }
}

/// The UTF-16 code unit of a leading `\uXXXX`.
fn code_unit(text: &[u8]) -> Option<u16> {
    let Some(&[b'\\', b'u', a, b, c, d]) = text.first_chunk() else {
        return None;
    };
    let [a, b, c, d] = [a, b, c, d].map(|digit| HEX[usize::from(digit)]);
    let unit = u16::from(a) << 12 | u16::from(b) << 8 | u16::from(c) << 4 | u16::from(d);
    (a | b | c | d < 16).then_some(unit)
}

/// The value of a hexadecimal digit; 16 for any other byte.
const HEX: [u8; 256] = {
    let mut values = [16; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        values[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// Length of the leading run free of quotes, backslashes and control characters, eight bytes at a time.
fn plain_prefix(text: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES * 0x80;
    // The lowest high bit that is set marks the first such byte; those above it may be borrows.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGHS;
    let (chunks, rest) = text.as_chunks();
    for (at, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = below(word, 0x20) | quote | backslash;
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    text.len() - rest.len() + rest.iter().position(special).unwrap_or(rest.len())
}

/// Does PostgreSQL's `numeric` hold this JSON number? At most 131,072 digits before the decimal
/// point and 16,383 after it (PostgreSQL documentation, "Arbitrary Precision Numbers").
fn fits_numeric(number: &[u8]) -> bool {
    // numeric_in gives up on such an exponent whatever its mantissa.
    const MAX_EXPONENT: i64 = i32::MAX as i64 / 2;
    let at = number.iter().position(|b| matches!(b, b'e' | b'E'));
    let (mantissa, exponent) = number.split_at(at.unwrap_or(number.len()));
    let negative = exponent.get(1) == Some(&b'-');
    let exponent = exponent
        .iter()
        .filter(|b| b.is_ascii_digit())
        .fold(0_i64, |sum, b| {
            (sum * 10 + i64::from(b - b'0')).min(MAX_EXPONENT)
        });
    if exponent == MAX_EXPONENT {
        return false;
    }
    let exponent = if negative { -exponent } else { exponent };
    let point = mantissa
        .iter()
        .position(|&b| b == b'.')
        .unwrap_or(mantissa.len());
    let fraction = mantissa.len().saturating_sub(point + 1);
    if i64::try_from(fraction)
        .unwrap_or(i64::MAX)
        .saturating_sub(exponent)
        > 16_383
    {
        return false;
    }
    let Some(first) = mantissa.iter().position(|b| matches!(b, b'1'..=b'9')) else {
        return true;
    };
    // Digits before the point, counted from the first that is not zero; negative for zeros after it.
    let whole = i64::try_from(point).unwrap_or(i64::MAX) - i64::try_from(first).unwrap_or(0)
        + i64::from(first > point);
    whole.saturating_add(exponent) <= 131_072
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The mended text and what was noted.
    fn mended(text: &str, dialect: Dialect) -> Result<(String, Vec<Mend>), Fault> {
        let mut out = b"before".to_vec();
        let mut notes = Vec::new();
        let result = mend(text, dialect, &mut out, |mend| notes.push(mend));
        if result.is_err() {
            assert_eq!(out, b"before", "a fault leaves the buffer as it was");
        }
        result.map(|()| (String::from_utf8(out.split_off(6)).unwrap(), notes))
    }

    #[track_caller]
    fn becomes(text: &str, expected: &str, notes: &[Mend]) {
        assert_eq!(
            mended(text, Dialect::Json),
            Ok((expected.to_owned(), notes.to_vec()))
        );
    }

    #[test]
    fn valid_text_stays_byte_for_byte() {
        for text in [
            "null",
            " {\"b\" : 1.50, \"a\":[ ] ,\"b\":-0e+7}\r\n\t",
            r#""\"[{\\\"double\\\":1}]\"""#,
            r#"["\ud83d\ude00 \uD83D\uDE00 \u00e9 \u0001"]"#,
            r#""C:\\u0000 and \\ud800""#,
            "\"\u{7f}\u{2028}😀\"",
            "1e999999999999",
            "[[],{},[{}]]",
        ] {
            becomes(text, text, &[]);
        }
    }

    #[test]
    fn what_the_app_would_strip_is_stripped() {
        use Mend::{LoneSurrogate, Nul};
        becomes(r#""a\u0000b""#, r#""ab""#, &[Nul]);
        becomes(
            r#"{"\u0000k":["\\\u0000"]}"#,
            r#"{"k":["\\"]}"#,
            &[Nul, Nul],
        );
        becomes(r#""\ud800""#, r#""""#, &[LoneSurrogate]);
        becomes(
            r#""\uDC00\ud83d\ude00\ud83dx""#,
            r#""\ud83d\ude00x""#,
            &[LoneSurrogate; 2],
        );
        becomes(
            r#""\ud83d\ud83d\ude00""#,
            r#""\ud83d\ude00""#,
            &[LoneSurrogate],
        );
        becomes(r#""\ud83d\\ude00""#, r#""\\ude00""#, &[LoneSurrogate]);
        // Both halves are alone: the app removes them with the NUL that parts them.
        becomes(
            r#""\ud83d\u0000\ude00""#,
            r#""""#,
            &[LoneSurrogate, Nul, LoneSurrogate],
        );
    }

    #[test]
    fn what_python_writes_and_postgresql_refuses() {
        use Mend::{Control, NonFinite};
        becomes(
            "[NaN,-Infinity, Infinity]",
            "[null,null, null]",
            &[NonFinite; 3],
        );
        becomes(r#"{"NaN":"Infinity"}"#, r#"{"NaN":"Infinity"}"#, &[]);
        becomes("\"a\nb\u{1f}\"", r#""a\u000ab\u001f""#, &[Control; 2]);
    }

    #[test]
    fn what_is_not_json() {
        for text in [
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "[1 2]",
            "]",
            "1 2",
            "01",
            "-",
            "+1",
            ".5",
            "1.",
            "1e",
            "-NaN",
            "nul",
            "nullx",
            "NaNx",
            "'a'",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u123\"",
            "{\"a\":1]",
            "[}",
            "\u{feff}1",
            "{\"a\":1 \"b\":2}",
            "\"\\",
            "True",
            "\u{a0}1",
            "{NaN:1}",
        ] {
            assert_eq!(mended(text, Dialect::Json), Err(Fault::Invalid), "{text}");
        }
        for text in ["", " ", "\r\n\t "] {
            assert_eq!(mended(text, Dialect::Json), Err(Fault::Empty));
        }
    }

    #[test]
    fn nesting_is_bounded_and_needs_no_stack() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        becomes(&nested(MAX_DEPTH), &nested(MAX_DEPTH), &[]);
        assert_eq!(
            mended(&nested(MAX_DEPTH + 1), Dialect::Json),
            Err(Fault::TooDeep)
        );
        assert_eq!(
            mended(&"{\"a\":".repeat(1_000_000), Dialect::Json),
            Err(Fault::TooDeep)
        );
        let mixed = "[{\"a\":".repeat(MAX_DEPTH / 2) + "0" + &"}]".repeat(MAX_DEPTH / 2);
        becomes(&mixed, &mixed, &[]);
    }

    #[test]
    fn jsonb_takes_what_numeric_holds() {
        for (number, fits) in [
            ("1e131071", true),
            ("1e131072", false),
            ("0.0001e131075", true),
            ("0.0001e131076", false),
            ("1e-16383", true),
            ("1e-16384", false),
            ("0e-16384", false),
            ("0e131072", true),
            ("0e99999999999999999999", false),
        ] {
            assert_eq!(mended(number, Dialect::Jsonb).is_ok(), fits, "{number}");
            assert!(mended(number, Dialect::Json).is_ok(), "{number}");
        }
    }

    /// JSON with everything that is mended, and pieces that make it invalid.
    fn json_like() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            8 => prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\\", "\\\"", "\\\\", "\\u0000", "\\ud83d", "\\ude00", "\\u00e9",
                "null", "true", "NaN", "-Infinity", "0", "-1.5e+3", "01", " ", "\n", "\"a\":", "\"b\"", "\u{1}", "\0", "é",
                "plain words",
            ])
            .prop_map(str::to_owned),
            1 => any::<String>(),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(text in json_like()) {
            let accepted = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            let unmended = matches!(mended(&text, Dialect::Json), Ok((_, notes)) if
                notes.iter().all(|note| matches!(note, Mend::Nul | Mend::LoneSurrogate)));
            prop_assert_eq!(accepted, unmended && !text.contains('\0'));
        }

        #[test]
        fn what_is_mended_needs_no_more(text in json_like()) {
            if let Ok((once, notes)) = mended(&text, Dialect::Json) {
                prop_assert_eq!(mended(&once, Dialect::Json), Ok((once.clone(), Vec::new())));
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&once).is_ok());
                prop_assert_eq!(notes.is_empty(), once == text);
            }
        }
    }
}

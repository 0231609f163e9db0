//! Owns how numbers of things are written.

use std::fmt::Write as _;

/// `1 row`, `2 rows`, `12,345 rows`. Most plurals only add an s; for others both forms are given, `entry/entries`.
pub(crate) fn count(number: impl TryInto<u64>, thing: &str) -> String {
    let number = number.try_into().unwrap_or_default();
    let (one, many) = match thing.split_once('/') {
        Some((one, many)) => (one.to_owned(), many.to_owned()),
        None => (thing.to_owned(), plural(thing)),
    };
    let word = if number == 1 { one } else { many };
    format!("{} {word}", grouped(number))
}

/// The plural of the first word that is followed by ` of `, or of the last one.
fn plural(thing: &str) -> String {
    match thing.split_once(" of ") {
        Some((head, rest)) => format!("{head}s of {rest}"),
        None => format!("{thing}s"),
    }
}

/// With a comma before each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Lines of columns, indented: the first column to the left, numbers to the right. Each line begins with a line break.
pub(crate) fn columns<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let heads = heads.map(str::to_owned);
    let lines = || std::iter::once(&heads).chain(rows);
    let width = |at: usize| lines().map(|line| line[at].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|at| width(at).unwrap_or_default()).collect();
    let mut text = String::new();
    for line in lines() {
        text.push_str("\n  ");
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Writing to a String cannot fail.
            let _ = match at {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_and_thousands() {
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(0, "row"), "0 rows");
        assert_eq!(count(12_345, "row of chat"), "12,345 rows of chat");
        assert_eq!(count(2, "entry/entries"), "2 entries");
        assert_eq!(count(-3, "user"), "0 users");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}

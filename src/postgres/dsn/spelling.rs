//! Percent-encoding, and the spellings under which a secret may turn up in a log.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// What Python's `urllib.parse.quote` escapes: it spares the slash.
const PYTHON_QUOTE: &AsciiSet = &RESERVED.remove(b'/');
/// What `SQLAlchemy` escapes in a user or password that it prints back: it spares spaces and `+`.
const SQLALCHEMY_QUOTE: &AsciiSet = &RESERVED.remove(b' ').remove(b'+');

pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A text as it may turn up in the output of this program, a shell, or Python.
pub(super) fn spellings(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned()];
    for set in [RESERVED, PYTHON_QUOTE, SQLALCHEMY_QUOTE] {
        let upper = utf8_percent_encode(text, set).to_string();
        forms.push(lower_case_escapes(&upper));
        // configparser, which Alembic keeps its URL in, doubles each percent sign.
        forms.push(upper.replace('%', "%%"));
        forms.push(upper.replace("%20", "+"));
        forms.push(upper);
    }
    forms.push(text.replace('%', "%%"));
    forms.push(text.escape_debug().to_string());
    forms.push(text.replace('\\', "\\\\").replace('\'', "\\'"));
    let json = serde_json::Value::from(text).to_string();
    let json = json[1..json.len() - 1].to_owned();
    forms.push(ascii_json(&json));
    forms.push(json);
    forms
}

fn lower_case_escapes(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let mut lower = pieces.next().unwrap_or("").to_owned();
    for piece in pieces {
        let (hex, rest) = piece.split_at(2);
        lower.push('%');
        lower.push_str(&hex.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}

/// JSON as Python writes it by default, with UTF-16 escapes for all that is not ASCII.
fn ascii_json(json: &str) -> String {
    use std::fmt::Write as _;
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::encode;
    use crate::postgres::dsn::tests::parse;

    #[test]
    fn secrets_cover_the_spellings_that_turn_up_in_logs() {
        let password = "a@b c\"d\\e%é/'";
        let url = format!("postgres://u:{}@h/d", encode(password));
        let secrets = parse(&url).secrets();
        for spelling in [
            password,
            &url,
            "a%40b%20c%22d%5Ce%25%C3%A9%2F%27",
            "a%40b%20c%22d%5ce%25%c3%a9%2f%27",
            "a%40b+c%22d%5Ce%25%C3%A9%2F%27",
            "a%40b c%22d%5Ce%25%C3%A9%2F%27",
            "a%40b%20c%22d%5Ce%25%C3%A9/%27",
            "a%%40b%%20c%%22d%%5Ce%%25%%C3%%A9%%2F%%27",
            "a@b c\\\"d\\\\e%é/'",
            "a@b c\\\"d\\\\e%\\u00e9/'",
            "a@b c\"d\\\\e%é/\\'",
        ] {
            assert!(
                secrets.iter().any(|s| s == spelling),
                "{spelling} is not among {secrets:#?}"
            );
        }
        assert!(secrets.is_sorted_by_key(|s| std::cmp::Reverse(s.len())));
        assert!(parse("postgres://u@h/d").secrets().is_empty());
    }
}

//! Owns the JSON in which the original of a row, or of a part of it, is kept in `webui_init.leftover`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::ValueRef;

/// Appends a JSON object of the given columns. What JSON, or PostgreSQL's reading of it, cannot hold is
/// written as an object: `{"base64": …}` for BLOBs, and for text with a NUL or invalid UTF-8 (then with
/// `"text": true`); `{"real": …}` for infinities.
pub(crate) fn write_row<'a>(
    columns: impl Iterator<Item = (&'a str, ValueRef<'a>)>,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    for (at, (name, value)) in columns.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

fn write_value(value: ValueRef<'_>, out: &mut Vec<u8>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Integer(integer) => out.extend_from_slice(integer.to_string().as_bytes()),
        ValueRef::Real(real) if real.is_finite() => {
            out.extend_from_slice(serde_json::Value::from(real).to_string().as_bytes());
        }
        ValueRef::Real(real) => {
            out.extend_from_slice(format!("{{\"real\":\"{real}\"}}").as_bytes());
        }
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => write_string(text, out),
            _ => write_base64(bytes, ",\"text\":true", out),
        },
        ValueRef::Blob(bytes) => write_base64(bytes, "", out),
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a string to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn write_base64(bytes: &[u8], mark: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"base64\":\"");
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.extend_from_slice(format!("\"{mark}}}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_every_storage_class() {
        let mut out = Vec::new();
        let columns = [
            ("n", ValueRef::Null),
            ("i", ValueRef::Integer(-7)),
            ("r", ValueRef::Real(1.5)),
            ("inf", ValueRef::Real(f64::NEG_INFINITY)),
            ("t\"", ValueRef::Text("a\"\u{1F600}".as_bytes())),
            ("z", ValueRef::Text(b"a\0b")),
            ("b", ValueRef::Blob(&[255])),
        ];
        write_row(columns.into_iter(), &mut out);
        let expected = r#"{"n":null,"i":-7,"r":1.5,"inf":{"real":"-inf"},"t\"":"a\"😀","z":{"base64":"YQBi","text":true},"b":{"base64":"/w=="}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

//! What must hold for any input whatever. The fuzz targets look for one that breaks it, and the tests replay what they
//! have found interesting so far (`corpus/`).

use serde::de::IgnoredAny;
use webui_init::dsn::{Dsn, LibpqEnv, backend};
use webui_init::json::{Dialect, Fault, Mend, mend};
use webui_init::value::{self, ColumnRule, Kind, Repair};

/// JSON is mended into what a strict reader accepts, once and for all; valid JSON stays byte for byte.
pub fn json(input: &[u8]) {
    for kind in [Kind::Json, Kind::Jsonb] {
        field(input, kind);
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for dialect in [Dialect::Json, Dialect::Jsonb] {
        document(text, dialect);
    }
}

/// The field that is sent for these bytes.
fn field(input: &[u8], kind: Kind) {
    let column = ColumnRule {
        kind,
        not_null: true,
        default: None,
        input_results: None,
    };
    let mut sent = b"before".to_vec();
    let result = value::encode(value_of(input), &column, &mut sent);
    let field = sent.strip_prefix(b"before").expect("what was there stays");
    let Ok(repairs) = result else {
        assert!(field.is_empty(), "a refusal sends nothing");
        return;
    };
    let (length, mut bytes) = field.split_first_chunk().expect("a length");
    assert_eq!(
        usize::try_from(i32::from_be_bytes(*length)),
        Ok(bytes.len())
    );
    if kind == Kind::Jsonb {
        bytes = bytes.strip_prefix(&[1]).expect("a version");
    }
    strict(std::str::from_utf8(bytes).expect("PostgreSQL takes UTF-8 only"));
    assert_eq!(
        repairs.is_empty(),
        bytes == input,
        "what changes is reported, and only that"
    );
    let lossy = repairs.contains(Repair::InvalidUtf8) || repairs.contains(Repair::LoneSurrogate);
    assert_eq!(lossy, std::str::from_utf8(input).is_err());
}

fn value_of(input: &[u8]) -> rusqlite::types::ValueRef<'_> {
    rusqlite::types::ValueRef::Text(input)
}

fn document(text: &str, dialect: Dialect) {
    let (mut mended, mut notes) = (b"before".to_vec(), Vec::new());
    let result = mend(text, dialect, &mut mended, |note| notes.push(note));
    let mended = mended
        .strip_prefix(b"before")
        .expect("what was there stays");
    match result {
        Ok(()) => {
            let mended = std::str::from_utf8(mended).expect("text stays text");
            strict(mended);
            assert_eq!(
                notes.is_empty(),
                mended == text,
                "what changes is noted, and only that"
            );
            let mut again = Vec::new();
            mend(mended, dialect, &mut again, |note| {
                panic!("{note:?} once more")
            })
            .expect("mended before");
            assert_eq!(again, mended.as_bytes());
            let accepted = serde_json::from_str::<IgnoredAny>(text).is_ok();
            let harmless = |note: &Mend| matches!(note, Mend::Nul | Mend::LoneSurrogate);
            assert_eq!(accepted, notes.iter().all(harmless) && !text.contains('\0'));
        }
        Err(fault) => {
            assert!(mended.is_empty(), "a fault leaves nothing behind");
            let refused = serde_json::from_str::<IgnoredAny>(text).is_err();
            let too_much = matches!(fault, Fault::TooDeep | Fault::NumberOutOfRange);
            assert!(refused || too_much, "{fault:?}, but it is JSON");
        }
    }
}

/// Fails unless a reader that knows no mercy takes it, and finds neither a NUL nor half a surrogate pair.
fn strict(text: &str) {
    serde_json::from_str::<IgnoredAny>(text).expect("strict JSON");
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) => assert!(!has_nul(&value), "a NUL is left"),
        // Its own limits, which the app and PostgreSQL do not have.
        Err(error) => {
            let error = error.to_string();
            let limit = ["recursion limit exceeded", "number out of range"];
            assert!(
                limit.iter().any(|limit| error.starts_with(limit)),
                "{error}"
            );
        }
    }
}

fn has_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(values) => values.iter().any(has_nul),
        serde_json::Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// What stands in every password here.
const SECRET: &str = "GEHEIM";

/// A connection string is read or refused; nothing that is shown has a part of the password.
pub fn url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let _ = backend(text);
    let env = LibpqEnv::default();
    if let Ok(dsn) = Dsn::parse(text, &env) {
        let _ = (dsn.secrets(), dsn.summary());
        let again = Dsn::parse(&dsn.app_url(), &env).expect("what the app gets can be read");
        assert_eq!(again.config(), dsn.config(), "the app and we mean the same");
        assert_eq!(again.app_url(), dsn.app_url());
    }
    let (one, other) = text.split_once('\n').unwrap_or((text, "h/d"));
    if mentions_secret(one) || mentions_secret(other) {
        return;
    }
    let encoded = percent_encoding::utf8_percent_encode(one, percent_encoding::NON_ALPHANUMERIC);
    shows_nothing(&format!(
        "postgresql://u:{encoded}{SECRET}{encoded}@{other}"
    ));
    // A parameter that is known by name proves that the host stands before it: `u:x@/d?host=GEHEIM@host.example/d`.
    if !(one.contains('?') && one.contains('=')) {
        shows_nothing(&format!("postgres://u:{one}{SECRET}@host.example/d"));
    }
    shows_nothing(&format!("postgres://u:{SECRET}{one}@host.example/d"));
}

fn shows_nothing(url: &str) {
    let shown = match Dsn::parse(url, &LibpqEnv::default()) {
        Ok(dsn) => format!(
            "{dsn:?} {} {:?} {:?}",
            dsn.summary(),
            dsn.ignored(),
            dsn.misreadings()
        ),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains(SECRET), "{url} shows its password: {shown}");
}

/// Whether the text has the secret by itself, whatever is decoded how often.
fn mentions_secret(text: &str) -> bool {
    let mut text = text.to_owned();
    loop {
        if text.to_ascii_uppercase().contains(SECRET) {
            return true;
        }
        let decoded = percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned();
        if decoded == text {
            return false;
        }
        text = decoded;
    }
}

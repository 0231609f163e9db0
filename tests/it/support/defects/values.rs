//! Defects of single values: of each, what must be stored instead, and why the original is kept.

use super::{Column, Kind, Planter, Row, Stored};

impl Planter<'_> {
    /// Stores `value` where it becomes `becomes`.
    fn mended(
        &mut self,
        cell: Option<(Row, Column)>,
        value: &Stored,
        becomes: &str,
        repairs: &[&'static str],
    ) -> bool {
        let Some((row, column)) = cell else {
            return false;
        };
        let planted = self.set(&row, &column.name, value);
        if planted {
            self.note(&row, &column.name, Some(becomes.to_owned()), repairs);
        }
        planted
    }

    /// Stores `value` where it cannot be: NULL or the default must stand in for it, or the row stays behind.
    fn replaced(
        &mut self,
        cell: Option<(Row, Column)>,
        value: &Stored,
        reason: &'static str,
    ) -> bool {
        let Some((row, column)) = cell else {
            return false;
        };
        let stand_in = match (&column.default, column.kind) {
            _ if !column.not_null => Some(None),
            (Some(default), _) => Some(Some(default.clone())),
            (None, Kind::Text | Kind::Varchar(_)) if reason == "null_in_not_null" => {
                Some(Some(String::new()))
            }
            _ => None,
        };
        if stand_in.is_none() && !self.may_fall(&row) || !self.set(&row, &column.name, value) {
            return false;
        }
        match stand_in {
            Some(becomes) => self.note(&row, &column.name, becomes, &[reason]),
            None => assert!(self.put_aside(&row, &format!("refused:{reason}"))),
        }
        true
    }

    fn text_cell(&mut self) -> Option<(Row, Column)> {
        self.free_cell(|column| column.kind == Kind::Text)
    }

    fn json_cell(&mut self) -> Option<(Row, Column)> {
        self.free_cell(|column| column.kind == Kind::Json)
    }

    /// JSON with `stored` in it somewhere, which must become `becomes`.
    fn json(&mut self, stored: &[u8], becomes: &str, repairs: &[&'static str]) -> bool {
        let cell = self.json_cell();
        let (before, after) = self.dice.pick(&[
            ("", ""),
            ("{\"a\": ", "}"),
            (" [1.50,", " ]\n"),
            (
                r#"{"history":{"messages":{"x":{"content":"C:\\u0000","n":"#,
                r#"}}},"a":1,"a":2}"#,
            ),
        ]);
        let stored = [before.as_bytes(), stored, after.as_bytes()].concat();
        self.mended(
            cell,
            &Stored::Text(stored),
            &format!("{before}{becomes}{after}"),
            repairs,
        )
    }
}

pub(super) fn number_in_json(p: &mut Planter<'_>) -> bool {
    let cell = p.json_cell();
    let (stored, becomes) = p.dice.pick(&[
        (Stored::Integer(-7), "-7"),
        (Stored::Integer(i64::MAX), "9223372036854775807"),
        (Stored::Real(1.5), "1.5"),
        (Stored::Real(-1e-7), "-1e-07"),
        (Stored::Real(1e300), "1e+300"),
    ]);
    p.mended(cell, &stored, becomes, &[])
}

pub(super) fn blob_in_json(p: &mut Planter<'_>) -> bool {
    let cell = p.json_cell();
    let json = format!(r#"{{"n": {}, "n":[ ]}}"#, p.dice.below(1000));
    p.mended(cell, &Stored::blob(&json), &json, &[])
}

pub(super) fn invalid_json(p: &mut Planter<'_>) -> bool {
    let cell = p.json_cell();
    let text = p.dice.pick(&[
        "{",
        "not json",
        "{'a': 1}",
        "{\"a\": 1,}",
        "[1 2]",
        "{\"a\": undefined}",
        "\"unended",
        "{\"a\": 1}}",
        "01x",
        "\u{feff}{}",
        "None",
        "\"\\x41\"",
        "{\"a\": True}",
        "[object Object]",
    ]);
    p.replaced(cell, &Stored::text(text), "json_invalid")
}

pub(super) fn deep_json(p: &mut Planter<'_>) -> bool {
    let cell = p.json_cell();
    let text = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    p.replaced(cell, &Stored::text(text), "json_too_deep")
}

pub(super) fn blank_json(p: &mut Planter<'_>) -> bool {
    let cell = p.json_cell();
    let text = p.dice.pick(&["", " ", "\n\t"]);
    p.replaced(cell, &Stored::text(text), "empty_json")
}

pub(super) fn blank_date(p: &mut Planter<'_>) -> bool {
    let cell = p.free_cell(|column| matches!(column.kind, Kind::Date | Kind::Timestamp));
    let text = p.dice.pick(&["", " "]);
    p.replaced(cell, &Stored::text(text), "empty_date")
}

pub(super) fn null_in_not_null(p: &mut Planter<'_>) -> bool {
    let cell = p.free_cell(|column| column.not_null);
    p.replaced(cell, &Stored::Null, "null_in_not_null")
}

pub(super) fn nul_in_text(p: &mut Planter<'_>) -> bool {
    let cell = p.text_cell();
    let (stored, becomes) = p.dice.pick(&[
        ("\0", ""),
        ("a\0b", "ab"),
        ("\0\0é\0", "é"),
        ("😀\0x\n", "😀x\n"),
    ]);
    p.mended(cell, &Stored::text(stored), becomes, &["nul_in_text"])
}

pub(super) fn nul_in_json(p: &mut Planter<'_>) -> bool {
    let (stored, becomes) = p.dice.pick(&[
        (r#""\u0000""#, r#""""#),
        (r#""a\u0000b\\\u0000""#, r#""ab\\""#),
        (r#"{"k\u0000":["\\\\\u0000x"]}"#, r#"{"k":["\\\\x"]}"#),
    ]);
    p.json(stored.as_bytes(), becomes, &["json_nul"])
}

pub(super) fn raw_nul_in_json(p: &mut Planter<'_>) -> bool {
    p.json(b"\"a\0b\"", r#""ab""#, &["nul_in_text"])
}

pub(super) fn surrogate_in_text(p: &mut Planter<'_>) -> bool {
    let cell = p.text_cell();
    let stored = p
        .dice
        .pick(&[&b"a\xed\xa0\xbdb"[..], b"ab\xed\xb8\x80", b"\xed\xbf\xbfab"]);
    p.mended(cell, &Stored::text(stored), "ab", &["lone_surrogate"])
}

pub(super) fn surrogate_in_json(p: &mut Planter<'_>) -> bool {
    let (stored, becomes) = p.dice.pick(&[
        (r#""\ud83d""#, r#""""#),
        (r#""\ude00\uD83D\uDE00\ud83dx""#, r#""\uD83D\uDE00x""#),
        (r#"{"\udfff":"\ud83d\\ude00"}"#, r#"{"":"\\ude00"}"#),
    ]);
    p.json(stored.as_bytes(), becomes, &["json_lone_surrogate"])
}

pub(super) fn raw_surrogate_in_json(p: &mut Planter<'_>) -> bool {
    p.json(b"\"a\xed\xa0\xbdb\"", r#""ab""#, &["lone_surrogate"])
}

pub(super) fn escaped_backslash(p: &mut Planter<'_>) -> bool {
    let text = p.dice.pick(&[
        r#""C:\\u0000""#,
        r#""\\\\u0000 \\ud800""#,
        r#"{"\\u0000":"\\\\\\u0000"}"#,
    ]);
    p.json(text.as_bytes(), text, &[])
}

pub(super) fn invalid_text(p: &mut Planter<'_>) -> bool {
    let cell = p.text_cell();
    let (stored, becomes) = p.dice.pick(&[
        (&b"caf\xe9"[..], "caf\u{fffd}"),
        (b"\xff\xfe", "\u{fffd}\u{fffd}"),
        (b"cut \xf0\x9f\x98", "cut \u{fffd}"),
        (b"overlong \xc0\xaf!", "overlong \u{fffd}\u{fffd}!"),
    ]);
    let stored = if p.dice.one_in(3) {
        Stored::blob(stored)
    } else {
        Stored::text(stored)
    };
    p.mended(cell, &stored, becomes, &["invalid_utf8"])
}

pub(super) fn invalid_utf8_in_json(p: &mut Planter<'_>) -> bool {
    p.json(
        b"\"caf\xe9 \xf0\x9f\x98\"",
        "\"caf\u{fffd} \u{fffd}\"",
        &["invalid_utf8"],
    )
}

pub(super) fn control_in_json(p: &mut Planter<'_>) -> bool {
    p.json(
        b"\"a\nb\x1f\tc\"",
        r#""a\u000ab\u001f\u0009c""#,
        &["json_control"],
    )
}

pub(super) fn non_finite_in_json(p: &mut Planter<'_>) -> bool {
    let (stored, becomes) = p.dice.pick(&[
        ("NaN", "null"),
        ("[-Infinity, Infinity,NaN ]", "[null, null,null ]"),
        (
            r#"{"NaN":NaN,"Infinity":"NaN"}"#,
            r#"{"NaN":null,"Infinity":"NaN"}"#,
        ),
    ]);
    p.json(stored.as_bytes(), becomes, &["json_non_finite"])
}

pub(super) fn infinity_in_json(p: &mut Planter<'_>) -> bool {
    let cell = p.json_cell();
    let value = p.dice.pick(&[f64::INFINITY, f64::NEG_INFINITY]);
    p.mended(cell, &Stored::Real(value), "null", &["json_non_finite"])
}

/// One original for each reason.
pub(super) fn several_in_json(p: &mut Planter<'_>) -> bool {
    let stored = b"[\"\\u0000\\ud800\xff\0\",NaN,\"\n\"]";
    let repairs = [
        "invalid_utf8",
        "nul_in_text",
        "json_nul",
        "json_lone_surrogate",
        "json_non_finite",
        "json_control",
    ];
    p.json(stored, "[\"\u{fffd}\",null,\"\\u000a\"]", &repairs)
}

pub(super) fn odd_json(p: &mut Planter<'_>) -> bool {
    let text = p.dice.pick(&[
        r#"{"b":1,"a":2,"b":3,"a":{"a":1,"a":1}}"#,
        "{ \"a\"\t:\n1.000 ,\r\n\"b\" : -0 }",
        "[1E5, 1e+05, 0.10, 123456789012345678901234567890.10]",
        r#"{"":"","\u00e9\/\ud83d\ude00":"\u0001"}"#,
    ]);
    p.json(text.as_bytes(), text, &[])
}

pub(super) fn double_encoded(p: &mut Planter<'_>) -> bool {
    let text = r#""{\"a\": \"\\u00e9\", \"b\": \"{\\\"c\\\": 1.50}\"}""#;
    p.json(text.as_bytes(), text, &[])
}

pub(super) fn oauth_id_in_json(p: &mut Planter<'_>) -> bool {
    let text = format!(r#"{{"google": {{"sub": 10{}00}}}}"#, p.dice.roll());
    p.json(text.as_bytes(), &text, &[])
}

/// OAuth ids above all; no column of the app's own would keep them as numbers.
pub(super) fn number_in_text(p: &mut Planter<'_>) -> bool {
    let cell = p.text_cell();
    let (stored, becomes) = p.dice.pick(&[
        (
            Stored::Integer(107_691_503_500_061_501),
            "107691503500061501",
        ),
        (Stored::Integer(0), "0"),
        (Stored::Real(1.5), "1.5"),
        (Stored::Real(2.0), "2.0"),
        (Stored::Real(1e22), "1e+22"),
    ]);
    p.mended(cell, &stored, becomes, &[])
}

pub(super) fn blob_in_text(p: &mut Planter<'_>) -> bool {
    let cell = p.text_cell();
    let text = format!("bytes of text 世界 {}", p.dice.below(1000));
    p.mended(cell, &Stored::blob(&text), &text, &[])
}

pub(super) fn boolean(p: &mut Planter<'_>) -> bool {
    let cell = p.free_cell(|column| column.kind == Kind::Bool);
    let (word, becomes) = p.dice.pick(&[
        ("true", "t"),
        ("t", "t"),
        ("True", "t"),
        ("yes", "t"),
        ("on", "t"),
        (" TRUE ", "t"),
        ("1", "t"),
        ("false", "f"),
        ("f", "f"),
        ("False", "f"),
        ("no", "f"),
        ("off", "f"),
        ("0", "f"),
        ("n", "f"),
    ]);
    let stored = match p.dice.below(4) {
        0 if becomes == "t" => Stored::Real(1.0),
        0 => Stored::Real(0.0),
        1 => Stored::blob(word),
        _ => Stored::text(word),
    };
    p.mended(cell, &stored, becomes, &[])
}

pub(super) fn number_in_boolean(p: &mut Planter<'_>) -> bool {
    let cell = p.free_cell(|column| column.kind == Kind::Bool);
    let stored = p.dice.pick(&[
        Stored::Integer(2),
        Stored::Integer(-1),
        Stored::Real(0.5),
        Stored::text("1e99"),
    ]);
    p.mended(cell, &stored, "t", &["nonzero_bool"])
}

pub(super) fn words(p: &mut Planter<'_>) -> bool {
    let cell =
        p.free_cell(|column| !matches!(column.kind, Kind::Text | Kind::Varchar(_) | Kind::Json));
    let text = p.dice.pick(&[
        "yesterday",
        "12 apples",
        "0x1F",
        "1,000",
        "--",
        "tomorrow\0",
        "NULL",
    ]);
    p.replaced(cell, &Stored::text(text), "not_convertible")
}

pub(super) fn number_as_text(p: &mut Planter<'_>) -> bool {
    let cell = p.free_cell(|column| matches!(column.kind, Kind::Int8 | Kind::Int4));
    let (text, becomes) = p.dice.pick(&[
        ("1700000", "1700000"),
        (" -12 ", "-12"),
        ("1e3", "1000"),
        ("7.0", "7"),
        ("+5", "5"),
    ]);
    let stored = if p.dice.one_in(2) {
        Stored::blob(text)
    } else {
        Stored::text(text)
    };
    p.mended(cell, &stored, becomes, &[])
}

pub(super) fn fraction(p: &mut Planter<'_>) -> bool {
    let cell = p.free_cell(|column| column.kind == Kind::Int8);
    let (stored, becomes) = p.dice.pick(&[
        (Stored::Real(1_700_000_000.25), "1700000000"),
        (Stored::Real(1_700_000_000_123.5), "1700000000124"),
        (Stored::Real(-2.5), "-3"),
        (Stored::text("1.5e0"), "2"),
        (Stored::blob("1700000000.499999"), "1700000000"),
    ]);
    p.mended(cell, &stored, becomes, &["rounded"])
}

pub(super) fn beyond_range(p: &mut Planter<'_>) -> bool {
    let cell = p.free_cell(|column| matches!(column.kind, Kind::Int8 | Kind::Int4 | Kind::Date));
    let Some((_, column)) = &cell else {
        return false;
    };
    let stored = match column.kind {
        Kind::Date => p.dice.pick(&[
            Stored::text("1999-02-30"),
            Stored::text("2001-13-01"),
            Stored::text("9999999-01-01"),
        ]),
        Kind::Int4 => p.dice.pick(&[
            Stored::Integer(1 << 31),
            Stored::Integer(i64::MIN),
            Stored::Real(1e10),
        ]),
        _ => p.dice.pick(&[
            Stored::Real(1e300),
            Stored::Real(9.3e18),
            Stored::Real(f64::NEG_INFINITY),
            Stored::blob("9223372036854775808"),
            Stored::blob("-1e99"),
        ]),
    };
    p.replaced(cell, &stored, "out_of_range")
}

pub(super) fn long_username(p: &mut Planter<'_>) -> bool {
    let cell = p.free_cell(|column| matches!(column.kind, Kind::Varchar(_)));
    let Some((
        _,
        Column {
            kind: Kind::Varchar(limit),
            ..
        },
    )) = cell
    else {
        return false;
    };
    let character = p.dice.pick(&["x", "é", "世", "😀"]);
    let more = p.dice.pick(&[1, 7, 5_000]);
    // Blanks too many are cut off without a word, as PostgreSQL itself does.
    let (tail, repairs): (_, &[_]) = if p.dice.one_in(4) {
        (" ", &[])
    } else {
        (character, &["too_long"])
    };
    let kept = character.repeat(limit);
    p.mended(
        cell,
        &Stored::text(format!("{kept}{}", tail.repeat(more))),
        &kept,
        repairs,
    )
}

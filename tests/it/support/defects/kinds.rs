//! Every kind of defect that people's files had, by name; what each does is `rows`' and `values`'.

use super::{Planter, rows, values};

/// One kind of defect.
pub struct Defect {
    pub name: &'static str,
    /// How many a seed plants.
    pub at_most: usize,
    /// Whether PostgreSQL must be asked for the rows: each table costs a search.
    pub search: bool,
    /// Plants one. `false`: there was no place for it.
    pub plant: fn(&mut Planter<'_>) -> bool,
}

const fn defect(name: &'static str, at_most: usize, plant: fn(&mut Planter<'_>) -> bool) -> Defect {
    Defect {
        name,
        at_most,
        search: false,
        plant,
    }
}

const fn searched(
    name: &'static str,
    at_most: usize,
    plant: fn(&mut Planter<'_>) -> bool,
) -> Defect {
    Defect {
        name,
        at_most,
        search: true,
        plant,
    }
}

/// All kinds.
pub const KINDS: [Defect; 49] = [
    defect("orphan", 3, rows::orphan),
    defect(
        "parent deleted, with all that refers to it",
        1,
        rows::deleted_parent,
    ),
    defect("reference that becomes NULL", 2, rows::nulled),
    defect(
        "NULL in a reference that may not be NULL",
        1,
        rows::null_reference,
    ),
    searched("duplicate under a unique index", 2, rows::duplicate),
    defect(
        "duplicate of a row that stays behind",
        1,
        rows::duplicate_of_orphan,
    ),
    searched("e-mail alike but for case", 1, rows::email_case),
    searched(
        "e-mail alike but for case beyond ASCII",
        1,
        rows::email_case_beyond_ascii,
    ),
    searched("key alike once a BLOB is text", 1, |p| {
        rows::key_alike(p, false)
    }),
    searched("key alike once NUL is gone", 1, |p| {
        rows::key_alike(p, true)
    }),
    searched("check violated", 1, rows::check),
    searched("index entry too large", 2, rows::oversized),
    searched("index entry too large, in JSON", 1, rows::oversized_json),
    defect("long index entry that compresses", 2, rows::compressible),
    defect("NULL in a part of a key", 1, rows::null_in_key),
    defect("INTEGER or REAL in JSON", 3, values::number_in_json),
    defect("BLOB in JSON", 1, values::blob_in_json),
    defect("invalid JSON", 3, values::invalid_json),
    defect("JSON nested too deep", 1, values::deep_json),
    defect("blank in JSON", 2, values::blank_json),
    defect("blank in a date or time", 2, values::blank_date),
    defect("NULL in NOT NULL", 3, values::null_in_not_null),
    defect("NUL in text", 2, values::nul_in_text),
    defect("NUL in JSON", 2, values::nul_in_json),
    defect("raw NUL in JSON", 1, values::raw_nul_in_json),
    defect("lone surrogate in text", 2, values::surrogate_in_text),
    defect("lone surrogate in JSON", 2, values::surrogate_in_json),
    defect(
        "raw lone surrogate in JSON",
        1,
        values::raw_surrogate_in_json,
    ),
    defect(
        "escaped backslash before u0000",
        2,
        values::escaped_backslash,
    ),
    defect("invalid UTF-8 in text", 2, values::invalid_text),
    defect("invalid UTF-8 in JSON", 2, values::invalid_utf8_in_json),
    defect("raw control character in JSON", 1, values::control_in_json),
    defect("NaN or Infinity in JSON", 3, values::non_finite_in_json),
    defect("REAL infinity in JSON", 1, values::infinity_in_json),
    defect("several at once in JSON", 2, values::several_in_json),
    defect("odd but valid JSON", 3, values::odd_json),
    defect("double-encoded JSON", 1, values::double_encoded),
    defect("numeric OAuth id in JSON", 1, values::oauth_id_in_json),
    defect("number in text", 3, values::number_in_text),
    defect("BLOB in text", 2, values::blob_in_text),
    defect("boolean in words or as a number", 4, values::boolean),
    defect(
        "number beyond 0 and 1 in boolean",
        2,
        values::number_in_boolean,
    ),
    defect("words in a number, boolean or date", 4, values::words),
    defect("number as text", 3, values::number_as_text),
    defect("fraction in an integer", 3, values::fraction),
    defect("beyond the range", 3, values::beyond_range),
    defect("username too long", 2, values::long_username),
    defect("unknown table", 1, rows::unknown_table),
    defect("unknown column", 1, rows::unknown_column),
];

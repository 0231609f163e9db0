//! Any SQLite value into any type: PostgreSQL takes what `value` encodes, keeps it, and would have read the
//! literal the same way.
//!
//! `WEBUI_TEST_SEED` repeats a run, `WEBUI_TEST_CASES` makes it longer.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::format_push_string,
    reason = "any number will do for a random one"
)]

use std::pin::pin;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::SinkExt as _;
use rusqlite::types::ValueRef;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, Type};
use webui_init::json::{self, Dialect, Fault};
use webui_init::value::{Column, Kind, Refusal, Repair, Repairs, encode};

use crate::support::{Database, Postgres, need};

/// Values for each server in an ordinary run.
const CASES: usize = 128_000;
const BATCH: usize = 4_000;

/// Kinds, their types, a default, and the bytes that PostgreSQL makes of a literal `l` (PL/pgSQL; an error
/// stands for NULL). Numbers in a date are epochs, and plain text is checked here, not there.
const KINDS: [(Kind, &str, &str, &str); 16] = [
    (
        Kind::Bool,
        "bool",
        "true",
        "RETURN boolsend(CASE WHEN pg_temp.is_number(l) AND trim(l) !~ '^[01]$' THEN pg_temp.number(l) <> 0 ELSE l::bool END);",
    ),
    (
        Kind::Int2,
        "int2",
        "7",
        "IF pg_temp.is_number(l) THEN RETURN int2send(pg_temp.number(l)::int2); END IF;",
    ),
    (
        Kind::Int4,
        "int4",
        "7",
        "IF pg_temp.is_number(l) THEN RETURN int4send(pg_temp.number(l)::int4); END IF;",
    ),
    (
        Kind::Int8,
        "int8",
        "7",
        "IF pg_temp.is_number(l) THEN RETURN int8send(pg_temp.number(l)::int8); END IF;",
    ),
    (
        Kind::Float4,
        "float4",
        "7",
        "IF l !~* '0x' THEN RETURN float4send(l::float4); END IF;",
    ),
    (
        Kind::Float8,
        "float8",
        "7",
        "IF l !~* '0x' THEN RETURN float8send(l::float8); END IF;",
    ),
    (Kind::Text, "text", "none", "RETURN textsend(l);"),
    (
        Kind::Varchar(5),
        "varchar(5)",
        "none",
        "RETURN varcharsend(l::varchar(5));",
    ),
    (
        Kind::Varchar(50),
        "varchar(50)",
        "none",
        "RETURN varcharsend(l::varchar(50));",
    ),
    (Kind::Json, "json", "{}", "RETURN json_send(l::json);"),
    (Kind::Jsonb, "jsonb", "{}", "RETURN jsonb_send(l::jsonb);"),
    (
        Kind::Date,
        "date",
        "2024-02-29",
        "RETURN date_send(CASE WHEN pg_temp.is_number(l) THEN pg_temp.epoch(l)::date ELSE l::date END);",
    ),
    (
        Kind::Timestamp,
        "timestamp",
        "2024-02-29 1:23",
        "RETURN timestamp_send(CASE WHEN pg_temp.is_number(l) THEN pg_temp.epoch(l) ELSE l::timestamp END);",
    ),
    (
        Kind::TimestampTz,
        "timestamptz",
        "2024-02-29 1:23",
        "RETURN timestamptz_send(CASE WHEN pg_temp.is_number(l) THEN pg_temp.epoch(l)::timestamptz ELSE l::timestamptz END);",
    ),
    (
        Kind::Uuid,
        "uuid",
        "00112233-4455-6677-8899-aabbccddeeff",
        "RETURN uuid_send(trim(l, E' \\t\\n\\r\\x0b\\f')::uuid);",
    ),
    (
        Kind::Bytea,
        "bytea",
        "none",
        "RETURN convert_to(l, 'UTF8');",
    ),
];

/// What the expressions above share. C's hexadecimal floats are not for this program. `numeric` takes blanks within the exponent before version 16; a number
/// here has none, and has no bounds: zero is zero whatever its exponent. `pg_temp.readable` is whether PostgreSQL's JSON functions can take
/// the value apart; numbers beyond `numeric` are no matter of text.
const FUNCTIONS: &str = r"
SET TimeZone = 'UTC';
CREATE FUNCTION pg_temp.is_number(l text) RETURNS bool LANGUAGE sql AS $$
    SELECT l ~ '^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$' $$;
CREATE FUNCTION pg_temp.number(l text) RETURNS numeric LANGUAGE sql AS $$
    SELECT CASE WHEN l ~ '^\s*[-+]?[0.]+([eE]|\s*$)|[eE]-[0-9]{4}' THEN 0 ELSE l::numeric END $$;
CREATE FUNCTION pg_temp.epoch(l text) RETURNS timestamp LANGUAGE plpgsql AS $$
DECLARE number numeric := pg_temp.number(l); micros numeric;
BEGIN
    IF number = trunc(number) AND trunc(number)::text ~ '^(19|20)[0-9]{6}$' THEN
        BEGIN
            RETURN trunc(number)::text::date;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END IF;
    micros := CASE WHEN abs(round(number)) < 1e11 THEN number * 1e6 WHEN abs(round(number)) < 1e14 THEN number * 1e3
        WHEN abs(round(number)) < 1e17 THEN number ELSE number / 1e3 END;
    RETURN timestamp 'epoch' + div(round(micros), 86400000000)::int * interval '1 day'
        + mod(round(micros), 86400000000)::float8 * interval '1 microsecond';
END $$;
CREATE FUNCTION pg_temp.readable(j json) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    PERFORM j::jsonb;
    RETURN true;
EXCEPTION WHEN numeric_value_out_of_range THEN RETURN true; WHEN OTHERS THEN RETURN false;
END $$;
CREATE FUNCTION pg_temp.is_iso(l text) RETURNS bool LANGUAGE sql AS $$
    SELECT l ~ '^\s*\d{4,}-\d\d?-\d\d?([T ]\d\d?:\d\d(:\d\d(\.\d+)?)?( ?(Z|[-+]\d\d(:?\d\d)?))?)?\s*$' $$;
";

#[test]
fn every_value_in_every_type() {
    let server = need!(Postgres::shared());
    let database = server.create_database("oracle");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(ask_about_every_type(&database));
}

async fn ask_about_every_type(database: &Database<'_>) {
    let client = database.connect().await;
    client.batch_execute(FUNCTIONS).await.expect("valid SQL");
    let seed = number_from_environment("WEBUI_TEST_SEED").unwrap_or_else(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time after 1970");
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    });
    let cases = number_from_environment("WEBUI_TEST_CASES")
        .map_or(CASES, |cases| usize::try_from(cases).expect("a count"));
    let each = cases.div_ceil(KINDS.len());
    eprintln!(
        "seed {seed}: {each} values for each of {} types",
        KINDS.len()
    );
    let mut random = Random(seed);
    let mut tally = Tally::default();
    for (kind, sql_type, default, reading) in KINDS {
        let oracle = Oracle::new(&client, kind, sql_type, default, reading).await;
        for _ in 0..each.div_ceil(BATCH) {
            let cases = (0..BATCH.min(each))
                .map(|_| oracle.case(&mut random))
                .collect();
            oracle.check(cases, seed, &mut tally).await;
        }
    }
    println!("{tally:?}");
    // The generators still reach what they are for.
    let Tally {
        as_they_are,
        repaired,
        refused,
        read_alike,
    } = tally;
    for share in [as_they_are, repaired, refused, read_alike] {
        assert!(share > cases / 100, "{tally:?}");
    }
}

#[test]
fn the_deepest_json_that_is_passed_on_is_read_on_half_the_stack() {
    let server = need!(Postgres::shared());
    let nested = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    let mend = |text: &str| json::mend(text, Dialect::Json, &mut Vec::new(), |_| {});
    assert_eq!(mend(&nested(json::MAX_DEPTH)), Ok(()));
    assert_eq!(mend(&nested(json::MAX_DEPTH + 1)), Err(Fault::TooDeep));
    let mut session = server.superuser();
    session.query("SET max_stack_depth = '1MB'");
    let text = nested(json::MAX_DEPTH);
    for dialect in ["json", "jsonb"] {
        let inner = session.value(&format!("SELECT ('{text}'::{dialect}->'a')::text"));
        assert_eq!(inner.replace(' ', ""), nested(json::MAX_DEPTH - 1));
    }
}

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// Values by what became of them, and those whose literal PostgreSQL reads to the same bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    as_they_are: usize,
    repaired: usize,
    refused: usize,
    read_alike: usize,
}

struct Case {
    value: Value,
    column: Column,
    /// The COPY field and the repairs.
    stored: Result<(Vec<u8>, Repairs), Refusal>,
    /// The value as a literal, where it has one that PostgreSQL can be given.
    literal: Option<String>,
}

struct Oracle<'a> {
    client: &'a Client,
    kind: Kind,
    default: Vec<u8>,
}

/// A result column of any type, in binary.
struct Raw(Vec<u8>);

impl FromSql<'_> for Raw {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl<'a> Oracle<'a> {
    async fn new(
        client: &'a Client,
        kind: Kind,
        sql_type: &str,
        default: &str,
        reading: &str,
    ) -> Self {
        let setup = format!(
            "DROP TABLE IF EXISTS stored;
             CREATE TEMPORARY TABLE stored (id bigint, v {sql_type}, l text);
             CREATE OR REPLACE FUNCTION pg_temp.reading(l text) RETURNS bytea LANGUAGE plpgsql AS $$
             BEGIN {reading} RETURN NULL; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;"
        );
        client.batch_execute(&setup).await.expect("valid SQL");
        let default = format!("SELECT '{default}'::{sql_type}");
        let Raw(default) = client
            .query_one(&default, &[])
            .await
            .expect("a default")
            .get(0);
        Self {
            client,
            kind,
            default,
        }
    }

    fn case(&self, random: &mut Random) -> Case {
        let value = random.value(self.kind);
        let default = random.one_in(2).then(|| self.default.clone());
        let column = Column {
            kind: self.kind,
            not_null: random.one_in(3),
            default,
            answers: None,
        };
        let mut field = b"before".to_vec();
        let result = encode(value.as_ref(), &column, &mut field);
        let field = field.split_off(6);
        let stored = result.map(|repairs| (field, repairs));
        let literal = value
            .literal(self.kind)
            .filter(|literal| !literal.contains('\0'));
        Case {
            value,
            column,
            stored,
            literal,
        }
    }

    async fn check(&self, cases: Vec<Case>, seed: u64, tally: &mut Tally) {
        let mut copy = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for (id, case) in cases.iter().enumerate() {
            copy.extend_from_slice(&3_i16.to_be_bytes());
            copy.extend_from_slice(&8_i32.to_be_bytes());
            copy.extend_from_slice(&(id as u64).to_be_bytes());
            copy.extend_from_slice(case.stored.as_ref().map_or(&[0xFF; 4], |(field, _)| field));
            let literal = case
                .literal
                .as_ref()
                .map_or(ValueRef::Null, |literal| ValueRef::Text(literal.as_bytes()));
            encode(
                literal,
                &Column {
                    kind: Kind::Text,
                    not_null: false,
                    default: None,
                    answers: None,
                },
                &mut copy,
            )
            .expect("text");
        }
        copy.extend_from_slice(&(-1_i16).to_be_bytes());
        self.client
            .batch_execute("TRUNCATE stored")
            .await
            .expect("a table");
        let sink = self
            .client
            .copy_in("COPY stored FROM STDIN (FORMAT binary)")
            .await
            .expect("a COPY");
        let mut sink = pin!(sink);
        sink.send(Bytes::from(copy))
            .await
            .expect("a server that reads");
        if let Err(error) = sink.finish().await {
            let detail = error
                .as_db_error()
                .and_then(|error| error.where_())
                .unwrap_or_default()
                .to_owned();
            let line = detail
                .split("line ")
                .nth(1)
                .and_then(|rest| rest.split(',').next()?.parse::<usize>().ok());
            let culprit = line
                .and_then(|line| cases.get(line - 1))
                .map(Case::describe);
            panic!(
                "seed {seed}: refused in COPY: {error:?}\n{}",
                culprit.unwrap_or_default()
            );
        }
        let readable = if self.kind == Kind::Json {
            "v IS NULL OR pg_temp.readable(v)"
        } else {
            "true"
        };
        let sql = format!(
            "SELECT v, pg_temp.reading(l), {readable}, pg_temp.is_iso(l) FROM stored ORDER BY id"
        );
        let rows = self.client.query(&sql, &[]).await.expect("rows");
        assert_eq!(rows.len(), cases.len());
        for (case, row) in cases.iter().zip(rows) {
            let back = row.get::<_, Option<Raw>>(0).map(|Raw(bytes)| bytes);
            let reading = row.get::<_, Option<Raw>>(1).map(|Raw(bytes)| bytes);
            let facts = Facts {
                back,
                reading,
                readable: row.get(2),
                iso: row.get::<_, Option<bool>>(3).unwrap_or(false),
            };
            if let Err(wrong) = case.judge(&facts, tally) {
                panic!(
                    "seed {seed}: {wrong}\n{}\nread as {}",
                    case.describe(),
                    excerpt(facts.reading.as_deref())
                );
            }
        }
    }
}

/// What PostgreSQL says.
struct Facts {
    /// What it holds.
    back: Option<Vec<u8>>,
    /// What it makes of the literal.
    reading: Option<Vec<u8>>,
    /// Whether its JSON functions can take the stored value apart.
    readable: bool,
    /// Whether the literal has the form of an ISO 8601 date or time.
    iso: bool,
}

impl Case {
    fn describe(&self) -> String {
        let Column {
            kind,
            not_null,
            default,
            ..
        } = &self.column;
        let value = match &self.value {
            Value::Text(bytes) => format!("TEXT {}", excerpt(Some(bytes))),
            Value::Blob(bytes) => format!("BLOB {}", excerpt(Some(bytes))),
            value => format!("{value:?}"),
        };
        let stored = match &self.stored {
            Ok((field, repairs)) => format!(
                "{} {:?}",
                excerpt(Some(field)),
                repairs.iter().collect::<Vec<_>>()
            ),
            Err(refusal) => format!("{refusal:?}"),
        };
        format!(
            "{kind:?} (not null {not_null}, default {}) from {value}\nstored {stored}",
            default.is_some()
        )
    }

    fn judge(&self, facts: &Facts, tally: &mut Tally) -> Result<(), &'static str> {
        let ensure = |holds: bool, wrong: &'static str| if holds { Ok(()) } else { Err(wrong) };
        let kind = self.column.kind;
        let (field, repairs) = match &self.stored {
            Err(refusal) => {
                tally.refused += 1;
                ensure(
                    self.column.not_null && self.column.default.is_none(),
                    "refused though something could stand in",
                )?;
                let null = self.value == Value::Null;
                ensure(
                    null == (*refusal == Refusal::NullInNotNull),
                    "refused for another reason",
                )?;
                return ensure(
                    facts.reading.is_none() || !self.must_read(facts),
                    "refused what PostgreSQL reads",
                );
            }
            Ok((field, repairs)) => (field, *repairs),
        };
        let (length, bytes) = field.split_first_chunk().expect("a length");
        let sent = (i32::from_be_bytes(*length) >= 0).then_some(bytes);
        ensure(
            sent.is_some() || !self.column.not_null,
            "NULL in a column that refuses it",
        )?;
        if kind != Kind::Jsonb {
            ensure(facts.back.as_deref() == sent, "came back otherwise")?;
        }
        ensure(facts.readable, "PostgreSQL cannot take this JSON apart")?;
        if repairs.is_empty() {
            tally.as_they_are += 1;
        } else {
            tally.repaired += 1;
        }
        if self.value == Value::Null {
            return ensure(
                repairs.is_empty() == (sent.is_none()),
                "NULL became something in silence",
            );
        }
        let replaced = repairs
            .first()
            .is_some_and(|repair| repair <= Repair::NullInNotNull);
        if replaced {
            let stand_in = if self.column.not_null {
                self.column.default.as_deref()
            } else {
                None
            };
            ensure(
                sent == stand_in,
                "replaced by something else than NULL or the default",
            )?;
            return ensure(
                facts.reading.is_none() || !self.must_read(facts),
                "replaced what PostgreSQL reads",
            );
        }
        ensure(sent.is_some(), "a value became NULL in silence")?;
        if let (Kind::Text, Some(bytes)) = (kind, self.value.bytes()) {
            ensure(
                sent == Some(sanitized(bytes).as_bytes()),
                "other text than the app would keep",
            )?;
        }
        if kind == Kind::Json && repairs.is_empty() && self.value.bytes().is_some() {
            ensure(sent == self.value.bytes(), "valid JSON was changed")?;
        }
        let comparable = match kind {
            Kind::Int2 | Kind::Int4 | Kind::Int8 => true,
            Kind::Varchar(_) => !repairs.iter().any(|repair| repair > Repair::TooLong),
            _ => repairs.is_empty(),
        };
        match &facts.reading {
            Some(reading) if comparable => {
                tally.read_alike += 1;
                ensure(
                    facts.back.as_ref() == Some(reading),
                    "PostgreSQL reads it otherwise",
                )
            }
            // Reported, and not to be compared.
            Some(_) => Ok(()),
            None => ensure(
                self.literal.is_none() || !repairs.is_empty(),
                "in silence, though PostgreSQL does not read it",
            ),
        }
    }

    /// Whether what PostgreSQL reads must not be given up on. Dates have forms that are not ISO 8601.
    fn must_read(&self, facts: &Facts) -> bool {
        let too_deep = match self.stored {
            Ok((_, repairs)) => repairs.contains(Repair::JsonTooDeep),
            Err(refusal) => refusal == Refusal::JsonTooDeep,
        };
        match self.column.kind {
            Kind::Json | Kind::Jsonb => !too_deep,
            Kind::Date | Kind::Timestamp | Kind::TimestampTz => facts.iso,
            _ => true,
        }
    }
}

/// What is worth showing of a long value.
fn excerpt(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(
        || "NULL".to_owned(),
        |bytes| bytes[..bytes.len().min(300)].escape_ascii().to_string(),
    )
}

/// What the app keeps of text: surrogates and NUL removed; what is not UTF-8 is replaced.
fn sanitized(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    while let Some(at) = bytes
        .windows(3)
        .position(|window| matches!(window, [0xED, 0xA0..=0xBF, 0x80..=0xBF]))
    {
        text += &String::from_utf8_lossy(&bytes[..at]);
        bytes = &bytes[at + 3..];
    }
    (text + &String::from_utf8_lossy(bytes)).replace('\0', "")
}

/// A value of one of SQLite's storage classes.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Value {
    fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(bytes) | Self::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn literal(&self, kind: Kind) -> Option<String> {
        let whole = matches!(
            kind,
            Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Date | Kind::Timestamp | Kind::TimestampTz
        );
        match self {
            Self::Null | Self::Real(f64::INFINITY | f64::NEG_INFINITY) => None,
            Self::Real(real) if real.is_nan() => None,
            Self::Integer(integer) => Some(integer.to_string()),
            // All digits: those of the shortest form stand for the number, but beyond 2^53 they are not it.
            Self::Real(real) if real.abs() > 1e15 && whole => Some(format!("{real:.1}")),
            // Python's: a point or an exponent of at least two digits with its sign.
            Self::Real(real) => {
                let text = format!("{real:?}");
                Some(match text.split_once('e') {
                    None => text,
                    Some((mantissa, exponent)) => {
                        let exponent: i32 = exponent.parse().expect("an exponent");
                        format!(
                            "{mantissa}e{}{:02}",
                            if exponent < 0 { '-' } else { '+' },
                            exponent.abs()
                        )
                    }
                })
            }
            Self::Blob(bytes) if kind == Kind::Uuid && bytes.len() == 16 => None,
            Self::Text(bytes) | Self::Blob(bytes) => String::from_utf8(bytes.clone()).ok(),
        }
    }
}

/// Steele, Lea and Flood's `SplitMix64`, and the values made from it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn value(&mut self, kind: Kind) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 | 2 => Value::Integer(self.integer()),
            3 => Value::Real(self.real()),
            4 => Value::Blob(self.text_for(kind)),
            5 => Value::Blob(self.bytes(40)),
            6 => Value::Text(self.bytes(40)),
            _ => Value::Text(self.text_for(kind)),
        }
    }

    /// Around zero, around every power of two, and everywhere.
    fn integer(&mut self) -> i64 {
        let near = self.below(5) as i64 - 2;
        match self.below(5) {
            0 => near,
            1 => (1_i64 << self.below(63)).wrapping_add(near),
            2 => (i64::MIN >> self.below(63)).wrapping_add(near),
            3 => 10_i64.pow(self.below(19) as u32) * (1 + self.below(9) as i64),
            _ => self.next() as i64 >> self.below(64),
        }
    }

    fn real(&mut self) -> f64 {
        match self.below(6) {
            0 => self.integer() as f64,
            1 => self.integer() as f64 + 0.5,
            2 => (self.below(4_000_000) as f64 - 2e6) / 1000.0,
            3 => self.pick(&[
                0.0,
                -0.0,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
                f64::MIN_POSITIVE,
                5e-324,
                f64::MAX,
                0.1,
            ]),
            4 => 1.7e9 + self.below(1_000_000_000) as f64 / 1e6,
            _ => f64::from_bits(self.next()),
        }
    }

    fn text_for(&mut self, kind: Kind) -> Vec<u8> {
        let own = match kind {
            Kind::Json | Kind::Jsonb => 5,
            Kind::Date | Kind::Timestamp | Kind::TimestampTz => self.pick(&[0, 2, 2, 2]),
            Kind::Uuid => 3,
            Kind::Bool => self.pick(&[0, 1, 1]),
            Kind::Text | Kind::Varchar(_) | Kind::Bytea => 4,
            _ => 0,
        };
        let form = if self.one_in(5) { self.below(6) } else { own };
        let mut text = match form {
            0 => self.number(),
            1 => self.word(),
            2 => self.date(),
            3 => self.uuid(),
            4 => self.prose(),
            _ => self.json(0),
        };
        if self.one_in(8) {
            let blank = self.pick(&[" ", "\t", "\n", "\r\n", "\u{b}", "  "]);
            text = if self.one_in(2) {
                text + blank
            } else {
                blank.to_owned() + &text
            };
        }
        let mut bytes = text.into_bytes();
        while self.one_in(4) {
            self.mutate(&mut bytes);
        }
        bytes
    }

    /// One byte less, more or other.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let byte = if self.one_in(4) {
            self.next() as u8
        } else {
            self.pick(b"0159-+.eE:,{}[]\"\\ u/TZtnN\n\0\x1f")
        };
        let at = self.below(bytes.len() + 1);
        match self.below(3) {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let pieces: [&[u8]; 8] = [
            b"a",
            b"\0",
            b"\xed\xa0\x80",
            b"\xed\xb8\x80",
            b"\xff",
            b"\xc3",
            "é€😀".as_bytes(),
            b"\xf0\x9f\x98",
        ];
        (0..self.below(longest / 4 + 1))
            .flat_map(|_| {
                if self.one_in(3) {
                    [self.next() as u8].to_vec()
                } else {
                    self.pick(&pieces).to_vec()
                }
            })
            .collect()
    }

    fn digits(&mut self, longest: usize) -> String {
        (0..=self.below(longest))
            .map(|_| self.pick(b"0123456789") as char)
            .collect()
    }

    fn number(&mut self) -> String {
        let whole = if self.one_in(3) {
            self.integer().to_string()
        } else {
            self.pick(&["", "-", "+"]).to_owned() + &self.digits(20)
        };
        let fraction = if self.one_in(3) {
            format!(".{}", self.digits(8))
        } else {
            String::new()
        };
        let exponent = if self.one_in(5) {
            format!(
                "{}{}{}",
                self.pick(&["e", "E"]),
                self.pick(&["", "-", "+"]),
                self.below(40)
            )
        } else {
            String::new()
        };
        whole + &fraction + &exponent
    }

    fn word(&mut self) -> String {
        let word = self.pick(&[
            "true",
            "false",
            "yes",
            "no",
            "on",
            "off",
            "1",
            "0",
            "inf",
            "-Infinity",
            "NaN",
            "null",
            "",
            "None",
        ]);
        let word = if self.one_in(3) {
            &word[..self.below(word.len() + 1)]
        } else {
            word
        };
        word.chars()
            .map(|c| {
                if self.one_in(4) {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            })
            .collect()
    }

    fn date(&mut self) -> String {
        let year = if self.one_in(8) {
            self.below(300_000)
        } else {
            1900 + self.below(200)
        };
        let mut text = format!(
            "{year:04}-{:02}-{:02}",
            1 + self.below(12),
            1 + self.below(31)
        );
        if self.one_in(3) {
            return text;
        }
        text += &format!(
            "{}{:02}:{:02}",
            self.pick(&["T", " "]),
            self.below(25),
            self.below(60)
        );
        if !self.one_in(5) {
            text += &format!(":{:02}", self.below(61));
            if self.one_in(2) {
                text += &format!(".{}", self.digits(8));
            }
        }
        text + self.pick(&[
            "", "", "Z", "+00:00", "-05", "+0530", " +14:00", "+15:59", "-16:00",
        ])
    }

    fn uuid(&mut self) -> String {
        let mut text = String::new();
        for group in 0..8 {
            text += &format!("{:04x}", self.next() & 0xFFFF);
            if group < 7 && self.one_in(3) {
                text.push('-');
            }
        }
        match self.below(4) {
            0 => format!("{{{text}}}"),
            1 => text.to_uppercase(),
            _ => text,
        }
    }

    fn prose(&mut self) -> String {
        let pieces = [
            "word",
            " ",
            "é",
            "世界",
            "😀",
            "\n",
            "'",
            "\"",
            "\\",
            "\u{fffd}",
            "\u{10ffff}",
            "x",
            "   ",
            "\\u0000",
        ];
        (0..self.below(30)).map(|_| self.pick(&pieces)).collect()
    }

    fn json(&mut self, depth: usize) -> String {
        let blank = if self.one_in(4) {
            self.pick(&[" ", "\n", "\t", "\r\n  "])
        } else {
            ""
        };
        let value = match self.below(if depth > 5 { 4 } else { 7 }) {
            0 => self
                .pick(&[
                    "null",
                    "true",
                    "false",
                    "NaN",
                    "Infinity",
                    "-Infinity",
                    "0",
                    "-0",
                    "1e5",
                ])
                .to_owned(),
            1 => self.json_number(),
            2 | 3 => self.json_string(),
            4 if depth == 0 && self.one_in(20) => {
                let levels = self.below(json::MAX_DEPTH + 200);
                "[".repeat(levels) + &"]".repeat(levels)
            }
            4 => {
                let items: Vec<String> = (0..self.below(4)).map(|_| self.json(depth + 1)).collect();
                format!("[{}]", items.join(","))
            }
            _ => {
                let items: Vec<String> = (0..self.below(4))
                    .map(|_| format!("{}{blank}:{}", self.json_string(), self.json(depth + 1)))
                    .collect();
                format!("{{{blank}{}}}", items.join(","))
            }
        };
        format!("{blank}{value}{blank}")
    }

    fn json_number(&mut self) -> String {
        let largest = 1 << self.below(19);
        let fraction = if self.one_in(2) {
            format!(".{}", self.digits(5))
        } else {
            String::new()
        };
        let exponent = if self.one_in(3) {
            format!(
                "{}{}{}",
                self.pick(&["e", "E"]),
                self.pick(&["", "-", "+"]),
                self.below(largest)
            )
        } else {
            String::new()
        };
        format!("{}{fraction}{exponent}", self.integer())
    }

    fn json_string(&mut self) -> String {
        let pieces = [
            "a",
            "key",
            " ",
            "é",
            "😀",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u00e9",
            "\\ud83d\\ude00",
            "\\u0001",
            "\\\\u0000",
            "{",
            "]",
            ",",
            ":",
        ];
        let mended = ["\\u0000", "\\ud83d", "\\ude00", "\\uD83D", "\n", "\u{1}"];
        let content: String = (0..self.below(8))
            .map(|_| {
                if self.one_in(12) {
                    self.pick(&mended)
                } else {
                    self.pick(&pieces)
                }
            })
            .collect();
        format!("\"{content}\"")
    }
}

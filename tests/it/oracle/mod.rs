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

mod judge;
mod random;
mod text;
mod types;
mod value;

use std::pin::pin;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::SinkExt as _;
use rusqlite::types::ValueRef;
use tokio_postgres::Client;
use tokio_postgres::types::{FromSql, Type};
use webui_init::json::{self, Dialect, Fault};
use webui_init::value::{ColumnRule, Kind, encode};

use self::judge::{Case, Facts, Tally, excerpt};
use self::random::Random;
use self::types::{FUNCTIONS, KINDS};
use crate::support::{Database, Postgres, need};

/// Values for each server in an ordinary run.
const CASES: usize = 128_000;

const BATCH: usize = 4_000;

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
        let column = ColumnRule {
            kind: self.kind,
            not_null: random.one_in(3),
            default,
            input_results: None,
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
                &ColumnRule {
                    kind: Kind::Text,
                    not_null: false,
                    default: None,
                    input_results: None,
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

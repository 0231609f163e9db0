//! Micro-benchmarks of what runs for every byte of a move: converting a value, checking JSON, hashing a row.
//! `cargo bench` prints bytes per second. Whole moves are measured by `scripts/bench`.

use std::sync::LazyLock;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use rusqlite::types::ValueRef;
use webui_init::digest::RowHash;
use webui_init::json::{self, Dialect};
use webui_init::value::{self, ColumnRule, Kind};

const PROSE: &str = include_str!("../docs/design.md");
const CODE: &str = include_str!("../src/convert/value/mod.rs");
/// PostgreSQL's OID of `json`.
const JSON_OID: u32 = 114;

/// A chat as the app stores it: a history of messages with prose and code.
static CHAT: LazyLock<String> = LazyLock::new(|| chat(str::to_owned));
/// The same, with what PostgreSQL refuses in every message.
static CHAT_TO_MEND: LazyLock<String> = LazyLock::new(|| chat(|text| format!("{text}\0{text}")));

fn main() {
    divan::main();
}

fn chat(content: impl Fn(&str) -> String) -> String {
    let paragraphs = PROSE
        .split("\n\n")
        .chain(CODE.split("\n\n"))
        .take(80)
        .enumerate();
    let messages: serde_json::Map<String, serde_json::Value> = paragraphs
        .map(|(n, text)| {
            let message = serde_json::json!({
                "id": n.to_string(), "parentId": n.checked_sub(1), "childrenIds": [n + 1], "role": "assistant",
                "content": content(text), "timestamp": 1_735_689_600 + n, "done": true,
            });
            (n.to_string(), message)
        })
        .collect();
    serde_json::json!({"title": "A chat", "history": {"messages": messages}}).to_string()
}

fn column(kind: Kind) -> ColumnRule {
    ColumnRule {
        kind,
        not_null: false,
        default: None,
        input_results: None,
    }
}

/// Converts `values` one after the other into the same buffer, as the reader does.
fn encode(bencher: Bencher, kind: Kind, bytes: usize, values: &[ValueRef<'_>]) {
    let column = column(kind);
    let mut out = Vec::with_capacity(2 * bytes + 16 * values.len());
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        out.clear();
        for &value in values {
            value::encode(black_box(value), &column, &mut out).expect("a value of the type");
        }
        black_box(out.len())
    });
}

#[divan::bench]
fn encode_text(bencher: Bencher) {
    let text = format!("{PROSE}{CODE}");
    encode(
        bencher,
        Kind::Text,
        text.len(),
        &[ValueRef::Text(text.as_bytes())],
    );
}

#[divan::bench]
fn encode_json(bencher: Bencher) {
    encode(
        bencher,
        Kind::Json,
        CHAT.len(),
        &[ValueRef::Text(CHAT.as_bytes())],
    );
}

#[divan::bench]
fn encode_integers(bencher: Bencher) {
    let values: Vec<_> = (0..1000)
        .map(|n| ValueRef::Integer(1_735_689_600 + n))
        .collect();
    encode(bencher, Kind::Int8, 8 * values.len(), &values);
}

fn check(bencher: Bencher, text: &str) {
    let mut out = Vec::with_capacity(2 * text.len());
    bencher
        .counter(BytesCount::new(text.len()))
        .bench_local(|| {
            out.clear();
            json::mend(black_box(text), Dialect::Json, &mut out, |_| {}).expect("JSON");
            black_box(out.len())
        });
}

#[divan::bench]
fn check_json(bencher: Bencher) {
    check(bencher, &CHAT);
}

#[divan::bench]
fn mend_json(bencher: Bencher) {
    check(bencher, &CHAT_TO_MEND);
}

/// Rows of one field of the given number of bytes.
#[divan::bench(args = [100, 2_000, 50_000])]
fn hash_rows(bencher: Bencher, length: usize) {
    let image: Vec<u8> = CHAT.bytes().cycle().take(length).collect();
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        let mut hash = RowHash::new(1);
        hash.field(JSON_OID, black_box(&image));
        hash.finish()
    });
}

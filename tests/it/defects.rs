//! A healthy `webui.db` with every kind of defect planted in it, by seed: after the move, each of them is accounted for
//! as the ledger says, and every other row is what it was.
//!
//! `WEBUI_TEST_SEED` repeats one seed; `WEBUI_TEST_SEEDS` sets how many there are, `WEBUI_TEST_FROM` where they begin.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::defects::{Aside, Expected, Ground, KINDS, Moved, plant};
use crate::support::{Database, Postgres, Program, expect_untouched, need};

/// Seeds of a run that is not told how many.
const SEEDS: u64 = 200;
/// Servers and programs wait for each other, so this is enough for two cores.
const THREADS: usize = 2;
#[test]
fn every_planted_defect_is_accounted_for() {
    let server = need!(Postgres::shared());
    let template = server.create_database("template");
    template.bootstrap();
    let ground = Ground::new(&template);
    let one = number_from_environment("WEBUI_TEST_SEED");
    let from = one
        .or_else(|| number_from_environment("WEBUI_TEST_FROM"))
        .unwrap_or(1);
    let seeds = one.map_or_else(
        || number_from_environment("WEBUI_TEST_SEEDS").unwrap_or(SEEDS),
        |_| 1,
    );
    let next = AtomicU64::new(from);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let run = AssertUnwindSafe(|| one_seed(server, &template, &ground, seed));
                    let panicked = |_| (BTreeMap::new(), vec!["panicked; see above".to_owned()]);
                    let (planted, wrong) = catch_unwind(run).unwrap_or_else(panicked);
                    tally.lock().expect("no panic").add(seed, planted, wrong);
                }
            });
        }
    });
    let tally = tally.into_inner().expect("no panic");
    println!(
        "seeds: {seeds}, accounted for: {}",
        seeds - tally.failures.len() as u64
    );
    for kind in &KINDS {
        let [planted, accounted] = tally.kinds.get(kind.name).copied().unwrap_or_default();
        println!(
            "planted: {planted:>6} accounted for: {accounted:>6} {}",
            kind.name
        );
    }
    assert!(
        tally.failures.is_empty(),
        "WEBUI_TEST_SEED repeats one\n{}",
        tally.failures.join("\n")
    );
    let unplanted: Vec<_> = KINDS
        .iter()
        .map(|kind| kind.name)
        .filter(|name| !tally.kinds.contains_key(name))
        .collect();
    assert!(
        unplanted.is_empty() || seeds < 50,
        "no place was found for {unplanted:?}"
    );
}

/// What came of all seeds.
#[derive(Default)]
struct Tally {
    /// Of each kind: how many were planted, and how many in seeds where everything was accounted for.
    kinds: BTreeMap<&'static str, [u64; 2]>,
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, seed: u64, planted: BTreeMap<&'static str, u64>, mut wrong: Vec<String>) {
        for (kind, count) in planted {
            let [all, accounted] = self.kinds.entry(kind).or_default();
            *all += count;
            *accounted += if wrong.is_empty() { count } else { 0 };
        }
        if !wrong.is_empty() {
            wrong.truncate(30);
            self.failures
                .push(format!("seed {seed}:\n{}", wrong.join("\n")));
        }
    }
}

fn number_from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// Plants, moves and compares. Tells what was planted, and all that is wrong.
fn one_seed(
    server: &Postgres,
    template: &Database<'_>,
    ground: &Ground,
    seed: u64,
) -> (BTreeMap<&'static str, u64>, Vec<String>) {
    let database =
        server.create_database_with("defects", &format!("TEMPLATE \"{}\"", template.name));
    let source = ground.source(seed.is_multiple_of(2));
    let expected = plant(ground, &source, seed);
    let before = source.snapshot();
    let run = |arguments: &[&str]| {
        let program = Program::new(arguments).env("WEBUI_INIT_SCHEMA_COMMAND", "true");
        program.source(&source).target(database.url()).run()
    };
    let mut wrong = Vec::new();
    let plan = run(&["plan", "--json"]);
    expect_untouched(&database);
    let moved = run(&["migrate"]);
    if moved.code() != 0 || plan.code() != 0 {
        wrong.push(format!(
            "plan: {}\n{}\nmigrate: {}\n{}",
            plan.code(),
            plan.stderr,
            moved.code(),
            moved.stderr
        ));
        return (expected.ledger.planted, wrong);
    }
    if source.snapshot() != before {
        wrong.push("the source was changed".to_owned());
    }
    let report: Value =
        serde_json::from_str(&database.value("SELECT report FROM webui_init.migration"))
            .expect("JSON");
    compare_rows(&database, &expected, &mut wrong);
    let kept = compare_leftovers(&database, &expected, &mut wrong);
    compare_report(&report, &expected, &kept, &mut wrong);
    let plan = plan.document();
    compare_counts(
        "plan",
        &counts(&plan["report"]),
        &counts(&report),
        &mut wrong,
    );
    if plan["unforeseen"] != json!([]) {
        wrong.push(format!("plan could not foresee {}", plan["unforeseen"]));
    }
    let verified = run(&["verify", "--json"]);
    let audit = verified.document();
    let kinds = [
        "changed",
        "missing",
        "extra",
        "renumbered",
        "lost_originals",
    ];
    let different = kinds.iter().any(|kind| audit["total"][kind] != 0);
    if verified.code() != 0 || different {
        wrong.push(format!("verify: {}\n{}", verified.code(), verified.stderr));
    }
    let name = &database.name;
    server
        .superuser()
        .query(&format!("DROP DATABASE \"{name}\" WITH (FORCE)"));
    (expected.ledger.planted, wrong)
}

/// Every row of every table, as PostgreSQL prints it.
fn compare_rows(database: &Database<'_>, expected: &Expected, wrong: &mut Vec<String>) {
    let mut session = database.session();
    for (table, Moved { columns, rows }) in &expected.tables {
        let columns: Vec<_> = columns
            .iter()
            .map(|column| format!("\"{column}\""))
            .collect();
        let mut found = session.query(&format!("SELECT {} FROM \"{table}\"", columns.join(", ")));
        found.sort();
        for (what, of, without) in [("missing", rows, &found), ("extra", &found, rows)] {
            for row in of.iter().filter(|row| without.binary_search(row).is_err()) {
                wrong.push(format!("{what} in {table}: {}", excerpt(row)));
            }
        }
        if found.len() != rows.len() {
            wrong.push(format!(
                "{table} holds {} rows instead of {}",
                found.len(),
                rows.len()
            ));
        }
    }
}

fn excerpt(row: &[Option<String>]) -> String {
    let mut excerpt = String::new();
    for field in row {
        let shown: String = field
            .as_deref()
            .unwrap_or("NULL")
            .chars()
            .take(60)
            .collect();
        write!(excerpt, "{shown:?} ").expect("a string");
    }
    excerpt
}

/// Every row of `webui_init.leftover`. Tells the reason of each.
fn compare_leftovers(
    database: &Database<'_>,
    expected: &Expected,
    wrong: &mut Vec<String>,
) -> Vec<(Aside, String)> {
    let rows = database.query(
        "SELECT table_name, source_rowid, reason, row FROM webui_init.leftover ORDER BY table_name, source_rowid, reason",
    );
    let mut left: Vec<[Option<String>; 4]> = rows
        .into_iter()
        .map(|row| row.try_into().expect("four columns"))
        .collect();
    let mut kept = Vec::new();
    for aside in &expected.asides {
        let rowid = aside.rowid.map(|rowid| rowid.to_string());
        let found = left.iter().position(|[table, of, reason, original]| {
            table.as_ref() == Some(&aside.table)
                && *of == rowid
                && reason
                    .as_ref()
                    .is_some_and(|reason| aside.reasons.contains(reason))
                && original.as_ref() == Some(&aside.original)
        });
        match found {
            Some(at) => {
                let [_, _, reason, _] = left.swap_remove(at);
                kept.push((aside.clone(), reason.expect("a reason")));
            }
            None => wrong.push(format!(
                "not kept aside: {} {:?} for {:?}: {:.200}",
                aside.table, aside.rowid, aside.reasons, aside.original
            )),
        }
    }
    for row in left {
        wrong.push(format!("kept aside without need: {}", excerpt(&row)));
    }
    kept
}

/// Every number of the marker's report.
fn compare_report(
    report: &Value,
    expected: &Expected,
    kept: &[(Aside, String)],
    wrong: &mut Vec<String>,
) {
    /// Rows read, rows moved, and by reason how many originals were kept and whether of rows in place.
    type Counts<'a> = (u64, u64, BTreeMap<&'a str, (u64, bool)>);
    let mut tables: BTreeMap<&str, Counts<'_>> = BTreeMap::new();
    for (table, read) in &expected.read {
        let rows = expected
            .tables
            .get(table)
            .map_or(0, |moved| moved.rows.len() as u64);
        tables.insert(table, (*read, rows, BTreeMap::new()));
    }
    for (aside, reason) in kept {
        let (_, _, reasons) = tables.entry(&aside.table).or_default();
        reasons.entry(reason).or_insert((0, aside.in_place)).0 += 1;
    }
    let tables: BTreeMap<_, _> = tables
        .into_iter()
        .map(|(table, (read, rows, reasons))| {
            let reasons: BTreeMap<_, _> = reasons
                .into_iter()
                .map(|(reason, kept)| (reason, json!(kept)))
                .collect();
            (table.to_owned(), json!([read, rows, reasons]))
        })
        .collect();
    let rows: usize = expected.tables.values().map(|moved| moved.rows.len()).sum();
    let mut counted = BTreeMap::from([
        ("rows".to_owned(), json!(rows)),
        ("unchanged".to_owned(), json!(expected.unchanged)),
        ("kept_aside".to_owned(), json!(kept.len())),
    ]);
    counted.extend(tables);
    compare_counts("report", &counts(report), &counted, wrong);
}

/// The numbers of a report: of the whole, and by table of rows read, rows moved, and originals kept by reason.
fn counts(report: &Value) -> BTreeMap<String, Value> {
    let whole =
        ["rows", "unchanged", "kept_aside"].map(|name| (name.to_owned(), report[name].clone()));
    let tables = report["tables"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|table| {
            let reasons = table["kept_aside"].as_object().into_iter().flatten();
            let reasons: BTreeMap<_, _> = reasons
                .map(|(reason, kept)| (reason, json!([kept["count"], kept["row_is_in_place"]])))
                .collect();
            let name = table["table"].as_str().expect("a name").to_owned();
            (name, json!([table["read"], table["rows"], reasons]))
        });
    whole.into_iter().chain(tables).collect()
}

fn compare_counts(
    whose: &str,
    found: &BTreeMap<String, Value>,
    expected: &BTreeMap<String, Value>,
    wrong: &mut Vec<String>,
) {
    let names: std::collections::BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    for name in names
        .into_iter()
        .filter(|name| found.get(*name) != expected.get(*name))
    {
        let [found, expected] = [found, expected]
            .map(|counts| counts.get(name).map_or_else(String::new, Value::to_string));
        wrong.push(format!(
            "{whose} says of {name}: {found} instead of {expected}"
        ));
    }
}

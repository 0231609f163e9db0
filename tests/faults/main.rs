//! Exactly once, whatever breaks: many runs, each of which boots, breaks one thing at one moment, looks at what is
//! left, and boots again. `docs/reliability.md` tells what is promised; `scripts/faults` runs it.
//!
//! `FAULTS_RUNS` is the number of runs, `FAULTS_SEED` the first seed, `FAULTS_WORKERS` how many at once.
#![allow(missing_docs, reason = "tests")]

mod breaking;
mod case;
mod invariant;
mod menu;
mod report;
mod run;
mod site;
mod sources;
#[path = "../it/support/mod.rs"]
mod support;

use std::any::Any;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use case::Case;
use report::Report;
use run::Verdict;
use site::Sites;
use support::{Missing, Version, need, tool};

/// The first seed where none is asked for.
const SEED: u64 = 1;

#[test]
fn whatever_breaks_there_is_nothing_of_the_move_or_all_of_it() {
    need!(tool("pgbouncer").map(drop));
    let versions = Version::own_and_newest();
    if versions.is_empty() {
        return support::skipped(&Missing("no PostgreSQL (scripts/deps)".into()));
    }
    if versions.len() == 1 {
        tell(
            "NOT RUN: one of the two versions of PostgreSQL is not on this machine (scripts/deps)",
        );
    }
    let length = menu::menu().len() as u64;
    let (first, runs) = (number("FAULTS_SEED", SEED), number("FAULTS_RUNS", length));
    let workers = number("FAULTS_WORKERS", cores());
    let begun = Instant::now();
    let (next, report) = (AtomicU64::new(first), Mutex::new(Report::default()));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut sites = Sites::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= first + runs {
                        return;
                    }
                    let verdict = tried(Case::of(seed, &versions), &mut sites);
                    let mut report = report.lock().expect("nobody panics with it");
                    report.add(&verdict);
                    if !verdict.violations.is_empty() || runs == 1 {
                        tell(&verdict.to_string());
                    }
                    if report.runs().is_multiple_of(50) {
                        let seconds = begun.elapsed().as_secs();
                        tell(&format!(
                            "{} of {runs} runs after {seconds} s",
                            report.runs()
                        ));
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().expect("nobody panicked with it");
    report.took = begun.elapsed();
    report.workers = usize::try_from(workers).expect("few");
    tell(&format!("{report} (seeds {first} to {})", first + runs - 1));
    assert!(report.is_clean(), "the promise was broken; see above");
}

/// One run; one that breaks off is a violation too.
fn tried(case: Case, sites: &mut Sites) -> Verdict {
    let site = catch_unwind(AssertUnwindSafe(|| run::run(&case, sites.of(case.version))));
    site.unwrap_or_else(|cause| {
        sites.clear();
        Verdict::broken_off(case, &text(&*cause))
    })
}

fn text(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().cloned();
    text.or_else(|| cause.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "a panic".into())
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number"))
    })
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(2, |cores| cores.get() as u64)
}

/// Writes to the real stderr, past the harness's capture.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

//! What the runs came to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::run::Verdict;

/// The account of all runs.
#[derive(Default)]
pub struct Report {
    runs: usize,
    /// Fault to number of runs and moments.
    faults: BTreeMap<String, (usize, BTreeSet<String>)>,
    /// How the first boot ended to number of runs.
    ends: BTreeMap<String, usize>,
    places: BTreeMap<String, usize>,
    ways: BTreeMap<String, usize>,
    nothing: usize,
    everything: usize,
    recovered: usize,
    failures: Vec<String>,
    slowest: BTreeMap<Duration, String>,
    pub took: Duration,
    pub workers: usize,
}

impl Report {
    pub fn add(&mut self, verdict: &Verdict) {
        self.runs += 1;
        let case = &verdict.case;
        let (runs, moments) = self.faults.entry(case.fault.name()).or_default();
        *runs += 1;
        moments.insert(case.moment.kind());
        *self.places.entry(case.moment.kind()).or_default() += 1;
        let way = format!("{:?} {:?}", case.version, case.way);
        *self.ways.entry(way).or_default() += 1;
        *self.ends.entry(verdict.end.clone()).or_default() += 1;
        self.nothing += usize::from(verdict.moved == Some(false));
        self.everything += usize::from(verdict.moved == Some(true));
        self.recovered += usize::from(verdict.recovered);
        self.slowest.insert(verdict.took, case.to_string());
        if self.slowest.len() > 5 {
            self.slowest.pop_first();
        }
        for violation in &verdict.violations {
            self.failures.push(format!(
                "{case}\n    {}\n    repeat: scripts/faults --seed {}",
                violation.replace('\n', "\n    "),
                case.seed
            ));
        }
    }

    pub fn runs(&self) -> usize {
        self.runs
    }

    /// Whether every run kept the promise.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.recovered == self.runs
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        for failure in &self.failures {
            writeln!(to, "VIOLATION {failure}")?;
        }
        let list = |to: &mut fmt::Formatter, title: &str, of: &BTreeMap<String, usize>| {
            writeln!(to, "{title}:")?;
            of.iter()
                .try_for_each(|(name, runs)| writeln!(to, "  {runs:>5}  {name}"))
        };
        writeln!(to, "faults, and at how many different moments:")?;
        for (name, (runs, moments)) in &self.faults {
            writeln!(to, "  {runs:>5}  {name} ({})", moments.len())?;
        }
        list(to, "moments", &self.places)?;
        list(to, "server and way", &self.ways)?;
        list(to, "how the boot with the fault ended", &self.ends)?;
        writeln!(to, "slowest:")?;
        for (took, case) in self.slowest.iter().rev() {
            writeln!(to, "  {:>5.1}  {case}", took.as_secs_f64())?;
        }
        writeln!(
            to,
            "after the fault: nothing of the move {}, all of it {}",
            self.nothing, self.everything
        )?;
        write!(
            to,
            "{} runs in {} s by {} workers: {} violations, {} recoveries",
            self.runs,
            self.took.as_secs(),
            self.workers,
            self.failures.len(),
            self.recovered
        )
    }
}

//! One run: boot, break, look, boot again. What is broken, and how, is `breaking`'s.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::case::{Case, Commit, Dice, Fault, Mishap, Moment};
use crate::invariant::{Held, held};
use crate::site::{Site, Tables};
use crate::sources::Pair;
use crate::support::{Database, Program, Proxy, Source, Then, repository};

/// Directories of this name may outlive a killed program, until the next boot.
const SCRATCH: &str = ".webui-init-scratch-";

/// What came of a run.
pub struct Verdict {
    pub case: Case,
    /// How the boot with the fault ended.
    pub end: String,
    /// Whether the move was complete after the fault; none if that was never looked at.
    pub moved: Option<bool>,
    /// The boot without a fault did what it should.
    pub recovered: bool,
    pub violations: Vec<String>,
    log: String,
    pub took: Duration,
}

impl Verdict {
    /// A run that did not come to its end.
    pub fn broken_off(case: Case, panic: &str) -> Self {
        Self {
            case,
            end: "broken off".into(),
            moved: None,
            recovered: false,
            violations: vec![panic.to_owned()],
            log: String::new(),
            took: Duration::ZERO,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        writeln!(
            to,
            "{} ({:.1} s, {})",
            self.case,
            self.took.as_secs_f64(),
            self.end
        )?;
        for violation in &self.violations {
            writeln!(to, "  VIOLATION {violation}")?;
        }
        for line in self.log.lines() {
            writeln!(to, "  | {line}")?;
        }
        Ok(())
    }
}

/// Everything around one run.
pub struct Run<'a> {
    pub case: &'a Case,
    pub site: &'a Site,
    pub database: &'a Database<'a>,
    source: &'a Source,
    pub proxy: Proxy,
    /// Notes of the processes, and the scratch directory where it is not beside the source.
    pub notes: tempfile::TempDir,
    pub dice: Dice,
}

/// How the boots that met the fault ended.
pub struct Ended {
    pub name: &'static str,
    pub code: i32,
    pub stderr: String,
}

/// Carries out a case.
pub fn run(case: &Case, site: &Site) -> Verdict {
    let begun = Instant::now();
    let pair = Pair::of(case.source);
    let source = pair.source();
    let files = source.snapshot();
    let database = site.database(case.bootstrapped);
    let before = if case.bootstrapped {
        Tables::of(&database)
    } else {
        Tables::default()
    };
    let mut run = Run {
        case,
        site,
        database: &database,
        source: &source,
        proxy: Proxy::to(site.port(case.way)),
        notes: tempfile::tempdir().expect("a temporary folder"),
        dice: Dice(case.chance),
    };
    let mut violations = Vec::new();

    let ended = run.with_fault(&mut violations);
    run.proxy.sever();
    site.settle(&database);
    let Held {
        moved,
        violations: wrong,
    } = held(site, &database, &pair.expected, &before);
    violations.extend(
        wrong
            .into_iter()
            .map(|text| format!("after the fault: {text}")),
    );
    run.judge(&ended, moved, &mut violations);
    let mut left = source.snapshot();
    if run.leaves_scratch() {
        left = left.without(SCRATCH);
    }
    if left != files {
        violations.push(format!("the data folder was {files:?} and is {left:?}"));
    }

    let again = run.boot("again", "", site.port(case.way)).run();
    let wrong_before = violations.len();
    if again.code() != 0
        || run
            .started()
            .iter()
            .filter(|(name, _)| name == "again")
            .count()
            != 1
    {
        violations.push(format!(
            "the next boot ended with {}:\n{}",
            again.code(),
            again.stderr
        ));
    }
    let Held {
        moved: at_last,
        violations: wrong,
    } = held(site, &database, &pair.expected, &before);
    violations.extend(
        wrong
            .into_iter()
            .map(|text| format!("after the next boot: {text}")),
    );
    if !at_last {
        violations.push("after the next boot there is no marker".into());
    }
    if source.snapshot() != files {
        violations.push(format!(
            "after the next boot the data folder was {files:?} and is {:?}",
            source.snapshot()
        ));
    }
    if std::fs::read_dir(run.scratch())
        .expect("our folder")
        .count()
        > 0
    {
        violations.push("the next boot left something in the scratch directory".into());
    }
    let recovered = violations.len() == wrong_before;
    site.drop_database(&database);
    Verdict {
        case: case.clone(),
        end: ended
            .iter()
            .map(|ended| ended.code.to_string())
            .collect::<Vec<_>>()
            .join(" and "),
        moved: Some(moved),
        recovered,
        violations,
        log: ended.iter().map(|ended| ended.stderr.as_str()).collect(),
        took: begun.elapsed(),
    }
}

impl Run<'_> {
    /// A boot to be: who it is, which failpoint is armed, and the port of its PostgreSQL.
    pub fn boot(&self, name: &str, failpoint: &str, port: u16) -> Program {
        let note = "echo \"$FAULTS_NAME ${DATABASE_URL-unset}\" >>\"$FAULTS_STARTED\"";
        let mut program = Program::boot(["sh", "-c", note])
            .source(self.source)
            .target(self.database.url_at(port))
            .env("FAULTS_NAME", name)
            .env("FAULTS_STARTED", self.notes.path().join("started"))
            .env("WEBUI_INIT_WAIT_SECS", self.patience(name))
            .env("WEBUI_INIT_SCHEMA_COMMAND", {
                let mut command = std::ffi::OsString::from("exec '");
                command.push(repository("tests/faults/schema"));
                command.push("'");
                command
            })
            .env("FAULTS_SCHEMA_PORT", self.site.server.port().to_string());
        if let Some(cache) = std::env::var_os("WEBUI_CACHE_DIR") {
            program = program.env("WEBUI_CACHE_DIR", cache);
        }
        if !failpoint.is_empty() {
            program = program.env("WEBUI_FAILPOINT", failpoint);
        }
        if self.case.fall_back && name != "again" {
            program = program.env("WEBUI_INIT_ON_FAILURE", "sqlite");
        }
        if self.case.count_only {
            program = program.env("WEBUI_INIT_VERIFY", "count");
        }
        if self.case.scratch_elsewhere {
            program = program.env("WEBUI_INIT_SCRATCH_DIR", self.scratch());
        }
        program
    }

    /// How many seconds PostgreSQL is waited for: as many as a restart takes, fewer where it would never answer.
    fn patience(&self, name: &str) -> &'static str {
        match self.case.fault {
            Fault::Cut(_) | Fault::Silence(_) | Fault::Commit(Commit::Silence)
                if name != "again" =>
            {
                "2"
            }
            _ => "30",
        }
    }

    fn scratch(&self) -> PathBuf {
        let folder = self.notes.path().join("scratch");
        std::fs::create_dir_all(&folder).expect("our folder");
        folder
    }

    /// Who has started the app, and on which database.
    pub fn started(&self) -> Vec<(String, String)> {
        let notes = std::fs::read_to_string(self.notes.path().join("started")).unwrap_or_default();
        notes
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, url)| (name.to_owned(), url.to_owned()))
            .collect()
    }

    /// The place of the case with an action, as `WEBUI_FAILPOINT` has it.
    fn armed(&self, action: &str) -> String {
        match self.case.moment {
            Moment::Place(place, arrival) => format!("{place}#{arrival}={action}"),
            Moment::After(_) | Moment::ByItself => String::new(),
        }
    }

    /// The boot that meets the fault, with an action at its failpoint.
    pub fn first(&self, action: &str) -> Program {
        self.boot("first", &self.armed(action), self.proxy.port())
    }

    /// Whether the case ends the program in a way that lets it clean up nothing.
    fn leaves_scratch(&self) -> bool {
        matches!(
            self.case.fault,
            Fault::Kill | Fault::Abort | Fault::KillOfTwo | Fault::Commit(Commit::Kill)
        )
    }

    /// Checks that the app was started where that was allowed, and only there, and how the boots ended.
    fn judge(&self, ended: &[Ended], moved: bool, violations: &mut Vec<String>) {
        let started = self.started();
        for (name, url) in &started {
            let on_postgres = url.starts_with("postgresql:");
            if on_postgres && !moved {
                violations.push(format!(
                    "{name} started the app on PostgreSQL without a move"
                ));
            }
            if !on_postgres && (moved || !self.case.fall_back) {
                violations.push(format!("{name} started the app on {url}"));
            }
        }
        for Ended { name, code, stderr } in ended {
            let starts = started.iter().filter(|(who, _)| who == name).count();
            if starts > 1 || (*code == 0 && starts == 0) {
                violations.push(format!(
                    "{name} ended with 0 and started the app {starts} times"
                ));
            }
            if !self.may_end_with(*code) {
                violations.push(format!("{name} ended with {code}:\n{stderr}"));
            }
        }
    }

    fn may_end_with(&self, code: i32) -> bool {
        let fell_back = self.case.fall_back && code == 0;
        let usual = [0, 69, 74, 75];
        let expected: &[i32] = match self.case.fault {
            Fault::Kill | Fault::KillOfTwo | Fault::Commit(Commit::Kill) => &[0, 137],
            Fault::Abort => &[134],
            Fault::Fail => &[70],
            Fault::Signal(signal) => &[0, 128 + signal as i32],
            Fault::Commit(Commit::Signal) => &[143],
            // The program finds out by itself how its COMMIT ended.
            Fault::Commit(Commit::Network(Then::CutBeforeDelivery)) => &[74],
            Fault::Commit(Commit::Network(_) | Commit::Silence) | Fault::Pause => &[0],
            // Who finds everything at its head already is not lied to.
            Fault::Schema(Mishap::Fails("lie"))
                if self.case.bootstrapped && !self.case.source.older =>
            {
                &[0]
            }
            Fault::Schema(_) => &[76],
            // The schema command loses its connection too.
            Fault::ServerCrash | Fault::BackendKilled | Fault::CrashUnderTwo => {
                &[0, 69, 74, 75, 76]
            }
            _ => &usual,
        };
        fell_back || expected.contains(&code)
    }
}

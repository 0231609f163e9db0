//! What breaks: one fault, at its moment, while one instance or two boot.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::case::{Commit, Fault, Mishap, Moment};
use crate::run::{Ended, Run};
use crate::support::{self, Outcome, Running, Then, Towards, wait_for};

/// The server process of the move: alone in having a transaction that wrote something.
const OF_THE_MOVE: &str = "SELECT pid FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND datname = current_database()";
/// The one that holds the lock: the move's has an advisory lock too.
const OF_THE_LOCK: &str = "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) \
     WHERE locktype = 'advisory' AND datname = current_database() AND backend_xid IS NULL";
/// How long anything may take that has an end at all.
const LIMIT: Duration = Duration::from_secs(100);
/// How long the program may take to end once it is asked to; more than the second that is promised, because the
/// machine is full of servers.
const SOON: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Boots, and returns when the moment has come: the program is stopped there, or in full run.
    fn until_the_moment(&self) -> Running {
        let mut running = self.first("stop").start();
        match self.case.moment {
            Moment::Place(..) => wait_for("the failpoint", LIMIT, || {
                assert!(
                    !running.ended(),
                    "the failpoint was never reached:\n{}",
                    running.stderr()
                );
                stopped(running.pid()).then_some(())
            }),
            Moment::After(after) => sleep(after),
            Moment::ByItself => {}
        }
        running
    }

    /// Boots, once or twice, and breaks what the case says.
    pub fn with_fault(&mut self, violations: &mut Vec<String>) -> Vec<Ended> {
        match self.case.fault {
            Fault::LockEnded | Fault::KillOfTwo | Fault::CrashUnderTwo => self.two(violations),
            Fault::Abort => vec![ended("first", self.first("abort").start())],
            Fault::Fail => vec![ended("first", self.first("fail").start())],
            Fault::Cut(towards) => {
                // As many orders of magnitude as a move has, each as likely as the others.
                let largest = if towards == Towards::Server { 19 } else { 14 };
                let bytes = (1 << self.dice.below(largest)) + self.dice.below(1 << 10);
                self.proxy.set(support::Fault::CutAfter(towards, bytes));
                vec![ended("first", self.first("").start())]
            }
            Fault::Silence(text) => {
                self.proxy
                    .set(support::Fault::OnSight(text.as_bytes(), Then::Stall));
                let first = ended("first", self.first("").start());
                if self.proxy.sights() == 0 {
                    violations.push(format!("{text:?} was never said"));
                }
                vec![first]
            }
            Fault::Commit(commit) => vec![self.commit(commit)],
            Fault::Schema(mishap) => vec![self.schema(mishap)],
            Fault::Signal(signal) => {
                let first = self.until_the_moment();
                let asked = Instant::now();
                first.signal(signal);
                first.signal(Signal::SIGCONT);
                let first = ended("first", first);
                if asked.elapsed() > SOON {
                    violations.push(format!("took {:?} to end on {signal}", asked.elapsed()));
                }
                vec![first]
            }
            Fault::Kill
            | Fault::ServerCrash
            | Fault::SessionEnded
            | Fault::BackendKilled
            | Fault::Refuse
            | Fault::Reset
            | Fault::Pause => {
                let first = self.until_the_moment();
                self.break_one(&first);
                vec![ended("first", first)]
            }
        }
    }

    /// Breaks something while the program is stopped, or in full run, and lets it go on.
    fn break_one(&mut self, first: &Running) {
        let network = match self.case.fault {
            Fault::Refuse => support::Fault::Refuse,
            Fault::Reset => support::Fault::Reset,
            Fault::Pause => support::Fault::Stall,
            Fault::ServerCrash => return self.crash_and_restart(first),
            Fault::SessionEnded => {
                self.end_session(OF_THE_MOVE);
                return first.signal(Signal::SIGCONT);
            }
            Fault::BackendKilled => {
                self.kill_backend();
                return first.signal(Signal::SIGCONT);
            }
            _ => return first.signal(Signal::SIGKILL),
        };
        let seconds = match self.case.fault {
            Fault::Pause => Duration::from_secs(2),
            _ => self.dice.milliseconds(1000),
        };
        self.proxy.set(network);
        first.signal(Signal::SIGCONT);
        sleep(seconds);
        self.proxy.set(support::Fault::Pass);
    }

    /// A first instance that is caught at the moment, and a second one that comes to it then.
    fn two(&mut self, violations: &mut Vec<String>) -> Vec<Ended> {
        let first = self.until_the_moment();
        if self.case.fault == Fault::LockEnded {
            self.end_session(OF_THE_LOCK);
        }
        let second = self.boot("second", "", self.site.port(self.case.way));
        let second = second.start();
        sleep(Duration::from_millis(300) + self.dice.milliseconds(700));
        if !self.started().is_empty() {
            violations.push("the second instance started its app while the first one moved".into());
        }
        match self.case.fault {
            Fault::LockEnded => first.signal(Signal::SIGCONT),
            Fault::KillOfTwo => first.signal(Signal::SIGKILL),
            _ => self.crash_and_restart(&first),
        }
        vec![ended("first", first), ended("second", second)]
    }

    /// PostgreSQL ends as if the power had failed, and comes back before or after the program goes on.
    fn crash_and_restart(&mut self, first: &Running) {
        self.site.server.stop_immediate();
        if self.dice.one_in(2) {
            self.site.server.restart();
            first.signal(Signal::SIGCONT);
        } else {
            first.signal(Signal::SIGCONT);
            sleep(self.dice.milliseconds(800));
            self.site.server.restart();
        }
    }

    /// `kill -9` of the server process that does the move; PostgreSQL then ends all sessions and recovers.
    fn kill_backend(&self) {
        let mut session = self.site.administrator(self.database);
        let pid = session.value(OF_THE_MOVE).parse().expect("a session");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a server process");
        // The postmaster ends every session before it begins anew.
        wait_for("the end of all sessions", LIMIT, || {
            session.try_query("SELECT 1").err()
        });
        self.site.wait_for_server();
    }

    fn end_session(&self, pids: &str) {
        let mut session = self.site.administrator(self.database);
        let ended = session.value(&format!(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid IN ({pids})"
        ));
        assert_eq!(ended, "1", "sessions ended");
        wait_for("the session's end", SOON, || {
            let left = session.value(&format!(
                "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid IN ({pids})"
            ));
            (left == "0").then_some(())
        });
    }

    fn commit(&mut self, commit: Commit) -> Ended {
        let first = self.until_the_moment();
        let then = match commit {
            Commit::Network(then) => then,
            Commit::Silence | Commit::ServerCrash | Commit::Kill | Commit::Signal => {
                Then::SwallowAnswers
            }
        };
        self.proxy.set(support::Fault::OnSight(b"COMMIT", then));
        first.signal(Signal::SIGCONT);
        wait_for("COMMIT", SOON, || (self.proxy.sights() > 0).then_some(()));
        match commit {
            Commit::Network(Then::SwallowAnswers) => {
                sleep(Duration::from_millis(500) + self.dice.milliseconds(1000));
                self.proxy.set(support::Fault::Pass);
                self.proxy.sever();
            }
            Commit::Network(_) | Commit::Silence => {
                // What follows COMMIT is about another connection.
                self.proxy.set(support::Fault::Pass);
            }
            Commit::ServerCrash => {
                sleep(self.dice.milliseconds(4));
                self.site.server.stop_immediate();
                self.proxy.set(support::Fault::Pass);
                self.proxy.sever();
                sleep(self.dice.milliseconds(800));
                self.site.server.restart();
            }
            Commit::Kill => {
                sleep(self.dice.milliseconds(20));
                first.signal(Signal::SIGKILL);
            }
            Commit::Signal => first.signal(Signal::SIGTERM),
        }
        ended("first", first)
    }

    fn schema(&mut self, mishap: Mishap) -> Ended {
        let (Mishap::Killed(name) | Mishap::Fails(name)) = mishap;
        let note = self.notes.path().join("schema");
        let seconds = self.dice.milliseconds(150).as_secs_f64();
        let program = self
            .first("")
            .env("FAULTS_SCHEMA", name)
            .env("FAULTS_SCHEMA_PID", &note)
            .env("FAULTS_SCHEMA_SECONDS", seconds.to_string());
        let mut first = program.start();
        // An older source is upgraded too, and that is the one to be stopped midway where there is one.
        while matches!(mishap, Mishap::Killed(_)) && !first.ended() {
            if let Ok(group) = std::fs::read_to_string(&note) {
                let group = Pid::from_raw(group.trim().parse().expect("a number"));
                let _ = std::fs::remove_file(&note);
                killpg(group, Signal::SIGKILL).expect("the schema command is there");
            }
            sleep(Duration::from_millis(5));
        }
        ended("first", first)
    }
}

fn ended(name: &'static str, running: Running) -> Ended {
    let outcome: Outcome = running.wait(LIMIT);
    Ended {
        name,
        code: outcome.code(),
        stderr: outcome.stderr,
    }
}

/// Whether every thread of a process is stopped.
fn stopped(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status
        .rsplit_once(") ")
        .is_some_and(|(_, fields)| fields.starts_with('T'))
}

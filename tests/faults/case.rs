//! What one run does, drawn from its seed: which fault, when, and around what. The faults and their moments form a
//! list that consecutive seeds walk through, so that as many runs as it is long try each once; everything else is
//! drawn at random.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::menu::{OF_THE_COPY, PLACES, menu};
use crate::support::{Then, Towards, Version};

/// One run.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
#[derive(Clone, Debug)]
pub struct Case {
    pub seed: u64,
    pub fault: Fault,
    pub moment: Moment,
    pub version: Version,
    pub way: Way,
    pub source: Kind,
    /// The target has the app's schema and default settings already, as after a first start.
    pub bootstrapped: bool,
    /// `WEBUI_INIT_ON_FAILURE=sqlite`.
    pub fall_back: bool,
    /// `WEBUI_INIT_VERIFY=count`.
    pub count_only: bool,
    /// With a `WEBUI_INIT_SCRATCH_DIR` of its own; otherwise beside the source.
    pub scratch_elsewhere: bool,
    /// A number for whatever the fault leaves open.
    pub chance: u64,
}

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of the program.
    Kill,
    /// The program aborts itself.
    Abort,
    /// The program meets an error.
    Fail,
    /// A signal that asks to stop.
    Signal(Signal),
    /// `pg_ctl stop -m immediate`, and a restart.
    ServerCrash,
    /// The move's session is ended by an administrator.
    SessionEnded,
    /// `kill -9` of the server process that does the move, after which PostgreSQL restarts itself.
    BackendKilled,
    /// The lock's session is ended, and a second instance starts.
    LockEnded,
    /// No connection for a while, and open ones end.
    Refuse,
    /// Connections are reset for a while, and open ones end.
    Reset,
    /// No byte moves for two seconds.
    Pause,
    /// Every connection is cut once so many bytes went one way.
    Cut(Towards),
    /// The connection that sends this text falls silent for good, and stays open.
    Silence(&'static str),
    /// COMMIT is sent, and this becomes of it.
    Commit(Commit),
    /// The app's schema command has this mishap.
    Schema(Mishap),
    /// A second instance waits for the lock; the first is killed.
    KillOfTwo,
    /// A second instance waits for the lock; PostgreSQL crashes under both.
    CrashUnderTwo,
}

/// What becomes of the move's COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The proxy does this to it.
    Network(Then),
    /// Its answer never comes, and the connection stays open.
    Silence,
    /// PostgreSQL crashes as it gets it.
    ServerCrash,
    /// The program is killed as it waits for the answer, which never comes.
    Kill,
    /// The program is asked to stop as it waits for the answer.
    Signal,
}

/// What goes wrong with the schema command; `tests/faults/schema` knows them by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    Killed(&'static str),
    Fails(&'static str),
}

/// When it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At the Nth arrival at a failpoint.
    Place(&'static str, u32),
    /// So long after the start.
    After(Duration),
    /// When it happens by itself.
    ByItself,
}

/// How the program reaches PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Direct,
    SessionPool,
    TransactionPool,
}

/// What the source is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Its newest commits are in a WAL.
    pub wal: bool,
    /// It is at an older revision than the image.
    pub older: bool,
    /// Some hundred chats instead of two dozen.
    pub large: bool,
}

impl Moment {
    /// Its kind, for counting.
    pub fn kind(self) -> String {
        match self {
            Self::Place(place, _) => place.into(),
            Self::After(_) => "a random instant".into(),
            Self::ByItself => "where it happens".into(),
        }
    }
}

impl Case {
    /// The run of a seed.
    pub fn of(seed: u64, versions: &[Version]) -> Self {
        let menu = menu();
        let position = usize::try_from(seed % menu.len() as u64).expect("a short list");
        let (mut fault, mut moment) = menu[position];
        let mut dice = Dice(seed);
        let mut source = Kind {
            wal: dice.one_in(2),
            older: dice.one_in(3),
            large: dice.one_in(4),
        };
        if let Moment::Place(place, arrival) = &mut moment {
            source.older |= OF_THE_COPY.contains(place);
            let arrivals = PLACES.iter().find(|(name, _)| name == place);
            *arrival =
                dice.pick(&(1..=arrivals.map_or(1, |(_, arrivals)| *arrivals)).collect::<Vec<_>>());
        }
        if let Moment::After(after) = &mut moment {
            *after = dice.milliseconds(1200);
        }
        if let Fault::Signal(signal) = &mut fault {
            *signal = dice.pick(&[
                Signal::SIGTERM,
                Signal::SIGINT,
                Signal::SIGTERM,
                Signal::SIGHUP,
                Signal::SIGQUIT,
            ]);
        }
        let ways = [Way::Direct, Way::SessionPool, Way::TransactionPool];
        let mut way = dice.pick(&ways);
        if matches!(fault, Fault::Commit(_)) {
            way = ways[position % ways.len()];
        }
        // Whose session it is can be told by what PostgreSQL knows of it, which behind a pool says little.
        if matches!(
            fault,
            Fault::SessionEnded | Fault::BackendKilled | Fault::LockEnded
        ) {
            way = Way::Direct;
        }
        Self {
            seed,
            fault,
            moment,
            version: dice.pick(versions),
            way,
            source,
            bootstrapped: dice.one_in(2),
            fall_back: dice.one_in(6),
            // Digests are asked for only where not just numbers are compared.
            count_only: dice.one_in(6) && fault != Fault::Silence("record_send"),
            scratch_elsewhere: dice.one_in(3),
            chance: dice.next(),
        }
    }
}

impl Fault {
    /// Its name in the report.
    pub fn name(self) -> String {
        match self {
            Self::Kill => "kill -9".into(),
            Self::Abort => "abort".into(),
            Self::Fail => "error inside the program".into(),
            Self::Signal(signal) => signal.to_string(),
            Self::ServerCrash => "PostgreSQL crashes and restarts".into(),
            Self::SessionEnded => "the move's session is ended".into(),
            Self::BackendKilled => "kill -9 of the move's server process".into(),
            Self::LockEnded => "the lock's session is ended, second instance".into(),
            Self::Refuse => "connections refused".into(),
            Self::Reset => "connections reset".into(),
            Self::Pause => "network stalls for 2 s".into(),
            Self::Cut(Towards::Server) => "cut after N bytes towards PostgreSQL".into(),
            Self::Cut(Towards::Client) => "cut after N bytes from PostgreSQL".into(),
            Self::Commit(Commit::Network(Then::CutBeforeDelivery)) => {
                "COMMIT lost on its way".into()
            }
            Self::Commit(Commit::Network(Then::CutAfterDelivery)) => {
                "COMMIT delivered, connection cut".into()
            }
            Self::Commit(Commit::Network(_)) => {
                "COMMIT delivered, answer swallowed, cut later".into()
            }
            Self::Commit(Commit::Silence) => "COMMIT delivered, silence ever after".into(),
            Self::Silence(_) => "a connection falls silent for good".into(),
            Self::Commit(Commit::ServerCrash) => "PostgreSQL crashes on COMMIT".into(),
            Self::Commit(Commit::Kill) => "kill -9 between COMMIT and its answer".into(),
            Self::Commit(Commit::Signal) => "signal between COMMIT and its answer".into(),
            Self::Schema(Mishap::Killed(_)) => "kill -9 of the schema command".into(),
            Self::Schema(Mishap::Fails(_)) => "the schema command fails".into(),
            Self::KillOfTwo => "kill -9 of one of two instances".into(),
            Self::CrashUnderTwo => "PostgreSQL crashes under two instances".into(),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Place(place, 1) => write!(to, "at {place}"),
            Self::Place(place, arrival) => write!(to, "at {place}#{arrival}"),
            Self::After(after) => write!(to, "{} ms after the start", after.as_millis()),
            Self::ByItself => write!(to, "where it happens"),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(
            to,
            "seed {}: {} {}",
            self.seed,
            self.fault.name(),
            self.moment
        )?;
        if let Fault::Silence(text) = self.fault {
            write!(to, " at {text:?}")?;
        }
        write!(
            to,
            "; {:?}, {:?}, {:?}",
            self.version, self.way, self.source
        )?;
        for (set, name) in [
            (self.bootstrapped, "bootstrapped"),
            (self.fall_back, "ON_FAILURE=sqlite"),
            (self.count_only, "VERIFY=count"),
            (self.scratch_elsewhere, "SCRATCH_DIR"),
        ] {
            if set {
                write!(to, ", {name}")?;
            }
        }
        Ok(())
    }
}

/// `SplitMix64`: small, and the same on every machine.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn milliseconds(&mut self, limit: u64) -> Duration {
        Duration::from_millis(self.below(limit))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).expect("a short list")]
    }
}

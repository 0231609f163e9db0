//! What the protocol is about: where each instance is, what PostgreSQL holds, and the history that properties ask
//! for.

/// How many instances there are.
pub const INSTANCES: usize = 3;

/// Where an instance is: the action that it is about to take, or the app that it has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The container is down; it will be started again.
    Stopped,
    FirstLook,
    TryLock,
    MoveIsOpen,
    MarkerUnderLock,
    OpenSource,
    TablesInUse,
    Upgrade,
    TakeTables,
    StillHeld,
    LookAgain,
    Load,
    Record,
    CheckUnchanged,
    Commit,
    /// COMMIT is sent.
    Answer,
    /// The connection broke instead of an answer.
    Committed,
    FallBack,
    WaitForAnother,
    OnPostgres(Because),
    /// `exec` on SQLite is done, the app has not opened the file yet.
    StartingOnSqlite,
    OnSqlite,
}

/// Why an app was started on PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// The marker was read, or the move was this instance's own.
    Moved,
    /// This instance has no `webui.db`.
    Fresh {
        /// Somebody's move could be committed at that moment.
        beside_a_move: bool,
        /// Somebody had begun to move, and was interrupted.
        after_an_attempt: bool,
    },
    /// `WEBUI_INIT_ON_CONFLICT=keep`, and PostgreSQL holds users.
    Kept,
}

/// The transaction of an instance's move, as PostgreSQL sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transaction {
    None,
    Open {
        /// Users that an app made were set aside (`WEBUI_INIT_ON_CONFLICT=replace`).
        aside: bool,
        /// The marker is inserted.
        marker: bool,
    },
    /// COMMIT is on its way or under way. It outlives connection and instance.
    Committing {
        aside: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Postgres {
    /// The app's tables exist.
    pub tables: bool,
    /// An app's users are in them, not moved ones.
    pub users: bool,
    /// Whose connection holds the advisory lock.
    pub lock: Option<usize>,
    pub transactions: [Transaction; INSTANCES],
    /// Rows of `webui_init.migration`.
    pub markers: u8,
    /// How often the source's rows are in the tables.
    pub copies: u8,
    /// Somebody has begun to move.
    pub attempted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub postgres: Postgres,
    pub instances: [Step; INSTANCES],
    /// An app on SQLite wrote to the source after this instance had opened it.
    pub outdated: [bool; INSTANCES],
    /// A move was committed into tables that held an app's users.
    pub mixed: bool,
    /// A move was committed without what an app on SQLite had written.
    pub lost: bool,
}

impl State {
    /// Whether a move's transaction is open or committing.
    pub fn move_is_open(&self) -> bool {
        self.postgres
            .transactions
            .iter()
            .any(|transaction| *transaction != Transaction::None)
    }

    /// Whether a move that has begun can be committed: one whose lock is lost, and that has yet to ask for it,
    /// cannot.
    pub fn move_can_commit(&self) -> bool {
        self.postgres
            .transactions
            .iter()
            .zip(&self.instances)
            .enumerate()
            .any(|(i, (transaction, step))| {
                let doomed = *step == Step::StillHeld && self.postgres.lock != Some(i);
                *transaction != Transaction::None && !doomed
            })
    }

    /// Whether COMMIT was sent and nobody knows yet how it ends.
    pub fn may_yet_commit(&self) -> bool {
        self.postgres
            .transactions
            .iter()
            .any(|transaction| matches!(transaction, Transaction::Committing { .. }))
    }

    /// Whether an app runs on SQLite, or is about to.
    pub fn on_sqlite(&self) -> bool {
        self.instances
            .iter()
            .any(|step| matches!(step, Step::StartingOnSqlite | Step::OnSqlite))
    }

    pub fn source_is_open_elsewhere(&self) -> bool {
        self.instances.contains(&Step::OnSqlite)
    }

    /// The process ends or becomes the app: its connections close. A COMMIT that was sent goes on without it.
    pub fn close_connections(&mut self, i: usize) {
        if self.postgres.lock == Some(i) {
            self.postgres.lock = None;
        }
        self.drop_transaction(i);
    }

    pub fn drop_transaction(&mut self, i: usize) {
        if matches!(self.postgres.transactions[i], Transaction::Open { .. }) {
            self.postgres.transactions[i] = Transaction::None;
        }
    }

    pub fn become_app(&mut self, i: usize, app: Step) {
        self.close_connections(i);
        self.instances[i] = app;
    }

    pub fn server_commits(&mut self, i: usize) {
        let Transaction::Committing { aside } = self.postgres.transactions[i] else {
            return;
        };
        let postgres = &mut self.postgres;
        postgres.transactions[i] = Transaction::None;
        // Two are enough to be wrong.
        postgres.markers = (postgres.markers + 1).min(2);
        postgres.copies = if aside {
            1
        } else {
            (postgres.copies + 1).min(2)
        };
        self.mixed |= postgres.users && !aside;
        postgres.users &= !aside;
        self.lost |= self.outdated[i];
    }

    pub fn change_places(&mut self, one: usize, other: usize) {
        self.instances.swap(one, other);
        self.outdated.swap(one, other);
        self.postgres.transactions.swap(one, other);
        self.postgres.lock = match self.postgres.lock {
            Some(holder) if holder == one => Some(other),
            Some(holder) if holder == other => Some(one),
            holder => holder,
        };
    }

    /// An app has the file open and writes to it.
    pub fn sqlite_is_written(&mut self, i: usize) {
        self.instances[i] = Step::OnSqlite;
        for (other, outdated) in self.outdated.iter_mut().enumerate() {
            *outdated |= other != i && self.instances[other].has_source_open()
                || self.postgres.transactions[other] != Transaction::None;
        }
    }
}

impl Step {
    pub fn has_source_open(self) -> bool {
        matches!(
            self,
            Self::TablesInUse
                | Self::Upgrade
                | Self::TakeTables
                | Self::StillHeld
                | Self::LookAgain
                | Self::Load
                | Self::Record
                | Self::CheckUnchanged
                | Self::Commit
                | Self::Answer
                | Self::Committed
        )
    }

    /// Whether `boot::prepare` hears of `WEBUI_INIT_ON_FAILURE` when this step fails: the error came out of
    /// `under_the_lock`, and is not the source's.
    pub fn may_fall_back(self) -> bool {
        self.has_source_open()
    }
}

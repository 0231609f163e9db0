//! The protocol itself: by which rules, and what each action changes.

use stateright::Model;
use webui_init::settings::{OnConflict, OnFailure};

use crate::action::Action;
use crate::state::{Because, INSTANCES, Postgres, State, Step, Transaction};

/// What is configured for one instance. All that have the volume share one `webui.db`, which has users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    pub volume: bool,
    /// `ENABLE_DB_MIGRATIONS`.
    pub migrations: bool,
    pub on_failure: OnFailure,
    pub on_conflict: OnConflict,
}

/// What keeps the promise. A test can take any of it away; [`PROPOSED`] is not in the program yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The advisory lock.
    Lock,
    /// `LOCK TABLE … IN ACCESS EXCLUSIVE MODE`.
    TableLocks,
    /// The marker is read again under the table locks.
    MarkerAgain,
    /// The tables are looked at again under the table locks.
    EmptinessAgain,
    /// The marker's primary key.
    PrimaryKey,
    /// After a COMMIT without an answer, PostgreSQL is asked before anything is started.
    AskAfterCommit,
    /// An unknown outcome is never followed by a start on SQLite.
    UnknownIsFinal,
    /// The marker is read again, on the lock's connection, before a start on SQLite.
    StillWithoutMarker,
    /// A move's transaction has an advisory lock of its own, which whoever gets the first one waits for; and
    /// when it has it, it makes sure that the first one is still held.
    MoveLock,
    /// An app that is started on SQLite has opened the file before anybody else can get the lock. Not a part
    /// of the program: an assumption about time.
    AppOpensAtOnce,
    /// An attempt leaves a note in PostgreSQL (`webui_init.attempt`), which keeps replicas without the volume waiting for as
    /// long as there are no users.
    Attempt,
}

/// The model: who takes part, and by which rules.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub instances: [Instance; INSTANCES],
    /// Somebody runs Open WebUI on the same database without this program.
    pub app_beside: bool,
    /// What is taken away from, or not in, the program.
    pub without: Vec<Guard>,
    /// Instances that are configured alike change places freely: fewer states, but an action's number no longer
    /// says who acts.
    pub anonymous: bool,
}

impl Protocol {
    pub fn has(&self, guard: Guard) -> bool {
        !self.without.contains(&guard)
    }
}

impl Protocol {
    /// The one of all states that differ only in who is who.
    fn canonical(&self, state: &mut State) {
        let rank = |state: &State, i: usize| {
            let postgres = &state.postgres;
            let lock = postgres.lock == Some(i);
            (
                state.instances[i],
                postgres.transactions[i],
                state.outdated[i],
                lock,
            )
        };
        for end in (1..INSTANCES).rev() {
            for i in 0..end {
                let alike = self.instances[i] == self.instances[i + 1];
                if alike && rank(state, i) > rank(state, i + 1) {
                    state.change_places(i, i + 1);
                }
            }
        }
    }

    /// `boot::prepare` gets an error.
    fn failed(&self, state: &mut State, i: usize) {
        state.drop_transaction(i);
        if self.instances[i].on_failure == OnFailure::Sqlite && state.instances[i].may_fall_back() {
            state.instances[i] = Step::FallBack;
        } else {
            state.become_app(i, Step::Stopped);
        }
    }

    /// `under_the_lock`, first half: is there anything to move?
    fn open_source(&self, state: &mut State, i: usize) {
        if !self.instances[i].volume {
            let postgres = &state.postgres;
            let interrupted = postgres.attempted && postgres.markers == 0 && !postgres.users;
            if self.has(Guard::MoveLock) && postgres.lock != Some(i) {
                state.become_app(i, Step::Stopped);
            } else if self.has(Guard::Attempt) && interrupted {
                state.become_app(i, Step::WaitForAnother);
            } else {
                let because = Because::Fresh {
                    beside_a_move: state.move_can_commit(),
                    after_an_attempt: interrupted,
                };
                state.become_app(i, Step::OnPostgres(because));
            }
        } else if state.source_is_open_elsewhere() {
            state.become_app(i, Step::Stopped);
        } else {
            state.outdated[i] =
                state.postgres.transactions[i] != Transaction::None && state.outdated[i];
            state.instances[i] = Step::TablesInUse;
        }
    }

    /// `under_the_lock`, second half: may it be moved, and by this instance?
    fn tables_in_use(&self, state: &mut State, i: usize) {
        let instance = self.instances[i];
        if state.postgres.users || state.postgres.markers > 0 {
            match instance.on_conflict {
                OnConflict::Keep => {
                    return state.become_app(i, Step::OnPostgres(Because::Kept));
                }
                OnConflict::Fail => return self.failed(state, i),
                OnConflict::Replace => {}
            }
        }
        if instance.migrations {
            state.instances[i] = Step::Upgrade;
        } else {
            state.become_app(i, Step::WaitForAnother);
        }
    }

    /// The second half of `Begun::take_tables`: nobody can write any more.
    fn look_again(&self, state: &mut State, i: usize) {
        let in_use = state.postgres.users || state.postgres.markers > 0;
        let replace = self.instances[i].on_conflict == OnConflict::Replace;
        let already_moved = self.has(Guard::MarkerAgain) && state.postgres.markers > 0;
        let came_into_use = self.has(Guard::EmptinessAgain) && in_use && !replace;
        if already_moved || came_into_use {
            return self.failed(state, i);
        }
        let aside = in_use && replace;
        state.postgres.transactions[i] = Transaction::Open {
            aside,
            marker: false,
        };
        state.instances[i] = Step::Load;
    }

    /// `Verified::record`, in its steps.
    fn record(&self, state: &mut State, i: usize, action: Action) {
        match (action, state.postgres.transactions[i]) {
            (Action::LedgerWrite(_), Transaction::Open { aside, .. }) => {
                if self.has(Guard::PrimaryKey) && state.postgres.markers > 0 {
                    return self.failed(state, i);
                }
                state.postgres.transactions[i] = Transaction::Open {
                    aside,
                    marker: true,
                };
                state.instances[i] = Step::CheckUnchanged;
            }
            (Action::CheckUnchanged(_), _) => {
                let changed = state.outdated[i] || state.source_is_open_elsewhere();
                if changed {
                    return self.failed(state, i);
                }
                state.instances[i] = Step::Commit;
            }
            (Action::Commit(_), Transaction::Open { aside, .. }) => {
                state.postgres.transactions[i] = Transaction::Committing { aside };
                state.instances[i] = Step::Answer;
            }
            // The connection broke before COMMIT could be sent, which looks the same.
            (Action::Commit(_), _) => self.answer_lost(state, i),
            _ => self.failed(state, i),
        }
    }

    fn answer_lost(&self, state: &mut State, i: usize) {
        if self.has(Guard::AskAfterCommit) {
            state.instances[i] = Step::Committed;
        } else {
            state.become_app(i, Step::OnPostgres(Because::Moved));
        }
    }

    /// `committed`, once the transaction has ended.
    fn committed(&self, state: &mut State, i: usize) {
        if state.postgres.markers > 0 {
            state.become_app(i, Step::OnPostgres(Because::Moved));
        } else {
            self.failed(state, i);
        }
    }

    fn fall_back(&self, state: &mut State, i: usize) {
        let sure = state.postgres.lock == Some(i) && state.postgres.markers == 0;
        if self.has(Guard::StillWithoutMarker) && !sure {
            return state.become_app(i, Step::Stopped);
        }
        state.become_app(i, Step::StartingOnSqlite);
        if self.has(Guard::AppOpensAtOnce) {
            state.sqlite_is_written(i);
        }
    }

    fn postgres_crashes(&self, state: &mut State) {
        state.postgres.lock = None;
        for i in 0..INSTANCES {
            state.drop_transaction(i);
            if state.instances[i] == Step::Answer {
                self.answer_lost(state, i);
            }
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            postgres: Postgres {
                tables: false,
                users: false,
                lock: None,
                transactions: [Transaction::None; INSTANCES],
                markers: 0,
                copies: 0,
                attempted: false,
            },
            instances: [Step::Stopped; INSTANCES],
            outdated: [false; INSTANCES],
            mixed: false,
            lost: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for i in 0..INSTANCES {
            self.own_actions(state, i, actions);
            Self::breakages(state, i, actions);
        }
        self.environment(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let transaction_lost =
            |state: &State, i: usize| state.postgres.transactions[i] == Transaction::None;
        match action {
            Action::Boot(i) => state.instances[i] = Step::FirstLook,
            Action::FirstLook(i) if state.postgres.markers > 0 => {
                state.become_app(i, Step::OnPostgres(Because::Moved));
            }
            Action::FirstLook(i) => state.instances[i] = Step::TryLock,
            Action::TryLock(i) => {
                state.postgres.lock = Some(i);
                state.instances[i] = if self.has(Guard::MoveLock) {
                    Step::MoveIsOpen
                } else {
                    Step::MarkerUnderLock
                };
            }
            Action::MoveIsOpen(i) if state.move_is_open() => {
                state.close_connections(i);
                state.instances[i] = Step::TryLock;
            }
            Action::MoveIsOpen(i) => state.instances[i] = Step::MarkerUnderLock,
            Action::Marker(i) if state.postgres.markers > 0 => {
                state.become_app(i, Step::OnPostgres(Because::Moved));
            }
            Action::Marker(i) => state.instances[i] = Step::OpenSource,
            Action::OpenSource(i) => self.open_source(&mut state, i),
            Action::TablesInUse(i) => self.tables_in_use(&mut state, i),
            Action::Upgrade(i) => {
                state.postgres.tables = true;
                state.postgres.attempted = true;
                state.instances[i] = Step::TakeTables;
            }
            Action::TakeTables(i) => {
                state.postgres.transactions[i] = Transaction::Open {
                    aside: false,
                    marker: false,
                };
                state.instances[i] = if self.has(Guard::MoveLock) {
                    Step::StillHeld
                } else {
                    Step::LookAgain
                };
            }
            Action::StillHeld(i) if state.postgres.lock == Some(i) => {
                state.instances[i] = Step::LookAgain;
            }
            Action::LookAgain(i) | Action::LoadAndVerify(i) | Action::Isolate(i)
                if transaction_lost(&state, i) =>
            {
                self.failed(&mut state, i);
            }
            Action::LookAgain(i) => self.look_again(&mut state, i),
            Action::LoadAndVerify(i) => state.instances[i] = Step::Record,
            Action::Isolate(i) => {
                state.drop_transaction(i);
                state.instances[i] = Step::TakeTables;
            }
            Action::LedgerWrite(i) | Action::CheckUnchanged(i) | Action::Commit(i) => {
                self.record(&mut state, i, action);
            }
            Action::CommitAnswered(i) => {
                state.server_commits(i);
                state.become_app(i, Step::OnPostgres(Because::Moved));
            }
            Action::CommitRefused(i) => {
                state.postgres.transactions[i] = Transaction::None;
                self.failed(&mut state, i);
            }
            Action::AnswerLost(i) => self.answer_lost(&mut state, i),
            Action::Committed(i) => self.committed(&mut state, i),
            Action::OutcomeUnknown(i) if self.has(Guard::UnknownIsFinal) => {
                state.become_app(i, Step::Stopped);
            }
            Action::StillWithoutMarker(i) => self.fall_back(&mut state, i),
            Action::AppOpensSqlite(i) => state.sqlite_is_written(i),
            Action::RestartApp(i) => state.become_app(i, Step::FirstLook),
            Action::AppBootstraps => state.postgres.tables = true,
            Action::VisitorSignsUp => state.postgres.users = true,
            Action::ServerCommits(i) => state.server_commits(i),
            Action::ServerRollsBack(i) | Action::MoveConnectionBreaks(i) => {
                state.postgres.transactions[i] = Transaction::None;
            }
            Action::Kill(i) | Action::NotThisInstance(i) => state.become_app(i, Step::Stopped),
            Action::StillHeld(i) | Action::Fail(i) | Action::OutcomeUnknown(i) => {
                self.failed(&mut state, i);
            }
            Action::LockConnectionBreaks => state.postgres.lock = None,
            Action::PostgresCrashes => self.postgres_crashes(&mut state),
        }
        if self.anonymous {
            self.canonical(&mut state);
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        crate::properties::all()
    }
}

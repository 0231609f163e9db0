//! What can happen next, in a given state. An action is what others can come between; it bears the name of the
//! function in `boot`, `ledger`, `copy` or `source` that it stands for.

use crate::protocol::{Guard, Protocol};
use crate::state::{Because, INSTANCES, State, Step, Transaction};

/// What can happen next. The number is the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Boot(usize),
    FirstLook(usize),
    TryLock(usize),
    MoveIsOpen(usize),
    /// The marker is read, with the lock or while waiting for it.
    Marker(usize),
    OpenSource(usize),
    TablesInUse(usize),
    Upgrade(usize),
    TakeTables(usize),
    StillHeld(usize),
    /// `ledger::read` and `tables_in_use` in the transaction.
    LookAgain(usize),
    /// COPY, indexes, sequences, verification: nobody else sees or hinders it.
    LoadAndVerify(usize),
    /// PostgreSQL refuses rows: the transaction ends, and another begins without them.
    Isolate(usize),
    LedgerWrite(usize),
    CheckUnchanged(usize),
    Commit(usize),
    CommitAnswered(usize),
    CommitRefused(usize),
    Committed(usize),
    StillWithoutMarker(usize),
    /// `wait_for_another` has waited long enough.
    NotThisInstance(usize),
    AppOpensSqlite(usize),
    /// A person restarts the app that runs on SQLite.
    RestartApp(usize),
    AppBootstraps,
    VisitorSignsUp,
    /// A COMMIT that nobody waits for any more.
    ServerCommits(usize),
    ServerRollsBack(usize),
    // From here on: what breaks.
    /// `kill -9`, or the machine.
    Kill(usize),
    /// The step fails: PostgreSQL refuses or does not answer, a time limit passes, the disk is full.
    Fail(usize),
    /// COMMIT is not answered.
    AnswerLost(usize),
    /// `committed` could not learn for two minutes how it ended.
    OutcomeUnknown(usize),
    LockConnectionBreaks,
    MoveConnectionBreaks(usize),
    PostgresCrashes,
}

impl Action {
    /// How many there are.
    pub const KINDS: usize = 34;

    /// Whether this is something that breaks. Without such actions the protocol must come to its end.
    pub fn breaks(self) -> bool {
        matches!(
            self,
            Self::Kill(_)
                | Self::Fail(_)
                | Self::AnswerLost(_)
                | Self::OutcomeUnknown(_)
                | Self::LockConnectionBreaks
                | Self::MoveConnectionBreaks(_)
                | Self::PostgresCrashes
        )
    }
}

impl Protocol {
    /// What instance `i` can do by itself.
    pub fn own_actions(&self, state: &State, i: usize, actions: &mut Vec<Action>) {
        let postgres = &state.postgres;
        // ACCESS EXCLUSIVE keeps even readers out.
        let tables_free = !self.has(Guard::TableLocks) || !state.move_is_open();
        match state.instances[i] {
            Step::Stopped => actions.push(Action::Boot(i)),
            Step::FirstLook => actions.push(Action::FirstLook(i)),
            Step::TryLock => {
                if postgres.lock.is_none() || !self.has(Guard::Lock) {
                    actions.push(Action::TryLock(i));
                }
                if postgres.markers > 0 {
                    actions.push(Action::Marker(i));
                }
            }
            Step::MoveIsOpen => actions.push(Action::MoveIsOpen(i)),
            Step::MarkerUnderLock => actions.push(Action::Marker(i)),
            Step::OpenSource => actions.push(Action::OpenSource(i)),
            Step::TablesInUse if tables_free => actions.push(Action::TablesInUse(i)),
            Step::Upgrade => actions.push(Action::Upgrade(i)),
            Step::TakeTables if self.can_take_tables(state, i) => {
                actions.push(Action::TakeTables(i));
            }
            Step::StillHeld => actions.push(Action::StillHeld(i)),
            Step::LookAgain => actions.push(Action::LookAgain(i)),
            Step::Load => actions.extend([Action::LoadAndVerify(i), Action::Isolate(i)]),
            Step::Record if !self.waits_for_other_marker(state, i) => {
                actions.push(Action::LedgerWrite(i));
            }
            Step::CheckUnchanged => actions.push(Action::CheckUnchanged(i)),
            Step::Commit => actions.push(Action::Commit(i)),
            Step::Answer => actions.extend([Action::CommitAnswered(i), Action::CommitRefused(i)]),
            // `pg_xact_status` says "in progress" until then.
            Step::Committed if postgres.transactions[i] == Transaction::None => {
                actions.push(Action::Committed(i));
            }
            Step::FallBack => actions.push(Action::StillWithoutMarker(i)),
            Step::WaitForAnother if postgres.markers > 0 => actions.push(Action::Marker(i)),
            Step::WaitForAnother => actions.push(Action::NotThisInstance(i)),
            Step::StartingOnSqlite => actions.push(Action::AppOpensSqlite(i)),
            Step::OnSqlite => actions.push(Action::RestartApp(i)),
            Step::TablesInUse
            | Step::TakeTables
            | Step::Record
            | Step::Committed
            | Step::OnPostgres(_) => {}
        }
    }

    fn can_take_tables(&self, state: &State, i: usize) -> bool {
        let exclusive = self.has(Guard::TableLocks) || self.has(Guard::MoveLock);
        if exclusive {
            !state.move_is_open()
        } else {
            state.postgres.transactions[i] == Transaction::None
        }
    }

    /// An insert waits for another transaction that has inserted the same key.
    fn waits_for_other_marker(&self, state: &State, i: usize) -> bool {
        self.has(Guard::PrimaryKey)
            && state
                .postgres
                .transactions
                .iter()
                .enumerate()
                .any(|(other, transaction)| {
                    other != i
                        && matches!(
                            transaction,
                            Transaction::Open { marker: true, .. } | Transaction::Committing { .. }
                        )
                })
    }

    /// What breaks at instance `i`.
    pub fn breakages(state: &State, i: usize, actions: &mut Vec<Action>) {
        let step = state.instances[i];
        match step {
            Step::Stopped => return,
            Step::OnPostgres(_) | Step::StartingOnSqlite | Step::OnSqlite => {}
            Step::Answer => actions.push(Action::AnswerLost(i)),
            Step::Committed => actions.push(Action::OutcomeUnknown(i)),
            _ => actions.push(Action::Fail(i)),
        }
        actions.push(Action::Kill(i));
        if matches!(state.postgres.transactions[i], Transaction::Open { .. }) {
            actions.push(Action::MoveConnectionBreaks(i));
        }
    }

    pub fn environment(&self, state: &State, actions: &mut Vec<Action>) {
        let postgres = &state.postgres;
        let app = self.app_beside
            || state
                .instances
                .iter()
                .any(|step| matches!(step, Step::OnPostgres(Because::Fresh { .. })));
        if app && !postgres.tables {
            actions.push(Action::AppBootstraps);
        }
        // After a move there are users; whoever signs up then becomes one of them.
        let tables_free = !self.has(Guard::TableLocks) || !state.move_is_open();
        if app && postgres.tables && !postgres.users && postgres.markers == 0 && tables_free {
            actions.push(Action::VisitorSignsUp);
        }
        for i in 0..INSTANCES {
            let committing = matches!(postgres.transactions[i], Transaction::Committing { .. });
            if committing && state.instances[i] != Step::Answer {
                actions.extend([Action::ServerCommits(i), Action::ServerRollsBack(i)]);
            }
        }
        if postgres.lock.is_some() {
            actions.push(Action::LockConnectionBreaks);
        }
        if postgres.lock.is_some() || state.move_is_open() {
            actions.push(Action::PostgresCrashes);
        }
    }
}

//! Owns the one decision: what a start comes to, given what was seen and what was asked for. Pure: `boot` does what it
//! says, `plan` reports it beforehand. Seeing is `look`'s.

use crate::app::names;
use crate::failure::{Absent, Failure};
use crate::settings::{Expected, OnConflict, Settings};

/// What was seen on both sides of a database that has no record of a move, or none that can be believed.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "facts, each seen by itself")]
pub(crate) struct Seen {
    /// The record of a move.
    pub record: SeenRecord,
    /// What lies where the source is expected.
    pub source: SeenSource,
    /// Tables of the app that hold rows in PostgreSQL. Asked for only where there is something to move.
    pub in_use: Vec<String>,
    /// Whether PostgreSQL holds nothing but the administrator whom the app makes by itself.
    pub only_the_administrator: bool,
    /// Whether PostgreSQL has users, or a table of them that is locked. Asked for only where there is nothing to move.
    pub users: bool,
    /// Whether a move into a database without users was begun and not completed. Asked for only where there is nothing
    /// to move.
    pub begun: bool,
    /// Whether the tables in PostgreSQL are another application's.
    pub strangers: bool,
    /// Whether a receipt beside the source says that its data was moved before.
    pub receipt: bool,
    /// Whether the pause after failed moves is not over yet.
    pub pausing: bool,
    /// All that a move would fail at; a start is refused for the first.
    pub problems: Vec<Failure>,
}

/// What PostgreSQL says of a move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SeenRecord {
    /// There is no record.
    #[default]
    Absent,
    /// It is there, and the users are not.
    WithoutUsers,
    /// It says that the data has gone back to SQLite.
    Returned,
}

/// What lies where the source is expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SeenSource {
    /// No file, and nothing that tells of one.
    #[default]
    Absent,
    /// No file, but what lies beside it where people have used the app.
    Traces,
    /// The folder that it should be in is missing.
    NoFolder,
    /// A file in which nobody has an account.
    WithoutUsers,
    /// A file with accounts: there is something to move.
    WithUsers,
}

/// What the settings ask for, as far as it decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// `WEBUI_INIT_ON_CONFLICT`.
    pub on_conflict: OnConflict,
    /// `ENABLE_DB_MIGRATIONS`.
    pub migrations_enabled: bool,
    /// `WEBUI_INIT_SOURCE`.
    pub expected: Expected,
    /// Whether `WEBUI_INIT_SQLITE_PATH` names the source.
    pub named: bool,
    /// `WEBUI_INIT_MOVE_AGAIN`.
    pub move_again: bool,
}

impl From<&Settings> for Asked {
    fn from(settings: &Settings) -> Self {
        Self {
            on_conflict: settings.on_conflict,
            migrations_enabled: settings.migrations_enabled,
            expected: settings.expectation.source,
            named: settings.expectation.named,
            move_again: settings.expectation.move_again,
        }
    }
}

/// What a start comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The app starts on PostgreSQL as it is: there is nothing to move.
    Fresh,
    /// The app starts on PostgreSQL, which is in use; the source stays as it is.
    Keep,
    /// Another instance is to move the data; this one waits for it.
    Wait(Absent),
    /// Too soon after a failed move; afterwards everything is looked at anew.
    Later,
    /// The data is moved. What PostgreSQL holds is set aside first, if it is in use.
    Move,
    /// The app is not started: both sides are in use.
    Conflict,
    /// The app is not started: the first of the problems.
    Problem,
    /// The app is not started: it would come up without the data that people expect in it.
    Refuse(Why),
    /// The record of an earlier move is struck out, as was asked for; then everything is looked at anew.
    Forget,
}

/// Why a start is refused although nothing broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// A move is recorded, and its users are gone from PostgreSQL, but not from the source.
    UsersGone,
    /// The data has gone back to SQLite since it was moved.
    Returned,
    /// The tables in PostgreSQL are another application's.
    Strangers,
    /// A receipt says that the data was moved, and PostgreSQL has no record of it.
    MovedBefore,
    /// `WEBUI_INIT_SQLITE_PATH` names a file that is not there.
    NamedAbsent,
    /// The data folder is missing.
    NoFolder,
    /// People have used the app here, and the file is not there.
    Traces,
    /// `WEBUI_INIT_SOURCE=required`, and there is no data to move.
    Required,
}

/// What a start comes to.
pub(crate) fn decide(seen: &Seen, asked: Asked) -> Decision {
    if seen.record != SeenRecord::Absent {
        return with_a_record(seen, asked);
    }
    if seen.source != SeenSource::WithUsers || asked.expected == Expected::Nothing {
        return without_a_source(seen, asked);
    }
    if seen.strangers {
        return Decision::Refuse(Why::Strangers);
    }
    if seen.receipt && !asked.move_again {
        return Decision::Refuse(Why::MovedBefore);
    }
    if !seen.in_use.is_empty() && !seen.only_the_administrator {
        match asked.on_conflict {
            // An app without users is anybody's; so it is not started beside a source that has some.
            OnConflict::Keep if seen.in_use.iter().any(|table| table == names::USER) => {
                return Decision::Keep;
            }
            OnConflict::Keep | OnConflict::Fail => return Decision::Conflict,
            OnConflict::Replace => {}
        }
    }
    if !asked.migrations_enabled {
        return Decision::Wait(Absent::MayNot);
    }
    if seen.pausing {
        return Decision::Later;
    }
    if seen.problems.is_empty() {
        Decision::Move
    } else {
        Decision::Problem
    }
}

/// There is nothing to move, or nothing is to be moved. Where PostgreSQL has users, the app lives there, whatever lies, or
/// no longer lies, in the data folder.
fn without_a_source(seen: &Seen, asked: Asked) -> Decision {
    if asked.expected == Expected::Nothing {
        return Decision::Fresh;
    }
    // Between a failed attempt and the next one, no app without users may be started: whoever sees the data moves it.
    if seen.begun {
        return Decision::Wait(Absent::SeesNoSource);
    }
    if seen.users {
        return Decision::Fresh;
    }
    let there = seen.source == SeenSource::WithoutUsers;
    if seen.receipt && !asked.move_again {
        Decision::Refuse(Why::MovedBefore)
    } else if asked.named && !there {
        Decision::Refuse(Why::NamedAbsent)
    } else if seen.source == SeenSource::NoFolder && asked.migrations_enabled {
        // Where it may not make its tables, no app comes up empty; and a replica need not have a volume.
        Decision::Refuse(Why::NoFolder)
    } else if seen.source == SeenSource::Traces {
        Decision::Refuse(Why::Traces)
    } else if asked.expected == Expected::Required {
        Decision::Refuse(Why::Required)
    } else {
        Decision::Fresh
    }
}

/// A record that does not say that the data is here.
fn with_a_record(seen: &Seen, asked: Asked) -> Decision {
    let again = asked.move_again && asked.migrations_enabled;
    match (seen.record, seen.source) {
        // What PostgreSQL holds is older than the file, so it is moved only if it is set aside.
        (SeenRecord::Returned, SeenSource::WithUsers)
            if again && asked.on_conflict == OnConflict::Replace =>
        {
            Decision::Forget
        }
        (SeenRecord::Returned, _) => Decision::Refuse(Why::Returned),
        (_, SeenSource::WithUsers) if asked.expected == Expected::Nothing => Decision::Fresh,
        (_, SeenSource::WithUsers) if again => Decision::Forget,
        (_, SeenSource::WithUsers) => Decision::Refuse(Why::UsersGone),
        _ if asked.expected == Expected::Required => Decision::Refuse(Why::Required),
        _ => Decision::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked = Asked {
        on_conflict: OnConflict::Keep,
        migrations_enabled: true,
        expected: Expected::FoundOut,
        named: false,
        move_again: false,
    };

    fn with_users(in_use: &[&str]) -> Seen {
        Seen {
            source: SeenSource::WithUsers,
            in_use: in_use.iter().map(|&table| table.to_owned()).collect(),
            ..Seen::default()
        }
    }

    fn asked(on_conflict: OnConflict) -> Asked {
        Asked {
            on_conflict,
            ..ASKED
        }
    }

    #[test]
    fn without_users_there_is_nothing_to_move() {
        for source in [SeenSource::Absent, SeenSource::WithoutUsers] {
            for (begun, decision) in [
                (false, Decision::Fresh),
                (true, Decision::Wait(Absent::SeesNoSource)),
            ] {
                let seen = Seen {
                    source,
                    begun,
                    ..Seen::default()
                };
                assert_eq!(decide(&seen, ASKED), decision, "{seen:?}");
            }
        }
    }

    #[test]
    fn data_that_is_expected_and_absent_stops_a_start_only_while_postgresql_has_no_users() {
        let required = Asked {
            expected: Expected::Required,
            ..ASKED
        };
        let named = Asked {
            named: true,
            ..ASKED
        };
        let replica = Asked {
            migrations_enabled: false,
            ..ASKED
        };
        let none = Asked {
            expected: Expected::Nothing,
            named: true,
            ..ASKED
        };
        let refuse = Decision::Refuse;
        for (source, asked, decision) in [
            (SeenSource::Absent, ASKED, Decision::Fresh),
            (SeenSource::Absent, required, refuse(Why::Required)),
            (SeenSource::Absent, named, refuse(Why::NamedAbsent)),
            (SeenSource::WithoutUsers, required, refuse(Why::Required)),
            (SeenSource::WithoutUsers, named, Decision::Fresh),
            (SeenSource::Traces, ASKED, refuse(Why::Traces)),
            (SeenSource::Traces, named, refuse(Why::NamedAbsent)),
            (SeenSource::NoFolder, ASKED, refuse(Why::NoFolder)),
            (SeenSource::NoFolder, replica, Decision::Fresh),
            (SeenSource::NoFolder, named, refuse(Why::NamedAbsent)),
            (SeenSource::Traces, none, Decision::Fresh),
            (SeenSource::NoFolder, none, Decision::Fresh),
            (SeenSource::WithUsers, none, Decision::Fresh),
        ] {
            let mut seen = Seen {
                source,
                ..Seen::default()
            };
            assert_eq!(decide(&seen, asked), decision, "{seen:?}, {asked:?}");
            if source != SeenSource::WithUsers {
                seen.users = true;
                assert_eq!(decide(&seen, asked), Decision::Fresh, "{seen:?}, {asked:?}");
            }
        }
    }

    #[test]
    fn what_was_moved_before_is_not_moved_again_in_silence() {
        let again = Asked {
            move_again: true,
            ..ASKED
        };
        let before = Decision::Refuse(Why::MovedBefore);
        for (source, in_use, asked, decision) in [
            (SeenSource::WithUsers, &[][..], ASKED, before),
            (SeenSource::WithUsers, &["user"], ASKED, before),
            (SeenSource::WithoutUsers, &[], ASKED, before),
            (SeenSource::Absent, &[], ASKED, before),
            (SeenSource::WithUsers, &[], again, Decision::Move),
            (SeenSource::WithUsers, &["user"], again, Decision::Keep),
            (SeenSource::Absent, &[], again, Decision::Fresh),
        ] {
            let seen = Seen {
                source,
                receipt: true,
                ..with_users(in_use)
            };
            assert_eq!(decide(&seen, asked), decision, "{seen:?}, {asked:?}");
        }
        // The app has lived in PostgreSQL since, and the old file is gone.
        let seen = Seen {
            users: true,
            receipt: true,
            ..Seen::default()
        };
        assert_eq!(decide(&seen, ASKED), Decision::Fresh);
    }

    #[test]
    fn another_applications_tables_stop_a_move_whatever_was_asked() {
        for on_conflict in [OnConflict::Keep, OnConflict::Fail, OnConflict::Replace] {
            let seen = Seen {
                strangers: true,
                ..with_users(&["user"])
            };
            let decision = Decision::Refuse(Why::Strangers);
            assert_eq!(decide(&seen, asked(on_conflict)), decision);
        }
    }

    #[test]
    fn an_administrator_whom_the_app_has_made_is_not_in_use() {
        for on_conflict in [OnConflict::Keep, OnConflict::Fail, OnConflict::Replace] {
            let seen = Seen {
                only_the_administrator: true,
                ..with_users(&["auth", "user"])
            };
            assert_eq!(decide(&seen, asked(on_conflict)), Decision::Move);
        }
    }

    #[test]
    fn a_database_in_use_is_kept_only_if_it_has_users() {
        use OnConflict::{Fail, Keep, Replace};
        for (in_use, on_conflict, decision) in [
            (&[][..], Keep, Decision::Move),
            (&[], Fail, Decision::Move),
            (&[], Replace, Decision::Move),
            (&["chat", "user"], Keep, Decision::Keep),
            (&["chat", "user"], Fail, Decision::Conflict),
            (&["chat", "user"], Replace, Decision::Move),
            (&["tag"], Keep, Decision::Conflict),
            (&["tag"], Fail, Decision::Conflict),
            (&["tag"], Replace, Decision::Move),
        ] {
            let seen = with_users(in_use);
            assert_eq!(decide(&seen, asked(on_conflict)), decision, "{seen:?}");
        }
    }

    #[test]
    fn what_stands_against_a_move_is_heard_in_order() {
        let problem = || Failure::Usage("a problem".to_owned());
        let seen = |pausing, problems| Seen {
            pausing,
            problems,
            ..with_users(&[])
        };
        let not_here = Asked {
            migrations_enabled: false,
            ..ASKED
        };
        for (seen, asked, decision) in [
            (
                seen(true, vec![problem()]),
                not_here,
                Decision::Wait(Absent::MayNot),
            ),
            (seen(true, vec![problem()]), ASKED, Decision::Later),
            (seen(false, vec![problem()]), ASKED, Decision::Problem),
            (seen(false, Vec::new()), ASKED, Decision::Move),
        ] {
            assert_eq!(decide(&seen, asked), decision, "{seen:?}");
        }
        // A conflict comes before all of them.
        let mut seen = seen(true, vec![problem()]);
        seen.in_use = vec!["tag".to_owned()];
        assert_eq!(decide(&seen, not_here), Decision::Conflict);
    }

    #[test]
    fn a_record_is_believed_only_with_what_it_records() {
        use SeenRecord::{Returned, WithoutUsers};
        let again = Asked {
            move_again: true,
            ..ASKED
        };
        let not_here = Asked {
            migrations_enabled: false,
            ..again
        };
        let replacing = Asked {
            on_conflict: OnConflict::Replace,
            ..again
        };
        let fresh = Asked {
            expected: Expected::Nothing,
            ..ASKED
        };
        let (gone, returned) = (
            Decision::Refuse(Why::UsersGone),
            Decision::Refuse(Why::Returned),
        );
        for (record, source, asked, decision) in [
            (WithoutUsers, SeenSource::WithUsers, ASKED, gone),
            (WithoutUsers, SeenSource::WithUsers, again, Decision::Forget),
            (WithoutUsers, SeenSource::WithUsers, not_here, gone),
            (WithoutUsers, SeenSource::Absent, ASKED, Decision::Fresh),
            (
                WithoutUsers,
                SeenSource::WithoutUsers,
                ASKED,
                Decision::Fresh,
            ),
            (Returned, SeenSource::WithUsers, ASKED, returned),
            (Returned, SeenSource::Absent, ASKED, returned),
            (WithoutUsers, SeenSource::WithUsers, fresh, Decision::Fresh),
            (Returned, SeenSource::WithUsers, again, returned),
            (Returned, SeenSource::WithUsers, replacing, Decision::Forget),
            (Returned, SeenSource::Absent, replacing, returned),
        ] {
            let seen = Seen {
                record,
                source,
                ..Seen::default()
            };
            assert_eq!(decide(&seen, asked), decision, "{seen:?}, {asked:?}");
        }
    }
}

//! The sources of the runs: made once, copied for each run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::case::Kind;
use crate::support::{Source, insert_chat, insert_user};

/// A source as it lies there, and one with the same rows at head for comparison.
pub struct Pair {
    original: Source,
    pub expected: Source,
}

impl Pair {
    /// The pair of a kind.
    pub fn of(kind: Kind) -> Arc<Self> {
        static MADE: Mutex<Option<HashMap<Kind, Arc<Pair>>>> = Mutex::new(None);
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.get_or_insert_default();
        Arc::clone(
            made.entry(kind)
                .or_insert_with(|| Arc::new(Self::make(kind))),
        )
    }

    fn make(kind: Kind) -> Self {
        let chats = if kind.large { 300 } else { 24 };
        let expected = Source::with_chats(chats);
        expected.edit(newest_commits);
        let original = Source::with_chats(chats);
        if kind.older {
            original.edit(|connection| {
                connection
                    .execute_batch(
                        "ALTER TABLE note RENAME TO note_before_head; \
                         UPDATE alembic_version SET version_num = 'before-head'",
                    )
                    .expect("the app's schema");
            });
        }
        if kind.wal {
            original.edit_and_die(newest_commits);
        } else {
            original.edit(newest_commits);
        }
        Self { original, expected }
    }

    /// A copy for one run.
    pub fn source(&self) -> Source {
        let copy = Source::none();
        for file in std::fs::read_dir(self.original.folder()).expect("our folder") {
            let file = file.expect("an entry");
            std::fs::copy(file.path(), copy.folder().join(file.file_name())).expect("a file");
        }
        copy
    }
}

fn newest_commits(connection: &Connection) {
    insert_user(connection, 9);
    for chat in 5000..5010 {
        insert_chat(connection, chat, 9);
    }
}

//! Owns how a plan is told to people: what the next start would do, what stands in its way, and the account of the move.

use std::fmt::Write as _;

use crate::command::plan::survey::{SourceSurvey, State, Survey};
use crate::output::progress::bytes;
use crate::output::words::count;

impl Survey {
    /// The survey for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "Dry run for {}; nothing was written.\n{}",
            self.target,
            self.verdict()
        );
        if self.source_in_use {
            text.push_str(
                "\nwebui.db is in use, so a copy of this moment was read. It has to be stopped before the move, which takes what was \
                 written until then too.",
            );
        }
        for accounts in &self.shared_addresses {
            let accounts: Vec<String> = accounts
                .iter()
                .map(|id| id.escape_debug().to_string())
                .collect();
            let _ = write!(
                text,
                "\nFirst of all: the accounts {} share an e-mail address, except for upper and lower case. PostgreSQL takes the first \
                 alone; the others, and all that is theirs, would be kept aside. Change the address of one in Open WebUI before the \
                 move.",
                accounts.join(" and ")
            );
        }
        for blocker in &self.blockers {
            let _ = write!(
                text,
                "\nIn the way of a move: {} (exit code {})\n  Next: {}",
                blocker.cause, blocker.exit_code, blocker.next
            );
        }
        if let Some(report) = &self.report {
            let _ = write!(
                text,
                "\nAfter a move PostgreSQL would hold {} ({} to send):",
                report.sum(),
                bytes(report.bytes)
            );
            text.push_str(&report.table());
            text.push_str(
                &report.exceptions("would be stored in another form", "would be kept aside"),
            );
        }
        for unforeseen in &self.unforeseen {
            text.push_str("\nNot foreseen: ");
            text.push_str(unforeseen);
        }
        text
    }

    /// What the next start would do, in a sentence.
    fn verdict(&self) -> String {
        let source = self
            .source
            .as_ref()
            .map_or_else(|| "no webui.db".to_owned(), SourceSurvey::text);
        let in_use = self.in_use.join(", ");
        match self.state {
            State::Moved => "The move is done; the next start would move nothing.".to_owned(),
            State::FreshStart => format!(
                "There is nothing to move ({source}): Open WebUI would start new on PostgreSQL."
            ),
            State::Keep => format!(
                "PostgreSQL is in use (rows in {in_use}): nothing would be moved, and Open WebUI would start without {source}."
            ),
            State::Conflict => {
                format!("PostgreSQL is in use (rows in {in_use}): the next start would FAIL.")
            }
            State::Wait => format!(
                "The next start of this instance would wait for another one to move {source}, and FAIL if none does."
            ),
            State::Refuse => {
                format!("The next start would FAIL, and leave {source} as it is.")
            }
            State::Replace => format!(
                "The next start WOULD set aside what PostgreSQL holds ({in_use}), then move {source}."
            ),
            State::Move => format!("The next start WOULD move {source}."),
        }
    }
}

impl SourceSurvey {
    fn text(&self) -> String {
        let newest = self.newest_change.as_deref();
        format!(
            "{} ({}, {}, {}{})",
            self.path,
            bytes(self.bytes),
            count(self.users, "user"),
            count(self.chats, "chat"),
            newest
                .map(|newest| format!(", newest change {newest}"))
                .unwrap_or_default()
        )
    }
}

//! Owns the form of a failure's row: exit code, cause, what is safe and what to do next stand side by side, and what they
//! depend on besides the error: the command that was run, where the database is, and what a start has left behind.

use crate::postgres::place::Place;

/// What was to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Doing {
    /// `boot`: Open WebUI was to be started.
    #[default]
    Boot,
    /// `migrate`.
    Migrate,
    /// A command that only reads.
    Reading,
}

/// What a start that failed has left in PostgreSQL, beside what was there before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Left {
    /// Nothing.
    #[default]
    Nothing,
    /// Schema `webui_init`, with the note that a move was begun.
    Ledger,
    /// The same, and the tables that Open WebUI's schema step has made or was about to make.
    Tables,
}

/// What a row depends on besides the error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    /// What was to be done.
    pub doing: Doing,
    /// Where the database is.
    pub place: Place,
    /// What is left behind.
    pub left: Left,
}

/// What was left as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Safe {
    /// Both sides; or nothing but what a start leaves behind, if it came so far.
    Both,
    /// The command line or the environment: nothing was looked at yet.
    NothingBegun,
    /// `webui.db`; PostgreSQL may have committed or not.
    Unknown,
    /// `webui.db`; the data is in PostgreSQL.
    Moved,
    /// Both; only the app's command is at fault.
    Databases,
}

impl Safe {
    /// In words.
    pub(crate) fn text(self, context: &Context) -> String {
        let kept = match self {
            Self::NothingBegun => "nothing was touched.",
            Self::Both if context.doing == Doing::Reading => {
                "this command only reads; nothing was changed."
            }
            Self::Both => match context.left {
                Left::Nothing => "nothing was changed on either side.",
                Left::Ledger => {
                    "webui.db is untouched. PostgreSQL holds no row of it; schema webui_init was made there."
                }
                Left::Tables => {
                    "webui.db is untouched. PostgreSQL holds no row of it; the tables that Open WebUI's schema step makes, and schema \
                     webui_init, may be there."
                }
            },
            Self::Unknown => {
                "webui.db is untouched. PostgreSQL holds either all of the move or nothing of it; the next start finds out."
            }
            Self::Moved => "webui.db is untouched, and its data is in PostgreSQL.",
            Self::Databases => "the databases are in order; only the command could not be started.",
        };
        let not_started = match (self, context.doing) {
            (Self::Both | Self::Unknown | Self::Moved, Doing::Boot) => {
                " Open WebUI was not started."
            }
            _ => "",
        };
        format!("{kept}{not_started}")
    }
}

/// What is said of one failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The exit code.
    pub code: u8,
    /// What happened; none where the error says it best itself.
    pub cause: Option<String>,
    /// What was left as it was.
    pub safe: Safe,
    /// What to do now.
    pub next: String,
}

impl Row {
    /// A row whose error says itself what happened.
    pub(crate) fn new(code: u8, safe: Safe, next: impl Into<String>) -> Self {
        Self {
            code,
            cause: None,
            safe,
            next: next.into(),
        }
    }

    /// The same with a cause in other words.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

//! Owns the receipt: a small file beside the old database that says what was moved where, for the case that PostgreSQL
//! forgets. It decides nothing where PostgreSQL has a record of the move.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::libc::{O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ledger::Marker;
use crate::postgres::place::Place;

/// Its name, in the folder of the old database.
pub(crate) const NAME: &str = "webui-init.json";
/// Where it is written, until it is whole.
const UNFINISHED: &str = ".webui-init.json.new";
/// Its form.
const SCHEMA: &str = "webui-init/receipt/1";
/// More than a receipt ever has.
const LIMIT: u64 = 64 * 1024;

/// What was moved where. Never a password or a user's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// [`SCHEMA`].
    schema: String,
    /// The id of PostgreSQL's record.
    #[serde(rename = "move")]
    pub id: String,
    /// When, in RFC 3339.
    pub at: String,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The schema of the app's tables.
    pub target_schema: String,
    /// Rows moved.
    pub rows: i64,
    /// The app's revision there.
    pub target_revision: String,
    /// Whether the data is still there.
    pub state: State,
}

/// Where the data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// In PostgreSQL.
    Moved,
    /// It has gone back to SQLite.
    Returned,
}

/// A file of that name is there, and what it says cannot be known.
#[derive(Debug, Error)]
#[error("{} cannot be read", path.display())]
pub(crate) struct Unreadable {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Receipt {
    /// A receipt for the data of this record; none for a record without an id.
    pub(crate) fn new(
        place: &Place,
        marker: &Marker,
        target_schema: &str,
        target_revision: &str,
    ) -> Option<Self> {
        Some(Self {
            schema: SCHEMA.to_owned(),
            id: marker.id.clone()?,
            at: marker.at.clone(),
            host: place.host().to_owned(),
            port: place.port(),
            database: place.database.clone(),
            target_schema: target_schema.to_owned(),
            rows: marker.rows,
            target_revision: target_revision.to_owned(),
            state: State::Moved,
        })
    }

    /// The id of the record, if it is one that PostgreSQL takes.
    pub(crate) fn uuid(&self) -> Option<&str> {
        let valid = self.id.len() == 36
            && self.id.char_indices().all(|(at, letter)| match at {
                8 | 13 | 18 | 23 => letter == '-',
                _ => letter.is_ascii_hexdigit(),
            });
        valid.then_some(self.id.as_str())
    }

    /// Where the data went, in words.
    pub(crate) fn place(&self) -> String {
        let Self {
            host,
            port,
            database,
            target_schema,
            ..
        } = self;
        format!("database {database:?} on {host}:{port} (schema {target_schema})")
    }

    /// Reads the receipt beside `source`, the old database, whether or not that is there.
    ///
    /// # Errors
    /// A file of that name cannot be read, or is no receipt.
    pub(crate) fn beside(source: &Path) -> Result<Option<Self>, Unreadable> {
        let path = place(source);
        match read(&path) {
            Ok(receipt) => Ok(Some(receipt)),
            Err(error)
                if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory]
                    .contains(&error.kind()) =>
            {
                Ok(None)
            }
            Err(source) => Err(Unreadable { path, source }),
        }
    }

    /// Writes it beside `source`, whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written; it is as it was then.
    pub(crate) fn write(&self, source: &Path) -> io::Result<()> {
        let unfinished = place(source).with_file_name(UNFINISHED);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).open(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, place(source))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }
}

/// Whether there is a file of that name beside `source`: one `stat`.
pub(crate) fn is_there(source: &Path) -> bool {
    place(source).symlink_metadata().is_ok()
}

fn place(source: &Path) -> PathBuf {
    source.with_file_name(NAME)
}

fn read(path: &Path) -> io::Result<Receipt> {
    let mut options = OpenOptions::new();
    let open = O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC;
    let file: File = options.read(true).custom_flags(open).open(path)?;
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if !file.metadata()?.is_file() {
        return Err(invalid("it is not a file"));
    }
    let mut text = String::new();
    file.take(LIMIT).read_to_string(&mut text)?;
    let receipt: Receipt = serde_json::from_str(&text)?;
    if receipt.schema == SCHEMA {
        Ok(receipt)
    } else {
        Err(invalid("another version of webui-init has written it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> Receipt {
        let place = Place {
            database: "openwebui".to_owned(),
            servers: "db:5433,other:5432".to_owned(),
            user: "owner".to_owned(),
        };
        let marker = Marker {
            fingerprint: None,
            rows: 12,
            finished_at: "2026-11-26 01:02:03+00".to_owned(),
            at: "2026-11-26T01:02:03Z".to_owned(),
            id: Some("3fa8".to_owned()),
            current: true,
        };
        Receipt::new(&place, &marker, "public", "0bd252b206fb").expect("it has an id")
    }

    #[test]
    fn it_holds_the_move_and_its_place_and_nothing_else() {
        let receipt = serde_json::to_value(receipt()).expect("JSON");
        let expected = serde_json::json!({
            "schema": "webui-init/receipt/1", "move": "3fa8", "at": "2026-11-26T01:02:03Z", "host": "db", "port": 5433,
            "database": "openwebui", "target_schema": "public", "rows": 12, "target_revision": "0bd252b206fb", "state": "moved",
        });
        assert_eq!(receipt, expected);
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("webui.db");
        assert_eq!(Receipt::beside(&source).expect("no file"), None);
        assert!(!is_there(&source));
        receipt().write(&source).expect("a folder");
        assert!(is_there(&source));
        assert_eq!(Receipt::beside(&source).expect("a file"), Some(receipt()));
        // Once more, over the one before, and over what a crash left.
        fs::write(folder.path().join(UNFINISHED), "{").expect("a folder");
        receipt().write(&source).expect("a folder");
        let names: Vec<_> = fs::read_dir(folder.path())
            .expect("a folder")
            .flatten()
            .collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn what_is_no_receipt_is_an_error_and_never_absence() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("webui.db");
        let whole = serde_json::to_string(&receipt()).expect("JSON");
        for text in [
            "",
            "{}",
            "garbage",
            &whole[..whole.len() / 2],
            &whole.replace("receipt/1", "receipt/2"),
            &whole.replace("\"moved\"", "\"lost\""),
            &" ".repeat(100_000),
        ] {
            fs::write(folder.path().join(NAME), text).expect("a folder");
            Receipt::beside(&source).expect_err(text);
        }
        fs::remove_file(folder.path().join(NAME)).expect("a file");
        fs::create_dir(folder.path().join(NAME)).expect("a folder");
        Receipt::beside(&source).expect_err("a folder is no receipt");
    }

    #[test]
    fn a_folder_that_is_not_there_holds_no_receipt() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("nowhere/webui.db");
        assert_eq!(Receipt::beside(&source).expect("no folder"), None);
        receipt().write(&source).expect_err("no folder");
    }
}

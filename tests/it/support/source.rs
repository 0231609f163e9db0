//! A `webui.db` in a folder of its own: the app's schema at head, filled with rows that it could have written.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ToSql};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::repository;

/// What a move leaves beside `webui.db`.
pub const RECEIPT: &str = "webui-init.json";

/// The head revision of the fixtures.
pub const HEAD: &str = "0bd252b206fb";

/// Text that quoting, escaping and encodings get wrong.
pub const AWKWARD: [&str; 8] = [
    "plain",
    "O'Brien said \"no\"",
    r"C:\new\table\\0 \. \N",
    "line\nbreak\tand tab\r\n",
    "Grüße, 世界, שלום",
    "🧑‍🚀 emoji 👍🏽 and \u{10ffff}",
    "$1 {} %s %d ; -- DROP TABLE chat; /* */",
    "",
];

/// A data folder with a `webui.db`. Dropped, it goes.
pub struct Source {
    folder: TempDir,
}

/// What lies in a folder: name to length, SHA-256 and modification time of each file.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, (u64, String, i64, i64)>);

impl Source {
    /// A data folder without a `webui.db`.
    pub fn none() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("webui-init-data-")
            .tempdir()
            .expect("a temporary folder");
        Self { folder }
    }

    /// A `webui.db` made by this SQL.
    pub fn from_sql(sql: &str) -> Self {
        let source = Self::none();
        // A dump brings its own transaction.
        let connection = open(&source.path());
        connection.execute_batch(sql).expect("valid SQL");
        connection.close().expect("nothing is open");
        source
    }

    /// The app's schema at head, without a row.
    pub fn empty() -> Self {
        Self::from_sql(
            &std::fs::read_to_string(repository("tests/fixtures/head.sql")).expect("the fixture"),
        )
    }

    /// A small instance: some users with chats and a bit of everything else.
    pub fn small() -> Self {
        Self::with_chats(24)
    }

    /// The same with so many chats, of some 6 KiB each with their messages.
    pub fn with_chats(chats: usize) -> Self {
        let source = Self::empty();
        source.edit(|connection| fill(connection, chats));
        source
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `webui.db` in it.
    pub fn path(&self) -> PathBuf {
        self.folder().join("webui.db")
    }

    /// Changes the database, and leaves no `-wal` behind.
    pub fn edit<T>(&self, change: impl FnOnce(&Connection) -> T) -> T {
        let connection = open(&self.path());
        let result = connection
            .execute_batch("BEGIN")
            .map(|()| change(&connection))
            .expect("a database");
        connection.execute_batch("COMMIT").expect("a database");
        connection.close().expect("nothing is open");
        result
    }

    /// Changes the database as an app that is killed: what is committed stays in `-wal` (with `-shm` beside it), and
    /// `webui.db` knows nothing of it.
    pub fn edit_and_die(&self, change: impl FnOnce(&Connection)) {
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        let path = elsewhere.path().join("webui.db");
        std::fs::copy(self.path(), &path).expect("a database");
        let connection = open(&path);
        connection
            .execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0")
            .expect("a database");
        change(&connection);
        // Everything is committed, so what the files hold at this moment is what a crash would leave.
        for suffix in ["", "-wal", "-shm"] {
            let name = format!("webui.db{suffix}");
            std::fs::copy(elsewhere.path().join(&name), self.folder().join(&name))
                .expect("a file of the database");
        }
        let wal = self
            .folder()
            .join("webui.db-wal")
            .metadata()
            .expect("a WAL")
            .len();
        assert!(wal > 32, "the WAL holds nothing");
    }

    /// Rows of every table that has any, as the app would see them (the WAL's included).
    pub fn counts(&self) -> BTreeMap<String, i64> {
        let (_folder, connection) = self.copy();
        tables(&connection)
            .into_iter()
            .map(|table| {
                let sql = format!("SELECT count(*) FROM \"{table}\"");
                let rows = connection
                    .query_row(&sql, [], |row| row.get(0))
                    .expect("a table");
                (table, rows)
            })
            .filter(|(_, rows)| *rows > 0)
            .collect()
    }

    /// A connection to a copy of the database, so that looking changes nothing.
    pub fn copy(&self) -> (TempDir, Connection) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for suffix in ["", "-wal"] {
            let name = format!("webui.db{suffix}");
            if self.folder().join(&name).exists() {
                std::fs::copy(self.folder().join(&name), folder.path().join(&name))
                    .expect("a file of the database");
            }
        }
        let connection = open(&folder.path().join("webui.db"));
        (folder, connection)
    }

    /// What lies in the data folder now, but for the receipt, which a move leaves there, and what a kill leaves of one.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.folder())
            .without(RECEIPT)
            .without(&format!(".{RECEIPT}"))
    }

    /// The receipt, if there is one.
    pub fn receipt(&self) -> Option<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder().join(RECEIPT)).ok()?;
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    /// Takes the receipt away: what follows is about a file that was never moved.
    pub fn forget_the_move(&self) {
        let _ = std::fs::remove_file(self.folder().join(RECEIPT));
    }
}

impl Snapshot {
    /// What lies in a folder and the folders in it.
    pub fn of(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(&next).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path
                    .strip_prefix(folder)
                    .expect("inside")
                    .to_string_lossy()
                    .into_owned();
                let metadata = path.symlink_metadata().expect("an entry");
                let content = if metadata.is_dir() {
                    folders.push(path.clone());
                    String::from("folder")
                } else if metadata.is_symlink() {
                    format!("link to {}", path.read_link().expect("a link").display())
                } else {
                    let digest = Sha256::digest(std::fs::read(&path).unwrap_or_default());
                    digest
                        .iter()
                        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
                };
                let (seconds, nanoseconds) = match content.as_str() {
                    "folder" => (0, 0),
                    _ => (metadata.mtime(), metadata.mtime_nsec()),
                };
                files.insert(name, (metadata.len(), content, seconds, nanoseconds));
            }
        }
        Self(files)
    }

    /// The same without what begins with `prefix`.
    pub fn without(mut self, prefix: &str) -> Self {
        self.0.retain(|name, _| !name.starts_with(prefix));
        self
    }
}

/// Opens a database as the app does: foreign keys, which the bundled `SQLite` enforces by default, are not.
pub fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("a database");
    connection
        .pragma_update(None, "foreign_keys", false)
        .expect("a database");
    connection
}

/// The tables of a database, without `SQLite`'s own.
pub fn tables(connection: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1";
    let mut statement = connection.prepare(sql).expect("a database");
    let names = statement
        .query_map([], |row| row.get(0))
        .expect("a database");
    names.map(|name| name.expect("a name")).collect()
}

/// Inserts one row by column names.
pub fn insert(connection: &Connection, table: &str, row: &[(&str, &dyn ToSql)]) {
    let columns: Vec<_> = row
        .iter()
        .map(|(column, _)| format!("\"{column}\""))
        .collect();
    let places = vec!["?"; row.len()].join(", ");
    let sql = format!(
        "INSERT INTO \"{table}\" ({}) VALUES ({places})",
        columns.join(", ")
    );
    let values: Vec<_> = row.iter().map(|(_, value)| *value).collect();
    connection
        .prepare(&sql)
        .and_then(|mut insert| insert.execute(&*values))
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// A user with their sign-in.
pub fn insert_user(connection: &Connection, n: usize) {
    let (id, email) = (format!("user-{n}"), format!("user{n}@example.org"));
    let name = format!("{} {n}", AWKWARD[n % AWKWARD.len()]);
    let role = if n == 0 { "admin" } else { "user" };
    let settings = serde_json::json!({"ui": {"theme": "dark", "models": [name]}}).to_string();
    insert(
        connection,
        "auth",
        &[
            ("id", &id),
            ("email", &email),
            ("password", &"$2b$12$hash"),
            ("active", &true),
        ],
    );
    insert(
        connection,
        "user",
        &[
            ("id", &id),
            ("name", &name),
            ("email", &email),
            ("role", &role),
            ("profile_image_url", &"/user.png"),
            ("settings", &settings),
            ("date_of_birth", &"1999-12-31"),
            ("last_active_at", &1_700_000_100),
            ("updated_at", &1_700_000_000),
            ("created_at", &1_690_000_000),
        ],
    );
}

/// A chat of a user's with four messages, in both forms that the app keeps.
pub fn insert_chat(connection: &Connection, n: usize, user: usize) {
    let (id, user) = (format!("chat-{n}"), format!("user-{user}"));
    let title = format!("{} #{n}", AWKWARD[n % AWKWARD.len()]);
    let created = 1_700_000_000 + i64::try_from(n).expect("few chats");
    let mut history = serde_json::Map::new();
    for message in 0..4 {
        let message_id = format!("{id}-message-{message}");
        let prose =
            "It was a bright cold day in April, and the clocks were striking thirteen. ".repeat(8);
        let content = format!(
            "{prose}{} {n}.{message}",
            AWKWARD[(n + message) % AWKWARD.len()]
        );
        let role = if message % 2 == 0 {
            "user"
        } else {
            "assistant"
        };
        insert(
            connection,
            "chat_message",
            &[
                ("id", &message_id),
                ("chat_id", &id),
                ("user_id", &user),
                ("role", &role),
                ("content", &serde_json::json!(content).to_string()),
                ("model_id", &"model:latest"),
                ("usage", &r#"{"total_tokens": 12, "cost": 1.50e-3}"#),
                ("done", &true),
                ("created_at", &created),
                ("updated_at", &created),
            ],
        );
        history.insert(
            message_id.clone(),
            serde_json::json!({"id": message_id, "role": role, "content": content}),
        );
    }
    let chat = serde_json::json!({"title": title, "history": {"messages": history}}).to_string();
    insert(
        connection,
        "chat",
        &[
            ("id", &id),
            ("user_id", &user),
            ("title", &title),
            ("chat", &chat),
            ("archived", &(n % 7 == 3)),
            ("pinned", &(n % 5 == 1)),
            ("meta", &r#"{"tags": ["a_tag"]}"#),
            ("created_at", &created),
            ("updated_at", &created),
        ],
    );
}

/// Four users, so many chats, and a bit of everything else.
fn fill(connection: &Connection, chats: usize) {
    const USERS: usize = 4;
    for n in 0..USERS {
        insert_user(connection, n);
    }
    for n in 0..chats {
        insert_chat(connection, n, n % USERS);
    }
    for (n, text) in AWKWARD.into_iter().enumerate() {
        insert_belongings(connection, n, n % USERS, text);
    }
}

/// One of everything else that a user may own.
#[allow(clippy::too_many_lines, reason = "a paragraph a table")]
fn insert_belongings(connection: &Connection, n: usize, user: usize, text: &str) {
    type Row<'a> = &'a [(&'a str, &'a dyn ToSql)];
    let (now, nanoseconds) = (1_700_000_000, 1_700_000_000_123_456_789_i64);
    let (id, user) = (format!("id-{n}"), format!("user-{user}"));
    let (setting, key, command) = (
        format!("setting.{n}"),
        format!("sk-{n}"),
        format!("/command-{n}"),
    );
    let json = serde_json::json!({"text": text, "n": [n, null, 1.5]}).to_string();
    let owned: Row = &[("id", &id), ("user_id", &user)];
    let dated: Row = &[("created_at", &now), ("updated_at", &now)];
    let precise: Row = &[("created_at", &nanoseconds)];
    let named: Row = &[("name", &text)];
    let meta: Row = &[("meta", &json)];
    let data: Row = &[("data", &json)];
    let active: Row = &[("is_active", &n.is_multiple_of(2))];
    let add = |table: &str, parts: &[Row]| {
        insert(connection, table, &[&[owned], parts].concat().concat());
    };
    insert(
        connection,
        "config",
        &[("key", &setting), ("value", &json), ("updated_at", &now)],
    );
    add("tag", &[named, meta]);
    add("folder", &[named, data, dated, &[("is_expanded", &false)]]);
    add(
        "file",
        &[
            meta,
            data,
            dated,
            &[
                ("filename", &text),
                ("path", &"/app/backend/data/uploads/x"),
            ],
        ],
    );
    add("note", &[data, dated, &[("title", &text)]]);
    add(
        "memory",
        &[dated, &[("content", &text), ("type", &"context")]],
    );
    add("model", &[named, meta, active, dated, &[("params", &json)]]);
    add(
        "function",
        &[
            named,
            active,
            dated,
            &[("type", &"filter"), ("content", &text)],
        ],
    );
    add(
        "tool",
        &[named, dated, &[("content", &text), ("specs", &json)]],
    );
    add(
        "feedback",
        &[data, dated, &[("version", &0), ("type", &"rating")]],
    );
    add(
        "knowledge",
        &[named, meta, dated, &[("description", &text)]],
    );
    add(
        "group",
        &[
            named,
            dated,
            &[("description", &text), ("permissions", &json)],
        ],
    );
    add("api_key", &[dated, &[("key", &key)]]);
    add(
        "prompt",
        &[
            named,
            active,
            dated,
            &[("command", &command), ("content", &text)],
        ],
    );
    add("channel", &[named, precise]);
    add(
        "message",
        &[
            precise,
            &[
                ("channel_id", &id),
                ("content", &text),
                ("is_pinned", &false),
            ],
        ],
    );
    add(
        "group_member",
        &[&[("group_id", &id), ("created_at", &now)]],
    );
    add(
        "knowledge_file",
        &[dated, &[("knowledge_id", &id), ("file_id", &id)]],
    );
}

/// Holds the database open for writing, as a running app does, until dropped.
pub fn hold_open(source: &Source) -> Connection {
    let connection = open(&source.path());
    connection
        .busy_timeout(Duration::from_secs(5))
        .expect("a database");
    connection
        .execute_batch("PRAGMA journal_mode = wal")
        .expect("a database");
    connection
}

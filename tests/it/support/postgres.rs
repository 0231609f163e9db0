//! `PostgreSQL` servers, each in a folder of its own, and the databases in them.
//!
//! A server refuses to run as root, so root hands it to an unprivileged user. A shell at the other end of a
//! pipe ends it when the test process is gone, however that ended.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{Missing, cache, free_port, is_root, wait_for};

/// The role that owns the databases: as on a managed server, no superuser.
pub const ROLE: &str = "webui";
/// Its password, and the superuser's.
pub const PASSWORD: &str = "correct-horse";

/// A kind of server to test against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// The machine's own: Debian 12 has 15.
    Debian,
    /// This major version, from a wheel that `scripts/deps postgres` unpacks.
    Wheel(u8),
}

/// The major versions that come as wheels, the newest first.
const WHEELS: [u8; 3] = [18, 17, 16];

impl Version {
    /// The versions that this machine has, the machine's own first.
    pub fn installed() -> Vec<Self> {
        let wheels = WHEELS.into_iter().map(Self::Wheel);
        std::iter::once(Self::Debian)
            .chain(wheels)
            .filter(|version| version.programs().is_ok())
            .collect()
    }

    /// The machine's own version and the newest, for tests that take long.
    pub fn own_and_newest() -> Vec<Self> {
        let mut versions = Self::installed();
        versions.truncate(2);
        versions
    }

    /// The folder with `postgres`, `initdb` and so on, where the server's user may run them.
    pub fn programs(self) -> Result<PathBuf, Missing> {
        static FOUND: Mutex<Option<HashMap<Version, Result<PathBuf, Missing>>>> = Mutex::new(None);
        let mut found = FOUND.lock().expect("no test panics while it looks");
        found
            .get_or_insert_default()
            .entry(self)
            .or_insert_with(|| self.find())
            .clone()
    }

    fn find(self) -> Result<PathBuf, Missing> {
        match self {
            Self::Debian => {
                let versions = std::fs::read_dir("/usr/lib/postgresql")
                    .into_iter()
                    .flatten()
                    .flatten();
                versions
                    .map(|version| version.path().join("bin"))
                    .filter(|programs| programs.join("postgres").is_file())
                    .max()
                    .ok_or_else(|| {
                        Missing("no PostgreSQL in /usr/lib/postgresql (scripts/deps debian)".into())
                    })
            }
            Self::Wheel(major) => Self::unpacked(major),
        }
    }

    /// The programs of a wheel, where the server's user may run them.
    fn unpacked(major: u8) -> Result<PathBuf, Missing> {
        let name = format!("postgres{major}");
        let programs = cache().join(&name).join("bin");
        if !programs.join("postgres").is_file() {
            return Err(Missing(format!(
                "no PostgreSQL {major} in the cache (scripts/deps postgres)"
            )));
        }
        if as_server(&programs.join("postgres"))
            .arg("--version")
            .output()
            .is_ok_and(|out| out.status.success())
        {
            return Ok(programs);
        }
        // The cache lies where the server's user may not look, in /root for instance.
        let copy = std::env::temp_dir().join(format!("webui-init-{name}"));
        if !copy.is_dir() {
            let half = tempfile::tempdir().expect("a temporary folder").keep();
            run(Command::new("cp")
                .arg("-a")
                .arg(cache().join(&name).join("."))
                .arg(&half));
            run(Command::new("chmod").args(["-R", "a+rX"]).arg(&half));
            if std::fs::rename(&half, &copy).is_err() {
                let _ = std::fs::remove_dir_all(half);
            }
        }
        Ok(copy.join("bin"))
    }
}

/// A running server. Dropped, it stops and its folder goes.
pub struct Postgres {
    version: Version,
    folder: PathBuf,
    port: u16,
    settings: Vec<(String, String)>,
    child: Mutex<Option<Child>>,
    watchdog: Child,
}

impl Postgres {
    /// The server that tests share, each with a database of its own. The machine's own version where it has
    /// one, unless `WEBUI_TEST_POSTGRES` names the major version of a wheel.
    pub fn shared() -> Result<&'static Self, Missing> {
        let wanted = std::env::var("WEBUI_TEST_POSTGRES");
        if let Some(major) = wanted.ok().and_then(|version| version.parse().ok()) {
            return Self::shared_of(Version::Wheel(major));
        }
        Self::shared_of(Version::Debian).or_else(|_| Self::shared_of(Version::Wheel(WHEELS[0])))
    }

    /// The shared server of a version.
    pub fn shared_of(version: Version) -> Result<&'static Self, Missing> {
        static SERVERS: [OnceLock<Result<Postgres, Missing>>; 1 + WHEELS.len()] =
            [const { OnceLock::new() }; 1 + WHEELS.len()];
        let place = match version {
            Version::Debian => 0,
            Version::Wheel(major) => {
                1 + WHEELS
                    .iter()
                    .position(|known| *known == major)
                    .ok_or_else(|| Missing(format!("no wheel of PostgreSQL {major} is known")))?
            }
        };
        SERVERS[place]
            .get_or_init(|| Self::start(version, &[]))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// A server of the test's own, with `settings` on top of this harness's: the machine's own version where
    /// it has one.
    pub fn own(settings: &[(&str, &str)]) -> Result<Self, Missing> {
        Self::start(Version::Debian, settings)
            .or_else(|_| Self::start(Version::Wheel(WHEELS[0]), settings))
    }

    /// A server of the test's own.
    pub fn start(version: Version, settings: &[(&str, &str)]) -> Result<Self, Missing> {
        let template = template(version)?;
        let folder = owned_folder();
        run(Command::new("cp")
            .arg("-a")
            .arg(template)
            .arg(folder.join("data")));
        let server = Self {
            version,
            port: free_port(),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            child: Mutex::new(None),
            watchdog: watchdog(&folder, "kill -QUIT $(head -n1 data/postmaster.pid)"),
            folder,
        };
        server.restart();
        Ok(server)
    }

    /// A streaming standby of `primary`.
    pub fn standby_of(primary: &Self) -> Result<Self, Missing> {
        let folder = owned_folder();
        run(
            as_server(&primary.version.programs()?.join("pg_basebackup"))
                .env("PGPASSWORD", PASSWORD)
                .args(["-R", "-c", "fast", "-h", "127.0.0.1", "-U", "postgres"])
                .args(["-p", &primary.port.to_string(), "-D"])
                .arg(folder.join("data")),
        );
        let server = Self {
            version: primary.version,
            port: free_port(),
            settings: Vec::new(),
            child: Mutex::new(None),
            watchdog: watchdog(&folder, "kill -QUIT $(head -n1 data/postmaster.pid)"),
            folder,
        };
        server.restart();
        Ok(server)
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the server's Unix socket, `.s.PGSQL.<port>`.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// The server's data folder.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the server logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Starts the server again, on the port and data that it had, and waits until it takes connections.
    pub fn restart(&self) {
        self.launch();
        wait_for("PostgreSQL to start", Duration::from_mins(1), || {
            if let Some(status) = self
                .child
                .lock()
                .unwrap()
                .as_mut()
                .and_then(|child| child.try_wait().unwrap())
            {
                panic!("PostgreSQL ended with {status}:\n{}", self.log());
            }
            Session::try_open(&self.superuser_url("postgres")).ok()
        });
    }

    /// Starts the server and does not wait for it.
    pub fn launch(&self) {
        let mut command = as_server(
            &self
                .version
                .programs()
                .expect("found before")
                .join("postgres"),
        );
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("a log file");
        if is_root() {
            chown(
                self.folder.join("log"),
                Some(server_ids().0),
                Some(server_ids().1),
            )
            .expect("root may chown");
        }
        command
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-p")
            .arg(self.port.to_string());
        command.arg("-k").arg(&self.folder);
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "shared_buffers=32MB",
            "timezone=UTC",
        ] {
            command.args(["-c", setting]);
        }
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut child = self.child.lock().unwrap();
        assert!(child.is_none(), "the server runs already");
        *child = Some(command.spawn().expect("postgres runs"));
    }

    /// Ends the server as a crash would: every connection is cut, nothing is flushed.
    pub fn stop_immediate(&self) {
        self.stop(nix::sys::signal::Signal::SIGQUIT);
    }

    /// Ends the server in order: every connection is cut, everything is flushed.
    pub fn stop_fast(&self) {
        self.stop(nix::sys::signal::Signal::SIGINT);
    }

    fn stop(&self, signal: nix::sys::signal::Signal) {
        if let Some(mut child) = self
            .child
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()
        {
            let _ = nix::sys::signal::kill(pid(&child), signal);
            let _ = child.wait();
        }
    }

    /// A new, empty UTF-8 database that [`ROLE`] owns; its name begins with `name`.
    pub fn create_database(&self, name: &str) -> Database<'_> {
        self.create_database_with(name, "")
    }

    /// The same with more options of `CREATE DATABASE`.
    pub fn create_database_with(&self, name: &str, options: &str) -> Database<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{name}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.superuser().query(&format!(
            "CREATE DATABASE \"{name}\" OWNER {ROLE} {options}"
        ));
        Database { server: self, name }
    }

    /// A role with this password, and nothing else.
    pub fn create_role(&self, name: &str, password: &str) {
        self.superuser().query(&format!(
            "CREATE ROLE \"{name}\" LOGIN PASSWORD '{}'",
            password.replace('\'', "''")
        ));
    }

    /// A session of the superuser's in the database `postgres`.
    pub fn superuser(&self) -> Session {
        Session::open(&self.superuser_url("postgres"))
    }

    /// The superuser's URL of a database.
    pub fn superuser_url(&self, database: &str) -> String {
        format!(
            "postgresql://postgres:{PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop_immediate();
        dismiss(&mut self.watchdog);
    }
}

/// A database of one test's own.
pub struct Database<'a> {
    pub server: &'a Postgres,
    pub name: String,
}

impl Database<'_> {
    /// Its URL, as [`ROLE`].
    pub fn url(&self) -> String {
        self.url_at(self.server.port)
    }

    /// The same through something that listens on another port of 127.0.0.1.
    pub fn url_at(&self, port: u16) -> String {
        format!(
            "postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{}",
            self.name
        )
    }

    /// A session of [`ROLE`]'s.
    pub fn session(&self) -> Session {
        Session::open(&self.url())
    }

    /// Runs statements in a session of their own; see [`Session::query`].
    pub fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.session().query(sql)
    }

    /// The first column of the first row, `""` for none and for NULL.
    pub fn value(&self, sql: &str) -> String {
        self.session().value(sql)
    }

    /// A client on the caller's runtime.
    pub async fn connect(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls)
            .await
            .expect("a connection");
        tokio::spawn(connection);
        client
    }

    /// Rows of every table in schema `public`.
    pub fn counts(&self) -> std::collections::BTreeMap<String, i64> {
        let mut session = self.session();
        session
            .query("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
            .into_iter()
            .map(|row| row.into_iter().next().flatten().expect("a name"))
            .map(|table| {
                let rows = session.value(&format!("SELECT count(*) FROM public.\"{table}\""));
                (table, rows.parse().expect("a count"))
            })
            .collect()
    }

    /// Whether the marker of a complete move is there.
    pub fn marked(&self) -> bool {
        self.value("SELECT to_regclass('webui_init.migration') IS NOT NULL") == "t"
            && self.value("SELECT count(*) FROM webui_init.migration") != "0"
    }

    /// Gives somebody an account, in the app's own schema.
    pub fn add_user(&self, id: &str) {
        self.query(&format!(
            "INSERT INTO \"user\" (id, name, email, role, profile_image_url, last_active_at, updated_at, created_at)
             VALUES ('{id}', '{id}', '{id}@example.org', 'admin', '/user.png', 1, 1, 1)"
        ));
    }

    /// Has the app's own schema made, as its first start would have.
    pub fn bootstrap(&self) {
        let sql = std::fs::read_to_string(super::repository("tests/fixtures/head.pg.sql"))
            .expect("the fixture");
        self.query(&sql);
    }
}

/// A connection with a runtime of its own, for tests that are not asynchronous.
pub struct Session {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Session {
    pub fn open(url: &str) -> Self {
        Self::try_open(url).expect("a connection")
    }

    pub fn try_open(url: &str) -> Result<Self, tokio_postgres::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, tokio_postgres::Error>(client)
        })?;
        Ok(Self { runtime, client })
    }

    /// Runs statements, as text; returns the rows of all of them.
    pub fn query(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.try_query(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The same, for statements that may fail.
    pub fn try_query(
        &mut self,
        sql: &str,
    ) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
        let messages = self.runtime.block_on(self.client.simple_query(sql))?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|n| row.get(n).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The first column of the first row, `""` for none and for NULL.
    pub fn value(&mut self, sql: &str) -> String {
        self.query(sql)
            .into_iter()
            .flatten()
            .next()
            .flatten()
            .unwrap_or_default()
    }
}

/// `text` as it stands in the user, password or database part of a URL.
pub fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// A data folder that initdb made, kept from run to run; servers start on copies of it.
fn template(version: Version) -> Result<PathBuf, Missing> {
    static MAKING: Mutex<()> = Mutex::new(());
    let programs = version.programs()?;
    let number = Command::new(programs.join("postgres"))
        .arg("--version")
        .output()
        .expect("postgres runs")
        .stdout;
    let number: String = String::from_utf8_lossy(&number)
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
        .collect();
    let template =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{number}-{}", server_ids().0));
    let _making = MAKING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !template.is_dir() {
        let folder = owned_folder();
        std::fs::write(folder.join("password"), PASSWORD).expect("a writable folder");
        let data = folder.join("data");
        let mut initdb = as_server(&programs.join("initdb"));
        initdb.args([
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-A",
            "scram-sha-256",
            "--no-sync",
        ]);
        run(initdb
            .arg("-D")
            .arg(&data)
            .arg("--pwfile")
            .arg(folder.join("password")));
        // The role is part of the template: --single reads statements from stdin, one a line.
        let role = format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'\n");
        std::fs::write(folder.join("role.sql"), role).expect("a writable folder");
        let statements = File::open(folder.join("role.sql")).expect("just written");
        run(as_server(&programs.join("postgres"))
            .args(["--single", "-D"])
            .arg(&data)
            .arg("postgres")
            .stdin(statements));
        // Another test process may have been faster; the template's folder may be another file system.
        let half = template.with_extension(std::process::id().to_string());
        run(Command::new("cp").arg("-a").arg(&data).arg(&half));
        if std::fs::rename(&half, &template).is_err() {
            let _ = std::fs::remove_dir_all(&half);
        }
        let _ = std::fs::remove_dir_all(folder);
    }
    Ok(template)
}

/// A new folder that the server's user owns.
pub(super) fn owned_folder() -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix("webui-init-")
        .tempdir()
        .expect("a temporary folder")
        .keep();
    if is_root() {
        let (user, group) = server_ids();
        chown(&folder, Some(user), Some(group)).expect("root may chown");
    }
    folder
}

/// A command that runs as somebody else than root.
pub(super) fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let (user, group) = server_ids();
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={user}"), format!("--regid={group}")])
        .arg("--clear-groups")
        .arg(program);
    command
}

/// User and group of `postgres`, else `nobody`; for anybody but root, their own.
pub(super) fn server_ids() -> (u32, u32) {
    static IDS: OnceLock<(u32, u32)> = OnceLock::new();
    *IDS.get_or_init(|| {
        if !is_root() {
            return super::own_ids();
        }
        let users = std::fs::read_to_string("/etc/passwd").expect("a list of users");
        let ids = |name: &str| {
            let line = users
                .lines()
                .find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        };
        ids("postgres")
            .or_else(|| ids("nobody"))
            .unwrap_or((65534, 65534))
    })
}

/// A shell that runs `end` in `folder` and removes it, once its stdin is closed: by [`dismiss`] or by the end of
/// this process.
pub(super) fn watchdog(folder: &Path, end: &str) -> Child {
    let script =
        format!("read -r _; cd \"$0\" && {{ {end}; }} 2>/dev/null; sleep 0.2; cd /; rm -rf \"$0\"");
    Command::new("sh")
        .args(["-c", &script])
        .arg(folder)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}

pub(super) fn dismiss(watchdog: &mut Child) {
    drop(watchdog.stdin.take());
    let _ = watchdog.wait();
}

pub(super) fn pid(child: &Child) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(child.id().try_into().expect("a pid"))
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

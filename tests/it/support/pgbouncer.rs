//! Debian's `PgBouncer` in front of a [`Postgres`].

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::postgres::{self, PASSWORD, ROLE};
use super::{Database, Missing, Postgres, Session, free_port, is_root, tool, wait_for};

/// When a client gives its server connection back.
#[derive(Clone, Copy, Debug)]
pub enum PoolMode {
    /// After each transaction: what most managed poolers do.
    Transaction,
    /// At the end of its connection.
    Session,
}

/// A pooler before one server, for all of its databases. Dropped, it ends.
pub struct PgBouncer {
    port: u16,
    child: Child,
    watchdog: Child,
}

impl PgBouncer {
    /// `settings` are lines for the section `[pgbouncer]`, such as `default_pool_size = 3`.
    pub fn start(server: &Postgres, mode: PoolMode, settings: &[&str]) -> Result<Self, Missing> {
        let program = tool("pgbouncer")?;
        let folder = postgres::owned_folder();
        let port = free_port();
        let mode = match mode {
            PoolMode::Transaction => "transaction",
            PoolMode::Session => "session",
        };
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {folder}/users\npool_mode = {mode}\n\
             logfile = {folder}/log\npidfile = {folder}/pid\n{}\n",
            server.port(),
            settings.join("\n"),
            folder = folder.display(),
        );
        let own = |name: &str, content: &str| {
            let file = folder.join(name);
            std::fs::write(&file, content).expect("a writable folder");
            if is_root() {
                let (user, group) = postgres::server_ids();
                std::os::unix::fs::chown(&file, Some(user), Some(group)).expect("root may chown");
            }
        };
        own("ini", &configuration);
        own(
            "users",
            &format!("\"{ROLE}\" \"{PASSWORD}\"\n\"postgres\" \"{PASSWORD}\"\n"),
        );
        let watchdog = postgres::watchdog(&folder, "kill $(cat pid)");
        let child = postgres::as_server(&program)
            .arg("-q")
            .arg(folder.join("ini"))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer runs");
        let bouncer = Self {
            port,
            child,
            watchdog,
        };
        let url = format!("postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/postgres");
        wait_for("PgBouncer to start", Duration::from_secs(10), || {
            Session::try_open(&url).ok()
        });
        Ok(bouncer)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The database's URL through the pooler.
    pub fn url(&self, database: &Database) -> String {
        database.url_at(self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        postgres::dismiss(&mut self.watchdog);
    }
}

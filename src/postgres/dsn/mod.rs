//! One `PostgreSQL` connection string, in every spelling that `Open WebUI`'s users write, as
//! settings for tokio-postgres and as one canonical URL for the app.
//!
//! Owns: telling the backends apart, splitting a URL (also one whose password was never
//! percent-encoded), libpq's parameters and environment variables, and the list of spellings
//! that a log must not show. Leaves to others: reading the environment, opening certificate
//! files ([`crate::postgres::tls`]), connecting. Nothing here does I/O, and no error or `Debug` output
//! holds a value that could be a secret.

mod draft;
mod encryption;
mod hosts;
mod parameters;
mod session;
mod spelling;
mod split;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use tokio_postgres::Config;

use crate::postgres::place::Place;
use crate::postgres::tls::TlsSettings;
use draft::Draft;
use hosts::{Endpoint, host_list};
use spelling::{encode, spellings};
use split::Split;

/// libpq's environment variables and the parameter whose gap each one fills.
const LIBPQ_ENV: &[(&str, &str)] = &[
    ("PGAPPNAME", "application_name"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGDATABASE", "dbname"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGOPTIONS", "options"),
    ("PGPASSWORD", "password"),
    ("PGPORT", "port"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGSERVICE", "service"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGUSER", "user"),
];

/// The kind of database that a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// `SQLite`, with any driver, `SQLCipher` included.
    Sqlite,
    /// `PostgreSQL`, with any driver.
    Postgres,
    /// Anything else: its scheme in lower case, or nothing if there is none to be told.
    Other(String),
}

/// Tells the kind of database by the URL's scheme.
pub fn backend(url: &str) -> Backend {
    let Some((scheme, _)) = split_scheme(url.trim()) else {
        return Backend::Other(String::new());
    };
    let scheme = scheme.to_ascii_lowercase();
    match scheme.split('+').next() {
        Some("sqlite") => Backend::Sqlite,
        Some("postgres" | "postgresql") => Backend::Postgres,
        _ => Backend::Other(scheme),
    }
}

/// `scheme://rest`, if the text before the colon can be a scheme at all.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let plausible = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
    plausible.then_some((scheme, rest))
}

/// What libpq would take from the environment where the URL is silent.
#[derive(Clone, Default)]
pub struct LibpqEnv {
    /// By the name of the parameter, never empty values.
    params: BTreeMap<&'static str, String>,
    home: Option<PathBuf>,
}

impl LibpqEnv {
    /// Asks `lookup` for each of the variables; an empty one counts as absent, as in libpq.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> LibpqEnv {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let params = LIBPQ_ENV
            .iter()
            .filter_map(|(variable, param)| Some((*param, set(variable)?)));
        let mut params: BTreeMap<_, _> = params.collect();
        // An old name for the mode, which libpq still obeys.
        if set("PGREQUIRESSL").is_some_and(|value| value.starts_with('1')) {
            params
                .entry("sslmode")
                .or_insert_with(|| "require".to_owned());
        }
        LibpqEnv {
            params,
            home: set("HOME").map(PathBuf::from),
        }
    }
}

impl fmt::Debug for LibpqEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LibpqEnv")
            .field(&self.params.keys())
            .finish()
    }
}

/// `Open WebUI`'s `DATABASE_TYPE`, `_USER`, `_PASSWORD`, `_HOST`, `_PORT` and `_NAME`.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// A URL scheme, such as `postgresql`.
    pub db_type: &'a str,
    /// Percent escapes count, because the app pastes it into a URL.
    pub user: Option<&'a str>,
    /// Percent escapes count, as in `user`.
    pub password: Option<&'a str>,
    /// A name or address, or several with commas between.
    pub host: &'a str,
    /// One port for all hosts, or one for each.
    pub port: &'a str,
    /// May carry a query (`db?sslmode=require`), because the app pastes it into a URL.
    pub name: &'a str,
}

/// Why a connection string cannot be used. No variant holds a value from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// The scheme is not one of `PostgreSQL`'s.
    #[error("the database URL does not begin with postgresql:// or postgres://")]
    NotPostgres,
    /// No way to split it gives a host, a port and a database name.
    #[error(
        "the database URL cannot be read as user:password@host:port/database; \
         in the user and password write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25"
    )]
    Unreadable,
    /// More than one way to split it does.
    #[error(
        "the database URL can be read in more than one way; \
         write each @ that does not stand before the host as %40, also in parameters after the ?"
    )]
    Ambiguous,
    /// No user name, neither in the URL nor in `PGUSER`.
    #[error(
        "the database URL names no user; write postgresql://user:password@host/database or set PGUSER"
    )]
    NoUser,
    /// A parameter's value is not among those it can take.
    #[error("the database parameter {parameter} must be {expected}")]
    Value {
        /// Its name in libpq's terms.
        parameter: &'static str,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A parameter asks for what this program cannot do.
    #[error("the database parameter {parameter} is not supported: {reason}")]
    Unsupported {
        /// Its name in libpq's terms.
        parameter: &'static str,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// A parameter that demands more, in a spelling that libpq does not know.
    #[error(
        "the database URL has {parameter} in another spelling, which PostgreSQL's own programs refuse; write it as {parameter}"
    )]
    Misspelt {
        /// Its name in libpq's terms.
        parameter: &'static str,
    },
    /// The lists of hosts, addresses and ports do not fit together.
    #[error("the database parameter {parameter} must have as many entries as there are hosts")]
    HostCount {
        /// The list that has too few or too many entries.
        parameter: &'static str,
    },
    /// A NUL character, which `PostgreSQL`'s protocol cannot carry.
    #[error("the database URL has a NUL character (%00) in its {part}")]
    Nul {
        /// The part that holds it.
        part: &'static str,
    },
}

/// A connection string, understood. Its `Debug` output shows no secret.
#[derive(Clone)]
pub struct Dsn {
    driver: Option<String>,
    user: String,
    password: Option<String>,
    dbname: String,
    endpoints: Vec<Endpoint>,
    /// Parameters that were given, in libpq's terms, without those that have a field above.
    params: BTreeMap<&'static str, String>,
    config: Config,
    tls: TlsSettings,
    ignored: Vec<String>,
    misreadings: Vec<&'static str>,
    /// The URL and the password as they were written, for the list of secrets.
    written: Vec<String>,
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dsn").field(&self.summary()).finish()
    }
}

impl Dsn {
    /// Reads a URL. What it leaves open is filled from `env`, then with defaults: the database
    /// is named like the user, the application `webui-init`, a connection attempt may take 10 s,
    /// keepalives begin after 30 s.
    pub fn parse(url: &str, env: &LibpqEnv) -> Result<Dsn, DsnError> {
        let trimmed = url.trim();
        let (scheme, rest) = split_scheme(trimmed).ok_or(DsnError::NotPostgres)?;
        let mut draft = Draft::new(scheme)?;
        if trimmed.len() != url.len() {
            draft.misread("it has blanks around it");
        }
        draft.written.push(url.to_owned());
        let split = Split::of(rest)?;
        draft.credentials(split.user, split.password)?;
        if split.hosts.contains(',') {
            draft.misread("it lists several hosts before the database name");
        }
        if split.hosts.contains('%') {
            draft.misread("its host is percent-encoded");
        }
        draft.hosts = host_list(split.hosts).ok_or(DsnError::Unreadable)?;
        draft.database(split.dbname)?;
        draft.query(split.query)?;
        draft.finish(env)
    }

    /// Reads the separate variables as the app would read the URL that it makes of them.
    pub fn from_parts(parts: &Parts<'_>, env: &LibpqEnv) -> Result<Dsn, DsnError> {
        let mut draft = Draft::new(parts.db_type.trim())?;
        draft.credentials(parts.user, parts.password)?;
        let Parts {
            host, port, name, ..
        } = *parts;
        draft.hosts = if host.parse::<Ipv6Addr>().is_ok() {
            draft.misread("its IPv6 address has no brackets");
            vec![(host.to_owned(), None)]
        } else {
            if host.starts_with('/') {
                draft.misread("its host is a directory");
            }
            host_list(host).ok_or(DsnError::Value {
                parameter: "host",
                expected: "a host name or an address (DATABASE_HOST)",
            })?
        };
        draft.params.insert("port", port.trim().to_owned());
        let (name, query) = name
            .split_once('?')
            .map_or((name, None), |(n, q)| (n, Some(q)));
        draft.database(Some(name))?;
        draft.query(query)?;
        let (user, password) = (parts.user.unwrap_or(""), parts.password.unwrap_or(""));
        draft.written.push(format!(
            "{}://{user}:{password}@{host}:{port}/{name}",
            parts.db_type
        ));
        draft.finish(env)
    }

    /// The settings for tokio-postgres. [`crate::postgres::tls::Connector`] makes the connection, and
    /// gives its `sslmode` libpq's meaning.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// How the connection is to be encrypted, and the server to be proven.
    pub fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    /// The same database as one canonical `postgresql://` URL that `SQLAlchemy`'s `make_url` and
    /// psycopg read without loss. **Holds the password.** Parameters that libpq does not know are
    /// left out, this program's own defaults too.
    pub fn app_url(&self) -> String {
        let mut url = format!("postgresql://{}", encode(&self.user));
        if let Some(password) = &self.password {
            url.push(':');
            url.push_str(&encode(password));
        }
        url.push('@');
        let mut query: Vec<(&str, String)> = Vec::new();
        match self.endpoints.as_slice() {
            [one] if !one.is_socket() && !one.host.contains('%') => url.push_str(&one.to_string()),
            several => {
                let list = |entry: fn(&Endpoint) -> String| {
                    several.iter().map(entry).collect::<Vec<_>>().join(",")
                };
                query.push(("host", list(|e| e.host.clone())));
                query.push(("port", list(|e| e.port.to_string())));
            }
        }
        url.push('/');
        // SQLAlchemy takes the path as it stands, so a name that needs escapes goes to the query.
        if self
            .dbname
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
        {
            url.push_str(&self.dbname);
        } else {
            query.push(("dbname", self.dbname.clone()));
        }
        query.extend(
            self.params
                .iter()
                .map(|(name, value)| (*name, value.clone())),
        );
        for (index, (name, value)) in query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.push_str(&encode(value));
        }
        url
    }

    /// Every spelling of the password, and of URLs that hold it, that must not reach a log,
    /// longest first. Empty if there is no password.
    pub fn secrets(&self) -> Vec<String> {
        let Some(password) = &self.password else {
            return Vec::new();
        };
        let mut raw = self.written.clone();
        raw.push(password.clone());
        raw.push(self.app_url());
        let mut secrets: Vec<String> = raw.iter().flat_map(|text| spellings(text)).collect();
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        secrets
    }

    /// Names of parameters that were passed over, in the order in which they were written.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// What `Open WebUI` itself would refuse or misread in the URL as it was written, as clauses
    /// for a warning. If there are any, the app needs [`Dsn::app_url`] in its place.
    pub fn misreadings(&self) -> &[&'static str] {
        &self.misreadings
    }

    /// The driver after the scheme's `+`, in lower case, such as `asyncpg`.
    pub fn driver(&self) -> Option<&str> {
        self.driver.as_deref()
    }

    /// The database, where it is, and as whom: for logs, without secrets.
    pub fn summary(&self) -> String {
        self.place().to_string()
    }

    /// The same in its parts.
    pub fn place(&self) -> Place {
        let servers: Vec<String> = self.endpoints.iter().map(Endpoint::to_string).collect();
        Place {
            database: self.dbname.clone(),
            servers: servers.join(","),
            user: self.user.clone(),
        }
    }
}

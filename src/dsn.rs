//! One `PostgreSQL` connection string, in every spelling that `Open WebUI`'s users write, as
//! settings for tokio-postgres and as one canonical URL for the app.
//!
//! Owns: telling the backends apart, splitting a URL (also one whose password was never
//! percent-encoded), libpq's parameters and environment variables, and the list of spellings
//! that a log must not show. Leaves to others: reading the environment, opening certificate
//! files ([`crate::tls`]), connecting. Nothing here does I/O, and no error or `Debug` output
//! holds a value that could be a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio_postgres::Config;
use tokio_postgres::config::{
    ChannelBinding, LoadBalanceHosts, SslMode as DriverSslMode, SslNegotiation, TargetSessionAttrs,
};

use crate::tls::{RootCert, SslMode, TlsSettings};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// What Python's `urllib.parse.quote` escapes: it spares the slash.
const PYTHON_QUOTE: &AsciiSet = &RESERVED.remove(b'/');
/// What `SQLAlchemy` escapes in a user or password that it prints back: it spares spaces and `+`.
const SQLALCHEMY_QUOTE: &AsciiSet = &RESERVED.remove(b' ').remove(b'+');

/// Where psycopg's builds of libpq look for a server when no host is named.
const DEFAULT_SOCKET_DIR: &str = "/var/run/postgresql";
const DEFAULT_PORT: u16 = 5432;

/// libpq's environment variables and the parameter whose gap each one fills.
const LIBPQ_ENV: &[(&str, &str)] = &[
    ("PGAPPNAME", "application_name"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGDATABASE", "dbname"),
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGOPTIONS", "options"),
    ("PGPASSWORD", "password"),
    ("PGPORT", "port"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGUSER", "user"),
];

/// Parameters that mean something to this program.
const USED: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "fallback_application_name",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "service",
    "ssl",
    "sslcert",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// libpq's own parameters that have no meaning here and no bearing on safety: kept for the app.
const APP_ONLY: &[&str] = &[
    "client_encoding",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "sslcompression",
    "sslsni",
];

/// libpq's own parameters that ask for something this program does not do: kept for the app,
/// and reported as passed over.
const APP_ONLY_REPORTED: &[&str] = &[
    "passfile",
    "require_auth",
    "requirepeer",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
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
        LibpqEnv {
            params: LIBPQ_ENV
                .iter()
                .filter_map(|(variable, param)| Some((*param, set(variable)?)))
                .collect(),
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

/// One server that a connection may go to.
#[derive(Clone)]
struct Endpoint {
    /// A name, an address, or the directory of a Unix socket.
    host: String,
    address: Option<IpAddr>,
    port: u16,
}

impl Endpoint {
    fn is_socket(&self) -> bool {
        self.host.starts_with(['/', '@'])
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
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
        draft.query(split.query);
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
        draft.query(query);
        let (user, password) = (parts.user.unwrap_or(""), parts.password.unwrap_or(""));
        draft.written.push(format!(
            "{}://{user}:{password}@{host}:{port}/{name}",
            parts.db_type
        ));
        draft.finish(env)
    }

    /// The settings for tokio-postgres. [`crate::tls::Connector`] makes the connection, and
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
        let hosts: Vec<String> = self.endpoints.iter().map(Endpoint::to_string).collect();
        format!("{} on {} as {}", self.dbname, hosts.join(","), self.user)
    }
}

/// One way to cut a URL, after its scheme, into pieces that are still encoded.
#[derive(Clone, Copy)]
struct Split<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    hosts: &'a str,
    dbname: Option<&'a str>,
    query: Option<&'a str>,
}

impl<'a> Split<'a> {
    /// Tries every `@` as the one before the host. Passwords with raw `@ : / # ?` are common, so
    /// what follows the `@` decides: it must be hosts, a name and parameters. The only doubt left
    /// is an `@` in the value of a parameter: one that is known proves that the parameters began
    /// before it, an unknown one could as well be part of a password.
    fn of(rest: &'a str) -> Result<Split<'a>, DsnError> {
        let places = std::iter::once(None).chain(rest.match_indices('@').map(|(at, _)| Some(at)));
        let mut first = None;
        let mut doubtful = false;
        for place in places {
            let Some(split) = Split::at(rest, place) else {
                continue;
            };
            if split.every_at_sign_is_in_a_known_parameter() {
                return if doubtful {
                    Err(DsnError::Ambiguous)
                } else {
                    Ok(split)
                };
            }
            doubtful |= place.is_some();
            first.get_or_insert(split);
        }
        first.ok_or(DsnError::Unreadable)
    }

    fn at(rest: &'a str, place: Option<usize>) -> Option<Split<'a>> {
        let (user, password, tail) = match place {
            None => (None, None, rest),
            Some(at) => {
                let head = &rest[..at];
                let (user, password) = head
                    .split_once(':')
                    .map_or((head, None), |(user, pw)| (user, Some(pw)));
                if user.contains(['/', '?', '#']) {
                    return None;
                }
                (Some(user), password, &rest[at + 1..])
            }
        };
        let end = tail.find(['/', '?']).unwrap_or(tail.len());
        let (hosts, path) = tail.split_at(end);
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        let dbname = path.strip_prefix('/');
        let plausible = !hosts.contains('@')
            && host_list(hosts).is_some()
            && dbname.is_none_or(|name| !name.contains(['/', '@', '#']))
            && query.is_none_or(|query| pairs(query).all(|(name, _)| is_parameter_name(name)));
        plausible.then_some(Split {
            user,
            password,
            hosts,
            dbname,
            query,
        })
    }

    fn every_at_sign_is_in_a_known_parameter(&self) -> bool {
        pairs(self.query.unwrap_or(""))
            .filter(|(_, value)| value.contains('@'))
            .all(|(name, _)| known(name).is_some())
    }
}

/// A connection string on its way to being a [`Dsn`].
struct Draft {
    driver: Option<String>,
    user: Option<String>,
    password: Option<String>,
    dbname: Option<String>,
    hosts: Vec<(String, Option<u16>)>,
    params: BTreeMap<&'static str, String>,
    ignored: Vec<String>,
    misreadings: Vec<&'static str>,
    written: Vec<String>,
}

impl Draft {
    fn new(scheme: &str) -> Result<Draft, DsnError> {
        let lower = scheme.to_ascii_lowercase();
        let (base, driver) = lower
            .split_once('+')
            .map_or((lower.as_str(), None), |(base, d)| (base, Some(d)));
        if !matches!(base, "postgres" | "postgresql") {
            return Err(DsnError::NotPostgres);
        }
        let mut draft = Draft {
            driver: driver.map(str::to_owned),
            user: None,
            password: None,
            dbname: None,
            hosts: Vec::new(),
            params: BTreeMap::new(),
            ignored: Vec::new(),
            misreadings: Vec::new(),
            written: Vec::new(),
        };
        if !matches!(
            scheme,
            "postgres" | "postgresql" | "postgresql+psycopg2" | "postgresql+psycopg"
        ) {
            draft.misread("its scheme is not one that the app has a driver for");
        }
        Ok(draft)
    }

    fn misread(&mut self, clause: &'static str) {
        if !self.misreadings.contains(&clause) {
            self.misreadings.push(clause);
        }
    }

    /// Decodes as far as the text is encoded: a `%` without two hex digits stands for itself, and
    /// so does all of a text whose escapes do not make UTF-8.
    fn decode(&mut self, text: &str, part: &'static str) -> Result<String, DsnError> {
        let decoded = if let Ok(decoded) = percent_decode_str(text).decode_utf8() {
            decoded.into_owned()
        } else {
            self.misread("it has percent escapes that are not UTF-8");
            text.to_owned()
        };
        if decoded.contains('\0') {
            Err(DsnError::Nul { part })
        } else {
            Ok(decoded)
        }
    }

    fn credentials(&mut self, user: Option<&str>, password: Option<&str>) -> Result<(), DsnError> {
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            self.user = Some(self.decode(user, "user")?);
        }
        if let Some(password) = password.filter(|password| !password.is_empty()) {
            if password.contains('@') {
                self.misread("its password has an @ that is not percent-encoded");
            }
            self.written.push(password.to_owned());
            self.password = Some(self.decode(password, "password")?);
        }
        Ok(())
    }

    fn database(&mut self, name: Option<&str>) -> Result<(), DsnError> {
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            let decoded = self.decode(name, "database name")?;
            if decoded != name {
                self.misread("its database name is percent-encoded");
            }
            self.dbname = Some(decoded);
        }
        Ok(())
    }

    /// Sorts the parameters by what is to be done about them. The last of a name wins but for
    /// `host`, which `SQLAlchemy` collects. `+` is a space: the app reads its URL that way.
    fn query(&mut self, query: Option<&str>) {
        for (name, value) in pairs(query.unwrap_or("")) {
            let spaced = value.replace('+', " ");
            let value = percent_decode_str(&spaced).decode_utf8_lossy().into_owned();
            if value.is_empty() {
                continue;
            }
            let Some(known) = known(name) else {
                self.misread("it has a parameter that libpq does not know");
                self.ignored.push(name.to_owned());
                continue;
            };
            if APP_ONLY_REPORTED.contains(&known) {
                self.ignored.push(name.to_owned());
            }
            match self.params.get_mut(known) {
                Some(hosts) if known == "host" => *hosts = format!("{hosts},{value}"),
                Some(earlier) => {
                    *earlier = value;
                    self.misread("it gives a parameter twice");
                }
                None => drop(self.params.insert(known, value)),
            }
        }
    }

    fn finish(mut self, env: &LibpqEnv) -> Result<Dsn, DsnError> {
        for (name, value) in &self.params {
            if value.contains('\0') {
                return Err(DsnError::Nul { part: name });
            }
        }
        self.fill_gaps(env);
        refuse_unsupported(&self.params)?;
        let user = self
            .params
            .remove("user")
            .or(self.user.take())
            .ok_or(DsnError::NoUser)?;
        let password = self.params.remove("password").or(self.password.take());
        let dbname = self.params.remove("dbname").or(self.dbname.take());
        let dbname = dbname.unwrap_or_else(|| user.clone());
        let endpoints = self.endpoints()?;
        let tls = self.tls(env)?;

        let mut config = self.session()?;
        config.user(&user).dbname(&dbname);
        if let Some(password) = &password {
            config.password(password);
        }
        config.ssl_mode(match tls.mode {
            SslMode::Disable => DriverSslMode::Disable,
            SslMode::Allow | SslMode::Prefer => DriverSslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => DriverSslMode::Require,
        });
        for endpoint in &endpoints {
            if endpoint.is_socket() {
                config.host_path(&endpoint.host);
            } else {
                config.host(&endpoint.host);
            }
            config.port(endpoint.port);
            if let Some(address) = endpoint.address {
                config.hostaddr(address);
            }
        }
        Ok(Dsn {
            driver: self.driver,
            user,
            password,
            dbname,
            endpoints,
            params: self.params,
            config,
            tls,
            ignored: self.ignored,
            misreadings: self.misreadings,
            written: self.written,
        })
    }

    fn fill_gaps(&mut self, env: &LibpqEnv) {
        for (name, value) in &env.params {
            let given = match *name {
                "user" => self.user.is_some(),
                "password" => self.password.is_some(),
                "dbname" => self.dbname.is_some(),
                "host" => self.hosts.iter().any(|(host, _)| !host.is_empty()),
                "port" => self.hosts.iter().any(|(_, port)| port.is_some()),
                "sslmode" => self.params.contains_key("ssl"),
                _ => false,
            };
            if !given {
                self.params.entry(name).or_insert_with(|| value.clone());
            }
        }
    }

    /// Brings hosts, addresses and ports together. As in libpq, what the parameters say wins over
    /// what stands before the database name.
    fn endpoints(&mut self) -> Result<Vec<Endpoint>, DsnError> {
        let before_the_name = match self.hosts.as_slice() {
            [(_, port)] => *port,
            _ => None,
        };
        let mut hosts = match self.params.remove("host") {
            Some(list) => host_list(&list).ok_or(DsnError::Value {
                parameter: "host",
                expected: "host names, addresses or socket directories, with commas between",
            })?,
            None => std::mem::take(&mut self.hosts),
        };
        let addresses = self
            .params
            .get("hostaddr")
            .map(|list| addresses(list))
            .transpose()?;
        if let Some(addresses) = &addresses {
            if hosts.iter().all(|(host, _)| host.is_empty()) {
                let port = hosts.first().and_then(|(_, port)| *port);
                hosts = addresses
                    .iter()
                    .map(|address| (address.to_string(), port))
                    .collect();
            }
            if addresses.len() != hosts.len() {
                return Err(DsnError::HostCount {
                    parameter: "hostaddr",
                });
            }
        }
        let ports = self
            .params
            .remove("port")
            .map(|list| ports(&list))
            .transpose()?;
        let ports = ports.unwrap_or_default();
        if hosts.is_empty() {
            hosts.push((String::new(), None));
        }
        if ports.len() > 1 && ports.len() != hosts.len() {
            return Err(DsnError::HostCount { parameter: "port" });
        }
        let shared = if ports.len() == 1 { ports[0] } else { None };
        let fallback = before_the_name.unwrap_or(DEFAULT_PORT);
        Ok(hosts
            .into_iter()
            .enumerate()
            .map(|(index, (host, own))| Endpoint {
                host: if host.is_empty() {
                    DEFAULT_SOCKET_DIR.to_owned()
                } else {
                    host
                },
                address: addresses.as_ref().map(|addresses| addresses[index]),
                port: ports
                    .get(index)
                    .copied()
                    .flatten()
                    .or(shared)
                    .or(own)
                    .unwrap_or(fallback),
            })
            .collect())
    }

    /// Settles `sslmode` as `Open WebUI` does: `ssl` is another name for it that loses against it.
    fn tls(&mut self, env: &LibpqEnv) -> Result<TlsSettings, DsnError> {
        let alias = self.params.remove("ssl");
        let written = self.params.remove("sslmode").or(alias);
        let mode = match &written {
            None => None,
            Some(value) => {
                let (mode, literal) = ssl_mode(value).ok_or(DsnError::Value {
                    parameter: "sslmode",
                    expected: "disable, allow, prefer, require, verify-ca or verify-full",
                })?;
                if !literal {
                    self.misread("its sslmode is not one of libpq's");
                }
                self.params.insert("sslmode", mode.to_string());
                Some(mode)
            }
        };
        let root_cert = self
            .params
            .get("sslrootcert")
            .map(|path| match path.as_str() {
                "system" => RootCert::System,
                path => RootCert::File(PathBuf::from(path)),
            });
        let mode = match (mode, &root_cert) {
            (None | Some(SslMode::VerifyFull), Some(RootCert::System)) => SslMode::VerifyFull,
            (Some(_), Some(RootCert::System)) => {
                return Err(DsnError::Value {
                    parameter: "sslmode",
                    expected: "verify-full, because sslrootcert=system trusts every public authority",
                });
            }
            (mode, _) => mode.unwrap_or(SslMode::Prefer),
        };
        for parameter in ["sslcrl", "sslcrldir"] {
            if self.params.contains_key(parameter) {
                if matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) {
                    return Err(DsnError::Unsupported {
                        parameter,
                        reason: "revocation lists are not read here; leave it out for the move",
                    });
                }
                self.ignored.push(parameter.to_owned());
            }
        }
        let path = |name| self.params.get(name).map(PathBuf::from);
        Ok(TlsSettings {
            mode,
            root_cert,
            cert: path("sslcert"),
            key: path("sslkey"),
            home: env.home.clone(),
        })
    }

    /// Everything about a session but where, who and how encrypted.
    fn session(&self) -> Result<Config, DsnError> {
        let mut config = Config::new();
        let text = |name| self.params.get(name).map(String::as_str);
        let application = text("application_name").or(text("fallback_application_name"));
        config.application_name(application.unwrap_or("webui-init"));
        if let Some(options) = text("options") {
            config.options(options);
        }
        let seconds = |name, default| match number(text(name), name)? {
            None => Ok(Some(Duration::from_secs(default))),
            Some(given) => Ok(u64::try_from(given)
                .ok()
                .filter(|s| *s > 0)
                .map(Duration::from_secs)),
        };
        if let Some(limit) = seconds("connect_timeout", 10)? {
            config.connect_timeout(limit);
        }
        config.keepalives(number(text("keepalives"), "keepalives")? != Some(0));
        if let Some(idle) = seconds("keepalives_idle", 30)? {
            config.keepalives_idle(idle);
        }
        if let Some(interval) = seconds("keepalives_interval", 10)? {
            config.keepalives_interval(interval);
        }
        let retries = number(text("keepalives_count"), "keepalives_count")?.unwrap_or(3);
        if let Some(retries) = u32::try_from(retries).ok().filter(|retries| *retries > 0) {
            config.keepalives_retries(retries);
        }
        let user_timeout = number(text("tcp_user_timeout"), "tcp_user_timeout")?.unwrap_or(60_000);
        if let Some(millis) = u64::try_from(user_timeout)
            .ok()
            .filter(|millis| *millis > 0)
        {
            config.tcp_user_timeout(Duration::from_millis(millis));
        }
        if let Some(value) = text("target_session_attrs") {
            config.target_session_attrs(session_attributes(value)?);
        }
        if let Some(value) = text("channel_binding") {
            config.channel_binding(match value {
                "disable" => ChannelBinding::Disable,
                "prefer" => ChannelBinding::Prefer,
                "require" => ChannelBinding::Require,
                _ => {
                    return Err(DsnError::Value {
                        parameter: "channel_binding",
                        expected: "disable, prefer or require",
                    });
                }
            });
        }
        if let Some(value) = text("load_balance_hosts") {
            config.load_balance_hosts(match value {
                "disable" => LoadBalanceHosts::Disable,
                "random" => LoadBalanceHosts::Random,
                _ => {
                    return Err(DsnError::Value {
                        parameter: "load_balance_hosts",
                        expected: "disable or random",
                    });
                }
            });
        }
        if let Some(value) = text("sslnegotiation") {
            config.ssl_negotiation(match value {
                "postgres" => SslNegotiation::Postgres,
                "direct" => SslNegotiation::Direct,
                _ => {
                    return Err(DsnError::Value {
                        parameter: "sslnegotiation",
                        expected: "postgres or direct",
                    });
                }
            });
        }
        Ok(config)
    }
}

fn refuse_unsupported(params: &BTreeMap<&'static str, String>) -> Result<(), DsnError> {
    let refusal = |parameter, reason| Err(DsnError::Unsupported { parameter, reason });
    if params.contains_key("sslpassword") {
        return refusal(
            "sslpassword",
            "encrypted keys are not read; name one without a passphrase",
        );
    }
    if params.contains_key("service") {
        return refusal(
            "service",
            "service files are not read; write the parameters into the URL",
        );
    }
    match params.get("gssencmode").map(String::as_str) {
        Some("require") => refusal(
            "gssencmode",
            "GSSAPI encryption is not built in; use sslmode",
        ),
        _ => Ok(()),
    }
}

/// What a server must be for a program that writes. `prefer-standby` is content with any server,
/// so it goes to the one that can be written to. A standby is asked for as `read-only`, all that
/// tokio-postgres knows of it.
fn session_attributes(value: &str) -> Result<TargetSessionAttrs, DsnError> {
    match value {
        "any" => Ok(TargetSessionAttrs::Any),
        "read-write" | "primary" | "prefer-standby" => Ok(TargetSessionAttrs::ReadWrite),
        "read-only" | "standby" => Ok(TargetSessionAttrs::ReadOnly),
        _ => Err(DsnError::Value {
            parameter: "target_session_attrs",
            expected: "any, read-write, read-only, primary, standby or prefer-standby",
        }),
    }
}

/// The mode, and whether libpq spells it that way too. Other drivers' switches mean encryption
/// without proof of the server, which is libpq's `require`.
fn ssl_mode(value: &str) -> Option<(SslMode, bool)> {
    if let Ok(mode) = value.parse() {
        return Some((mode, true));
    }
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "no-verify" => Some((SslMode::Require, false)),
        "false" | "0" | "no" | "off" => Some((SslMode::Disable, false)),
        lower => lower.parse().ok().map(|mode| (mode, false)),
    }
}

fn number(text: Option<&str>, parameter: &'static str) -> Result<Option<i32>, DsnError> {
    let expected = "a whole number";
    text.map(|text| {
        text.trim().parse().map_err(|_| DsnError::Value {
            parameter,
            expected,
        })
    })
    .transpose()
}

/// Hosts with their own ports. Accepts the URL's form and that of the parameter `host`: names,
/// addresses, IPv6 in brackets, socket directories plain or encoded; an empty entry stands for
/// the default.
fn host_list(list: &str) -> Option<Vec<(String, Option<u16>)>> {
    list.split(',').map(host_and_port).collect()
}

fn host_and_port(entry: &str) -> Option<(String, Option<u16>)> {
    if entry.starts_with('/') || is_ipv6(entry) {
        return Some((entry.to_owned(), None));
    }
    let (host, port) = if let Some(bracketed) = entry.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        (
            address,
            if port.is_empty() {
                None
            } else {
                Some(port.strip_prefix(':')?)
            },
        )
    } else {
        entry
            .split_once(':')
            .map_or((entry, None), |(host, port)| (host, Some(port)))
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) => Some(port_number(digits)?),
    };
    let host = percent_decode_str(host).decode_utf8().ok()?.into_owned();
    // A comma parts hosts, for libpq too. Behind the @ of an abstract socket, [`Dsn::app_url`] would have escapes and a
    // port read once more.
    let plain: &[char] = if host.starts_with('@') {
        &['\0', ',', ':', '%']
    } else {
        &['\0', ',']
    };
    let is_socket = host.starts_with(['/', '@']) && !host.contains(plain);
    let is_name = host
        .chars()
        .all(|c| c.is_alphanumeric() || "-._".contains(c));
    let fits = if entry.starts_with('[') {
        is_ipv6(&host)
    } else {
        is_socket || is_name
    };
    fits.then_some((host, port))
}

/// An address, which an interface may follow: `fe80::1%eth0`.
fn is_ipv6(text: &str) -> bool {
    let (address, interface) = text
        .split_once('%')
        .map_or((text, None), |(address, name)| (address, Some(name)));
    let is_name = |name: &str| {
        let mut characters = name.chars();
        !name.is_empty() && characters.all(|c| c.is_alphanumeric() || "-._".contains(c))
    };
    address.parse::<Ipv6Addr>().is_ok() && interface.is_none_or(is_name)
}

fn port_number(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|port| *port > 0)
}

fn ports(list: &str) -> Result<Vec<Option<u16>>, DsnError> {
    let expected = "a number from 1 to 65535";
    list.split(',')
        .map(|entry| match entry.trim() {
            "" => Ok(None),
            digits => port_number(digits).map(Some).ok_or(DsnError::Value {
                parameter: "port",
                expected,
            }),
        })
        .collect()
}

fn addresses(list: &str) -> Result<Vec<IpAddr>, DsnError> {
    let expected = "one IP address for each host";
    list.split(',')
        .map(|entry| {
            entry.trim().parse().map_err(|_| DsnError::Value {
                parameter: "hostaddr",
                expected,
            })
        })
        .collect()
}

/// The `name=value` pairs of a query, still encoded. A name alone has an empty value.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Short and plain enough to be a parameter's name, and so to be printed.
fn is_parameter_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

fn known(name: &str) -> Option<&'static str> {
    [USED, APP_ONLY, APP_ONLY_REPORTED]
        .into_iter()
        .flatten()
        .copied()
        .find(|known| *known == name)
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A text as it may turn up in the output of this program, a shell, or Python.
fn spellings(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned()];
    for set in [RESERVED, PYTHON_QUOTE, SQLALCHEMY_QUOTE] {
        let upper = utf8_percent_encode(text, set).to_string();
        forms.push(lower_case_escapes(&upper));
        // configparser, which Alembic keeps its URL in, doubles each percent sign.
        forms.push(upper.replace('%', "%%"));
        forms.push(upper.replace("%20", "+"));
        forms.push(upper);
    }
    forms.push(text.replace('%', "%%"));
    forms.push(text.escape_debug().to_string());
    forms.push(text.replace('\\', "\\\\").replace('\'', "\\'"));
    let json = serde_json::Value::from(text).to_string();
    let json = json[1..json.len() - 1].to_owned();
    forms.push(ascii_json(&json));
    forms.push(json);
    forms
}

fn lower_case_escapes(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let mut lower = pieces.next().unwrap_or("").to_owned();
    for piece in pieces {
        let (hex, rest) = piece.split_at(2);
        lower.push('%');
        lower.push_str(&hex.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}

/// JSON as Python writes it by default, with UTF-16 escapes for all that is not ASCII.
fn ascii_json(json: &str) -> String {
    use fmt::Write as _;
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(url: &str) -> Dsn {
        Dsn::parse(url, &LibpqEnv::default()).unwrap_or_else(|e| panic!("{url}: {e}"))
    }

    fn refusal(url: &str) -> DsnError {
        Dsn::parse(url, &LibpqEnv::default()).expect_err(url)
    }

    fn env(variables: &[(&str, &str)]) -> LibpqEnv {
        LibpqEnv::from_lookup(|name| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    /// User, password, first host, first port, database.
    fn whole(dsn: &Dsn) -> (String, String, String, u16, String) {
        let first = &dsn.endpoints[0];
        let password = dsn.password.clone().unwrap_or_default();
        (
            dsn.user.clone(),
            password,
            first.host.clone(),
            first.port,
            dsn.dbname.clone(),
        )
    }

    fn tuple(
        user: &str,
        pw: &str,
        host: &str,
        port: u16,
        db: &str,
    ) -> (String, String, String, u16, String) {
        (user.into(), pw.into(), host.into(), port, db.into())
    }

    #[test]
    fn schemes_name_backends() {
        for url in [
            "postgres://h/d",
            "postgresql://",
            "PostgreSQL+psycopg2://h",
            "postgresql+asyncpg://h",
            " postgres://h",
        ] {
            assert_eq!(backend(url), Backend::Postgres, "{url}");
        }
        for url in [
            "sqlite:////app/backend/data/webui.db",
            "sqlite+sqlcipher:///x",
            "SQLite://",
        ] {
            assert_eq!(backend(url), Backend::Sqlite, "{url}");
        }
        assert_eq!(
            backend("mysql+pymysql://u:p@h/d"),
            Backend::Other("mysql+pymysql".into())
        );
        for url in [
            "",
            "host=h password=geheim://x",
            "se cret://x",
            "://",
            "12://",
        ] {
            assert_eq!(backend(url), Backend::Other(String::new()), "{url}");
        }
    }

    #[test]
    fn drivers_are_named() {
        assert_eq!(parse("postgresql://u@h/d").driver(), None);
        assert_eq!(
            parse("postgresql+AsyncPG://u@h/d").driver(),
            Some("asyncpg")
        );
        assert!(
            parse("postgresql+psycopg2://u@h/d")
                .misreadings()
                .is_empty()
        );
        assert!(!parse("postgresql+asyncpg://u@h/d").misreadings().is_empty());
    }

    #[test]
    fn unencoded_passwords_are_understood() {
        for (password, url) in [
            ("p@ss", "postgresql://u:p@ss@host:5433/db"),
            ("p@ss/word", "postgresql://u:p@ss/word@host:5433/db"),
            ("a:b", "postgresql://u:a:b@host:5433/db"),
            ("a/b", "postgresql://u:a/b@host:5433/db"),
            ("a#b", "postgresql://u:a#b@host:5433/db"),
            ("a?b", "postgresql://u:a?b@host:5433/db"),
            ("a b", "postgresql://u:a b@host:5433/db"),
            ("50%", "postgresql://u:50%@host:5433/db"),
            ("50%ab", "postgresql://u:50%ab@host:5433/db"),
            ("5?a=1", "postgresql://u:5?a=1@host:5433/db"),
            ("p@h:5/x", "postgresql://u:p@h:5/x@host:5433/db"),
            ("p@h,5", "postgresql://u:p@h,5@host:5433/db"),
            ("@", "postgresql://u:@@host:5433/db"),
            ("a+b", "postgresql://u:a+b@host:5433/db"),
            ("p&q=r", "postgresql://u:p&q=r@host:5433/db"),
            ("pässwörd🔑", "postgresql://u:pässwörd🔑@host:5433/db"),
        ] {
            assert_eq!(
                whole(&parse(url)),
                tuple("u", password, "host", 5433, "db"),
                "{url}"
            );
        }
    }

    #[test]
    fn at_signs_elsewhere_are_understood() {
        let azure = parse("postgres://me@server:pw@server.example.com/db?sslmode=require");
        assert_eq!(
            whole(&azure),
            tuple("me@server", "pw", "server.example.com", 5432, "db")
        );
        let tagged = parse("postgres://u:pw@host/db?application_name=a@b");
        assert_eq!(whole(&tagged), tuple("u", "pw", "host", 5432, "db"));
        assert_eq!(tagged.config().get_application_name(), Some("a@b"));
        let by_parameter = parse("postgres://host:99/db?user=me@server&password=x@y");
        assert_eq!(
            whole(&by_parameter),
            tuple("me@server", "x@y", "host", 99, "db")
        );
        assert_eq!(
            refusal("postgres://u:pw@host/db?note=a@b"),
            DsnError::Ambiguous
        );
    }

    #[test]
    fn what_cannot_be_read_is_explained_without_values() {
        for url in [
            "postgresql://u:s3cret@bad host/db",
            "postgresql://u:s3cret@host:port/db",
            "postgresql://u:s3cret@host:70000/db",
            "postgresql://u:s3cret@host:0/db",
            "postgresql://u:s3cret@[::1/db",
            "postgresql://u:s3cret@host/d/b",
            "postgresql://u:s3cret@host/db?a b=c",
            "postgresql://u:s3cret@${HOST}/db",
            "postgresql://u:s3cret@%2Frun%2Ca/db",
            "postgresql://u:s3cret@[::1%]/db",
            "postgresql://u:s3cret@%40a%3A1/db",
        ] {
            assert_eq!(refusal(url), DsnError::Unreadable, "{url}");
        }
        for (url, says) in [
            ("postgresql://host/db", "names no user"),
            ("mysql://u:s3cret@h/db", "postgresql://"),
            (
                "postgresql://u:s3cret@h/db?sslmode=s3cret",
                "sslmode must be",
            ),
            (
                "postgresql://u:s3cret@h/db?connect_timeout=s3cret",
                "connect_timeout must be",
            ),
            (
                "postgresql://u:s3cret@h/db?hostaddr=s3cret",
                "hostaddr must be",
            ),
            ("postgresql://u:s3cret@h/db?port=s3cret", "port must be"),
            (
                "postgresql://u:s3cret@h/db?target_session_attrs=s3cret",
                "prefer-standby",
            ),
            (
                "postgresql://u:s3cret@h/db?channel_binding=s3cret",
                "channel_binding must be",
            ),
            (
                "postgresql://u:s3cret@h/db?sslpassword=s3cret",
                "sslpassword is not supported",
            ),
            (
                "postgresql://u:s3cret@h/db?sslmode=verify-ca&sslcrl=s3cret",
                "sslcrl is not",
            ),
            (
                "postgresql://u:s3cret@h/db?sslmode=require&sslrootcert=system",
                "verify-full",
            ),
            (
                "postgresql://u:s3cret@h/db?gssencmode=require",
                "gssencmode",
            ),
            ("postgresql://u:s3cret@h/db?service=s3cret", "service"),
            ("postgresql://u:s3cret%00@h/db", "NUL"),
            (
                "postgresql://u:s3cret@a,b/db?port=1,2,3",
                "port must have as many",
            ),
        ] {
            let error = refusal(url);
            assert!(error.to_string().contains(says), "{url}: {error}");
            assert!(
                !format!("{error} {error:?}").contains("s3cret"),
                "{url}: {error:?}"
            );
        }
    }

    #[test]
    fn hosts_come_in_many_forms() {
        let hosts = |url: &str| {
            let all: Vec<String> = parse(url)
                .endpoints
                .iter()
                .map(Endpoint::to_string)
                .collect();
            all.join(" ")
        };
        assert_eq!(hosts("postgres://u@h"), "h:5432");
        assert_eq!(
            hosts("postgres://u@open_webui-db.internal:6432/d"),
            "open_webui-db.internal:6432"
        );
        assert_eq!(hosts("postgres://u@[::1]:5433/d"), "[::1]:5433");
        assert_eq!(
            hosts("postgres://u@[fe80::1%eth0]/d"),
            "[fe80::1%eth0]:5432"
        );
        assert_eq!(
            hosts("postgres://u@/d?host=fe80::1%25eth0"),
            "[fe80::1%eth0]:5432"
        );
        assert_eq!(hosts("postgres://u@a:1,b,[::1]:3/d"), "a:1 b:5432 [::1]:3");
        assert_eq!(hosts("postgres://u@a,b/d?port=7"), "a:7 b:7");
        assert_eq!(hosts("postgres://u@/d?host=a,b&port=1,2"), "a:1 b:2");
        assert_eq!(hosts("postgres://u@/d?host=a:1&host=b:2"), "a:1 b:2");
        assert_eq!(hosts("postgres://u@%2Frun%2Fpg/d"), "/run/pg:5432");
        assert_eq!(hosts("postgres://u@/d?host=/run/pg"), "/run/pg:5432");
        assert_eq!(hosts("postgres://u@h:99/d?host=/run/pg"), "/run/pg:99");
        assert_eq!(hosts("postgres://u@/d"), "/var/run/postgresql:5432");
        assert_eq!(hosts("postgres://u@name/d?hostaddr=10.0.0.1"), "name:5432");
        assert_eq!(
            hosts("postgres://u@/d?hostaddr=10.0.0.1,::1"),
            "10.0.0.1:5432 [::1]:5432"
        );
        assert_eq!(
            parse("postgres://u@name/d?hostaddr=10.0.0.1")
                .config()
                .get_hostaddrs(),
            ["10.0.0.1".parse::<IpAddr>().expect("address")]
        );
    }

    #[test]
    fn parameters_reach_the_driver() {
        let config = parse(
            "postgresql://u@h/d?options=-c%20search_path%3Dx&connect_timeout=3&keepalives=0\
             &keepalives_idle=4&keepalives_interval=5&keepalives_count=6&tcp_user_timeout=7000\
             &target_session_attrs=primary&channel_binding=require&sslmode=require\
             &load_balance_hosts=random&fallback_application_name=f",
        )
        .config();
        assert_eq!(config.get_options(), Some("-c search_path=x"));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert!(!config.get_keepalives());
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(4));
        assert_eq!(
            config.get_keepalives_interval(),
            Some(Duration::from_secs(5))
        );
        assert_eq!(config.get_keepalives_retries(), Some(6));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(
            config.get_target_session_attrs(),
            TargetSessionAttrs::ReadWrite
        );
        assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
        assert_eq!(config.get_ssl_mode(), DriverSslMode::Require);
        assert_eq!(config.get_load_balance_hosts(), LoadBalanceHosts::Random);
        assert_eq!(config.get_application_name(), Some("f"));
    }

    #[test]
    fn silence_means_these_defaults() {
        let dsn = parse("postgresql://u@h");
        let config = dsn.config();
        assert_eq!(config.get_dbname(), Some("u"));
        assert_eq!(config.get_password(), None);
        assert_eq!(config.get_application_name(), Some("webui-init"));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(10)));
        assert!(config.get_keepalives());
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(30));
        assert_eq!(
            config.get_keepalives_interval(),
            Some(Duration::from_secs(10))
        );
        assert_eq!(config.get_keepalives_retries(), Some(3));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_mins(1)));
        assert_eq!(dsn.tls().mode, SslMode::Prefer);
        assert_eq!(dsn.app_url(), "postgresql://u@h:5432/u");
    }

    #[test]
    fn encryption_is_settled_as_the_app_does() {
        let mode = |query: &str| parse(&format!("postgres://u@h/d?{query}")).tls().mode;
        assert_eq!(mode("sslmode=verify-ca&ssl=disable"), SslMode::VerifyCa);
        assert_eq!(mode("ssl=verify-full"), SslMode::VerifyFull);
        assert_eq!(mode("ssl=true"), SslMode::Require);
        assert_eq!(mode("ssl=0"), SslMode::Disable);
        assert_eq!(mode("sslmode="), SslMode::Prefer);
        assert_eq!(mode("sslrootcert=system"), SslMode::VerifyFull);
        let dsn =
            parse("postgres://u@h/d?ssl=true&sslrootcert=/ca.pem&sslcert=/c&sslkey=/k&sslcrl=/r");
        assert_eq!(dsn.tls().root_cert, Some(RootCert::File("/ca.pem".into())));
        assert_eq!(dsn.tls().cert, Some("/c".into()));
        assert_eq!(dsn.tls().key, Some("/k".into()));
        assert_eq!(dsn.ignored(), ["sslcrl"]);
        assert!(
            dsn.app_url().contains("sslmode=require"),
            "{}",
            dsn.app_url()
        );
        assert!(!dsn.misreadings().is_empty(), "libpq refuses sslmode=true");
    }

    #[test]
    fn strangers_among_the_parameters_are_passed_over_by_name() {
        let dsn = parse(
            "postgresql+asyncpg://u@h/d?prepared_statement_cache_size=0&pgbouncer=true\
             &gssencmode=disable&client_encoding=utf8&require_auth=scram-sha-256",
        );
        assert_eq!(
            dsn.ignored(),
            ["prepared_statement_cache_size", "pgbouncer", "require_auth"]
        );
        assert_eq!(
            dsn.app_url(),
            "postgresql://u@h:5432/d?client_encoding=utf8&gssencmode=disable&require_auth=scram-sha-256"
        );
    }

    #[test]
    fn the_environment_fills_gaps_only() {
        let env = env(&[
            ("PGPASSWORD", "from-env"),
            ("PGUSER", "env-user"),
            ("PGDATABASE", "env-db"),
            ("PGHOST", "env-host"),
            ("PGPORT", "6000"),
            ("PGSSLMODE", "verify-ca"),
            ("PGSSLROOTCERT", "/env-ca"),
            ("PGAPPNAME", "env-app"),
            ("PGCONNECT_TIMEOUT", ""),
            ("HOME", "/root"),
        ]);
        let dsn = Dsn::parse("postgres://", &env).expect("all from the environment");
        assert_eq!(
            whole(&dsn),
            tuple("env-user", "from-env", "env-host", 6000, "env-db")
        );
        assert_eq!(dsn.tls().mode, SslMode::VerifyCa);
        assert_eq!(dsn.tls().home, Some("/root".into()));
        assert_eq!(dsn.config().get_application_name(), Some("env-app"));
        let dsn =
            Dsn::parse("postgres://u:p@h:1/d?ssl=disable&application_name=x", &env).expect("given");
        assert_eq!(whole(&dsn), tuple("u", "p", "h", 1, "d"));
        assert_eq!(dsn.tls().mode, SslMode::Disable);
        assert_eq!(dsn.config().get_application_name(), Some("x"));
        assert!(!format!("{env:?}").contains("from-env"));
    }

    #[test]
    fn parts_are_read_like_the_url_the_app_makes_of_them() {
        let parts = |password, host, name| Parts {
            db_type: "postgresql",
            user: Some("me"),
            password: Some(password),
            host,
            port: "5433",
            name,
        };
        let read = |parts| Dsn::from_parts(&parts, &LibpqEnv::default()).expect("parts");
        let dsn = read(parts("p@s/s?w#rd:%", "h", "db?sslmode=require"));
        assert_eq!(whole(&dsn), tuple("me", "p@s/s?w#rd:%", "h", 5433, "db"));
        assert_eq!(dsn.tls().mode, SslMode::Require);
        assert_eq!(whole(&read(parts("p%40s", "h", "db"))).1, "p@s");
        assert_eq!(
            read(parts("p", "::1", "db")).summary(),
            "db on [::1]:5433 as me"
        );
        assert_eq!(
            read(parts("p", "/run/pg", "db")).summary(),
            "db on /run/pg:5433 as me"
        );
        let bad = Dsn::from_parts(&parts("geheim", "not a host", "db"), &LibpqEnv::default());
        assert!(matches!(
            bad,
            Err(DsnError::Value {
                parameter: "host",
                ..
            })
        ));
    }

    #[test]
    fn canonical_urls_put_what_sqlalchemy_cannot_read_into_the_query() {
        assert_eq!(
            parse("postgres://u:p@ss@a:1,b:2/d?target_session_attrs=read-write").app_url(),
            "postgresql://u:p%40ss@/d?host=a%2Cb&port=1%2C2&target_session_attrs=read-write"
        );
        assert_eq!(
            parse("postgres://u@%2Frun%2Fpg/my%20db").app_url(),
            "postgresql://u@/?host=%2Frun%2Fpg&port=5432&dbname=my%20db"
        );
        assert_eq!(
            parse("postgres://u@[::1]/d").app_url(),
            "postgresql://u@[::1]:5432/d"
        );
    }

    #[test]
    fn secrets_cover_the_spellings_that_turn_up_in_logs() {
        let password = "a@b c\"d\\e%é/'";
        let url = format!("postgres://u:{}@h/d", encode(password));
        let secrets = parse(&url).secrets();
        for spelling in [
            password,
            &url,
            "a%40b%20c%22d%5Ce%25%C3%A9%2F%27",
            "a%40b%20c%22d%5ce%25%c3%a9%2f%27",
            "a%40b+c%22d%5Ce%25%C3%A9%2F%27",
            "a%40b c%22d%5Ce%25%C3%A9%2F%27",
            "a%40b%20c%22d%5Ce%25%C3%A9/%27",
            "a%%40b%%20c%%22d%%5Ce%%25%%C3%%A9%%2F%%27",
            "a@b c\\\"d\\\\e%é/'",
            "a@b c\\\"d\\\\e%\\u00e9/'",
            "a@b c\"d\\\\e%é/\\'",
        ] {
            assert!(
                secrets.iter().any(|s| s == spelling),
                "{spelling} is not among {secrets:#?}"
            );
        }
        assert!(secrets.is_sorted_by_key(|s| std::cmp::Reverse(s.len())));
        assert!(parse("postgres://u@h/d").secrets().is_empty());
    }

    proptest! {
        #[test]
        fn any_encoded_password_arrives_whole(password in "[^\0]+") {
            let dsn = parse(&format!("postgresql://u:{}@h:1/d?sslmode=require", encode(&password)));
            prop_assert_eq!(dsn.config.get_password(), Some(password.as_bytes()));
            prop_assert!(dsn.misreadings().is_empty());
            let again = parse(&dsn.app_url());
            prop_assert_eq!(again.config(), dsn.config());
            prop_assert_eq!(again.app_url(), dsn.app_url());
        }

        #[test]
        fn a_raw_password_arrives_whole_in_front_of_a_plain_host(
            password in "[a-z0-9@:/#? &=]{0,12}[g-z]"
        ) {
            match Dsn::parse(&format!("postgresql://u:{password}@host.example/d"), &LibpqEnv::default()) {
                Ok(dsn) => prop_assert_eq!(dsn.config.get_password(), Some(password.as_bytes())),
                Err(error) => prop_assert_eq!(error, DsnError::Ambiguous),
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", rest in "[a-z@:/?#%=&,.\\[\\]0-9 +é]{0,60}") {
            let _ = backend(&text);
            let _ = Dsn::parse(&text, &LibpqEnv::default());
            if let Ok(dsn) = Dsn::parse(&format!("postgres://{rest}"), &LibpqEnv::default()) {
                let _ = (dsn.app_url(), dsn.secrets(), dsn.summary(), dsn.config());
            }
            let parts = Parts {
                db_type: "postgresql", user: Some(&rest), password: Some(&text),
                host: &rest, port: &rest, name: &rest,
            };
            let _ = Dsn::from_parts(&parts, &LibpqEnv::default());
        }

        #[test]
        fn nothing_printable_shows_the_password(
            password in "[A-Z@:/?#%!]{0,6}GEHEIM[A-Z@:/?#%!]{0,6}",
            tail in "(@h/d|@h:x/d|@h/d\\?sslmode=x|/d|@|@h/d\\?[a-z]{1,4}=@)",
        ) {
            // Without a host behind it, what follows an '@' is the host, not the password.
            prop_assume!(tail.contains('@') || !password.contains('@'));
            let url = format!("postgresql://u:{password}{tail}");
            let shown = match Dsn::parse(&url, &LibpqEnv::default()) {
                Ok(dsn) => format!("{dsn:?} {} {:?} {:?}", dsn.summary(), dsn.ignored(), dsn.misreadings()),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!shown.contains("GEHEIM"), "{}", shown);
        }

        #[test]
        fn every_part_survives_the_canonical_url(
            user in "[^\0]{1,8}", dbname in "[^\0]{1,8}", socket in any::<bool>(),
        ) {
            let host = if socket { "%2Frun%2Fpg" } else { "h" };
            let url = format!("postgresql://{}@{host}/{}", encode(&user), encode(&dbname));
            let dsn = parse(&url);
            prop_assert_eq!(dsn.config.get_user(), Some(user.as_str()));
            prop_assert_eq!(dsn.config.get_dbname(), Some(dbname.as_str()));
            let again = parse(&dsn.app_url());
            prop_assert_eq!(again.config(), dsn.config());
        }
    }
}

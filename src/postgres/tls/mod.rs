//! Encrypted connections with libpq's meaning of `sslmode`, on rustls.
//!
//! Owns: certificate and key files, the proof of the server, and which of plain and encrypted is
//! tried first. Leaves to others: where the settings come from ([`crate::postgres::dsn`]), and when to try
//! again. tokio-postgres knows no `allow`, no `verify-ca` and no second attempt under `prefer`,
//! and rustls refuses certificates that libpq takes (self-signed, X.509 v1, only a common name):
//! a server that `Open WebUI` reaches must be reachable here too. See "SSL Support" in libpq's
//! chapter of the `PostgreSQL` manual.

mod files;
mod handshake;
mod names;
#[cfg(test)]
mod tests;
mod trust;

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode as DriverSslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Config, Error, NoTls, Socket};

use handshake::Tls;
pub use handshake::{HandshakeError, handshake_error};

/// How long a request to cancel may take.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Plain only.
    Disable,
    /// Plain, and encrypted where the server refuses that.
    Allow,
    /// Encrypted, and plain where that cannot be had.
    #[default]
    Prefer,
    /// Encrypted. The server is proven only if there is a file of authorities.
    Require,
    /// Encrypted, with a certificate that a known authority has signed, for whatever name.
    VerifyCa,
    /// Encrypted, with a certificate that a known authority has signed for this host.
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = ();

    fn from_str(text: &str) -> Result<SslMode, ()> {
        Ok(match text {
            "disable" => SslMode::Disable,
            "allow" => SslMode::Allow,
            "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            _ => return Err(()),
        })
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SslMode::Disable => "disable",
            SslMode::Allow => "allow",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        })
    }
}

/// Whose signature on a server's certificate counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCert {
    /// The authorities that the operating system trusts.
    System,
    /// The PEM certificates in a file.
    File(PathBuf),
}

/// What was asked for; no file has been looked at yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// When to encrypt, and how much to prove.
    pub mode: SslMode,
    /// `sslrootcert`.
    pub root_cert: Option<RootCert>,
    /// `sslcert`, a PEM file with the client's certificate and those that lead to its root.
    pub cert: Option<PathBuf>,
    /// `sslkey`, a PEM file with its key: PKCS#8, PKCS#1 or SEC1, without a passphrase.
    pub key: Option<PathBuf>,
    /// The home directory, whose `.postgresql` holds the files that libpq takes by default.
    pub home: Option<PathBuf>,
}

/// Why the settings cannot be put into practice.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that was named, or that the mode needs, is not there or not readable.
    #[error("cannot read {parameter} {}", path.display())]
    Read {
        /// The parameter that names the file.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file holds nothing of the kind that it should, or something broken.
    #[error("{parameter} {} {problem}", path.display())]
    Content {
        /// The parameter that names the file.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A mode that proves the server has nothing to prove it by.
    #[error(
        "sslmode={mode} needs sslrootcert: a file with the certificate of the server's authority, \
         or sslrootcert=system for a public one"
    )]
    NoRootCert {
        /// The mode.
        mode: SslMode,
    },
    /// The operating system has no authorities installed.
    #[error("sslrootcert=system finds no certificates; install ca-certificates or name a file")]
    NoSystemRoots,
    /// rustls refused what it was given.
    #[error("TLS cannot be set up")]
    Rustls(#[from] rustls::Error),
}

/// Makes connections, and cancels their queries, as the settings say.
#[derive(Clone)]
pub struct Connector {
    mode: SslMode,
    /// Nothing of rustls exists under `sslmode=disable`.
    tls: Option<Tls>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// Reads the files that the settings name, and libpq's default ones where they exist.
    pub fn new(settings: &TlsSettings) -> Result<Connector, TlsError> {
        let tls = match settings.mode {
            SslMode::Disable => None,
            _ => Some(Tls::new(settings)?),
        };
        Ok(Connector {
            mode: settings.mode,
            tls,
        })
    }

    /// Connects and leaves the connection to a task of its own, which ends when the client is
    /// dropped. The attempt as a whole, all hosts and the log-in included, is bounded by the
    /// `connect_timeout` of `config` for each host and once more.
    pub async fn open(&self, config: &Config) -> Result<(Client, JoinHandle<()>), Error> {
        let Some(tls) = self.tls.as_ref().filter(|_| !sockets_only(config)) else {
            return attempt(config, DriverSslMode::Disable, NoTls).await;
        };
        match self.mode {
            SslMode::Disable => attempt(config, DriverSslMode::Disable, NoTls).await,
            SslMode::Allow => match attempt(config, DriverSslMode::Disable, NoTls).await {
                Err(error) if refuses_the_session(&error) => {
                    let second = attempt(config, DriverSslMode::Require, tls.clone()).await;
                    second.map_err(|second| telling(error, second))
                }
                opened => opened,
            },
            SslMode::Prefer => match attempt(config, DriverSslMode::Prefer, tls.clone()).await {
                Err(error) if refuses_the_session(&error) || handshake_error(&error).is_some() => {
                    let second = attempt(config, DriverSslMode::Disable, NoTls).await;
                    second.map_err(|second| telling(error, second))
                }
                opened => opened,
            },
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                attempt(config, DriverSslMode::Require, tls.clone()).await
            }
        }
    }

    /// Asks the server to cancel what the token's connection is doing, encrypted if that is.
    pub async fn cancel(&self, token: CancelToken) -> Result<(), Error> {
        let request = async {
            match &self.tls {
                None => token.cancel_query(NoTls).await,
                Some(tls) => token.cancel_query(tls.clone()).await,
            }
        };
        within(Some(CANCEL_LIMIT), request).await
    }
}

impl deadpool_postgres::Connect for Connector {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move { self.open(&config).await })
    }
}

async fn attempt<T>(
    config: &Config,
    mode: DriverSslMode,
    tls: T,
) -> Result<(Client, JoinHandle<()>), Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let mut config = config.clone();
    config.ssl_mode(mode);
    let attempts = u32::try_from(config.get_hosts().len())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    // The driver's own limit ends with TCP's handshake: a proxy that accepts and then says
    // nothing would hold it for ever.
    let limit = config
        .get_connect_timeout()
        .map(|limit| limit.saturating_mul(attempts));
    let (client, connection) = within(limit, config.connect(tls)).await?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %error, "a connection to PostgreSQL ended");
        }
    });
    Ok((client, task))
}

async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match limit {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(Error::__private_api_timeout())),
    }
}

/// `PostgreSQL` does not encrypt Unix sockets, and libpq ignores `sslmode` on them.
fn sockets_only(config: &Config) -> bool {
    let hosts = config.get_hosts();
    !hosts.is_empty() && hosts.iter().all(|host| matches!(host, Host::Unix(_)))
}

/// No line in `pg_hba.conf` for this kind of session. A wrong password (28P01) is not tried
/// again: that would send it once more, maybe unencrypted.
fn refuses_the_session(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

/// Of the errors of two attempts, the one that tells more: the second, unless all it says is that
/// the other kind of session cannot be had either.
fn telling(first: Error, second: Error) -> Error {
    let tells_little = refuses_the_session(&second)
        || handshake_error(&second).is_some()
        || second
            .source()
            .is_some_and(|cause| cause.to_string() == "server does not support TLS");
    if tells_little { first } else { second }
}

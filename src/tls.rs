//! Encrypted connections with libpq's meaning of `sslmode`, on rustls.
//!
//! Owns: certificate and key files, the proof of the server, and which of plain and encrypted is
//! tried first. Leaves to others: where the settings come from ([`crate::dsn`]), and when to try
//! again. tokio-postgres knows no `allow`, no `verify-ca` and no second attempt under `prefer`,
//! and rustls refuses certificates that libpq takes (self-signed, X.509 v1, only a common name):
//! a server that `Open WebUI` reaches must be reachable here too. See "SSL Support" in libpq's
//! chapter of the `PostgreSQL` manual.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode as DriverSslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, Client, Config, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::{Decode as _, Encode as _, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

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

/// Why a handshake failed: the cause that [`tokio_postgres::Error`] has in its `source()` then.
#[derive(Debug)]
pub struct HandshakeError(io::Error);

impl HandshakeError {
    fn certificate(&self) -> Option<&CertificateError> {
        match self.0.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the server was reached and its certificate did not satisfy `sslmode`: trying
    /// again cannot help.
    pub fn is_about_certificate(&self) -> bool {
        self.certificate().is_some()
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.certificate() {
            Some(CertificateError::UnknownIssuer) => {
                f.write_str("no authority in sslrootcert has signed the server's certificate")
            }
            Some(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => f.write_str(
                "the server's certificate is for another host name; \
                 connect by that name, or use sslmode=verify-ca",
            ),
            Some(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                f.write_str("the server's certificate has expired")
            }
            Some(error) => write!(f, "the server's certificate is not valid: {error}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Finds out whether a connection failed in its TLS handshake.
pub fn handshake_error(error: &Error) -> Option<&HandshakeError> {
    error.source()?.downcast_ref()
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

type RustlsHandshake = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type EncryptedStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

#[derive(Clone)]
struct Tls {
    rustls: MakeRustlsConnect,
    name_matters: bool,
}

impl Tls {
    fn new(settings: &TlsSettings) -> Result<Tls, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let name_matters = settings.mode == SslMode::VerifyFull;
        let verifier = Verifier {
            trust: Trust::of(settings)?,
            name_matters,
            algorithms: provider.signature_verification_algorithms,
        };
        let identity = client_identity(settings, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
        };
        // `PostgreSQL` 17 insists on it where the handshake comes first (sslnegotiation=direct).
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        // `PostgreSQL` does not resume sessions.
        config.resumption = Resumption::disabled();
        Ok(Tls {
            rustls: MakeRustlsConnect::new(config),
            name_matters,
        })
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = EncryptedStream;
    type TlsConnect = Handshake;
    type Error = HandshakeError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, HandshakeError> {
        // A host that is not a legal DNS name (a link-local address with its interface, say) only
        // matters if it is to be compared. An address in its place announces no name.
        let nameless = !self.name_matters && ServerName::try_from(host).is_err();
        let name = if nameless { "0.0.0.0" } else { host };
        let made: Result<_, std::convert::Infallible> =
            MakeTlsConnect::<Socket>::make_tls_connect(&mut self.rustls, name);
        match made {
            Ok(handshake) => Ok(Handshake(handshake)),
            Err(never) => match never {},
        }
    }
}

struct Handshake(RustlsHandshake);

impl TlsConnect<Socket> for Handshake {
    type Stream = EncryptedStream;
    type Error = HandshakeError;
    type Future = Pin<Box<dyn Future<Output = Result<EncryptedStream, HandshakeError>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let handshake = self.0.connect(stream);
        Box::pin(async { handshake.await.map_err(HandshakeError) })
    }
}

/// `~/.postgresql/NAME`, if it exists.
fn default_file(settings: &TlsSettings, name: &str) -> Option<PathBuf> {
    let path = settings.home.as_ref()?.join(".postgresql").join(name);
    path.exists().then_some(path)
}

fn certificates(
    parameter: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(parameter, path)?;
    let content = |problem| TlsError::Content {
        parameter,
        path: path.to_owned(),
        problem,
    };
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| content("is not valid PEM"))?;
    if certificates.is_empty() {
        return Err(content(
            "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(certificates)
}

fn read(parameter: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        parameter,
        path: path.to_owned(),
        source,
    })
}

/// The certificate and key that the client shows if the server asks.
fn client_identity(
    settings: &TlsSettings,
    provider: &CryptoProvider,
) -> Result<Option<CertifiedKey>, TlsError> {
    let cert = settings
        .cert
        .clone()
        .or_else(|| default_file(settings, "postgresql.crt"));
    let Some(cert) = cert else {
        return Ok(None);
    };
    let chain = certificates("sslcert", &cert)?;
    let key = settings
        .key
        .clone()
        .or_else(|| default_file(settings, "postgresql.key"));
    // Some providers hand out one file with both.
    let path = key.unwrap_or(cert);
    let content = |problem| TlsError::Content {
        parameter: "sslkey",
        path: path.clone(),
        problem,
    };
    let pem = read("sslkey", &path)?;
    if memchr::memmem::find(&pem, b"ENCRYPTED").is_some() {
        return Err(content(
            "is encrypted with a passphrase; name a key without one",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| content("holds no private key in PEM form (PKCS#8, PKCS#1 or SEC1)"))?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        content("is a kind of key that is not supported; use RSA, P-256, P-384 or Ed25519")
    })?;
    // Compared here: rustls would refuse to read a certificate of X.509 version 1.
    let certified = public_key(&chain[0]).ok().and_then(|key| key.to_der().ok());
    if let (Some(certified), Some(own)) = (certified, key.public_key())
        && certified != own.as_ref()
    {
        return Err(content("does not belong to the certificate in sslcert"));
    }
    Ok(Some(CertifiedKey::new(chain, key)))
}

/// The authorities that may vouch for the server.
#[derive(Debug)]
struct Trust {
    roots: RootCertStore,
    /// Those that were named one by one, in a file.
    named: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// None if the server needs no proof. As in libpq, `require` turns into `verify-ca` where
    /// there is a file of authorities; `prefer` does not, for it would have to go on unencrypted.
    fn of(settings: &TlsSettings) -> Result<Option<Trust>, TlsError> {
        let mode = settings.mode;
        let needed = matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull);
        if !needed && mode != SslMode::Require {
            return Ok(None);
        }
        let default = || default_file(settings, "root.crt").map(RootCert::File);
        match settings.root_cert.clone().or_else(default) {
            Some(RootCert::System) => Trust::system().map(Some),
            Some(RootCert::File(path)) => Trust::file(&path).map(Some),
            None if needed => Err(TlsError::NoRootCert { mode }),
            None => Ok(None),
        }
    }

    fn system() -> Result<Trust, TlsError> {
        let mut roots = RootCertStore::empty();
        let (added, _) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            return Err(TlsError::NoSystemRoots);
        }
        Ok(Trust {
            roots,
            named: Vec::new(),
        })
    }

    fn file(path: &Path) -> Result<Trust, TlsError> {
        let named = certificates("sslrootcert", path)?;
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(named.iter().cloned());
        if added == 0 {
            return Err(TlsError::Content {
                parameter: "sslrootcert",
                path: path.to_owned(),
                problem: "holds no certificate that can be read",
            });
        }
        Ok(Trust { roots, named })
    }

    fn vouches_for(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), rustls::Error> {
        use CertificateError as E;
        let strict = ParsedCertificate::try_from(server).and_then(|parsed| {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.roots,
                intermediates,
                now,
                algorithms.all,
            )
        });
        match strict {
            Err(rustls::Error::InvalidCertificate(
                E::Expired
                | E::ExpiredContext { .. }
                | E::NotValidYet
                | E::NotValidYetContext { .. },
            )) => strict,
            Err(_) if self.vouches_for_what_webpki_refuses(server, now, algorithms) => Ok(()),
            // webpki's own reason would mislead: no way of reading it makes it trusted.
            Err(rustls::Error::InvalidCertificate(E::Other(_))) => Err(E::UnknownIssuer.into()),
            _ => strict,
        }
    }

    /// Two kinds that OpenSSL accepts: a certificate that is in the file itself, which `openssl
    /// req -x509` marks as an authority, and one of X.509 version 1, which `openssl x509 -req`
    /// makes unless told otherwise, signed by an authority in the file without another between.
    fn vouches_for_what_webpki_refuses(
        &self,
        server: &CertificateDer<'_>,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> bool {
        let Ok(certificate) = Certificate::from_der(server) else {
            return false;
        };
        let body = &certificate.tbs_certificate;
        let now = Duration::from_secs(now.as_secs());
        if now < body.validity.not_before.to_unix_duration()
            || now > body.validity.not_after.to_unix_duration()
        {
            return false;
        }
        if self.named.iter().any(|named| named == server) {
            return true;
        }
        let (Version::V1, Ok(signed)) = (body.version, body.to_der()) else {
            return false;
        };
        self.named
            .iter()
            .filter_map(|named| Certificate::from_der(named).ok())
            .filter(|root| root.tbs_certificate.subject == body.issuer)
            .any(|root| {
                let matches_signature =
                    |id: AlgorithmIdentifier| same_algorithm(&certificate.signature_algorithm, id);
                algorithms
                    .all
                    .iter()
                    .filter(|a| matches_signature(a.signature_alg_id()))
                    .any(|a| {
                        signed_by(
                            &root.tbs_certificate.subject_public_key_info,
                            *a,
                            &signed,
                            certificate.signature.raw_bytes(),
                        )
                    })
            })
    }
}

/// Whether `algorithm` fits the key and the signature is right.
fn signed_by(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &dyn rustls::pki_types::SignatureVerificationAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    same_algorithm(&key.algorithm, algorithm.public_key_alg_id())
        && algorithm
            .verify_signature(key.subject_public_key.raw_bytes(), message, signature)
            .is_ok()
}

/// Compares with rustls's form, which lacks the outer tag and length.
fn same_algorithm(ours: &AlgorithmIdentifierOwned, theirs: AlgorithmIdentifier) -> bool {
    let Ok(der) = ours.to_der() else {
        return false;
    };
    let body = der.len().checked_sub(theirs.as_ref().len());
    // The identifiers in use are shorter than 128 bytes: two bytes of header.
    body == Some(2) && &der[2..] == theirs.as_ref()
}

/// Proves the server as far as the mode asks. The handshake's own signature is always checked:
/// what is encrypted is encrypted for the holder of that certificate's key.
#[derive(Debug)]
struct Verifier {
    trust: Option<Trust>,
    name_matters: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(trust) = &self.trust {
            trust.vouches_for(server, intermediates, now, &self.algorithms)?;
            if self.name_matters {
                is_for(server, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if ParsedCertificate::try_from(server).is_ok() {
            return verify_tls12_signature(message, server, signature, &self.algorithms);
        }
        let key = public_key(server)?;
        let candidates = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signature.scheme)
            .map_or(&[][..], |(_, algorithms)| algorithms);
        if candidates
            .iter()
            .any(|a| signed_by(&key, *a, message, signature.signature()))
        {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if ParsedCertificate::try_from(server).is_ok() {
            return verify_tls13_signature(message, server, signature, &self.algorithms);
        }
        let key = public_key(server)?
            .to_der()
            .map_err(|_| CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The key of a certificate that webpki does not read, such as one of X.509 version 1.
fn public_key(server: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoOwned, rustls::Error> {
    match Certificate::from_der(server) {
        Ok(certificate) => Ok(certificate.tbs_certificate.subject_public_key_info),
        Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

/// Compares the host with the certificate's alternative names and, as libpq does, with its common
/// name if it has no alternative ones.
fn is_for(server: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), rustls::Error> {
    let strict =
        ParsedCertificate::try_from(server).and_then(|parsed| verify_server_name(&parsed, name));
    if strict.is_ok() || common_name_matches(server, &name.to_str()) {
        Ok(())
    } else {
        Err(CertificateError::NotValidForName.into())
    }
}

fn common_name_matches(server: &CertificateDer<'_>, host: &str) -> bool {
    let Ok(certificate) = Certificate::from_der(server) else {
        return false;
    };
    let body = &certificate.tbs_certificate;
    let has_names = match body.get::<SubjectAltName>() {
        Ok(None) => false,
        Ok(Some((_, SubjectAltName(names)))) => names
            .iter()
            .any(|n| matches!(n, GeneralName::DnsName(_) | GeneralName::IpAddress(_))),
        Err(_) => true,
    };
    !has_names
        && body
            .subject
            .0
            .iter()
            .flat_map(|rdn| rdn.0.iter())
            .filter(|attribute| attribute.oid == CN)
            .filter_map(|attribute| text(&attribute.value))
            .any(|pattern| host_matches(&pattern, host))
}

fn text(value: &x509_cert::der::Any) -> Option<String> {
    use x509_cert::der::Tag;
    match value.tag() {
        Tag::Utf8String => value
            .decode_as::<Utf8StringRef<'_>>()
            .ok()
            .map(|s| s.to_string()),
        Tag::PrintableString => value
            .decode_as::<PrintableStringRef<'_>>()
            .ok()
            .map(|s| s.to_string()),
        Tag::Ia5String => value
            .decode_as::<Ia5StringRef<'_>>()
            .ok()
            .map(|s| s.to_string()),
        _ => None,
    }
}

/// A leading `*.` stands for one label.
fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(host),
        Some(domain) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Self-signed, marked as an authority, common name `db.example`, no alternative names.
    const SELF_SIGNED: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBgDCCASWgAwIBAgIUWO+zISmQwuMrDmtOdoIO/9gbLMMwCgYIKoZIzj0EAwIw\n\
FTETMBEGA1UEAwwKZGIuZXhhbXBsZTAeFw0yNjExMjIxNTUyMDZaFw0zNjExMTkx\n\
NTUyMDZaMBUxEzARBgNVBAMMCmRiLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjO\n\
PQMBBwNCAARx040jrXelBFiRA/7LxTnTSpbqNtNRvQNmX/XAfECCZ7xRWSR7jroc\n\
ZsgiVODPEPPGbm1PnDawy9jMyGIRG/MAo1MwUTAdBgNVHQ4EFgQU0iTeRjEHHFbM\n\
Lte/p++c1Ogoa+8wHwYDVR0jBBgwFoAU0iTeRjEHHFbMLte/p++c1Ogoa+8wDwYD\n\
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAtJCw0ts5rX8ukX2iOlmU\n\
aJQQf2KPG9n1aQ9io4HPTgcCIQDNnNm0ULLBWmCTPdu58Z3KhjEmQgSAEX+mvWMo\n\
Aqp+NQ==\n\
-----END CERTIFICATE-----\n\
";
    /// Seconds since 1970 at which its ten years begin.
    const ISSUED: u64 = 1_795_362_727;
    const YEAR: u64 = 365 * 86_400;

    fn settings(mode: SslMode) -> TlsSettings {
        TlsSettings {
            mode,
            ..TlsSettings::default()
        }
    }

    fn written(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(&file, text).expect("written");
        file
    }

    fn proof(mode: SslMode, roots: &Path, host: &str, at: u64) -> Result<(), rustls::Error> {
        let settings = TlsSettings {
            root_cert: Some(RootCert::File(roots.into())),
            ..settings(mode)
        };
        let verifier = Verifier {
            trust: Trust::of(&settings).expect("the file is good"),
            name_matters: mode == SslMode::VerifyFull,
            algorithms: rustls::crypto::ring::default_provider().signature_verification_algorithms,
        };
        let server = CertificateDer::from_pem_slice(SELF_SIGNED.as_bytes()).expect("PEM");
        let name = ServerName::try_from(host).expect("a name");
        let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
        verifier
            .verify_server_cert(&server, &[], &name, &[], now)
            .map(drop)
    }

    #[test]
    fn a_certificate_in_the_file_itself_is_trusted_while_it_lasts() {
        let file = written(SELF_SIGNED);
        let at = |time| proof(SslMode::VerifyCa, file.path(), "other.example", time);
        assert_eq!(at(ISSUED + YEAR), Ok(()));
        for time in [ISSUED - YEAR, ISSUED + 11 * YEAR] {
            let refused = at(time)
                .map_err(|e| e.to_string())
                .expect_err("out of date");
            assert!(
                refused.contains("not valid yet") || refused.contains("expired"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_common_name_counts_where_there_is_no_other() {
        let file = written(SELF_SIGNED);
        let named = |host| proof(SslMode::VerifyFull, file.path(), host, ISSUED + YEAR);
        assert_eq!(named("db.example"), Ok(()));
        assert_eq!(named("DB.example"), Ok(()));
        assert!(named("other.example").is_err());
    }

    #[test]
    fn wildcards_stand_for_one_label() {
        assert!(host_matches("*.example.com", "db.Example.com"));
        assert!(!host_matches("*.example.com", "a.b.example.com"));
        assert!(!host_matches("*.example.com", ".example.com"));
        assert!(!host_matches("*.example.com", "example.com"));
        assert!(!host_matches("*", "localhost"));
    }

    #[test]
    fn files_that_are_missing_or_no_certificates_are_named() {
        let with = |root: &Path| {
            let root_cert = Some(RootCert::File(root.into()));
            let settings = TlsSettings {
                root_cert,
                ..settings(SslMode::Require)
            };
            Connector::new(&settings)
                .map(drop)
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(
            with(Path::new("/no/such.crt")),
            "cannot read sslrootcert /no/such.crt"
        );
        let garbage = written("garbage");
        assert!(with(garbage.path()).contains("holds no certificate"));
        let broken = written("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
        assert!(with(broken.path()).contains("is not valid PEM"));
        let missing = Connector::new(&settings(SslMode::VerifyFull)).map(drop);
        assert!(matches!(
            missing,
            Err(TlsError::NoRootCert {
                mode: SslMode::VerifyFull
            })
        ));
        let sealed = written(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
        let cert = written(SELF_SIGNED);
        let identity = TlsSettings {
            cert: Some(cert.path().into()),
            key: Some(sealed.path().into()),
            ..settings(SslMode::Require)
        };
        let refused = Connector::new(&identity)
            .map(drop)
            .expect_err("sealed")
            .to_string();
        assert!(refused.contains("passphrase"), "{refused}");
    }

    #[test]
    fn the_home_directory_counts_for_modes_that_prove_something() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = home.path().join(".postgresql");
        std::fs::create_dir(&folder).expect("created");
        std::fs::write(folder.join("root.crt"), SELF_SIGNED).expect("written");
        let trust = |mode| {
            let settings = TlsSettings {
                home: Some(home.path().into()),
                ..settings(mode)
            };
            Trust::of(&settings).expect("readable").is_some()
        };
        assert!(trust(SslMode::Require) && trust(SslMode::VerifyCa));
        assert!(!trust(SslMode::Prefer) && !trust(SslMode::Allow));
    }
}

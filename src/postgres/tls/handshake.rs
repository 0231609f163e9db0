//! The TLS handshake: what rustls is told for it, and why it failed.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::files::client_identity;
use super::trust::{Trust, Verifier};
use super::{SslMode, TlsError, TlsSettings};

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

type RustlsHandshake = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type EncryptedStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

#[derive(Clone)]
pub(super) struct Tls {
    rustls: MakeRustlsConnect,
    name_matters: bool,
}

impl Tls {
    pub(super) fn new(settings: &TlsSettings) -> Result<Tls, TlsError> {
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

pub(super) struct Handshake(RustlsHandshake);

impl TlsConnect<Socket> for Handshake {
    type Stream = EncryptedStream;
    type Error = HandshakeError;
    type Future = Pin<Box<dyn Future<Output = Result<EncryptedStream, HandshakeError>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        let handshake = self.0.connect(stream);
        Box::pin(async { handshake.await.map_err(HandshakeError) })
    }
}

//! Certificates and keys, out of their files, and where libpq looks for those by default.

use std::path::{Path, PathBuf};

use rustls::CertificateError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::{TlsError, TlsSettings};

/// `~/.postgresql/NAME`, if it exists.
pub(super) fn default_file(settings: &TlsSettings, name: &str) -> Option<PathBuf> {
    let path = settings.home.as_ref()?.join(".postgresql").join(name);
    path.exists().then_some(path)
}

pub(super) fn certificates(
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
pub(super) fn client_identity(
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

/// The key of a certificate that webpki does not read, such as one of X.509 version 1.
pub(super) fn public_key(
    server: &CertificateDer<'_>,
) -> Result<SubjectPublicKeyInfoOwned, rustls::Error> {
    match Certificate::from_der(server) {
        Ok(certificate) => Ok(certificate.tbs_certificate.subject_public_key_info),
        Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

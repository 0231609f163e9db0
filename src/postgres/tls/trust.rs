//! The proof of the server: which authorities may vouch for it, and how, as libpq sees it.

use std::path::Path;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::files::{certificates, default_file, public_key};
use super::names::is_for;
use super::{RootCert, SslMode, TlsError, TlsSettings};

/// The authorities that may vouch for the server.
#[derive(Debug)]
pub(super) struct Trust {
    roots: RootCertStore,
    /// Those that were named one by one, in a file.
    named: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// None if the server needs no proof. As in libpq, `require` turns into `verify-ca` where
    /// there is a file of authorities; `prefer` does not, for it would have to go on unencrypted.
    pub(super) fn of(settings: &TlsSettings) -> Result<Option<Trust>, TlsError> {
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
pub(super) struct Verifier {
    pub(super) trust: Option<Trust>,
    pub(super) name_matters: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
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

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::postgres::tls::tests::{SELF_SIGNED, settings, written};

    /// Seconds since 1970 at which its ten years begin.
    const ISSUED: u64 = 1_795_362_727;
    const YEAR: u64 = 365 * 86_400;

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

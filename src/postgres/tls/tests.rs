//! Tests of the files that settings name, and what they share with the tests of the parts.

use std::path::Path;

use super::*;

/// Self-signed, marked as an authority, common name `db.example`, no alternative names.
pub(super) const SELF_SIGNED: &str = "\
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

pub(super) fn settings(mode: SslMode) -> TlsSettings {
    TlsSettings {
        mode,
        ..TlsSettings::default()
    }
}

pub(super) fn written(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(&file, text).expect("written");
    file
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

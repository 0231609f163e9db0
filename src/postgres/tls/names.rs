//! Whether a certificate is for the host that was asked for.

use rustls::CertificateError;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::{Decode as _, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Compares the host with the certificate's alternative names and, as libpq does, with its common
/// name if it has no alternative ones.
pub(super) fn is_for(
    server: &CertificateDer<'_>,
    name: &ServerName<'_>,
) -> Result<(), rustls::Error> {
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
    use super::host_matches;

    #[test]
    fn wildcards_stand_for_one_label() {
        assert!(host_matches("*.example.com", "db.Example.com"));
        assert!(!host_matches("*.example.com", "a.b.example.com"));
        assert!(!host_matches("*.example.com", ".example.com"));
        assert!(!host_matches("*.example.com", "example.com"));
        assert!(!host_matches("*", "localhost"));
    }
}

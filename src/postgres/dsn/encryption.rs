//! How a connection is to be encrypted, and in how many ways people ask for it.

use std::path::PathBuf;

use super::draft::Draft;
use super::{DsnError, LibpqEnv};
use crate::postgres::tls::{RootCert, SslMode, TlsSettings};

impl Draft {
    /// Settles `sslmode` as `Open WebUI` does: `ssl` is another name for it that loses against it.
    pub(super) fn tls(&mut self, env: &LibpqEnv) -> Result<TlsSettings, DsnError> {
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

#[cfg(test)]
mod tests {
    use crate::postgres::dsn::tests::parse;
    use crate::postgres::tls::{RootCert, SslMode};

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
}

//! What a connection string says so far, until the environment and the checks have made a whole of it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::SslMode as DriverSslMode;

use super::hosts::Endpoint;
use super::parameters::{APP_ONLY_REPORTED, known, misspelt, pairs};
use super::{Dsn, DsnError, LibpqEnv};
use crate::postgres::tls::SslMode;

/// A connection string on its way to being a [`Dsn`].
pub(super) struct Draft {
    driver: Option<String>,
    user: Option<String>,
    password: Option<String>,
    dbname: Option<String>,
    pub(super) hosts: Vec<(String, Option<u16>)>,
    pub(super) params: BTreeMap<&'static str, String>,
    pub(super) ignored: Vec<String>,
    misreadings: Vec<&'static str>,
    pub(super) written: Vec<String>,
}

impl Draft {
    pub(super) fn new(scheme: &str) -> Result<Draft, DsnError> {
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

    pub(super) fn misread(&mut self, clause: &'static str) {
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

    pub(super) fn credentials(
        &mut self,
        user: Option<&str>,
        password: Option<&str>,
    ) -> Result<(), DsnError> {
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

    pub(super) fn database(&mut self, name: Option<&str>) -> Result<(), DsnError> {
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
    pub(super) fn query(&mut self, query: Option<&str>) -> Result<(), DsnError> {
        for (name, value) in pairs(query.unwrap_or("")) {
            let spaced = value.replace('+', " ");
            let value = percent_decode_str(&spaced).decode_utf8_lossy().into_owned();
            if value.is_empty() {
                continue;
            }
            if let Some(parameter) = misspelt(name) {
                return Err(DsnError::Misspelt { parameter });
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
        Ok(())
    }

    pub(super) fn finish(mut self, env: &LibpqEnv) -> Result<Dsn, DsnError> {
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
        if self.params.contains_key("requirepeer") && endpoints.iter().any(Endpoint::is_socket) {
            return Err(DsnError::Unsupported {
                parameter: "requirepeer",
                reason: "who owns the server behind a socket is not asked; leave it out for the move",
            });
        }
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
    if params.contains_key("require_auth") {
        return refusal(
            "require_auth",
            "the server chooses how the password is asked for; leave it out for the move, and prove the server by \
             sslmode=verify-full",
        );
    }
    if params.contains_key("requiressl") {
        return refusal(
            "requiressl",
            "libpq no longer knows it; write sslmode=require",
        );
    }
    if params
        .get("sslcertmode")
        .is_some_and(|mode| mode == "require")
    {
        return refusal(
            "sslcertmode",
            "whether the server has asked for a certificate is not known; leave it out for the move",
        );
    }
    if params
        .get("ssl_min_protocol_version")
        .is_some_and(|version| version == "TLSv1.3")
    {
        return refusal(
            "ssl_min_protocol_version",
            "TLS 1.2 is the least that can be asked for; write TLSv1.2, or leave it out for the move",
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

#[cfg(test)]
mod tests {
    use crate::postgres::dsn::Dsn;
    use crate::postgres::dsn::tests::{env, tuple, whole};
    use crate::postgres::tls::SslMode;

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
}

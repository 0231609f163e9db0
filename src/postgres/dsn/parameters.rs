//! The names of parameters, and the query in which a URL gives them.

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
pub(super) const APP_ONLY_REPORTED: &[&str] = &["passfile", "ssl_max_protocol_version"];

/// Parameters by which libpq demands more of a server or of the way to it. They are obeyed, or the URL is refused; to pass one
/// over would send the password where libpq sends none.
const DEMANDING: &[&str] = &[
    "channel_binding",
    "gssencmode",
    "hostaddr",
    "require_auth",
    "requirepeer",
    "requiressl",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
];

/// The demanding parameter that a name means in a spelling that libpq does not know: `SSLMODE`, `ssl-mode`, `sslRootCert`.
pub(super) fn misspelt(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.replace(['_', '-', '.'], "").to_ascii_lowercase();
    let mut demanding = DEMANDING.iter().copied();
    demanding.find(|known| *known != name && plain(known) == plain(name))
}

/// The `name=value` pairs of a query, still encoded. A name alone has an empty value.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Short and plain enough to be a parameter's name, and so to be printed.
pub(super) fn is_parameter_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

pub(super) fn known(name: &str) -> Option<&'static str> {
    [USED, APP_ONLY, APP_ONLY_REPORTED, DEMANDING]
        .into_iter()
        .flatten()
        .copied()
        .find(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use crate::postgres::dsn::tests::{env, parse};
    use crate::postgres::dsn::{Dsn, LibpqEnv};
    use crate::postgres::tls::SslMode;

    #[test]
    fn what_demands_more_is_obeyed_or_refused() {
        for (query, code) in [
            ("SSLMODE=verify-full", "sslmode"),
            ("ssl_mode=verify-full", "sslmode"),
            ("sslMode=disable", "sslmode"),
            ("ssl-root-cert=%2Fca", "sslrootcert"),
            ("SslRootCert=%2Fca", "sslrootcert"),
            ("channelBinding=require", "channel_binding"),
            ("requireAuth=scram-sha-256", "require_auth"),
            ("require_auth=scram-sha-256", "require_auth"),
            ("require_auth=!password", "require_auth"),
            ("sslcertmode=require", "sslcertmode"),
            (
                "ssl_min_protocol_version=TLSv1.3",
                "ssl_min_protocol_version",
            ),
            ("gssencmode=require", "gssencmode"),
            ("requiressl=1", "requiressl"),
            ("requirepeer=postgres&host=%2Frun", "requirepeer"),
            ("sslmode=verify-full&sslcrl=%2Fcrl", "sslcrl"),
        ] {
            let url = format!("postgresql://u:canary@h/d?{query}");
            let error = Dsn::parse(&url, &LibpqEnv::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains(code), "{query}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
        // What asks for no more than there is anyway is no reason to refuse a start.
        for query in [
            "ssl_min_protocol_version=TLSv1.2",
            "sslcertmode=allow",
            "requirepeer=postgres",
            "gssencmode=prefer",
            "channel_binding=prefer",
            "sslsni=1",
        ] {
            parse(&format!("postgresql://u@h/d?{query}"));
        }
    }

    #[test]
    fn what_the_environment_demands_is_obeyed_or_refused_too() {
        for (variable, value, code) in [
            ("PGREQUIREAUTH", "scram-sha-256", "require_auth"),
            ("PGSSLCERTMODE", "require", "sslcertmode"),
            (
                "PGSSLMINPROTOCOLVERSION",
                "TLSv1.3",
                "ssl_min_protocol_version",
            ),
            ("PGGSSENCMODE", "require", "gssencmode"),
            ("PGSERVICE", "mine", "service"),
        ] {
            let refused = Dsn::parse("postgresql://u@h/d", &env(&[(variable, value)]));
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(code), "{variable}: {error}");
        }
        let crl = env(&[("PGSSLCRL", "/crl"), ("PGSSLMODE", "verify-full")]);
        assert!(Dsn::parse("postgresql://u@h/d", &crl).is_err());
        let ssl = Dsn::parse("postgresql://u@h/d", &env(&[("PGREQUIRESSL", "1")]));
        assert_eq!(ssl.unwrap().tls().mode, SslMode::Require);
        let given = env(&[("PGREQUIRESSL", "1"), ("PGSSLMODE", "disable")]);
        let given = Dsn::parse("postgresql://u@h/d", &given);
        assert_eq!(given.unwrap().tls().mode, SslMode::Disable);
    }

    #[test]
    fn strangers_among_the_parameters_are_passed_over_by_name() {
        let dsn = parse(
            "postgresql+asyncpg://u@h/d?prepared_statement_cache_size=0&pgbouncer=true\
             &gssencmode=disable&client_encoding=utf8&passfile=p",
        );
        assert_eq!(
            dsn.ignored(),
            ["prepared_statement_cache_size", "pgbouncer", "passfile"]
        );
        assert_eq!(
            dsn.app_url(),
            "postgresql://u@h:5432/d?client_encoding=utf8&gssencmode=disable&passfile=p"
        );
    }
}

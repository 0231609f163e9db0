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
pub(super) const APP_ONLY_REPORTED: &[&str] = &[
    "passfile",
    "require_auth",
    "requirepeer",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
];

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
    [USED, APP_ONLY, APP_ONLY_REPORTED]
        .into_iter()
        .flatten()
        .copied()
        .find(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use crate::postgres::dsn::tests::parse;

    #[test]
    fn strangers_among_the_parameters_are_passed_over_by_name() {
        let dsn = parse(
            "postgresql+asyncpg://u@h/d?prepared_statement_cache_size=0&pgbouncer=true\
             &gssencmode=disable&client_encoding=utf8&require_auth=scram-sha-256",
        );
        assert_eq!(
            dsn.ignored(),
            ["prepared_statement_cache_size", "pgbouncer", "require_auth"]
        );
        assert_eq!(
            dsn.app_url(),
            "postgresql://u@h:5432/d?client_encoding=utf8&gssencmode=disable&require_auth=scram-sha-256"
        );
    }
}

//! Tests of the whole, from a URL to the settings and back, and what they share with the tests of the parts.

use super::*;
use crate::postgres::tls::SslMode;
use proptest::prelude::*;

pub(super) fn parse(url: &str) -> Dsn {
    Dsn::parse(url, &LibpqEnv::default()).unwrap_or_else(|e| panic!("{url}: {e}"))
}

pub(super) fn refusal(url: &str) -> DsnError {
    Dsn::parse(url, &LibpqEnv::default()).expect_err(url)
}

pub(super) fn env(variables: &[(&str, &str)]) -> LibpqEnv {
    LibpqEnv::from_lookup(|name| {
        variables
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

/// User, password, first host, first port, database.
pub(super) fn whole(dsn: &Dsn) -> (String, String, String, u16, String) {
    let first = &dsn.endpoints[0];
    let password = dsn.password.clone().unwrap_or_default();
    (
        dsn.user.clone(),
        password,
        first.host.clone(),
        first.port,
        dsn.dbname.clone(),
    )
}

pub(super) fn tuple(
    user: &str,
    pw: &str,
    host: &str,
    port: u16,
    db: &str,
) -> (String, String, String, u16, String) {
    (user.into(), pw.into(), host.into(), port, db.into())
}

#[test]
fn schemes_name_backends() {
    for url in [
        "postgres://h/d",
        "postgresql://",
        "PostgreSQL+psycopg2://h",
        "postgresql+asyncpg://h",
        " postgres://h",
    ] {
        assert_eq!(backend(url), Backend::Postgres, "{url}");
    }
    for url in [
        "sqlite:////app/backend/data/webui.db",
        "sqlite+sqlcipher:///x",
        "SQLite://",
    ] {
        assert_eq!(backend(url), Backend::Sqlite, "{url}");
    }
    assert_eq!(
        backend("mysql+pymysql://u:p@h/d"),
        Backend::Other("mysql+pymysql".into())
    );
    for url in [
        "",
        "host=h password=geheim://x",
        "se cret://x",
        "://",
        "12://",
    ] {
        assert_eq!(backend(url), Backend::Other(String::new()), "{url}");
    }
}

#[test]
fn drivers_are_named() {
    assert_eq!(parse("postgresql://u@h/d").driver(), None);
    assert_eq!(
        parse("postgresql+AsyncPG://u@h/d").driver(),
        Some("asyncpg")
    );
    assert!(
        parse("postgresql+psycopg2://u@h/d")
            .misreadings()
            .is_empty()
    );
    assert!(!parse("postgresql+asyncpg://u@h/d").misreadings().is_empty());
}

#[test]
fn what_cannot_be_read_is_explained_without_values() {
    for url in [
        "postgresql://u:s3cret@bad host/db",
        "postgresql://u:s3cret@host:port/db",
        "postgresql://u:s3cret@host:70000/db",
        "postgresql://u:s3cret@host:0/db",
        "postgresql://u:s3cret@[::1/db",
        "postgresql://u:s3cret@host/d/b",
        "postgresql://u:s3cret@host/db?a b=c",
        "postgresql://u:s3cret@${HOST}/db",
        "postgresql://u:s3cret@%2Frun%2Ca/db",
        "postgresql://u:s3cret@[::1%]/db",
        "postgresql://u:s3cret@%40a%3A1/db",
    ] {
        assert_eq!(refusal(url), DsnError::Unreadable, "{url}");
    }
    for (url, says) in [
        ("postgresql://host/db", "names no user"),
        ("mysql://u:s3cret@h/db", "postgresql://"),
        (
            "postgresql://u:s3cret@h/db?sslmode=s3cret",
            "sslmode must be",
        ),
        (
            "postgresql://u:s3cret@h/db?connect_timeout=s3cret",
            "connect_timeout must be",
        ),
        (
            "postgresql://u:s3cret@h/db?hostaddr=s3cret",
            "hostaddr must be",
        ),
        ("postgresql://u:s3cret@h/db?port=s3cret", "port must be"),
        (
            "postgresql://u:s3cret@h/db?target_session_attrs=s3cret",
            "prefer-standby",
        ),
        (
            "postgresql://u:s3cret@h/db?channel_binding=s3cret",
            "channel_binding must be",
        ),
        (
            "postgresql://u:s3cret@h/db?sslpassword=s3cret",
            "sslpassword is not supported",
        ),
        (
            "postgresql://u:s3cret@h/db?sslmode=verify-ca&sslcrl=s3cret",
            "sslcrl is not",
        ),
        (
            "postgresql://u:s3cret@h/db?sslmode=require&sslrootcert=system",
            "verify-full",
        ),
        (
            "postgresql://u:s3cret@h/db?gssencmode=require",
            "gssencmode",
        ),
        ("postgresql://u:s3cret@h/db?service=s3cret", "service"),
        ("postgresql://u:s3cret%00@h/db", "NUL"),
        (
            "postgresql://u:s3cret@a,b/db?port=1,2,3",
            "port must have as many",
        ),
    ] {
        let error = refusal(url);
        assert!(error.to_string().contains(says), "{url}: {error}");
        assert!(
            !format!("{error} {error:?}").contains("s3cret"),
            "{url}: {error:?}"
        );
    }
}

#[test]
fn parts_are_read_like_the_url_the_app_makes_of_them() {
    let parts = |password, host, name| Parts {
        db_type: "postgresql",
        user: Some("me"),
        password: Some(password),
        host,
        port: "5433",
        name,
    };
    let read = |parts| Dsn::from_parts(&parts, &LibpqEnv::default()).expect("parts");
    let dsn = read(parts("p@s/s?w#rd:%", "h", "db?sslmode=require"));
    assert_eq!(whole(&dsn), tuple("me", "p@s/s?w#rd:%", "h", 5433, "db"));
    assert_eq!(dsn.tls().mode, SslMode::Require);
    assert_eq!(whole(&read(parts("p%40s", "h", "db"))).1, "p@s");
    assert_eq!(
        read(parts("p", "::1", "db")).summary(),
        "\"db\" on [::1]:5433 (user me)"
    );
    assert_eq!(
        read(parts("p", "/run/pg", "db")).summary(),
        "\"db\" on /run/pg:5433 (user me)"
    );
    let bad = Dsn::from_parts(&parts("geheim", "not a host", "db"), &LibpqEnv::default());
    assert!(matches!(
        bad,
        Err(DsnError::Value {
            parameter: "host",
            ..
        })
    ));
}

#[test]
fn canonical_urls_put_what_sqlalchemy_cannot_read_into_the_query() {
    assert_eq!(
        parse("postgres://u:p@ss@a:1,b:2/d?target_session_attrs=read-write").app_url(),
        "postgresql://u:p%40ss@/d?host=a%2Cb&port=1%2C2&target_session_attrs=read-write"
    );
    assert_eq!(
        parse("postgres://u@%2Frun%2Fpg/my%20db").app_url(),
        "postgresql://u@/?host=%2Frun%2Fpg&port=5432&dbname=my%20db"
    );
    assert_eq!(
        parse("postgres://u@[::1]/d").app_url(),
        "postgresql://u@[::1]:5432/d"
    );
}

proptest! {
    #[test]
    fn any_encoded_password_arrives_whole(password in "[^\0]+") {
        let dsn = parse(&format!("postgresql://u:{}@h:1/d?sslmode=require", encode(&password)));
        prop_assert_eq!(dsn.config.get_password(), Some(password.as_bytes()));
        prop_assert!(dsn.misreadings().is_empty());
        let again = parse(&dsn.app_url());
        prop_assert_eq!(again.config(), dsn.config());
        prop_assert_eq!(again.app_url(), dsn.app_url());
    }

    #[test]
    fn a_raw_password_arrives_whole_in_front_of_a_plain_host(
        password in "[a-z0-9@:/#? &=]{0,12}[g-z]"
    ) {
        match Dsn::parse(&format!("postgresql://u:{password}@host.example/d"), &LibpqEnv::default()) {
            Ok(dsn) => prop_assert_eq!(dsn.config.get_password(), Some(password.as_bytes())),
            Err(error) => prop_assert_eq!(error, DsnError::Ambiguous),
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}", rest in "[a-z@:/?#%=&,.\\[\\]0-9 +é]{0,60}") {
        let _ = backend(&text);
        let _ = Dsn::parse(&text, &LibpqEnv::default());
        if let Ok(dsn) = Dsn::parse(&format!("postgres://{rest}"), &LibpqEnv::default()) {
            let _ = (dsn.app_url(), dsn.secrets(), dsn.summary(), dsn.config());
        }
        let parts = Parts {
            db_type: "postgresql", user: Some(&rest), password: Some(&text),
            host: &rest, port: &rest, name: &rest,
        };
        let _ = Dsn::from_parts(&parts, &LibpqEnv::default());
    }

    #[test]
    fn nothing_printable_shows_the_password(
        password in "[A-Z@:/?#%!]{0,6}GEHEIM[A-Z@:/?#%!]{0,6}",
        tail in "(@h/d|@h:x/d|@h/d\\?sslmode=x|/d|@|@h/d\\?[a-z]{1,4}=@)",
    ) {
        // Without a host behind it, what follows an '@' is the host, not the password.
        prop_assume!(tail.contains('@') || !password.contains('@'));
        let url = format!("postgresql://u:{password}{tail}");
        let shown = match Dsn::parse(&url, &LibpqEnv::default()) {
            Ok(dsn) => format!("{dsn:?} {} {:?} {:?}", dsn.summary(), dsn.ignored(), dsn.misreadings()),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!shown.contains("GEHEIM"), "{}", shown);
    }

    #[test]
    fn every_part_survives_the_canonical_url(
        user in "[^\0]{1,8}", dbname in "[^\0]{1,8}", socket in any::<bool>(),
    ) {
        let host = if socket { "%2Frun%2Fpg" } else { "h" };
        let url = format!("postgresql://{}@{host}/{}", encode(&user), encode(&dbname));
        let dsn = parse(&url);
        prop_assert_eq!(dsn.config.get_user(), Some(user.as_str()));
        prop_assert_eq!(dsn.config.get_dbname(), Some(dbname.as_str()));
        let again = parse(&dsn.app_url());
        prop_assert_eq!(again.config(), dsn.config());
    }
}

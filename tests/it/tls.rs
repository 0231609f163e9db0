//! Every `sslmode` against a real server with real certificates, and what libpq would take that a strict client
//! refuses: self-signed, X.509 version 1, only a common name.
//
// Needs of `support`: `need!`, `Missing`, `Postgres::own(settings)` with `data_folder()`, `port()`, `socket_folder()`,
// `restart()`, `stop_fast()`, and `PASSWORD`; and the program `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use webui_init::dsn::{Dsn, LibpqEnv};
use webui_init::tls::{Connector, TlsError, handshake_error};

use crate::support::{Missing, PASSWORD, Postgres, need};

/// Two authorities, and certificates of the first one for a server and a client, in one folder.
struct Certificates(TempDir);

impl Certificates {
    fn made() -> Result<Self, Missing> {
        if Command::new("openssl")
            .arg("version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            return Err(Missing("no openssl".into()));
        }
        let made = Self(tempfile::tempdir().expect("a temporary folder"));
        for authority in ["ca", "other", "selfsigned"] {
            let name = if authority == "selfsigned" {
                "localhost"
            } else {
                authority
            };
            made.openssl(&format!(
                "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN={name} -keyout {authority}.key -out {authority}.crt"
            ));
        }
        made.signed(
            "named",
            "/CN=x",
            Some("subjectAltName=DNS:localhost,IP:127.0.0.1"),
        );
        made.signed(
            "misnamed",
            "/CN=localhost",
            Some("subjectAltName=DNS:db.example"),
        );
        made.signed("version1", "/CN=localhost", None);
        made.signed("client", "/CN=postgres", None);
        Ok(made)
    }

    fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.0.path())
            .output();
        let done = done.expect("openssl runs");
        assert!(
            done.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Without extensions, openssl makes a certificate of version 1.
    fn signed(&self, name: &str, subject: &str, extension: Option<&str>) {
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -subj {subject} -keyout {name}.key -out {name}.csr"
        ));
        let mut sign = format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out {name}.crt"
        );
        if let Some(extension) = extension {
            fs::write(self.path(&format!("{name}.ext")), extension).expect("written");
            sign = format!("{sign} -extfile {name}.ext");
        }
        self.openssl(&sign);
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn root(&self, name: &str) -> String {
        format!(
            "sslrootcert={}",
            self.path(&format!("{name}.crt")).display()
        )
    }
}

/// A server that shows the certificate `name`, with these lines first in its `pg_hba.conf`. They must let the harness
/// in, which connects unencrypted to the database `postgres`.
fn server(certificates: &Certificates, name: &str, rules: &str) -> Result<Postgres, Missing> {
    let server = Postgres::own(&[])?;
    server.stop_fast();
    let data = server.data_folder();
    let owner = fs::metadata(&data).expect("the data folder");
    let own = |from: PathBuf, to: &str| {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let to = data.join(to);
        fs::copy(from, &to).expect("copied");
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("restricted");
        std::os::unix::fs::chown(&to, Some(owner.uid()), Some(owner.gid()))
            .expect("given to the server");
    };
    own(certificates.path(&format!("{name}.crt")), "server.crt");
    own(certificates.path(&format!("{name}.key")), "server.key");
    own(certificates.path("ca.crt"), "clients.crt");
    let settings = data.join("postgresql.conf");
    let text = fs::read_to_string(&settings).expect("settings");
    fs::write(
        &settings,
        format!("{text}\nssl = on\nssl_ca_file = 'clients.crt'\n"),
    )
    .expect("written");
    let everyone = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), format!("{rules}{everyone}")).expect("written");
    server.restart();
    Ok(server)
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Plain,
    Encrypted,
    /// The server's certificate did not satisfy the mode.
    Distrusted,
    /// No line in `pg_hba.conf`, or no certificate of the client's.
    Refused,
    /// The settings themselves are no good.
    Unusable,
}
use Outcome::{Distrusted, Encrypted, Plain, Refused, Unusable};

fn connector(url: &str) -> (Dsn, Result<Connector, TlsError>) {
    let dsn = Dsn::parse(url, &LibpqEnv::default()).expect("a good URL");
    let connector = Connector::new(dsn.tls());
    (dsn, connector)
}

fn connect(server: &Postgres, query: &str) -> Outcome {
    let port = server.port();
    let (dsn, connector) = connector(&format!(
        "postgres://postgres:{PASSWORD}@localhost:{port}/template1?{query}"
    ));
    let Ok(connector) = connector else {
        return Unusable;
    };
    runtime().block_on(async {
        match connector.open(&dsn.config()).await {
            Ok((client, _)) => {
                let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                let encrypted = client.query_one(sql, &[]).await.expect("a session").get(0);
                if encrypted { Encrypted } else { Plain }
            }
            Err(error)
                if handshake_error(&error)
                    .is_some_and(webui_init::tls::HandshakeError::is_about_certificate) =>
            {
                Distrusted
            }
            Err(error) if error.code().is_some_and(|code| code.code() == "28000") => Refused,
            Err(error) => panic!("{query}: {error:?}"),
        }
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn each_mode_proves_as_much_as_libpq_would() {
    let certificates = need!(Certificates::made());
    let (ca, other) = (certificates.root("ca"), certificates.root("other"));
    for (shown, by_chain, by_name) in [
        ("named", Encrypted, Encrypted),
        ("misnamed", Encrypted, Distrusted),
        ("version1", Encrypted, Encrypted),
        ("selfsigned", Distrusted, Distrusted),
    ] {
        let server = need!(server(&certificates, shown, ""));
        let at = |query: &str| connect(&server, query);
        assert_eq!(at("sslmode=disable"), Plain, "{shown}");
        assert_eq!(at("sslmode=allow"), Plain, "{shown}");
        assert_eq!(at("sslmode=prefer"), Encrypted, "{shown}");
        assert_eq!(at("sslmode=require"), Encrypted, "{shown}");
        assert_eq!(at(&format!("sslmode=require&{ca}")), by_chain, "{shown}");
        assert_eq!(at(&format!("sslmode=verify-ca&{ca}")), by_chain, "{shown}");
        assert_eq!(at(&format!("sslmode=verify-full&{ca}")), by_name, "{shown}");
        assert_eq!(
            at(&format!("sslmode=verify-ca&{other}")),
            Distrusted,
            "{shown}"
        );
        assert_eq!(
            at("sslrootcert=/no/such.crt&sslmode=require"),
            Unusable,
            "{shown}"
        );
        let itself = certificates.root(shown);
        assert_eq!(
            at(&format!("sslmode=verify-ca&{itself}")),
            Encrypted,
            "{shown}"
        );
    }
}

#[test]
fn allow_and_prefer_go_the_other_way_where_the_server_insists() {
    let certificates = need!(Certificates::made());
    let only_plain = need!(server(
        &certificates,
        "named",
        "hostssl template1 all 127.0.0.1/32 reject\n"
    ));
    assert_eq!(connect(&only_plain, "sslmode=prefer"), Plain);
    assert_eq!(connect(&only_plain, "sslmode=require"), Refused);
    let only_encrypted = need!(server(
        &certificates,
        "named",
        "hostnossl template1 all 127.0.0.1/32 reject\n"
    ));
    assert_eq!(connect(&only_encrypted, "sslmode=allow"), Encrypted);
    assert_eq!(connect(&only_encrypted, "sslmode=disable"), Refused);
}

#[test]
fn a_certificate_of_the_client_lets_it_in() {
    let certificates = need!(Certificates::made());
    let server = need!(server(
        &certificates,
        "named",
        "hostssl template1 all 127.0.0.1/32 cert\n"
    ));
    certificates.openssl("pkcs8 -topk8 -nocrypt -in client.key -out client.pkcs8");
    certificates.openssl("rsa -traditional -in client.key -out client.pkcs1");
    let with = |key: &str| {
        let (cert, key) = (certificates.path("client.crt"), certificates.path(key));
        connect(
            &server,
            &format!(
                "sslmode=require&sslcert={}&sslkey={}",
                cert.display(),
                key.display()
            ),
        )
    };
    assert_eq!(with("client.key"), Encrypted);
    assert_eq!(with("client.pkcs8"), Encrypted);
    assert_eq!(with("client.pkcs1"), Encrypted);
    assert_eq!(with("ca.key"), Unusable);
    assert_eq!(connect(&server, "sslmode=require"), Refused);
}

#[test]
fn sockets_are_never_encrypted() {
    let certificates = need!(Certificates::made());
    let server = need!(server(&certificates, "named", ""));
    let folder: &Path = server.socket_folder();
    assert_eq!(
        connect(
            &server,
            &format!("sslmode=require&host={}", folder.display())
        ),
        Plain
    );
}

#[test]
fn a_query_is_cancelled_over_the_same_kind_of_connection() {
    let certificates = need!(Certificates::made());
    let server = need!(server(
        &certificates,
        "named",
        "hostnossl template1 all 127.0.0.1/32 reject\n"
    ));
    let url = format!(
        "postgres://postgres:{PASSWORD}@localhost:{}/template1?sslmode=require",
        server.port()
    );
    let (dsn, connector) = connector(&url);
    let connector = connector.expect("good settings");
    runtime().block_on(async {
        let (client, _task) = connector.open(&dsn.config()).await.expect("a session");
        let token = client.cancel_token();
        let began = Instant::now();
        let (slept, cancelled) = tokio::join!(client.simple_query("SELECT pg_sleep(30)"), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            connector.cancel(token).await
        });
        cancelled.expect("the request is taken");
        assert_eq!(
            slept
                .expect_err("cancelled")
                .code()
                .expect("from the server")
                .code(),
            "57014"
        );
        assert!(began.elapsed() < Duration::from_secs(15));
    });
}

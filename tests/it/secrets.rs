//! No password, and no URL with one, is ever shown: not in a log, an error, a process list, or the marker.

use std::time::Duration;

use crate::support::{
    Fault, Outcome, Postgres, Program, Proxy, Source, command, expect_moved, free_port, need,
    percent_encoded, schema_command, wait_for,
};

/// Each needs another kind of care in a URL, in a shell or in SQL.
const PASSWORDS: [&str; 3] = [
    "Canary@:/?#% 1'\"$HOME`x`\\",
    "Canary%2Fnot-an-escape",
    "Kanarie-ü-Canary",
];

/// Parts of the password, in the forms in which it might get out.
fn traces(password: &str) -> Vec<String> {
    let encoded = percent_encoded(password);
    let json = serde_json::json!(password).to_string();
    vec![
        "anary".to_owned(),
        "2Fnot".to_owned(),
        encoded,
        password.to_owned(),
        json.trim_matches('"').to_owned(),
    ]
}

#[track_caller]
fn never_shows(outcome: Outcome, password: &str) -> Outcome {
    traces(password)
        .into_iter()
        .fold(outcome, |outcome, trace| outcome.never_says(&trace))
}

/// A boot with everything logged.
fn boot(source: &Source, url: &str, format: &str) -> Program {
    let program = Program::boot(["echo", "started"])
        .source(source)
        .target(url);
    program
        .env("WEBUI_INIT_LOG", "trace")
        .env("WEBUI_INIT_LOG_FORMAT", format)
}

#[test]
fn a_move_with_everything_logged_does_not_show_the_password() {
    let server = need!(Postgres::shared());
    for (n, password) in PASSWORDS.into_iter().enumerate() {
        let role = format!("move_{n}");
        server.create_role(&role, password);
        for format in ["text", "json"] {
            let database = server.create_database("secret");
            server.superuser().query(&format!(
                "ALTER DATABASE \"{}\" OWNER TO \"{role}\"",
                database.name
            ));
            let source = Source::small();
            let url = format!(
                "postgresql://{role}:{}@127.0.0.1:{}/{}",
                percent_encoded(password),
                server.port(),
                database.name
            );
            for arguments in [
                &["plan", "--json"][..],
                &["migrate"],
                &["verify", "--json"],
                &["leftovers"],
                &["boot", "--", "true"],
            ] {
                if arguments[0] != "boot" && command(arguments[0]).is_err() {
                    continue;
                }
                let program = Program::new(arguments)
                    .source(&source)
                    .target(&url)
                    .env("WEBUI_INIT_LOG", "trace");
                never_shows(
                    program.env("WEBUI_INIT_LOG_FORMAT", format).run().expect(0),
                    password,
                );
            }
            server.superuser().query(&format!(
                "ALTER DATABASE \"{}\" OWNER TO webui",
                database.name
            ));
            let mut session = crate::support::Session::open(&server.superuser_url(&database.name));
            assert_eq!(session.value("SELECT count(*) FROM chat"), "24");
            let marker = session.query("SELECT m::text FROM webui_init.migration AS m");
            for trace in traces(password) {
                assert!(!format!("{marker:?}").contains(&trace), "{marker:?}");
            }
        }
    }
}

#[test]
fn the_same_holds_for_the_parts_and_for_libpq_s_variable() {
    let server = need!(Postgres::shared());
    let password = PASSWORDS[0];
    server.create_role("parts", password);
    let port = server.port().to_string();
    for by_parts in [true, false] {
        let database = server.create_database("secret_parts");
        server.superuser().query(&format!(
            "ALTER DATABASE \"{}\" OWNER TO parts",
            database.name
        ));
        let source = Source::small();
        let program = boot(&source, "", "text");
        let program = if by_parts {
            let parts = [
                ("TYPE", "postgresql"),
                ("HOST", "127.0.0.1"),
                ("PORT", &port),
                ("NAME", &database.name),
            ];
            let parts = [&parts[..], &[("USER", "parts"), ("PASSWORD", password)]].concat();
            parts.into_iter().fold(program, |program, (name, value)| {
                program.env(format!("DATABASE_{name}"), value)
            })
        } else {
            program
                .target(format!(
                    "postgresql://parts@127.0.0.1:{port}/{}",
                    database.name
                ))
                .env("PGPASSWORD", password)
        };
        never_shows(program.run().expect(0), password).prints("started\n");
        let mut session = crate::support::Session::open(&server.superuser_url(&database.name));
        assert_eq!(
            session.value("SELECT count(*) FROM webui_init.migration"),
            "1"
        );
    }
}

#[test]
fn no_error_shows_the_password() {
    let server = need!(Postgres::shared());
    let database = server.create_database("secret_errors");
    let source = Source::small();
    let proxy = Proxy::to(server.port());
    proxy.set(Fault::Reset);
    for password in PASSWORDS {
        let encoded = percent_encoded(password);
        let at =
            |port: u16, rest: &str| format!("postgresql://webui:{encoded}@127.0.0.1:{port}/{rest}");
        let url = |rest: &str| at(server.port(), rest);
        let failing = [
            (url(&database.name), 77),
            (at(free_port(), "d"), 69),
            (at(proxy.port(), "d"), 69),
            (
                format!("postgresql://webui:{encoded}@no-such-host.invalid/d"),
                69,
            ),
            (url(&format!("{}?sslmode=sideways", database.name)), 78),
            (
                url(&format!(
                    "{}?sslmode=verify-full&sslrootcert=/no/such/file",
                    database.name
                )),
                78,
            ),
            (format!("postgresql://webui:{encoded}@127.0.0.1:port/d"), 78),
            (format!("mysql://webui:{encoded}@127.0.0.1/d"), 78),
            // As people write it who do not know that it must be encoded: whatever becomes of it, it is not shown.
            (
                format!(
                    "postgresql://webui:{password}@127.0.0.1:{}/d",
                    server.port()
                ),
                -1,
            ),
            (format!("postgresql//webui:{password}@127.0.0.1/d"), -1),
            (password.to_owned(), -1),
        ];
        for (url, code) in failing {
            for format in ["text", "json"] {
                let outcome = boot(&source, &url, format)
                    .env("WEBUI_INIT_WAIT_SECS", "0")
                    .run();
                let ended = outcome.code();
                assert!(
                    if code < 0 {
                        [69, 77, 78].contains(&ended)
                    } else {
                        ended == code
                    },
                    "{url}: {outcome:?}"
                );
                never_shows(outcome.prints(""), password);
            }
        }
    }
}

#[test]
fn the_output_of_the_schema_command_is_redacted() {
    // A Python traceback likes to show the URL that it failed on.
    let server = need!(Postgres::shared());
    let password = PASSWORDS[0];
    server.create_role("traceback", password);
    let database = server.create_database("secret_output");
    server.superuser().query(&format!(
        "ALTER DATABASE \"{}\" OWNER TO traceback",
        database.name
    ));
    let source = Source::small();
    let url = format!(
        "postgresql://traceback:{}@127.0.0.1:{}/{}",
        percent_encoded(password),
        server.port(),
        database.name
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("password");
    std::fs::write(&file, password).expect("a writable folder");
    let script = format!(
        "echo \"cannot connect to $DATABASE_URL\"; env >&2; cat '{}'; echo; exit 1",
        file.display()
    );
    for format in ["text", "json"] {
        let outcome = boot(&source, &url, format)
            .env("WEBUI_INIT_SCHEMA_COMMAND", &script)
            .run()
            .expect(76);
        never_shows(outcome.says(&["cannot connect to"]), password);
    }
}

#[test]
fn no_process_list_shows_the_password() {
    let server = need!(Postgres::shared());
    let password = "Canary-in-a-process-list";
    server.create_role("processes", password);
    let database = server.create_database("secret_processes");
    server.superuser().query(&format!(
        "ALTER DATABASE \"{}\" OWNER TO processes",
        database.name
    ));
    let source = Source::small();
    let url = format!(
        "postgresql://processes:{password}@127.0.0.1:{}/{}",
        server.port(),
        database.name
    );
    let program = boot(&source, &url, "text");
    let (begun, go_on) = (
        program.folder().join("begun"),
        program.folder().join("go-on"),
    );
    let script = format!(
        "touch '{}'; while ! [ -e '{}' ]; do sleep 0.05; done; {}",
        begun.display(),
        go_on.display(),
        schema_command().to_string_lossy()
    );
    let mut running = program.env("WEBUI_INIT_SCHEMA_COMMAND", script).start();
    wait_for("the schema command", Duration::from_secs(30), || {
        begun.exists().then_some(())
    });
    let mut looked_at = 0;
    let mut look = || {
        for process in std::fs::read_dir("/proc").expect("a proc").flatten() {
            let Ok(line) = std::fs::read(process.path().join("cmdline")) else {
                continue;
            };
            looked_at += 1;
            let line = String::from_utf8_lossy(&line).into_owned();
            assert!(!line.contains("Canary-in"), "{line}");
        }
    };
    look();
    std::fs::write(&go_on, "").expect("a writable folder");
    while !running.ended() {
        look();
    }
    never_shows(running.wait(Duration::from_secs(30)).expect(0), password);
    assert!(looked_at > 0);
    database.server.superuser().query(&format!(
        "ALTER DATABASE \"{}\" OWNER TO webui; GRANT processes TO webui",
        database.name
    ));
    expect_moved(&source, &database);
}

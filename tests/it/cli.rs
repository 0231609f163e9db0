//! The command line, the environment and the exit codes, as documented; and that nothing is said or touched when
//! there is nothing to do.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use crate::support::{
    Fault, Postgres, Program, Proxy, Snapshot, Source, expect_moved, expect_untouched, free_port,
    need, tool,
};

/// A URL at which nothing listens.
fn nowhere() -> String {
    format!("postgresql://webui:canary@127.0.0.1:{}/webui", free_port())
}

#[test]
fn wrong_usage_is_64() {
    let wrong: [&[&str]; 9] = [
        &[],
        &["migrat"],
        &["migrate", "now"],
        &["migrate", "--json"],
        &["plan", "--jso"],
        &["--frobnicate"],
        &["boot"],
        &["boot", "--"],
        &["boot", "--frobnicate", "--", "true"],
    ];
    for arguments in wrong {
        let outcome = Program::new(arguments).run().expect(64).prints("");
        assert!(
            !outcome.stderr.is_empty(),
            "{arguments:?} is refused without a word"
        );
    }
}

#[test]
fn help_names_the_commands() {
    for argument in ["--help", "-h"] {
        let help = Program::new([argument]).run().expect(0).stdout;
        for command in ["boot", "migrate", "DATABASE_URL"] {
            assert!(help.contains(command), "no {command} in:\n{help}");
        }
    }
}

#[test]
fn version_is_that_of_the_package() {
    for argument in ["--version", "-V"] {
        Program::new([argument])
            .run()
            .expect(0)
            .prints(&format!("webui-init {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_log_level_that_is_none_is_78_and_python_spellings_are_levels() {
    let log = |level: &str, code| {
        Program::migrate()
            .target(nowhere())
            .env("WEBUI_INIT_WAIT_SECS", "0")
            .env("WEBUI_INIT_LOG", level)
            .run()
            .expect(code)
    };
    for level in [
        "verbose",
        "inf",
        "quiet",
        "notice",
        "info,loud",
        "webui_init",
    ] {
        log(level, 78).says(&["WEBUI_INIT_LOG", "not a level"]);
    }
    // What ends the program is written under any filter.
    for level in ["warning", "WARNING", "CRITICAL", "off", "webui_init=off"] {
        log(level, 69).says(&["could not be reached", "exit code 69", "Next: "]);
    }
}

#[test]
fn what_was_meant_for_postgresql_does_not_start_on_sqlite_without_a_word() {
    let boot = || Program::boot(["sh", "-c", "echo the app ${DATABASE_URL-without a URL}"]);
    boot()
        .env("DATABASE_TYPE", "postgresql")
        .env("DATABASE_HOST", "127.0.0.1")
        .env("DATABASE_USER", "webui")
        .run()
        .expect(78)
        .prints("")
        .says(&["DATABASE_PORT, DATABASE_NAME: not set"]);
    boot()
        .env("DATABSE_URL", "postgresql://u:canary@h/d")
        .run()
        .expect(0)
        .prints("the app without a URL\n")
        .says(&["WARN", "DATABSE_URL", "SQLite"])
        .never_says("canary");
    boot()
        .env("DATABASE_URL", "")
        .run()
        .expect(0)
        .prints("the app without a URL\n");
}

#[test]
fn passes_through_in_silence_without_postgresql() {
    // Whatever else is set wrongly: none of it matters to an app on SQLite.
    let odd: [&[(&str, &str)]; 5] = [
        &[],
        &[("DATABASE_URL", "")],
        &[
            ("DATABASE_URL", "sqlite:////nowhere/webui.db"),
            ("DATA_DIR", "/nowhere"),
        ],
        &[
            ("DATABASE_URL", "sqlite+sqlcipher:///x.db"),
            ("WEBUI_INIT_SQLITE_PATH", "/dev/full"),
        ],
        // Without a type they mean nothing to the app.
        &[("DATABASE_HOST", "127.0.0.1"), ("DATABASE_USER", "webui")],
    ];
    for variables in odd {
        let mut program = Program::boot(["sh", "-c", "echo the app"]);
        for (name, value) in variables {
            program = program.env(name, value);
        }
        let outcome = program.run().expect(0).prints("the app\n");
        assert_eq!(outcome.stderr, "", "with {variables:?}");
    }
}

#[test]
fn passes_through_without_opening_anything() {
    let source = Source::small();
    let before = source.snapshot();
    let strace = need!(tool("strace"));
    let mut command = Command::new(strace);
    command.args([
        "-f",
        "-qq",
        "-e",
        "trace=openat,open,socket,connect,clone,clone3",
        "-o",
    ]);
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    command
        .arg(log.path())
        .arg(env!("CARGO_BIN_EXE_webui-init"))
        .args(["boot", "--", "true"]);
    Program::from_command(command)
        .source(&source)
        .run()
        .expect(0);
    let calls = std::fs::read_to_string(log.path()).expect("what strace wrote");
    for forbidden in ["socket(", "connect(", "clone(", "clone3(", "webui.db"] {
        assert!(!calls.contains(forbidden), "{forbidden} in:\n{calls}");
    }
    assert_eq!(source.snapshot(), before);
}

#[test]
fn disable_passes_through_whatever_is_there() {
    let source = Source::small();
    let before = source.snapshot();
    for value in ["true", "True", "1"] {
        let program = Program::boot(["sh", "-c", "echo $DATABASE_URL"])
            .source(&source)
            .target("postgresql://u:p@nowhere.invalid/d");
        let outcome = program
            .env("WEBUI_INIT_DISABLE", value)
            .env("WEBUI_INIT_WAIT_SECS", "many")
            .run()
            .expect(0);
        assert_eq!(outcome.stderr, "");
        outcome.prints("postgresql://u:p@nowhere.invalid/d\n");
    }
    assert_eq!(source.snapshot(), before);
}

#[test]
fn migrate_has_nothing_to_do_without_postgresql() {
    let source = Source::small();
    let before = source.snapshot();
    Program::migrate()
        .source(&source)
        .run()
        .expect(0)
        .prints("");
    assert_eq!(source.snapshot(), before);
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let not_executable = folder.path().join("script");
    std::fs::write(&not_executable, "#!/bin/sh\n").expect("a writable folder");
    std::fs::set_permissions(&not_executable, std::fs::Permissions::from_mode(0o644))
        .expect("our file");
    Program::boot(["no-such-command-anywhere"])
        .run()
        .expect(127)
        .prints("")
        .says(&["no-such-command-anywhere"]);
    Program::boot(["/no/such/command"])
        .run()
        .expect(127)
        .prints("");
    Program::boot([&not_executable])
        .run()
        .expect(126)
        .prints("")
        .says(&["script"]);
    Program::boot([folder.path()]).run().expect(126).prints("");
}

#[test]
fn the_command_gets_its_arguments_as_they_are() {
    let arguments = [
        "printf", "<%s>", "--help", "", "a b", "--", "-x", "*", "$HOME",
    ];
    Program::boot(arguments)
        .run()
        .expect(0)
        .prints("<--help><><a b><--><-x><*><$HOME>");
}

#[test]
fn the_command_s_exit_status_is_the_container_s() {
    for code in [0, 1, 42, 255] {
        Program::boot(["sh", "-c", &format!("exit {code}")])
            .run()
            .expect(code);
    }
    Program::boot(["sh", "-c", "kill -KILL $$"])
        .run()
        .expect(137);
}

#[test]
fn every_bad_variable_is_named_at_once_and_no_value_is_shown() {
    let bad = [
        "WEBUI_INIT_WAIT_SECS",
        "WEBUI_INIT_LOCK_WAIT_SECS",
        "WEBUI_INIT_ON_CONFLICT",
        "WEBUI_INIT_ON_FAILURE",
        "WEBUI_INIT_LEFTOVERS",
        "WEBUI_INIT_VERIFY",
        "WEBUI_INIT_LOG_FORMAT",
        "ENABLE_DB_MIGRATIONS",
    ];
    for arguments in [&["migrate"][..], &["boot", "--", "echo", "started"]] {
        let mut program = Program::new(arguments).target(nowhere());
        for name in bad {
            program = program.env(name, "canary!");
        }
        program
            .run()
            .expect(78)
            .prints("")
            .says(&bad)
            .never_says("canary");
    }
}

#[test]
fn a_url_that_cannot_be_read_is_78_and_not_shown() {
    let bad = [
        "postgresql://webui:canary@127.0.0.1:canary/webui",
        "postgresql://webui:canary@127.0.0.1:99999/webui",
        "postgresql://webui:canary@127.0.0.1/webui?sslmode=canary",
        "mysql://webui:canary@127.0.0.1/webui",
        "canary",
    ];
    for url in bad {
        Program::boot(["echo", "started"])
            .target(url)
            .run()
            .expect(78)
            .prints("")
            .says(&["DATABASE_URL"])
            .never_says("canary");
    }
}

#[test]
fn migrate_prints_nothing() {
    let server = need!(Postgres::shared());
    let database = server.create_database("prints_nothing");
    let source = Source::small();
    for _ in 0..2 {
        Program::migrate()
            .source(&source)
            .target(database.url())
            .run()
            .expect(0)
            .prints("");
    }
    expect_moved(&source, &database);
}

#[test]
fn an_iam_token_is_refused() {
    let program = Program::migrate()
        .target(nowhere())
        .env("DATABASE_ENABLE_IAM_TOKEN_AUTH", "true");
    program
        .run()
        .expect(78)
        .says(&["DATABASE_ENABLE_IAM_TOKEN_AUTH"]);
}

#[test]
fn an_unknown_variable_of_ours_is_warned_about_by_name() {
    let program = Program::migrate()
        .target(nowhere())
        .env("WEBUI_INIT_WAIT_SECS", "0");
    let program = program
        .env("WEBUI_INIT_ONCONFLICT", "canary")
        .env("WEBUI_INITIAL", "canary");
    program
        .run()
        .expect(69)
        .says(&["WEBUI_INIT_ONCONFLICT"])
        .never_says("WEBUI_INITIAL")
        .never_says("canary");
}

#[test]
fn a_secret_comes_from_a_file_and_the_app_sees_the_value_alone() {
    let server = need!(Postgres::shared());
    let database = server.create_database("from_file");
    let source = Source::small();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("url");
    std::fs::write(&file, format!("{}\n", database.url())).expect("a writable folder");
    let shown = "echo \"$DATABASE_URL|${DATABASE_URL_FILE-unset}\"";
    let program = Program::boot(["sh", "-c", shown])
        .source(&source)
        .env("DATABASE_URL_FILE", &file);
    program
        .run()
        .expect(0)
        .prints(&format!("{}|unset\n", database.url()));
    expect_moved(&source, &database);

    let both = Program::boot(["echo", "started"])
        .env("DATABASE_URL_FILE", &file)
        .target(database.url());
    both.run()
        .expect(78)
        .prints("")
        .says(&["DATABASE_URL_FILE"]);
    let gone =
        Program::boot(["echo", "started"]).env("DATABASE_URL_FILE", folder.path().join("gone"));
    gone.run()
        .expect(78)
        .prints("")
        .says(&["DATABASE_URL_FILE"]);
}

#[test]
fn the_parts_of_a_url_win_over_the_url_as_in_the_app() {
    let server = need!(Postgres::shared());
    let (database, other) = (
        server.create_database("parts"),
        server.create_database("url"),
    );
    let source = Source::small();
    let program = Program::migrate().source(&source).target(other.url());
    let program = program
        .env("DATABASE_TYPE", "postgresql")
        .env("DATABASE_HOST", "127.0.0.1");
    let program = program
        .env("DATABASE_PORT", server.port().to_string())
        .env("DATABASE_NAME", &database.name);
    program
        .env("DATABASE_USER", crate::support::ROLE)
        .env("DATABASE_PASSWORD", crate::support::PASSWORD)
        .run()
        .expect(0);
    expect_moved(&source, &database);
    assert!(
        other.counts().is_empty(),
        "the database of the URL was touched"
    );
}

#[test]
fn what_a_command_finds_is_on_stdout_and_only_that() {
    let server = need!(Postgres::shared());
    let database = server.create_database("stdout");
    let source = Source::small();
    let before = source.snapshot();
    let run = |arguments: &[&str]| {
        Program::new(arguments)
            .source(&source)
            .target(database.url())
            // Whatever the log leaves out, an answer is an answer.
            .env("WEBUI_INIT_LOG", "error")
            .run()
    };
    let answer = |command: &str, code, texts: &[&str]| {
        let text = run(&[command]).expect(code).answers(texts);
        assert_eq!(text.stderr.is_empty(), code == 0, "{}", text.stderr);
        run(&[command, "--json"]).expect(code).document();
    };
    answer(
        "plan",
        0,
        &["Dry run for", "nothing was written.", "WOULD move"],
    );
    answer("verify", 65, &["NOT MOVED"]);
    answer("leftovers", 0, &["No move has been recorded"]);
    expect_untouched(&database);
    assert!(database.counts().is_empty(), "plan made tables");
    run(&["migrate"]).expect(0).prints("");
    run(&["migrate"]).expect(0).prints("");
    answer("plan", 0, &["The move is done"]);
    answer("verify", 0, &["All ", " unchanged."]);
    answer("leftovers", 0, &["Nothing is kept aside"]);
    database.query(
        "INSERT INTO webui_init.leftover (target_schema, table_name, source_rowid, reason, row)
         VALUES ('public', 'chat', 5, 'repaired:json_nul', '{\"id\": \"c5\", \"title\": \"a\"}'),
                ('public', 'plugin', 7, 'unknown_table', '{\"n\": 1}')",
    );
    answer(
        "leftovers",
        0,
        &[
            "chat c5: stored in another form",
            "plugin row 7 of webui.db: not stored",
        ],
    );
    assert_eq!(source.snapshot(), before);
    expect_moved(&source, &database);
}

#[test]
fn an_error_is_json_too() {
    for command in ["plan", "verify", "leftovers"] {
        let run = |name: &str, value: &str| {
            let program = Program::new([command, "--json"]).env(name, value);
            program.env("WEBUI_INIT_WAIT_SECS", "0").run()
        };
        let document = run("DATABASE_URL", &nowhere()).expect(69).document();
        let cause = document["error"]["cause"].as_str().expect("a cause");
        assert!(cause.contains("refused"), "{cause}");
        let wrong = run("DATABASE_URL", "mysql://webui:canary@127.0.0.1/webui").expect(78);
        assert!(!wrong.document().to_string().contains("canary"));
    }
}

#[test]
fn whoever_reads_no_further_is_no_failure_and_a_full_disk_is_one() {
    let server = need!(Postgres::shared());
    let database = server.create_database("pipe");
    let source = Source::small();
    let shell = |rest: &str| {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("{} {rest}", env!("CARGO_BIN_EXE_webui-init")),
        ]);
        Program::from_command(command)
            .source(&source)
            .target(database.url())
            .run()
    };
    for command in ["plan", "plan --json", "leftovers --json", "--help"] {
        let closed = format!("{command} 3>&1 >&- | true");
        shell(&closed).expect(0);
        let piped = format!("{command} | head -c 1 >/dev/null; exit 0");
        shell(&piped).expect(0).never_says("panicked");
        shell(&format!("{command} >/dev/full"))
            .expect(74)
            .says(&["stdout"]);
    }
}

#[test]
fn json_logs_are_json_line_by_line() {
    let server = need!(Postgres::shared());
    let database = server.create_database("json_log");
    let source = Source::small();
    let program = Program::migrate().source(&source).target(database.url());
    let outcome = program
        .env("WEBUI_INIT_LOG_FORMAT", "json")
        .env("WEBUI_INIT_LOG", "trace")
        .run()
        .expect(0);
    assert!(outcome.stderr.lines().count() > 3);
    for line in outcome.stderr.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            event["timestamp"].is_string()
                && event["level"].is_string()
                && event["message"].is_string()
                && event["target"].is_null(),
            "{line}"
        );
    }
}

#[test]
fn errors_name_the_cause_what_was_left_untouched_and_the_next_step() {
    let source = Source::small();
    let program = Program::boot(["echo", "started"])
        .source(&source)
        .target(nowhere())
        .env("WEBUI_INIT_WAIT_SECS", "0");
    let outcome = program.run().expect(69).prints("");
    let said = outcome.stderr.to_lowercase();
    assert!(said.contains("refused"), "no cause in:\n{said}");
    assert!(
        said.contains("untouched") || said.contains("nothing was") || said.contains("unchanged"),
        "nothing untouched in:\n{said}"
    );
    assert!(
        said.contains("check") || said.contains("webui_init_wait_secs"),
        "no next step in:\n{said}"
    );
}

#[test]
fn the_log_level_is_heeded() {
    let server = need!(Postgres::shared());
    let database = server.create_database("quiet");
    let source = Source::small();
    let program = Program::migrate()
        .source(&source)
        .target(database.url())
        .env("WEBUI_INIT_LOG", "error");
    assert_eq!(program.run().expect(0).stderr, "");
    expect_moved(&source, &database);
}

#[test]
fn a_missing_secret_key_is_warned_about() {
    let server = need!(Postgres::shared());
    let database = server.create_database("no_key");
    let source = Source::small();
    let run = || {
        Program::migrate()
            .source(&source)
            .target(database.url())
            .without("WEBUI_SECRET_KEY")
            .run()
    };
    run().expect(0).says(&["WEBUI_SECRET_KEY"]);
}

#[test]
fn a_proxy_that_passes_sees_the_wait_and_the_move() {
    // The guide's promise in the log, and that PostgreSQL may come up after us.
    let server = need!(Postgres::shared());
    let database = server.create_database("late");
    let source = Source::small();
    let proxy = Proxy::to(server.port());
    proxy.set(Fault::Refuse);
    let mut run = Program::migrate()
        .source(&source)
        .target(database.url_at(proxy.port()))
        .start();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!run.ended(), "{}", run.stderr());
    proxy.set(Fault::Pass);
    run.wait(Duration::from_mins(1))
        .expect(0)
        .says(&["Connected to PostgreSQL database"]);
    expect_moved(&source, &database);
}

#[test]
fn the_address_of_a_wrong_server_is_not_mistaken_for_postgresql() {
    // Something listens, takes the connection and says nothing sensible.
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut &client, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let source = Source::small();
    let before = Snapshot::of(source.folder());
    let program = Program::boot(["echo", "started"])
        .source(&source)
        .target(format!("postgresql://u:canary@127.0.0.1:{port}/d"));
    let outcome = program
        .env("WEBUI_INIT_WAIT_SECS", "2")
        .run()
        .prints("")
        .never_says("canary");
    assert!([69, 74, 78].contains(&outcome.code()), "{outcome:?}");
    assert_eq!(source.snapshot(), before);
}

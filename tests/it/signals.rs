//! Signals: a move that is told to stop leaves nothing and stops at once, and the app starts as if nobody had been
//! there before it.
#![allow(
    unsafe_code,
    reason = "the tests' children ignore and block signals before they become the program"
)]

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

use crate::support::{
    Database, Fault, Postgres, Program, Proxy, Running, Source, boot, expect_moved,
    expect_next_boot_moves, expect_untouched, hold_open, insert_chat, need, root, schema_command,
    start_in_schema_command, tool, wait_for,
};

const SOON: Duration = Duration::from_secs(30);

/// The signals that end a container, and what the exit status is then.
const ENDING: [(Signal, i32); 4] = [
    (Signal::SIGTERM, 143),
    (Signal::SIGINT, 130),
    (Signal::SIGHUP, 129),
    (Signal::SIGQUIT, 131),
];

/// Whether a session is in the middle of loading rows.
fn loading(database: &Database) -> bool {
    let copying = "SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database()";
    database.value(copying) != "0"
}

/// Sends a signal and expects the end of the run within a second, with nothing said on stdout.
fn end(running: Running, signal: Signal, code: i32) {
    running.signal(signal);
    let begin = Instant::now();
    running.wait(SOON).expect(code).prints("");
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "{signal}: {:?}",
        begin.elapsed()
    );
}

#[test]
fn a_signal_during_the_load_leaves_nothing() {
    let server = need!(Postgres::shared());
    let source = Source::with_chats(1500);
    let before = source.snapshot();
    for (signal, code) in ENDING {
        let database = server.create_database("signal_load");
        // So slow a network that the load is caught in the act.
        let proxy = Proxy::to(server.port());
        proxy.slow(Duration::ZERO, 300_000);
        let mut running = boot(&source, &database.url_at(proxy.port()))
            .env("WEBUI_INIT_SCHEMA_COMMAND", direct(&database))
            .start();
        wait_for("the schema", SOON, || {
            (database.counts().len() > 30).then_some(())
        });
        wait_for("the load", SOON, || loading(&database).then_some(()));
        assert!(!running.ended());
        end(running, signal, code);
        wait_for("the server to notice", SOON, || {
            (!loading(&database)).then_some(())
        });
        expect_untouched(&database);
        assert_eq!(source.snapshot(), before);
    }
}

/// The schema command with the database itself for its target, past whatever is in front of it.
fn direct(database: &Database) -> String {
    format!(
        "DATABASE_URL='{}' {}",
        database.url(),
        schema_command().to_string_lossy()
    )
}

#[test]
fn after_a_signal_the_next_boot_moves() {
    let server = need!(Postgres::shared());
    let database = server.create_database("signal_again");
    let source = Source::small();
    let before = source.snapshot();
    let running = start_in_schema_command(&source, &database.url(), SOON);
    end(running, Signal::SIGTERM, 143);
    expect_untouched(&database);
    expect_next_boot_moves(&source, &database, &before);
}

#[test]
fn a_signal_during_the_schema_command_ends_that_too() {
    let server = need!(Postgres::shared());
    let source = Source::small();
    for (signal, code) in ENDING {
        let database = server.create_database("signal_schema");
        let program = boot(&source, &database.url());
        let pid_file = program.folder().join("pid");
        let command = format!(
            "echo $$ >'{0}.new'; mv '{0}.new' '{0}'; sleep 300 & wait",
            pid_file.display()
        );
        let running = program.env("WEBUI_INIT_SCHEMA_COMMAND", command).start();
        let pid = wait_for("the schema command", SOON, || {
            std::fs::read_to_string(&pid_file).ok()
        });
        end(running, signal, code);
        let gone = || (!std::path::Path::new("/proc").join(pid.trim()).exists()).then_some(());
        wait_for(
            "the schema command to be gone",
            Duration::from_secs(2),
            gone,
        );
        expect_untouched(&database);
    }
}

#[test]
fn a_signal_while_it_waits_for_postgresql_or_the_lock_ends_it() {
    let server = need!(Postgres::shared());
    let source = Source::small();
    let proxy = Proxy::to(server.port());
    for (signal, code) in ENDING {
        let database = server.create_database("signal_wait");
        for fault in [Fault::Refuse, Fault::Stall] {
            proxy.set(fault);
            let running = boot(&source, &database.url_at(proxy.port())).start();
            std::thread::sleep(Duration::from_millis(300));
            end(running, signal, code);
        }
        let holder = start_in_schema_command(&source, &database.url(), SOON);
        let waiter = boot(&source, &database.url()).start();
        std::thread::sleep(Duration::from_millis(300));
        end(waiter, signal, code);
        drop(holder);
    }
}

#[test]
fn a_signal_is_heeded_while_the_source_is_open_elsewhere() {
    let server = need!(Postgres::shared());
    let database = server.create_database("signal_open");
    let source = Source::small();
    let app = hold_open(&source);
    insert_chat(&app, 1000, 1);
    for (signal, code) in ENDING {
        let mut running = boot(&source, &database.url()).start();
        running.wait_for_log("open in another process", SOON);
        end(running, signal, code);
    }
    expect_untouched(&database);
}

#[test]
fn a_signal_is_heeded_while_postgresql_does_not_answer() {
    let server = need!(Postgres::shared());
    let source = Source::with_chats(1500);
    for (signal, code) in ENDING {
        let database = server.create_database("signal_stall");
        let proxy = Proxy::to(server.port());
        proxy.slow(Duration::ZERO, 300_000);
        let mut running = boot(&source, &database.url_at(proxy.port()))
            .env("WEBUI_INIT_SCHEMA_COMMAND", direct(&database))
            .start();
        wait_for("the schema", SOON, || {
            (database.counts().len() > 30).then_some(())
        });
        wait_for("the load", SOON, || loading(&database).then_some(()));
        proxy.set(Fault::Stall);
        std::thread::sleep(Duration::from_millis(200));
        assert!(!running.ended());
        end(running, signal, code);
        drop(proxy);
        wait_for("the server to notice", SOON, || {
            (!loading(&database)).then_some(())
        });
        expect_untouched(&database);
    }
}

/// Has the program run as PID 1 of a PID namespace of its own, where a signal without a handler is ignored.
fn as_pid_1(source: &Source, url: &str, app: &[&str]) -> Program {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "--"]);
    command
        .arg(env!("CARGO_BIN_EXE_webui-init"))
        .args(["boot", "--"])
        .args(app);
    Program::from_command(command).source(source).target(url)
}

/// The child of `unshare`: PID 1 within, some other number out here.
fn pid_1_of(running: &Running) -> nix::unistd::Pid {
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    let pid = wait_for("PID 1", SOON, || {
        let children = std::fs::read_to_string(&children).ok()?;
        children.split_whitespace().next()?.parse().ok()
    });
    nix::unistd::Pid::from_raw(pid)
}

#[test]
fn as_pid_1_it_heeds_signals_in_every_wait() {
    need!(root());
    need!(tool("unshare"));
    let server = need!(Postgres::shared());
    let source = Source::small();
    let before = source.snapshot();
    let proxy = Proxy::to(server.port());
    proxy.set(Fault::Stall);
    for (signal, code) in ENDING {
        let database = server.create_database("pid_1");
        let program = as_pid_1(&source, &database.url(), &["echo", "started"]);
        let runs = program.folder().join("runs");
        let command = format!("touch '{}'; sleep 300", runs.display());
        let in_schema_command = program.env("WEBUI_INIT_SCHEMA_COMMAND", command).start();
        wait_for("the schema command", SOON, || runs.exists().then_some(()));
        let waiting = as_pid_1(
            &source,
            &database.url_at(proxy.port()),
            &["echo", "started"],
        )
        .start();
        std::thread::sleep(Duration::from_millis(500));
        for running in [in_schema_command, waiting] {
            nix::sys::signal::kill(pid_1_of(&running), signal).expect("it is there");
            let begin = Instant::now();
            running.wait(SOON).expect(code).prints("");
            assert!(
                begin.elapsed() < Duration::from_secs(1),
                "{signal}: {:?}",
                begin.elapsed()
            );
        }
        expect_untouched(&database);
    }
    assert_eq!(source.snapshot(), before);
}

#[test]
fn the_app_becomes_pid_1() {
    need!(root());
    need!(tool("unshare"));
    let server = need!(Postgres::shared());
    let database = server.create_database("pid_1_app");
    let source = Source::small();
    as_pid_1(&source, &database.url(), &["sh", "-c", "echo $$"])
        .run()
        .expect(0)
        .prints("1\n");
    expect_moved(&source, &database);
}

/// The lines of `/proc/self/status` that tell of signals, as the exec'd command sees them.
fn signal_lines(status: &str) -> Vec<(String, u64)> {
    let lines = status.lines().filter_map(|line| line.split_once(":\t"));
    lines
        .filter(|(name, _)| ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"].contains(name))
        .map(|(name, mask)| {
            (
                name.to_owned(),
                u64::from_str_radix(mask.trim(), 16).expect("a mask"),
            )
        })
        .collect()
}

/// After a pass-through, a move, and a boot that finds the marker.
fn ways(database: &Database, source: &Source, app: &[&str]) -> Vec<Program> {
    let program = || Program::boot(app).source(source);
    vec![
        program(),
        program().target(database.url()),
        program().target(database.url()),
    ]
}

#[test]
fn the_app_starts_with_default_dispositions_and_an_empty_mask() {
    let server = need!(Postgres::shared());
    let database = server.create_database("dispositions");
    let source = Source::small();
    for mut program in ways(&database, &source, &["cat", "/proc/self/status"]) {
        // The parent ignores and blocks what it can.
        let ignore_and_block = || {
            for ignored in [
                Signal::SIGTERM,
                Signal::SIGINT,
                Signal::SIGHUP,
                Signal::SIGPIPE,
                Signal::SIGCHLD,
                Signal::SIGUSR1,
            ] {
                // SAFETY: no handler is installed.
                unsafe { signal(ignored, SigHandler::SigIgn) }?;
            }
            let mut blocked = SigSet::empty();
            blocked.add(Signal::SIGQUIT);
            blocked.add(Signal::SIGUSR2);
            Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None)?)
        };
        // SAFETY: signal and sigprocmask may be called between fork and exec.
        unsafe { program.command().pre_exec(ignore_and_block) };
        let outcome = program.run().expect(0);
        // 32 and 33 belong to the C library, which lets no program change them; cargo may hand 32 on ignored.
        let ours = |mask: u64| mask & !(0b11 << 31);
        for (name, mask) in signal_lines(&outcome.stdout) {
            assert_eq!(ours(mask), 0, "{name} in:\n{}", outcome.stdout);
        }
    }
    expect_moved(&source, &database);
}

#[test]
fn a_program_whose_parent_ignores_signals_heeds_them_all_the_same() {
    let server = need!(Postgres::shared());
    let database = server.create_database("ignored");
    let source = Source::small();
    for (ending, code) in ENDING {
        let mut program = boot(&source, &database.url());
        let runs = program.folder().join("runs");
        let command = format!("touch '{}'; sleep 300", runs.display());
        program = program.env("WEBUI_INIT_SCHEMA_COMMAND", command);
        // SAFETY: signal and sigprocmask may be called between fork and exec, and no handler is installed.
        unsafe {
            program.command().pre_exec(move || {
                signal(ending, SigHandler::SigIgn)?;
                let mut blocked = SigSet::empty();
                blocked.add(ending);
                Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&blocked), None)?)
            })
        };
        let running = program.start();
        wait_for("the schema command", SOON, || runs.exists().then_some(()));
        end(running, ending, code);
        expect_untouched(&database);
    }
}

/// The numbers in a listing of `/proc/self/fd`.
fn descriptors(listing: &str) -> Vec<String> {
    let links = listing.lines().filter_map(|line| line.split_once(" -> "));
    links
        .map(|(left, _)| left.rsplit(' ').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn the_app_inherits_no_file_descriptor_of_ours() {
    let server = need!(Postgres::shared());
    let database = server.create_database("descriptors");
    let source = Source::small();
    source.edit_and_die(|connection| insert_chat(connection, 1000, 1));
    // The harness has some of its own.
    let mut plain = Command::new("ls");
    plain.args(["-l", "/proc/self/fd"]);
    let given = descriptors(&Program::from_command(plain).run().stdout);
    for program in ways(&database, &source, &["ls", "-l", "/proc/self/fd"]) {
        let outcome = program.run().expect(0);
        assert_eq!(descriptors(&outcome.stdout), given, "{}", outcome.stdout);
    }
    expect_moved(&source, &database);
}

#[test]
fn the_app_sees_the_environment_that_the_container_was_given() {
    let server = need!(Postgres::shared());
    let database = server.create_database("environment");
    let source = Source::small();
    for program in ways(&database, &source, &["env", "-0"]) {
        let mut program = program
            .env("EMPTY", "")
            .env("LINES", "a\nb")
            .env("DATABASE_POOL_SIZE", "3")
            .env("PGAPPNAME", "app");
        let mut given: Vec<_> = program
            .command()
            .get_envs()
            .filter_map(|(name, value)| {
                let (name, mut value) = (name.to_str()?, value?.to_str()?.to_owned());
                if name == "DATABASE_URL" {
                    // What libpq's variables add to the address stands in it.
                    value.push_str("?application_name=app");
                }
                Some(format!("{name}={value}"))
            })
            .collect();
        let outcome = program.run().expect(0);
        let mut seen: Vec<_> = outcome
            .stdout
            .split_terminator('\0')
            .map(str::to_owned)
            .collect();
        given.sort();
        seen.sort();
        assert_eq!(seen, given);
    }
    expect_moved(&source, &database);
}

#[test]
fn the_app_keeps_its_working_folder_and_stdin() {
    let server = need!(Postgres::shared());
    let database = server.create_database("folder");
    let source = Source::small();
    for mut program in ways(&database, &source, &["pwd"]) {
        program.command().current_dir("/usr");
        program.run().expect(0).prints("/usr\n");
    }
}

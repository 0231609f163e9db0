//! Owns the rows of what PostgreSQL answers, and of PostgreSQL that does not answer.

use tokio_postgres::Error as PgError;

use crate::failure::codes::{
    EX_CONFIG, EX_IOERR, EX_NOPERM, EX_SOFTWARE, EX_TEMPFAIL, EX_UNAVAILABLE,
};
use crate::failure::row::{Context, Row, Safe};
use crate::ledger::{LedgerError, lock};
use crate::postgres::error::{Class, TargetError, chain, classify};
use crate::postgres::explain::Kind;
use crate::postgres::place::{Place, Provider};
use crate::sql::quote;

/// When it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Before anything of the move was sent.
    Before,
    /// Once the move was under way: what passes by itself is then an I/O error.
    Moving,
}

const REPORT: &str = "please report this with the log. Until then, removing \
                      DATABASE_URL starts Open WebUI on webui.db as before.";

/// The row of an error of the target.
pub(super) fn of_target(error: &TargetError, when: When, context: &Context) -> Row {
    let place = &context.place;
    match error {
        TargetError::Postgres { doing, source } if *doing == lock::LOST => {
            lock_lost(source, when, context)
        }
        TargetError::Postgres { source, .. } => of_answer(source, when, context),
        TargetError::Stalled => {
            let cause = Kind::Silent.words(place).unwrap_or_default();
            of_kind(Kind::Silent, code_of(Class::Transient, when), context).because(cause)
        }
        TargetError::ReadOnly => {
            let code = code_of(error.class(), when);
            let cause = Kind::ReadOnly.words(place).unwrap_or_default();
            of_kind(Kind::ReadOnly, code, context).because(cause)
        }
        TargetError::Pool(_) => Row::new(EX_SOFTWARE, Safe::Both, REPORT),
        TargetError::Unsupported(_) => Row::new(
            EX_CONFIG,
            Safe::Both,
            format!(
                "use a database on PostgreSQL 13 or later in the encoding UTF8: CREATE DATABASE {} OWNER {} ENCODING 'UTF8' \
                 TEMPLATE template0;",
                name(&place.database),
                name(&place.user)
            ),
        ),
        TargetError::Unable { .. } => Row::new(
            EX_CONFIG,
            Safe::Both,
            "use PostgreSQL itself, version 13 or later. If it is PostgreSQL, an administrator has taken that away from this role: \
             give it back.",
        ),
        TargetError::NoSuchSchema(schema) => Row::new(
            EX_CONFIG,
            Safe::Both,
            format!(
                "CREATE SCHEMA {} AUTHORIZATION {}; or correct DATABASE_SCHEMA.",
                name(schema),
                name(&place.user)
            ),
        ),
        TargetError::NoSchema => Row::new(
            EX_CONFIG,
            Safe::Both,
            format!(
                "ALTER ROLE {} SET search_path TO public; or name a schema in DATABASE_SCHEMA.",
                name(&place.user)
            ),
        ),
        TargetError::Tls(_) => Row::new(
            EX_CONFIG,
            Safe::Both,
            "correct sslmode, sslrootcert, sslcert and sslkey in DATABASE_URL.",
        ),
        TargetError::MayNot(_) => may_not_create(context),
    }
}

fn lock_lost(error: &PgError, when: When, context: &Context) -> Row {
    let row = of_answer(error, when, context);
    let why = row.cause.clone().unwrap_or_else(|| chain(error));
    Row {
        next: "look for what ends connections that wait: an administrator, or the idle limit of a proxy or pooler between here and \
               PostgreSQL. The next start tries again by itself."
            .to_owned(),
        ..row
    }
    .because(format!(
        "the connection that held the lock of the move was ended: {why}"
    ))
}

/// The row of an error of the record or the lock.
pub(super) fn of_ledger(error: &LedgerError, when: When, context: &Context) -> Row {
    match error {
        LedgerError::Target(error) => of_target(error, when, context),
        LedgerError::Postgres { source, .. } => of_answer(source, when, context),
        LedgerError::Unreachable { waited, source, .. } => unreachable(source, *waited, context),
        LedgerError::Locked { .. } => Row::new(
            EX_TEMPFAIL,
            Safe::Both,
            "read the other instance's log. If it needs longer, raise WEBUI_INIT_LOCK_WAIT_SECS; if it hangs, stop it: its work is \
             then undone and the next start begins again.",
        ),
        LedgerError::Migrations(_) => Row::new(EX_SOFTWARE, Safe::Both, REPORT),
    }
}

/// The row of what PostgreSQL answered.
pub(super) fn of_answer(error: &PgError, when: When, context: &Context) -> Row {
    let kind = Kind::of(error);
    let row = of_kind(kind, code_of(classify(error), when), context);
    match (kind.words(&context.place), error.code()) {
        (Some(words), Some(state)) => row.because(format!("{words} [SQLSTATE {}]", state.code())),
        (Some(words), None) => row.because(words),
        (None, _) => row,
    }
}

/// The exit code of a class of errors. A connection that breaks, or a disk that fills up, once the move is under way is
/// an I/O error.
fn code_of(class: Class, when: When) -> u8 {
    match class {
        Class::Transient if when == When::Moving => EX_IOERR,
        Class::Transient => EX_UNAVAILABLE,
        Class::Busy => EX_TEMPFAIL,
        Class::Refused => EX_NOPERM,
        Class::Configuration => EX_CONFIG,
        Class::Other => EX_SOFTWARE,
    }
}

fn unreachable(last: &LedgerError, waited: u64, context: &Context) -> Row {
    let row = of_ledger(last, When::Before, context);
    let why = row.cause.clone();
    let cause = match why {
        Some(why) => format!("PostgreSQL could not be reached within {waited} s: {why}"),
        None => {
            return Row {
                code: EX_UNAVAILABLE,
                ..row
            };
        }
    };
    // A server that was reached, and was not fit for use all the time, is told as it is.
    let cause = match last {
        LedgerError::Target(TargetError::ReadOnly) => {
            let words = Kind::ReadOnly.words(&context.place).unwrap_or_default();
            format!("{words}, and was so for {waited} s")
        }
        _ => cause,
    };
    Row {
        code: EX_UNAVAILABLE,
        ..row
    }
    .because(cause)
}

/// The way out of each kind of trouble.
fn of_kind(kind: Kind, code: u8, context: &Context) -> Row {
    let place = &context.place;
    let (database, user) = (name(&place.database), name(&place.user));
    let next = match kind {
        Kind::NoDatabase => no_database(place),
        Kind::Password => password(place),
        Kind::NoPassword => "put the password into DATABASE_URL (postgresql://USER:PASSWORD@HOST/DATABASE), or set \
                             DATABASE_PASSWORD_FILE or PGPASSWORD."
            .to_owned(),
        Kind::NoLogin => format!("as an administrator: ALTER ROLE {user} LOGIN;"),
        Kind::NotLetIn => "add this container's network to the allow list of the database (pg_hba.conf), or add \
                           ?sslmode=require to DATABASE_URL where the server takes encrypted connections only."
            .to_owned(),
        Kind::NoConnect => {
            format!("as an administrator: GRANT CONNECT ON DATABASE {database} TO {user};")
        }
        Kind::NoRecord => format!(
            "as an administrator: GRANT USAGE ON SCHEMA webui_init TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA webui_init TO \
             {user};"
        ),
        Kind::NoPrivilege => return Row { code, ..may_not_create(context) },
        Kind::TooMany => too_many(place),
        Kind::DiskFull => disk_full(place),
        Kind::Starting => "wait: the next start tries again by itself. WEBUI_INIT_WAIT_SECS sets how long a start waits.".to_owned(),
        Kind::Closed => format!(
            "if the provider has suspended the database, resume it there. If an administrator closed it: ALTER DATABASE {database} \
             ALLOW_CONNECTIONS true; The next start tries again by itself."
        ),
        Kind::ShutDown => "check whether PostgreSQL is running again; the next start begins anew by itself.".to_owned(),
        Kind::ReadOnly => read_only(place),
        Kind::Refused | Kind::UnknownHost | Kind::Silent | Kind::Broken => not_reached(kind, place),
        Kind::Stranger => "check host and port in DATABASE_URL: another service, perhaps one that speaks HTTP, listens there. \
                           PostgreSQL's own port is 5432."
            .to_owned(),
        Kind::Other => return Row::new(code, Safe::Both, of_code(code)),
    };
    Row::new(code, Safe::Both, next)
}

/// Where nothing more is known than the exit code.
fn of_code(code: u8) -> &'static str {
    match code {
        EX_UNAVAILABLE | EX_IOERR => {
            "check that PostgreSQL is running and that it can be reached from here; the next start tries again by itself."
        }
        EX_TEMPFAIL => {
            "something else holds Open WebUI's tables: perhaps an Open WebUI that was started without webui-init, or an open \
             transaction of an administrator. Stop it; the next start tries again by itself."
        }
        EX_NOPERM => {
            "check user and password in DATABASE_URL, and what this role may do in the database."
        }
        EX_CONFIG => "check DATABASE_URL: host, port, database name and TLS parameters.",
        _ => REPORT,
    }
}

fn may_not_create(context: &Context) -> Row {
    let (database, user) = (name(&context.place.database), name(&context.place.user));
    Row::new(
        EX_NOPERM,
        Safe::Both,
        format!(
            "as an administrator: GRANT CREATE ON DATABASE {database} TO {user}; GRANT USAGE, CREATE ON SCHEMA public TO {user}; \
             (DATABASE_SCHEMA, where it is set, in place of public). Simpler: ALTER DATABASE {database} OWNER TO {user};"
        ),
    )
}

fn no_database(place: &Place) -> String {
    let hint = match place.provider() {
        Some(Provider::Render) => " On Render it must equal databaseName in render.yaml.",
        Some(Provider::Supabase) => " On Supabase it is called postgres.",
        Some(Provider::Neon) => " On Neon it is called neondb unless you chose a name.",
        Some(Provider::Railway) => " On Railway it is called railway unless you chose a name.",
        None => "",
    };
    format!(
        "CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0; or correct the name at the end of DATABASE_URL (without a \
         name there, the user's name is taken).{hint}",
        name(&place.database),
        name(&place.user)
    )
}

fn password(place: &Place) -> String {
    let hint = match place.provider() {
        Some(Provider::Render) => {
            " On Render, use fromDatabase with property connectionString, and copy no password by hand."
        }
        Some(Provider::Supabase) => {
            " On Supabase, the pooler's user is called postgres.PROJECT; copy the string from Connect."
        }
        Some(Provider::Neon) => {
            " On Neon, copy the string from Connect; after a reset of the password it is a new one."
        }
        Some(Provider::Railway) => {
            " On Railway, refer to the variable: ${{Postgres.DATABASE_URL}}."
        }
        None => "",
    };
    format!(
        "check user and password in DATABASE_URL. In it, write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F and % as %25.{hint}"
    )
}

fn too_many(place: &Place) -> String {
    let hint = match place.provider() {
        Some(Provider::Supabase | Provider::Neon) => {
            " Or use the address of the provider's pooler."
        }
        _ => "",
    };
    format!(
        "end other connections, or raise the limit: a move needs two connections at once (ALTER ROLE {} CONNECTION LIMIT -1, or \
         max_connections). The next start tries again by itself.{hint}",
        name(&place.user)
    )
}

fn disk_full(place: &Place) -> String {
    let hint = match place.provider() {
        Some(Provider::Render) => {
            " (Render: a larger diskSizeGB, or another plan; `free` has 1 GB)"
        }
        Some(Provider::Supabase) => " (Supabase: Settings, Compute and Disk)",
        Some(Provider::Railway) => " (Railway: the volume of the Postgres service)",
        _ => "",
    };
    format!(
        "give PostgreSQL a larger disk{hint}, then start again; each start before that fills it again and gives the space back. \
         As much room as webui.db takes should be enough."
    )
}

fn read_only(place: &Place) -> String {
    let hint = match place.provider() {
        Some(Provider::Supabase) => {
            " Supabase makes a database read-only when its disk is nearly full."
        }
        _ => " Some providers do that when the disk is nearly full.",
    };
    format!(
        "if it is a standby, give DATABASE_URL the primary's address. If default_transaction_read_only is on, ALTER DATABASE {} \
         RESET default_transaction_read_only;{hint}",
        name(&place.database)
    )
}

fn not_reached(kind: Kind, place: &Place) -> String {
    let running = match place.provider() {
        Some(Provider::Render) => "Is the database's status \"Available\"?",
        Some(Provider::Supabase) => "Is the project running (free ones pause after a week)?",
        Some(Provider::Neon) => "Is the project's compute allowed to start?",
        Some(Provider::Railway) => "Is the Postgres service deployed and running?",
        None => "Is PostgreSQL running?",
    };
    let network = match (kind, place.provider()) {
        (_, Some(Provider::Render)) => {
            "Are both in the same region (the internal name works there only), or is this address on the allow list?"
        }
        (_, Some(Provider::Supabase)) => {
            "Is it the pooler's address (db.PROJECT.supabase.co answers on IPv6 only)?"
        }
        (_, Some(Provider::Railway)) => {
            "Are both in the same project (postgres.railway.internal works there only)?"
        }
        (Kind::UnknownHost, _) => {
            "Are both in the same network, and is the service called so there?"
        }
        _ => "Does a firewall or an allow list keep this container out?",
    };
    format!(
        "1. {running} 2. {network} 3. Are host and port in DATABASE_URL right? The next start tries again by itself; \
         WEBUI_INIT_WAIT_SECS sets how long it waits."
    )
}

/// A name as it may stand in a statement.
fn name(name: &str) -> String {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let begins = name
        .bytes()
        .next()
        .is_some_and(|byte| !byte.is_ascii_digit());
    if plain && begins {
        name.to_owned()
    } else {
        quote(name)
    }
}

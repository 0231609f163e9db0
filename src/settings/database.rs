//! Owns which database is meant: by `DATABASE_URL`, or by the parts that override it as they do in the app.

use std::collections::HashMap;

use super::read::Environment;
use crate::output::secret::Secret;
use crate::postgres::dsn::{self, Backend, Dsn, LibpqEnv, Parts};
use crate::process::exec::EnvironmentChanges;

/// The variables that override `DATABASE_URL` when all of them are set. The app does the same, and a
/// child process that must see one particular database is started without them.
pub const DATABASE_PARTS: [&str; 6] = [
    "DATABASE_TYPE",
    "DATABASE_USER",
    "DATABASE_PASSWORD",
    "DATABASE_HOST",
    "DATABASE_PORT",
    "DATABASE_NAME",
];

/// What names the database.
pub(super) struct Named<'a> {
    parts: Option<Parts<'a>>,
    url: Option<&'a Secret>,
}

impl<'a> Named<'a> {
    pub(super) fn new(
        environment: &'a Environment,
        url: Option<&'a Secret>,
        password: Option<&'a Secret>,
        problems: &mut Vec<String>,
    ) -> Self {
        let parts = parts(environment, password);
        let url_is_postgres =
            url.is_some_and(|url| dsn::backend(url.expose()) == Backend::Postgres);
        if parts.is_none() && !url_is_postgres {
            problems.extend(half_a_configuration(environment, password));
        }
        Self { parts, url }
    }

    /// What kind of database it is.
    pub(super) fn backend(&self) -> Backend {
        match (&self.parts, self.url) {
            (Some(parts), _) => dsn::backend(&format!("{}://", parts.db_type)),
            (None, Some(url)) => dsn::backend(url.expose()),
            (None, None) => Backend::Sqlite,
        }
    }

    /// Its address.
    pub(super) fn dsn(
        &self,
        variables: &HashMap<String, String>,
        problems: &mut Vec<String>,
    ) -> Option<Dsn> {
        let libpq = LibpqEnv::from_lookup(|name| variables.get(name).cloned());
        let (name, read) = match (self.backend(), &self.parts, self.url) {
            (Backend::Postgres, Some(parts), _) => (
                "DATABASE_TYPE, DATABASE_HOST, …",
                Dsn::from_parts(parts, &libpq),
            ),
            (Backend::Postgres, None, Some(url)) => {
                ("DATABASE_URL", Dsn::parse(url.expose(), &libpq))
            }
            (Backend::Other(_), parts, _) => {
                let name = if parts.is_some() {
                    "DATABASE_TYPE"
                } else {
                    "DATABASE_URL"
                };
                problems.push(format!(
                    "{name}: names neither PostgreSQL (postgresql://…) nor SQLite; WEBUI_INIT_DISABLE=true starts the app regardless"
                ));
                return None;
            }
            _ => return None,
        };
        read.map_err(|error| problems.push(format!("{name}: {error}")))
            .ok()
    }

    /// A warning, where the parts name another PostgreSQL than the URL beside them.
    pub(super) fn overridden(
        &self,
        dsn: &Dsn,
        variables: &HashMap<String, String>,
    ) -> Option<String> {
        let url = self.parts.is_some().then_some(self.url?)?;
        let libpq = LibpqEnv::from_lookup(|name| variables.get(name).cloned());
        let other = Dsn::parse(url.expose(), &libpq).ok()?;
        (other.summary() != dsn.summary()).then(|| {
            format!(
                "DATABASE_TYPE, DATABASE_HOST, … name {}, and DATABASE_URL names {}: Open WebUI takes the former, and so does webui-init",
                dsn.summary(),
                other.summary()
            )
        })
    }

    /// The app is given the address in the one form that every version reads as it is meant. Versions before 0.6.16 do not
    /// know the parts, older ones misread drivers in the scheme, and some characters are misread by all.
    pub(super) fn give_to_the_app(&self, dsn: &Dsn, changes: &mut EnvironmentChanges) {
        changes.set.retain(|(name, _)| name != "DATABASE_URL");
        changes.remove.retain(|name| name != "DATABASE_URL");
        changes
            .set
            .push(("DATABASE_URL".to_owned(), dsn.app_url().into()));
        if self.parts.is_some() {
            changes.set.retain(|(name, _)| name != "DATABASE_PASSWORD");
            changes.remove.extend(DATABASE_PARTS.map(str::to_owned));
        }
    }
}

/// The app lets these override `DATABASE_URL` when a type, a host, a port, a name and a credential are all there.
fn parts<'a>(environment: &'a Environment, password: Option<&'a Secret>) -> Option<Parts<'a>> {
    let user = environment.database_user.as_deref();
    let password = password.map(Secret::expose);
    (user.is_some() || password.is_some()).then_some(())?;
    Some(Parts {
        db_type: environment.database_type.as_deref()?,
        user,
        password,
        host: environment.database_host.as_deref()?,
        port: environment.database_port.as_deref()?,
        name: environment.database_name.as_deref()?,
    })
}

/// A type that names PostgreSQL without all the rest of it: the app would pass over it, and start on SQLite.
fn half_a_configuration(environment: &Environment, password: Option<&Secret>) -> Option<String> {
    let kind = environment.database_type.as_deref()?;
    if dsn::backend(&format!("{kind}://")) != Backend::Postgres {
        return None;
    }
    let credential = environment.database_user.is_some() || password.is_some();
    let missing: Vec<&str> = [
        ("DATABASE_HOST", environment.database_host.is_some()),
        ("DATABASE_PORT", environment.database_port.is_some()),
        ("DATABASE_NAME", environment.database_name.is_some()),
        ("DATABASE_USER", credential),
    ]
    .into_iter()
    .filter(|(_, there)| !there)
    .map(|(name, _)| name)
    .collect();
    Some(format!(
        "{}: not set, though DATABASE_TYPE says PostgreSQL; Open WebUI would pass over the other parts and start on SQLite",
        missing.join(", ")
    ))
}

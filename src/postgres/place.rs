//! Owns where the database is, in the words of messages: its name, the server, the role, and whose server it is, as far
//! as the host name tells. Never a password.

use std::fmt;

/// A database on a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The database's name.
    pub database: String,
    /// Hosts and ports, separated by commas.
    pub servers: String,
    /// The role.
    pub user: String,
}

/// Who runs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// render.com
    Render,
    /// supabase.com
    Supabase,
    /// neon.com
    Neon,
    /// railway.com
    Railway,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            database,
            servers,
            user,
        } = self;
        write!(f, "\"{database}\" on {servers} (user {user})")
    }
}

impl Place {
    /// The name of the first host, without its port.
    pub fn host(&self) -> &str {
        let first = self.servers.split(',').next().unwrap_or_default();
        first.rsplit_once(':').map_or(first, |(host, _)| host)
    }

    /// The port of the first host.
    pub fn port(&self) -> u16 {
        let first = self.servers.split(',').next().unwrap_or_default();
        let port = first
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok());
        port.unwrap_or(5432)
    }

    /// Whose server it is.
    pub fn provider(&self) -> Option<Provider> {
        let host = self.host().to_ascii_lowercase();
        let within = |domain: &str| host.ends_with(domain);
        // Render's internal names are bare: dpg-cn3k…-a.
        let bare =
            |part: &str| host.starts_with("dpg-") && host.ends_with(part) && !host.contains('.');
        if within(".render.com") || bare("-a") || bare("-b") {
            Some(Provider::Render)
        } else if within(".supabase.co") || within(".supabase.com") {
            Some(Provider::Supabase)
        } else if within(".neon.tech") {
            Some(Provider::Neon)
        } else if within(".railway.internal") || within(".rlwy.net") || within(".railway.app") {
            Some(Provider::Railway)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(servers: &str) -> Option<Provider> {
        let servers = servers.to_owned();
        let place = Place {
            servers,
            ..Place::default()
        };
        place.provider()
    }

    #[test]
    fn a_host_name_tells_whose_server_it_is() {
        for (servers, provider) in [
            ("dpg-cn3k2l-a:5432", Some(Provider::Render)),
            (
                "dpg-cn3k2l-a.oregon-postgres.render.com:5432",
                Some(Provider::Render),
            ),
            ("db.abc.supabase.co:5432", Some(Provider::Supabase)),
            (
                "aws-0-eu.pooler.supabase.com:6543",
                Some(Provider::Supabase),
            ),
            ("ep-x.eu-2.aws.neon.tech:5432", Some(Provider::Neon)),
            ("postgres.railway.internal:5432", Some(Provider::Railway)),
            ("127.0.0.1:5432,dpg-x-a:5432", None),
            ("[::1]:5432", None),
            ("postgres:5432", None),
        ] {
            assert_eq!(of(servers), provider, "{servers}");
        }
    }
}

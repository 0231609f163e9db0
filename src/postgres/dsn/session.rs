//! What a session is like: its name, its options, its time limits, the kind of server it wants.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{
    ChannelBinding, LoadBalanceHosts, SslNegotiation, TargetSessionAttrs,
};

use super::DsnError;
use super::draft::Draft;

const CHANNEL_BINDING: &[(&str, ChannelBinding)] = &[
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];
const LOAD_BALANCE: &[(&str, LoadBalanceHosts)] = &[
    ("disable", LoadBalanceHosts::Disable),
    ("random", LoadBalanceHosts::Random),
];
const NEGOTIATION: &[(&str, SslNegotiation)] = &[
    ("postgres", SslNegotiation::Postgres),
    ("direct", SslNegotiation::Direct),
];

impl Draft {
    /// Everything about a session but where, who and how encrypted.
    pub(super) fn session(&self) -> Result<Config, DsnError> {
        let mut config = Config::new();
        let text = |name| self.params.get(name).map(String::as_str);
        let application = text("application_name").or(text("fallback_application_name"));
        config.application_name(application.unwrap_or("webui-init"));
        if let Some(options) = text("options") {
            config.options(options);
        }
        self.patience(&mut config)?;
        if let Some(value) = text("target_session_attrs") {
            config.target_session_attrs(session_attributes(value)?);
        }
        if let Some(mode) = self.choice(
            "channel_binding",
            "disable, prefer or require",
            CHANNEL_BINDING,
        )? {
            config.channel_binding(mode);
        }
        if let Some(mode) = self.choice("load_balance_hosts", "disable or random", LOAD_BALANCE)? {
            config.load_balance_hosts(mode);
        }
        if let Some(mode) = self.choice("sslnegotiation", "postgres or direct", NEGOTIATION)? {
            config.ssl_negotiation(mode);
        }
        Ok(config)
    }

    /// How long to wait, and how silence is noticed.
    fn patience(&self, config: &mut Config) -> Result<(), DsnError> {
        let text = |name| self.params.get(name).map(String::as_str);
        let seconds = |name, default| match number(text(name), name)? {
            None => Ok(Some(Duration::from_secs(default))),
            Some(given) => Ok(u64::try_from(given)
                .ok()
                .filter(|s| *s > 0)
                .map(Duration::from_secs)),
        };
        if let Some(limit) = seconds("connect_timeout", 10)? {
            config.connect_timeout(limit);
        }
        config.keepalives(number(text("keepalives"), "keepalives")? != Some(0));
        if let Some(idle) = seconds("keepalives_idle", 30)? {
            config.keepalives_idle(idle);
        }
        if let Some(interval) = seconds("keepalives_interval", 10)? {
            config.keepalives_interval(interval);
        }
        let retries = number(text("keepalives_count"), "keepalives_count")?.unwrap_or(3);
        if let Some(retries) = u32::try_from(retries).ok().filter(|retries| *retries > 0) {
            config.keepalives_retries(retries);
        }
        let user_timeout = number(text("tcp_user_timeout"), "tcp_user_timeout")?.unwrap_or(60_000);
        if let Some(millis) = u64::try_from(user_timeout)
            .ok()
            .filter(|millis| *millis > 0)
        {
            config.tcp_user_timeout(Duration::from_millis(millis));
        }
        Ok(())
    }

    /// A parameter that is one of a few words.
    fn choice<T: Copy>(
        &self,
        parameter: &'static str,
        expected: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, DsnError> {
        let Some(value) = self.params.get(parameter) else {
            return Ok(None);
        };
        let chosen = choices.iter().find(|(word, _)| word == value);
        chosen
            .map(|(_, choice)| Some(*choice))
            .ok_or(DsnError::Value {
                parameter,
                expected,
            })
    }
}

/// What a server must be for a program that writes. `prefer-standby` is content with any server,
/// so it goes to the one that can be written to. A standby is asked for as `read-only`, all that
/// tokio-postgres knows of it.
fn session_attributes(value: &str) -> Result<TargetSessionAttrs, DsnError> {
    match value {
        "any" => Ok(TargetSessionAttrs::Any),
        "read-write" | "primary" | "prefer-standby" => Ok(TargetSessionAttrs::ReadWrite),
        "read-only" | "standby" => Ok(TargetSessionAttrs::ReadOnly),
        _ => Err(DsnError::Value {
            parameter: "target_session_attrs",
            expected: "any, read-write, read-only, primary, standby or prefer-standby",
        }),
    }
}

fn number(text: Option<&str>, parameter: &'static str) -> Result<Option<i32>, DsnError> {
    let expected = "a whole number";
    text.map(|text| {
        text.trim().parse().map_err(|_| DsnError::Value {
            parameter,
            expected,
        })
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_postgres::config::{
        ChannelBinding, LoadBalanceHosts, SslMode as DriverSslMode, TargetSessionAttrs,
    };

    use crate::postgres::dsn::tests::parse;
    use crate::postgres::tls::SslMode;

    #[test]
    fn parameters_reach_the_driver() {
        let config = parse(
            "postgresql://u@h/d?options=-c%20search_path%3Dx&connect_timeout=3&keepalives=0\
             &keepalives_idle=4&keepalives_interval=5&keepalives_count=6&tcp_user_timeout=7000\
             &target_session_attrs=primary&channel_binding=require&sslmode=require\
             &load_balance_hosts=random&fallback_application_name=f",
        )
        .config();
        assert_eq!(config.get_options(), Some("-c search_path=x"));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert!(!config.get_keepalives());
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(4));
        assert_eq!(
            config.get_keepalives_interval(),
            Some(Duration::from_secs(5))
        );
        assert_eq!(config.get_keepalives_retries(), Some(6));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(
            config.get_target_session_attrs(),
            TargetSessionAttrs::ReadWrite
        );
        assert_eq!(config.get_channel_binding(), ChannelBinding::Require);
        assert_eq!(config.get_ssl_mode(), DriverSslMode::Require);
        assert_eq!(config.get_load_balance_hosts(), LoadBalanceHosts::Random);
        assert_eq!(config.get_application_name(), Some("f"));
    }

    #[test]
    fn silence_means_these_defaults() {
        let dsn = parse("postgresql://u@h");
        let config = dsn.config();
        assert_eq!(config.get_dbname(), Some("u"));
        assert_eq!(config.get_password(), None);
        assert_eq!(config.get_application_name(), Some("webui-init"));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(10)));
        assert!(config.get_keepalives());
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(30));
        assert_eq!(
            config.get_keepalives_interval(),
            Some(Duration::from_secs(10))
        );
        assert_eq!(config.get_keepalives_retries(), Some(3));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_mins(1)));
        assert_eq!(dsn.tls().mode, SslMode::Prefer);
        assert_eq!(dsn.app_url(), "postgresql://u@h:5432/u");
    }
}

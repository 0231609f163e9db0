//! Where the servers are: lists of hosts, addresses and ports, and how they come together.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::percent_decode_str;

use super::DsnError;
use super::draft::Draft;

/// Where psycopg's builds of libpq look for a server when no host is named.
const DEFAULT_SOCKET_DIR: &str = "/var/run/postgresql";
const DEFAULT_PORT: u16 = 5432;

/// One server that a connection may go to.
#[derive(Clone)]
pub(super) struct Endpoint {
    /// A name, an address, or the directory of a Unix socket.
    pub(super) host: String,
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl Endpoint {
    pub(super) fn is_socket(&self) -> bool {
        self.host.starts_with(['/', '@'])
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Draft {
    /// Brings hosts, addresses and ports together. As in libpq, what the parameters say wins over
    /// what stands before the database name.
    pub(super) fn endpoints(&mut self) -> Result<Vec<Endpoint>, DsnError> {
        let before_the_name = match self.hosts.as_slice() {
            [(_, port)] => *port,
            _ => None,
        };
        let mut hosts = match self.params.remove("host") {
            Some(list) => host_list(&list).ok_or(DsnError::Value {
                parameter: "host",
                expected: "host names, addresses or socket directories, with commas between",
            })?,
            None => std::mem::take(&mut self.hosts),
        };
        let addresses = self.addresses_of(&mut hosts)?;
        let ports = self
            .params
            .remove("port")
            .map(|list| ports(&list))
            .transpose()?;
        let ports = ports.unwrap_or_default();
        if hosts.is_empty() {
            hosts.push((String::new(), None));
        }
        if ports.len() > 1 && ports.len() != hosts.len() {
            return Err(DsnError::HostCount { parameter: "port" });
        }
        let shared = if ports.len() == 1 { ports[0] } else { None };
        let fallback = before_the_name.unwrap_or(DEFAULT_PORT);
        Ok(hosts
            .into_iter()
            .enumerate()
            .map(|(index, (host, own))| Endpoint {
                host: if host.is_empty() {
                    DEFAULT_SOCKET_DIR.to_owned()
                } else {
                    host
                },
                address: addresses.as_ref().map(|addresses| addresses[index]),
                port: ports
                    .get(index)
                    .copied()
                    .flatten()
                    .or(shared)
                    .or(own)
                    .unwrap_or(fallback),
            })
            .collect())
    }

    /// The addresses that `hostaddr` gives, one for each host; where there are only addresses, they are the hosts too.
    fn addresses_of(
        &self,
        hosts: &mut Vec<(String, Option<u16>)>,
    ) -> Result<Option<Vec<IpAddr>>, DsnError> {
        let addresses = self
            .params
            .get("hostaddr")
            .map(|list| addresses(list))
            .transpose()?;
        if let Some(addresses) = &addresses {
            if hosts.iter().all(|(host, _)| host.is_empty()) {
                let port = hosts.first().and_then(|(_, port)| *port);
                *hosts = addresses
                    .iter()
                    .map(|address| (address.to_string(), port))
                    .collect();
            }
            if addresses.len() != hosts.len() {
                return Err(DsnError::HostCount {
                    parameter: "hostaddr",
                });
            }
        }
        Ok(addresses)
    }
}

/// Hosts with their own ports. Accepts the URL's form and that of the parameter `host`: names,
/// addresses, IPv6 in brackets, socket directories plain or encoded; an empty entry stands for
/// the default.
pub(super) fn host_list(list: &str) -> Option<Vec<(String, Option<u16>)>> {
    list.split(',').map(host_and_port).collect()
}

fn host_and_port(entry: &str) -> Option<(String, Option<u16>)> {
    if entry.starts_with('/') || is_ipv6(entry) {
        return Some((entry.to_owned(), None));
    }
    let (host, port) = if let Some(bracketed) = entry.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        (
            address,
            if port.is_empty() {
                None
            } else {
                Some(port.strip_prefix(':')?)
            },
        )
    } else {
        entry
            .split_once(':')
            .map_or((entry, None), |(host, port)| (host, Some(port)))
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) => Some(port_number(digits)?),
    };
    let host = percent_decode_str(host).decode_utf8().ok()?.into_owned();
    // A comma parts hosts, for libpq too. Behind the @ of an abstract socket, [`Dsn::app_url`] would have escapes and a
    // port read once more.
    let plain: &[char] = if host.starts_with('@') {
        &['\0', ',', ':', '%']
    } else {
        &['\0', ',']
    };
    let is_socket = host.starts_with(['/', '@']) && !host.contains(plain);
    let is_name = host
        .chars()
        .all(|c| c.is_alphanumeric() || "-._".contains(c));
    let fits = if entry.starts_with('[') {
        is_ipv6(&host)
    } else {
        is_socket || is_name
    };
    fits.then_some((host, port))
}

/// An address, which an interface may follow: `fe80::1%eth0`.
fn is_ipv6(text: &str) -> bool {
    let (address, interface) = text
        .split_once('%')
        .map_or((text, None), |(address, name)| (address, Some(name)));
    let is_name = |name: &str| {
        let mut characters = name.chars();
        !name.is_empty() && characters.all(|c| c.is_alphanumeric() || "-._".contains(c))
    };
    address.parse::<Ipv6Addr>().is_ok() && interface.is_none_or(is_name)
}

fn port_number(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|port| *port > 0)
}

fn ports(list: &str) -> Result<Vec<Option<u16>>, DsnError> {
    let expected = "a number from 1 to 65535";
    list.split(',')
        .map(|entry| match entry.trim() {
            "" => Ok(None),
            digits => port_number(digits).map(Some).ok_or(DsnError::Value {
                parameter: "port",
                expected,
            }),
        })
        .collect()
}

fn addresses(list: &str) -> Result<Vec<IpAddr>, DsnError> {
    let expected = "one IP address for each host";
    list.split(',')
        .map(|entry| {
            entry.trim().parse().map_err(|_| DsnError::Value {
                parameter: "hostaddr",
                expected,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Endpoint;
    use crate::postgres::dsn::tests::parse;

    #[test]
    fn hosts_come_in_many_forms() {
        let hosts = |url: &str| {
            let all: Vec<String> = parse(url)
                .endpoints
                .iter()
                .map(Endpoint::to_string)
                .collect();
            all.join(" ")
        };
        assert_eq!(hosts("postgres://u@h"), "h:5432");
        assert_eq!(
            hosts("postgres://u@open_webui-db.internal:6432/d"),
            "open_webui-db.internal:6432"
        );
        assert_eq!(hosts("postgres://u@[::1]:5433/d"), "[::1]:5433");
        assert_eq!(
            hosts("postgres://u@[fe80::1%eth0]/d"),
            "[fe80::1%eth0]:5432"
        );
        assert_eq!(
            hosts("postgres://u@/d?host=fe80::1%25eth0"),
            "[fe80::1%eth0]:5432"
        );
        assert_eq!(hosts("postgres://u@a:1,b,[::1]:3/d"), "a:1 b:5432 [::1]:3");
        assert_eq!(hosts("postgres://u@a,b/d?port=7"), "a:7 b:7");
        assert_eq!(hosts("postgres://u@/d?host=a,b&port=1,2"), "a:1 b:2");
        assert_eq!(hosts("postgres://u@/d?host=a:1&host=b:2"), "a:1 b:2");
        assert_eq!(hosts("postgres://u@%2Frun%2Fpg/d"), "/run/pg:5432");
        assert_eq!(hosts("postgres://u@/d?host=/run/pg"), "/run/pg:5432");
        assert_eq!(hosts("postgres://u@h:99/d?host=/run/pg"), "/run/pg:99");
        assert_eq!(hosts("postgres://u@/d"), "/var/run/postgresql:5432");
        assert_eq!(hosts("postgres://u@name/d?hostaddr=10.0.0.1"), "name:5432");
        assert_eq!(
            hosts("postgres://u@/d?hostaddr=10.0.0.1,::1"),
            "10.0.0.1:5432 [::1]:5432"
        );
        assert_eq!(
            parse("postgres://u@name/d?hostaddr=10.0.0.1")
                .config()
                .get_hostaddrs(),
            ["10.0.0.1".parse::<IpAddr>().expect("address")]
        );
    }
}

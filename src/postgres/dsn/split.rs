//! A URL, cut into its pieces, even if its password was never percent-encoded.

use super::DsnError;
use super::hosts::host_list;
use super::parameters::{is_parameter_name, known, pairs};

/// One way to cut a URL, after its scheme, into pieces that are still encoded.
#[derive(Clone, Copy)]
pub(super) struct Split<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    pub(super) hosts: &'a str,
    pub(super) dbname: Option<&'a str>,
    pub(super) query: Option<&'a str>,
}

impl<'a> Split<'a> {
    /// Tries every `@` as the one before the host. Passwords with raw `@ : / # ?` are common, so
    /// what follows the `@` decides: it must be hosts, a name and parameters. The only doubt left
    /// is an `@` in the value of a parameter: one that is known proves that the parameters began
    /// before it, an unknown one could as well be part of a password.
    pub(super) fn of(rest: &'a str) -> Result<Split<'a>, DsnError> {
        let places = std::iter::once(None).chain(rest.match_indices('@').map(|(at, _)| Some(at)));
        let mut first = None;
        let mut doubtful = false;
        for place in places {
            let Some(split) = Split::at(rest, place) else {
                continue;
            };
            if split.every_at_sign_is_in_a_known_parameter() {
                return if doubtful {
                    Err(DsnError::Ambiguous)
                } else {
                    Ok(split)
                };
            }
            doubtful |= place.is_some();
            first.get_or_insert(split);
        }
        first.ok_or(DsnError::Unreadable)
    }

    fn at(rest: &'a str, place: Option<usize>) -> Option<Split<'a>> {
        let (user, password, tail) = match place {
            None => (None, None, rest),
            Some(at) => {
                let head = &rest[..at];
                let (user, password) = head
                    .split_once(':')
                    .map_or((head, None), |(user, pw)| (user, Some(pw)));
                if user.contains(['/', '?', '#']) {
                    return None;
                }
                (Some(user), password, &rest[at + 1..])
            }
        };
        let end = tail.find(['/', '?']).unwrap_or(tail.len());
        let (hosts, path) = tail.split_at(end);
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        let dbname = path.strip_prefix('/');
        let plausible = !hosts.contains('@')
            && host_list(hosts).is_some()
            && dbname.is_none_or(|name| !name.contains(['/', '@', '#']))
            && query.is_none_or(|query| pairs(query).all(|(name, _)| is_parameter_name(name)));
        plausible.then_some(Split {
            user,
            password,
            hosts,
            dbname,
            query,
        })
    }

    fn every_at_sign_is_in_a_known_parameter(&self) -> bool {
        pairs(self.query.unwrap_or(""))
            .filter(|(_, value)| value.contains('@'))
            .all(|(name, _)| known(name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use crate::postgres::dsn::DsnError;
    use crate::postgres::dsn::tests::{parse, refusal, tuple, whole};

    #[test]
    fn unencoded_passwords_are_understood() {
        for (password, url) in [
            ("p@ss", "postgresql://u:p@ss@host:5433/db"),
            ("p@ss/word", "postgresql://u:p@ss/word@host:5433/db"),
            ("a:b", "postgresql://u:a:b@host:5433/db"),
            ("a/b", "postgresql://u:a/b@host:5433/db"),
            ("a#b", "postgresql://u:a#b@host:5433/db"),
            ("a?b", "postgresql://u:a?b@host:5433/db"),
            ("a b", "postgresql://u:a b@host:5433/db"),
            ("50%", "postgresql://u:50%@host:5433/db"),
            ("50%ab", "postgresql://u:50%ab@host:5433/db"),
            ("5?a=1", "postgresql://u:5?a=1@host:5433/db"),
            ("p@h:5/x", "postgresql://u:p@h:5/x@host:5433/db"),
            ("p@h,5", "postgresql://u:p@h,5@host:5433/db"),
            ("@", "postgresql://u:@@host:5433/db"),
            ("a+b", "postgresql://u:a+b@host:5433/db"),
            ("p&q=r", "postgresql://u:p&q=r@host:5433/db"),
            ("pässwörd🔑", "postgresql://u:pässwörd🔑@host:5433/db"),
        ] {
            assert_eq!(
                whole(&parse(url)),
                tuple("u", password, "host", 5433, "db"),
                "{url}"
            );
        }
    }

    #[test]
    fn at_signs_elsewhere_are_understood() {
        let azure = parse("postgres://me@server:pw@server.example.com/db?sslmode=require");
        assert_eq!(
            whole(&azure),
            tuple("me@server", "pw", "server.example.com", 5432, "db")
        );
        let tagged = parse("postgres://u:pw@host/db?application_name=a@b");
        assert_eq!(whole(&tagged), tuple("u", "pw", "host", 5432, "db"));
        assert_eq!(tagged.config().get_application_name(), Some("a@b"));
        let by_parameter = parse("postgres://host:99/db?user=me@server&password=x@y");
        assert_eq!(
            whole(&by_parameter),
            tuple("me@server", "x@y", "host", 99, "db")
        );
        assert_eq!(
            refusal("postgres://u:pw@host/db?note=a@b"),
            DsnError::Ambiguous
        );
    }
}

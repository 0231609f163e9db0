//! Owns the names of our variables, with their defaults and what they mean: unknown names, `--help` and the README's table
//! come from here or are checked against it.

use std::fmt::Write as _;

/// One variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its default, in Markdown.
    pub default: &'static str,
    /// What it means, in Markdown.
    pub meaning: &'static str,
}

/// How all of them begin.
pub const PREFIX: &str = "WEBUI_INIT_";

/// All of them. Any other name with the prefix is a typo.
pub const OWN: &[Variable] = &[
    Variable {
        name: "WEBUI_INIT_SQLITE_PATH",
        default: "`$DATA_DIR/webui.db`",
        meaning: "the old database",
    },
    Variable {
        name: "WEBUI_INIT_APP_DIR",
        default: "`/app/backend`",
        meaning: "the folder that holds the `open_webui` package",
    },
    Variable {
        name: "WEBUI_INIT_PYTHON",
        default: "`python3`",
        meaning: "the interpreter for the app's Alembic",
    },
    Variable {
        name: "WEBUI_INIT_SCHEMA_COMMAND",
        default: "the app's Alembic",
        meaning: "a shell command to run instead; `DATABASE_URL` names the database that it brings to head",
    },
    Variable {
        name: "WEBUI_INIT_BACKUP",
        default: "–",
        meaning: "a folder: before a move, `webui.db` is backed up into it, and there is no move without that",
    },
    Variable {
        name: "WEBUI_INIT_SCRATCH_DIR",
        default: "the folder of the old database, else `$TMPDIR`",
        meaning: "where private copies and the app's temporary files go",
    },
    Variable {
        name: "WEBUI_INIT_WAIT_SECS",
        default: "`60`",
        meaning: "how long to wait for PostgreSQL, also when it falls silent in the middle of a move, and for another process to close `webui.db`; a connection on which nothing is acknowledged for a minute is given up earlier, unless `tcp_user_timeout` in `DATABASE_URL` says more",
    },
    Variable {
        name: "WEBUI_INIT_LOCK_WAIT_SECS",
        default: "`900`",
        meaning: "how long to wait for another instance's move",
    },
    Variable {
        name: "WEBUI_INIT_ON_CONFLICT",
        default: "`keep`",
        meaning: "PostgreSQL is in use: `keep` it as it is, warn and start the app; `fail`; or `replace`: put its rows aside in a schema `webui_init_replaced_<time>`, then move",
    },
    Variable {
        name: "WEBUI_INIT_SOURCE",
        default: "–",
        meaning: "while PostgreSQL has no users: `none`: a fresh start is wanted, whatever lies in the data folder; `required`: a start without data to move fails",
    },
    Variable {
        name: "WEBUI_INIT_MOVE_AGAIN",
        default: "`false`",
        meaning: "`true` moves `webui.db` although it was moved before, as the record in PostgreSQL or the receipt beside `webui.db` says; for one start",
    },
    Variable {
        name: "WEBUI_INIT_ON_FAILURE",
        default: "`exit`",
        meaning: "`sqlite` starts the app on its old database after a failed move; only while this instance holds the lock and the marker has been read and is absent",
    },
    Variable {
        name: "WEBUI_INIT_LEFTOVERS",
        default: "`keep`",
        meaning: "`fail`: any leftover fails the move",
    },
    Variable {
        name: "WEBUI_INIT_VERIFY",
        default: "`full`",
        meaning: "`count` compares numbers of rows only",
    },
    Variable {
        name: "WEBUI_INIT_LOG",
        default: "`info`",
        meaning: "`error`, `warn`, `info`, `debug`, `trace`, or a list of `target=level`; `webui_init` is this program, `open_webui` the app's schema step",
    },
    Variable {
        name: "WEBUI_INIT_LOG_FORMAT",
        default: "`text`",
        meaning: "`json`: one object a line",
    },
    Variable {
        name: "WEBUI_INIT_DISABLE",
        default: "`false`",
        meaning: "`true` starts the app at once, whatever is there",
    },
];

/// How alike two names must be for one to be taken for a misspelling of the other: 1 is equal.
const ALIKE: f64 = 0.85;

/// A warning for each name that begins like ours and is none.
pub(super) fn unknown<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with(PREFIX) && OWN.iter().all(|own| own.name != name.as_str()))
        .map(|name| {
            let mut warning = format!("{name} is not a variable of webui-init; it has no effect");
            if let Some(meant) = nearest(name) {
                let _ = write!(warning, ". Is {meant} meant?");
            }
            warning
        })
        .collect();
    unknown.sort();
    unknown
}

fn nearest(name: &str) -> Option<&'static str> {
    let rest = |name: &'static str| name.trim_start_matches(PREFIX);
    let wanted = name.trim_start_matches(PREFIX);
    let alike = OWN
        .iter()
        .map(|own| (strsim::jaro_winkler(wanted, rest(own.name)), own.name));
    let (score, nearest) = alike.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > ALIKE).then_some(nearest)
}

/// A warning for each variable that is nearly called `DATABASE_URL` and whose value begins like one: where no database is
/// named, the app would start on SQLite without a word.
pub(super) fn nearly_database_url<'a>(
    variables: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    const URL: &str = "DATABASE_URL";
    let mut near: Vec<String> = variables
        .filter(|(name, value)| {
            *name != URL
                && strsim::damerau_levenshtein(&name.to_ascii_uppercase(), URL) <= 2
                && ["postgres://", "postgresql://", "postgresql+"]
                    .iter()
                    .any(|scheme| value.trim_start_matches(['"', '\'', ' ']).starts_with(scheme))
        })
        .map(|(name, _)| {
            format!(
                "{name} looks like the address of a PostgreSQL, but Open WebUI reads DATABASE_URL, which is not set: it starts on SQLite"
            )
        })
        .collect();
    near.sort();
    near
}

/// For `--help`: a paragraph each.
pub fn help() -> String {
    let mut help = String::new();
    for Variable {
        name,
        default,
        meaning,
    } in OWN
    {
        // Writing to a String cannot fail.
        let _ = writeln!(help, "  {name} (default: {default})\n      {meaning}");
    }
    help.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../../README.md");
        let rows: Vec<&str> = readme
            .lines()
            .filter(|line| line.starts_with("| `WEBUI_INIT_"))
            .collect();
        let ours: Vec<String> = OWN
            .iter()
            .map(|own| format!("| `{}` | {} | {} |", own.name, own.default, own.meaning))
            .collect();
        assert_eq!(rows, ours);
    }

    #[test]
    fn a_misspelling_names_what_is_meant() {
        let names = ["WEBUI_INIT_WAIT_SEC", "WEBUI_INIT_XYZ", "WEBUI_INIT_LOG"].map(str::to_owned);
        assert_eq!(
            unknown(names.iter()),
            [
                "WEBUI_INIT_WAIT_SEC is not a variable of webui-init; it has no effect. Is WEBUI_INIT_WAIT_SECS meant?",
                "WEBUI_INIT_XYZ is not a variable of webui-init; it has no effect",
            ]
        );
    }

    #[test]
    fn what_is_nearly_database_url_is_noticed() {
        for name in ["DATABSE_URL", "DATABASE_URI", "database_url", "DATABASEURL"] {
            let near = nearly_database_url([(name, "postgres://u@h/d")].into_iter());
            assert!(near[0].starts_with(name), "{near:?}");
        }
        for (name, value) in [
            ("DATABASE_URL", "postgres://u@h/d"),
            ("DATABASE_URI", "mysql://h"),
            ("PGVECTOR_DB_URL", "postgresql://u@h/d"),
        ] {
            assert!(nearly_database_url([(name, value)].into_iter()).is_empty());
        }
    }
}

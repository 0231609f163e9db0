//! The environment as an operator may write it.

use std::path::Path;

use super::*;

fn read_from(pairs: &[(&str, &str)]) -> Result<Start, SettingsError> {
    read(
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    )
}

fn settings(pairs: &[(&str, &str)]) -> Settings {
    match read_from(pairs) {
        Ok(Start::Prepare(settings)) => *settings,
        other => panic!("expected settings, got {other:?}"),
    }
}

#[test]
fn nothing_or_sqlite_passes_through() {
    for pairs in [
        &[][..],
        &[("DATABASE_URL", "")],
        &[("DATABASE_URL", "sqlite:////data/webui.db")],
        &[
            ("DATABASE_URL", "postgresql://u:p@h/d"),
            ("WEBUI_INIT_DISABLE", "TRUE"),
        ],
    ] {
        assert!(
            matches!(read_from(pairs), Ok(Start::PassThrough(..))),
            "{pairs:?}"
        );
    }
}

#[test]
fn all_problems_at_once_without_values() {
    let error = read_from(&[
        ("DATABASE_URL", "postgresql://u:canary@h/d"),
        ("WEBUI_INIT_WAIT_SECS", "canary"),
        ("WEBUI_INIT_ON_CONFLICT", "canary"),
        ("WEBUI_INIT_LOG_FORMAT", "canary"),
    ])
    .unwrap_err()
    .to_string();
    for name in [
        "WEBUI_INIT_WAIT_SECS",
        "WEBUI_INIT_ON_CONFLICT",
        "WEBUI_INIT_LOG_FORMAT",
    ] {
        assert!(error.contains(name), "{error}");
    }
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn defaults_are_the_contract() {
    let settings = settings(&[("DATABASE_URL", "postgresql://u:p@h/d")]);
    assert_eq!(settings.source, Path::new("/app/backend/data/webui.db"));
    assert_eq!(settings.app.dir, Path::new("/app/backend"));
    assert_eq!(
        (settings.wait.as_secs(), settings.lock_wait.as_secs()),
        (60, 900)
    );
    assert_eq!(settings.on_conflict, OnConflict::Keep);
    assert!(settings.migrations_enabled);
}

#[test]
fn parts_override_the_url_when_complete() {
    let parts = [
        ("DATABASE_URL", "sqlite:///x"),
        ("DATABASE_TYPE", "postgresql"),
        ("DATABASE_USER", "u"),
        ("DATABASE_HOST", "h"),
        ("DATABASE_PORT", "5432"),
        ("DATABASE_NAME", "d"),
    ];
    assert!(matches!(read_from(&parts), Ok(Start::Prepare(_))));
    let error = read_from(&parts[..5]).unwrap_err().to_string();
    assert!(error.contains("DATABASE_NAME: not set"), "{error}");
}

#[test]
fn half_a_configuration_is_not_sqlite() {
    let parts = [
        ("DATABASE_TYPE", "postgresql"),
        ("DATABASE_USER", "u"),
        ("DATABASE_PASSWORD", "p"),
        ("DATABASE_HOST", "h"),
        ("DATABASE_PORT", "5432"),
        ("DATABASE_NAME", "d"),
    ];
    let without = |missing: &[&str]| {
        let left = parts.iter().filter(|(name, _)| !missing.contains(name));
        left.copied().collect::<Vec<_>>()
    };
    for missing in [
        &["DATABASE_HOST"][..],
        &["DATABASE_PORT"],
        &["DATABASE_NAME"],
        &["DATABASE_USER", "DATABASE_PASSWORD"],
    ] {
        let error = read_from(&without(missing)).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{}: not set", missing[0])),
            "{error}"
        );
        // Beside a URL of PostgreSQL the app passes over them, and nothing is lost.
        let mut with_url = without(missing);
        with_url.push(("DATABASE_URL", "postgresql://u@h/d"));
        assert!(matches!(read_from(&with_url), Ok(Start::Prepare(_))));
    }
    // A user without a password is enough for the app; without a type the other parts mean nothing to it.
    let no_password = without(&["DATABASE_PASSWORD"]);
    assert!(matches!(read_from(&no_password), Ok(Start::Prepare(_))));
    let type_missing = without(&["DATABASE_TYPE"]);
    assert!(matches!(
        read_from(&type_missing),
        Ok(Start::PassThrough(..))
    ));
}

#[test]
fn the_app_gets_the_address_in_its_plain_form() {
    let parts = [
        ("DATABASE_TYPE", "postgresql"),
        ("DATABASE_USER", "u"),
        ("DATABASE_PASSWORD", "p@ss"),
        ("DATABASE_HOST", "h"),
        ("DATABASE_PORT", "5432"),
        ("DATABASE_NAME", "d"),
    ];
    let given = |pairs: &[(&str, &str)]| {
        let changes = settings(pairs).changes;
        let url = changes.set.iter().find(|(name, _)| name == "DATABASE_URL");
        let url = url.unwrap().1.to_str().unwrap().to_owned();
        (
            url,
            changes.remove.iter().any(|name| name == "DATABASE_HOST"),
        )
    };
    // Versions before 0.6.16 do not know the parts.
    assert_eq!(
        given(&parts),
        ("postgresql://u:p%40ss@h:5432/d".to_owned(), true)
    );
    let mut beside_an_empty_url = parts.to_vec();
    beside_an_empty_url.push(("DATABASE_URL", ""));
    let changes = settings(&beside_an_empty_url).changes;
    assert!(!changes.remove.iter().any(|name| name == "DATABASE_URL"));
    for url in [
        "postgres://u:p@h/d",
        "postgresql+psycopg2://u:p@h:5432/d",
        "postgresql+psycopg://u:p@h/d",
        "postgresql://u:p@h:/d",
    ] {
        assert_eq!(
            given(&[("DATABASE_URL", url)]),
            ("postgresql://u:p@h:5432/d".to_owned(), false)
        );
    }
    let url = given(&[("DATABASE_URL", "postgresql://u:p@h/d?ssl=require")]).0;
    assert_eq!(url, "postgresql://u:p@h:5432/d?sslmode=require");
}

#[test]
fn parts_that_name_another_database_than_the_url_are_a_warning() {
    let warned = |url| {
        let parts = [
            ("DATABASE_TYPE", "postgresql"),
            ("DATABASE_USER", "u"),
            ("DATABASE_HOST", "h"),
            ("DATABASE_PORT", "5432"),
            ("DATABASE_NAME", "d"),
            ("WEBUI_SECRET_KEY", "k"),
            ("DATABASE_URL", url),
        ];
        settings(&parts).warnings.join("\n")
    };
    let warning = warned("postgresql://u:secret@elsewhere/d");
    assert!(warning.contains("DATABASE_URL names"), "{warning}");
    assert!(!warning.contains("secret"), "{warning}");
    assert_eq!(warned("postgresql://u:secret@h/d"), "");
}

#[test]
fn an_empty_url_is_taken_from_the_app() {
    match read_from(&[("DATABASE_URL", "")]) {
        Ok(Start::PassThrough(PassThrough {
            changes, warnings, ..
        })) => {
            assert_eq!(changes.remove, ["DATABASE_URL"]);
            assert!(warnings.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_under_nearly_the_right_name_is_a_warning() {
    match read_from(&[("DATABSE_URL", "postgres://u:secret@h/d")]) {
        Ok(Start::PassThrough(PassThrough { warnings, .. })) => {
            assert!(warnings[0].starts_with("DATABSE_URL"), "{warnings:?}");
            assert!(!warnings[0].contains("secret"), "{warnings:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_typo_is_named() {
    let settings = settings(&[
        ("DATABASE_URL", "postgresql://u:p@h/d"),
        ("WEBUI_INIT_WAIT_SEC", "5"),
        ("WEBUI_SECRET_KEY", "k"),
    ]);
    assert_eq!(
        settings.warnings,
        [
            "WEBUI_INIT_WAIT_SEC is not a variable of webui-init; it has no effect. Is WEBUI_INIT_WAIT_SECS meant?"
        ]
    );
}

#[test]
fn names_in_other_letters_are_other_variables() {
    let settings = settings(&[
        ("DATABASE_URL", "postgresql://u:p@h/d"),
        ("data_dir", "/elsewhere"),
        ("DATA_DIR", "/data"),
    ]);
    assert_eq!(settings.source, Path::new("/data/webui.db"));
    let pairs = [("database_url", "postgresql://u:p@h/d")];
    assert!(matches!(read_from(&pairs), Ok(Start::PassThrough(..))));
}

#[test]
fn a_secret_and_its_file_exclude_each_other() {
    let error = read_from(&[
        ("DATABASE_URL", "postgresql://u@h/d"),
        ("DATABASE_URL_FILE", "/nowhere"),
    ])
    .unwrap_err();
    assert!(error.to_string().contains("both are set"));
}

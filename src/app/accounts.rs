//! Owns the search for accounts that share an e-mail address once case is left aside. The app's newest
//! revisions allow an address once; two accounts are two people's data, so nothing here merges them: they are
//! named, and a person decides.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::app::{Migrations, names};
use crate::postgres::error::{TargetError, failed};
use crate::postgres::target;
use crate::sql::quote;
use crate::sqlite::source::{Source, SourceError};

/// The app's unique index over the addresses in lower case (its revision f0bd01a18a3d).
pub(crate) const INDEX: &str = "uq_user_email_lower";

/// One account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// Its row id.
    pub rowid: i64,
    /// Its id in the app.
    pub id: String,
    address: String,
}

/// Every account that has an address, in row id order; none where the source has no such table.
///
/// # Errors
/// SQLite cannot read the table.
pub(crate) fn read(source: &Source) -> Result<Vec<Account>, SourceError> {
    let has = |name: &str| {
        let mut tables = source.tables.iter().filter(|table| table.name == "user");
        tables.any(|table| table.columns.iter().any(|column| column.name == name))
    };
    if !has("id") || !has("email") {
        return Ok(Vec::new());
    }
    let sql = "SELECT rowid, CAST(id AS TEXT), CAST(email AS TEXT) FROM main.user
                WHERE typeof(email) = 'text' AND id IS NOT NULL ORDER BY rowid";
    let account = |row: &rusqlite::Row<'_>| {
        let text = |at| -> rusqlite::Result<String> {
            let bytes = row.get_ref(at)?.as_bytes().unwrap_or_default();
            Ok(String::from_utf8_lossy(bytes).replace('\0', ""))
        };
        Ok(Account {
            rowid: row.get(0)?,
            id: text(1)?,
            address: text(2)?,
        })
    };
    let read = || -> rusqlite::Result<Vec<Account>> {
        let mut statement = source.connection().prepare(sql)?;
        statement.query_map([], account)?.collect()
    };
    read().map_err(|error| source.failed(error))
}

/// Whether each of these accounts, of which there are some, is in PostgreSQL too.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn all_there(
    client: &Client,
    schema: &str,
    accounts: &[Account],
) -> Result<bool, TargetError> {
    let ids: Vec<&str> = accounts.iter().map(|one| one.id.as_str()).collect();
    let sql = format!(
        "SELECT count(DISTINCT id) FROM {}.{} WHERE id = ANY ($1)",
        quote(schema),
        quote(names::USER)
    );
    let row = target::brief(
        client.query_typed_one(&sql, &[(&ids, Type::TEXT_ARRAY)]),
        failed("did not tell whose accounts it holds"),
    )
    .await?;
    Ok(!ids.is_empty() && usize::try_from(row.get::<_, i64>(0)) == Ok(ids.len()))
}

/// The accounts that share an address as PostgreSQL's `lower` sees it: whether it folds more than ASCII depends
/// on the database.
///
/// # Errors
/// PostgreSQL's.
pub(crate) async fn sharing(
    client: &Client,
    accounts: Vec<Account>,
) -> Result<Vec<Vec<Account>>, TargetError> {
    let addresses: Vec<&str> = accounts.iter().map(|one| one.address.as_str()).collect();
    let arguments: [(&(dyn ToSql + Sync), Type); 1] = [(&addresses, Type::TEXT_ARRAY)];
    let rows = target::brief(
        client.query_typed(
            "SELECT lower(address) FROM unnest($1) WITH ORDINALITY a(address, n) ORDER BY n",
            &arguments,
        ),
        failed("did not compare e-mail addresses"),
    )
    .await?;
    let folded = rows.iter().map(|row| row.get::<_, String>(0));
    Ok(group(accounts.into_iter().zip(folded)))
}

/// The accounts at which the app's own upgrade of the source would stop: it asks SQLite, whose `lower` knows
/// ASCII alone. None where nothing is to be upgraded, the image has no such index, or the source has it.
///
/// # Errors
/// SQLite cannot read the table.
pub(crate) fn in_the_way_of_upgrade(
    source: &Source,
    migrations: &Migrations,
) -> Result<Vec<Vec<Account>>, SourceError> {
    if migrations
        .head()
        .is_none_or(|head| source.revision.as_ref() == Some(&head))
    {
        return Ok(Vec::new());
    }
    let sql = "SELECT count(*) FROM main.sqlite_schema WHERE type = 'index' AND name = ?1";
    let there: i64 = source
        .connection()
        .query_row(sql, [INDEX], |row| row.get(0))
        .map_err(|error| source.failed(error))?;
    if there > 0 || !migrations.may_know(INDEX) {
        return Ok(Vec::new());
    }
    let accounts = read(source)?;
    Ok(group(accounts.into_iter().map(|account| {
        let folded = account.address.to_ascii_lowercase();
        (account, folded)
    })))
}

fn group(accounts: impl Iterator<Item = (Account, String)>) -> Vec<Vec<Account>> {
    let mut groups: BTreeMap<String, Vec<Account>> = BTreeMap::new();
    for (account, folded) in accounts {
        groups.entry(folded).or_default().push(account);
    }
    groups
        .into_values()
        .filter(|group| group.len() > 1)
        .collect()
}

/// The groups for people: ids, never addresses.
pub(crate) fn names(groups: &[Vec<Account>]) -> String {
    let groups = groups.iter().map(|group| {
        let ids = group
            .iter()
            .map(|account| account.id.escape_debug().to_string());
        ids.collect::<Vec<_>>().join(" and ")
    });
    groups.collect::<Vec<_>>().join("; ")
}

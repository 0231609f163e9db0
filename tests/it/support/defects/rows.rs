//! Defects of whole rows, of references and keys, and tables and columns that the app does not know.

use super::{Foreign, Planter, Row, Stored, Unique};

pub(super) fn orphan(p: &mut Planter<'_>) -> bool {
    let keys: Vec<_> = p
        .ground
        .foreign
        .iter()
        .filter(|key| !key.set_null)
        .collect();
    let key = p.dice.pick(&keys);
    let Some(row) = p.free_row(&key.table, std::slice::from_ref(&key.column)) else {
        return false;
    };
    p.may_fall(&row)
        && p.set(&row, &key.column, &Stored::text("deleted"))
        && p.put_aside(&row, &format!("orphan:{}", key.name))
}

/// What referred to it is found when everything is planted.
pub(super) fn deleted_parent(p: &mut Planter<'_>) -> bool {
    let key = p.dice.pick(&p.ground.foreign);
    let Some(row) = p.free_row(&key.parent, &[]) else {
        return false;
    };
    // What was planted in it would be gone too.
    if p.children(&row, false).is_empty() || !p.may_fall(&row) || p.ledger.cells.contains_key(&row)
    {
        return false;
    }
    p.execute(&format!(
        "DELETE FROM \"{}\" WHERE rowid = {}",
        row.0, row.1
    ));
    true
}

pub(super) fn nulled(p: &mut Planter<'_>) -> bool {
    let keys: Vec<_> = p.ground.foreign.iter().filter(|key| key.set_null).collect();
    let key = p.dice.pick(&keys);
    let Some(row) = p.free_row(&key.table, &[]) else {
        return false;
    };
    p.is_free(&row, &key.column) && p.set(&row, &key.column, &Stored::text("deleted"))
}

/// `''` stands in for NULL elsewhere; here nobody has that name.
pub(super) fn null_reference(p: &mut Planter<'_>) -> bool {
    let keys = p.ground.foreign.iter();
    let keys: Vec<_> = keys
        .filter(|key| p.ground.tables[&key.table].column(&key.column).not_null)
        .collect();
    let key = p.dice.pick(&keys);
    let Some(row) = p.free_row(&key.table, std::slice::from_ref(&key.column)) else {
        return false;
    };
    p.may_fall(&row)
        && p.set(&row, &key.column, &Stored::Null)
        && p.put_aside(&row, &format!("orphan:{}", key.name))
}

/// Two rows under a unique index: the first stays, and what it refers to.
fn twins(p: &mut Planter<'_>, unique: &Unique) -> Option<(Row, Row)> {
    let (one, other) = (
        p.free_row(&unique.table, &unique.columns)?,
        p.free_row(&unique.table, &unique.columns)?,
    );
    let (first, second) = if one.1 < other.1 {
        (one, other)
    } else {
        (other, one)
    };
    (first.1 != second.1 && p.is_sound(&first) && p.may_fall(&second)).then_some((first, second))
}

fn make_alike(p: &mut Planter<'_>, unique: &Unique, first: &Row, second: &Row) -> bool {
    for column in &unique.columns {
        let value = p.get(first, column);
        if !p.set(second, column, &value) {
            return false;
        }
    }
    p.hold(first, &unique.columns);
    p.put_aside(second, &format!("duplicate:{}", unique.name))
}

pub(super) fn duplicate(p: &mut Planter<'_>) -> bool {
    let uniques: Vec<_> = p
        .ground
        .uniques
        .iter()
        .filter(|unique| !unique.primary && !unique.lower)
        .collect();
    let unique = p.dice.pick(&uniques);
    twins(p, unique).is_some_and(|(first, second)| make_alike(p, unique, &first, &second))
}

/// Where a reference is no part of the unique index, so that one row stays behind and its twin has the place.
pub(super) fn duplicate_of_orphan(p: &mut Planter<'_>) -> bool {
    let ground = p.ground;
    let pairs: Vec<_> = ground
        .uniques
        .iter()
        .filter(|unique| !unique.primary && !unique.lower)
        .flat_map(|unique| {
            let keys = ground.foreign.iter().filter(|key| {
                key.table == unique.table && !key.set_null && !unique.columns.contains(&key.column)
            });
            keys.map(move |key| (unique, key))
        })
        .collect();
    let (unique, key) = p.dice.pick(&pairs);
    let Some((first, second)) = twins(p, unique) else {
        return false;
    };
    if !p.may_fall(&first) || !p.is_sound(&second) || !p.is_free(&first, &key.column) {
        return false;
    }
    for column in &unique.columns {
        let value = p.get(&first, column);
        p.set(&second, column, &value);
        let Stored::Text(text) = value else {
            return false;
        };
        p.note(&second, column, String::from_utf8(text).ok(), &[]);
    }
    p.hold(&second, &unique.columns);
    p.set(&first, &key.column, &Stored::text("deleted"))
        && p.put_aside(&first, &format!("orphan:{}", key.name))
}

fn over_emails<'a>(p: &Planter<'a>) -> &'a Unique {
    p.ground
        .uniques
        .iter()
        .find(|unique| unique.lower)
        .expect("one on lower(email)")
}

pub(super) fn email_case(p: &mut Planter<'_>) -> bool {
    let unique = over_emails(p);
    let Some((first, second)) = twins(p, unique) else {
        return false;
    };
    let Stored::Text(email) = p.get(&first, "email") else {
        return false;
    };
    p.set(&second, "email", &Stored::Text(email.to_ascii_uppercase())) && {
        p.hold(&first, &unique.columns);
        p.put_aside(&second, &format!("duplicate:{}", unique.name))
    }
}

/// The server knows whether they are alike.
pub(super) fn email_case_beyond_ascii(p: &mut Planter<'_>) -> bool {
    let unique = over_emails(p);
    let Some((first, second)) = twins(p, unique) else {
        return false;
    };
    let n = p.dice.below(1000);
    let (upper, lower) = (
        format!("ÄRGER{n}@EXAMPLE.ORG"),
        format!("ärger{n}@example.org"),
    );
    p.set(&first, "email", &Stored::text(&upper));
    p.set(&second, "email", &Stored::text(&lower));
    p.note(&first, "email", Some(upper), &[]);
    p.hold(&first, &unique.columns);
    if p.ground.folds {
        return p.put_aside(&second, &format!("duplicate:{}", unique.name));
    }
    p.note(&second, "email", Some(lower), &[]);
    true
}

/// To `SQLite` they differ; what PostgreSQL gets does not.
pub(super) fn key_alike(p: &mut Planter<'_>, nul: bool) -> bool {
    let keys: Vec<_> = p
        .ground
        .uniques
        .iter()
        .filter(|unique| unique.primary && unique.table != "config_old")
        .collect();
    let unique = p.dice.pick(&keys);
    let Some((first, second)) = twins(p, unique) else {
        return false;
    };
    let column = &unique.columns[0];
    let Stored::Text(key) = p.get(&first, column) else {
        return false;
    };
    let alike = if nul {
        Stored::Text([&key[..], b"\0"].concat())
    } else {
        Stored::Blob(key)
    };
    if !p.set(&second, column, &alike) {
        return false;
    }
    for column in &unique.columns[1..] {
        let value = p.get(&first, column);
        p.set(&second, column, &value);
    }
    p.hold(&first, &unique.columns);
    p.put_aside(&second, &format!("duplicate:{}", unique.name))
}

pub(super) fn check(p: &mut Planter<'_>) -> bool {
    let Some(row) = p.free_row("channel_member", &[]) else {
        return false;
    };
    let both = p.dice.one_in(2);
    if !p.may_fall(&row) {
        return false;
    }
    for column in ["user_id", "app_id"] {
        let value = if both {
            Stored::text(format!("{column} of {}", row.1))
        } else {
            Stored::Null
        };
        p.set(&row, column, &value);
    }
    p.put_aside(&row, "check:ck_channel_member_identity")
}

/// A cell that an index holds and no foreign key leans on.
fn indexed_cell(p: &mut Planter<'_>) -> Option<(Row, String)> {
    let (table, column) = p.dice.pick(&p.ground.indexed);
    let in_key = |key: &Foreign| {
        (&key.table, &key.column) == (&table, &column)
            || (&key.parent, &key.parent_column) == (&table, &column)
    };
    if p.ground.foreign.iter().any(in_key) || table == "channel_member" {
        return None;
    }
    let row = p.free_row(&table, std::slice::from_ref(&column))?;
    Some((row, column))
}

pub(super) fn oversized(p: &mut Planter<'_>) -> bool {
    let Some((row, column)) = indexed_cell(p) else {
        return false;
    };
    let length = p.dice.pick(&[5_600, 8_000, 20_000]);
    let noise = p.dice.noise(length);
    p.may_fall(&row)
        && p.set(&row, &column, &Stored::text(noise))
        && p.put_aside(&row, "refused:54000")
}

/// The only index over an expression in JSON, `file_pending_knowledge_idx`.
pub(super) fn oversized_json(p: &mut Planter<'_>) -> bool {
    let Some(row) = p.free_row("file", &[]) else {
        return false;
    };
    if !p.is_free(&row, "data") || !p.is_free(&row, "meta") || !p.may_fall(&row) {
        return false;
    }
    let meta = format!(r#"{{"data":{{"knowledge_id":"{}"}}}}"#, p.dice.noise(6_000));
    p.set(&row, "data", &Stored::text(r#"{"status":"pending"}"#))
        && p.set(&row, "meta", &Stored::text(meta))
        && p.put_aside(&row, "refused:54000")
}

pub(super) fn compressible(p: &mut Planter<'_>) -> bool {
    let Some((row, column)) = indexed_cell(p) else {
        return false;
    };
    let text = format!("{} ", p.dice.below(1000)).repeat(2_000);
    let planted = p.set(&row, &column, &Stored::text(&text));
    if planted {
        p.note(&row, &column, Some(text), &[]);
    }
    planted
}

pub(super) fn null_in_key(p: &mut Planter<'_>) -> bool {
    let keys = p
        .ground
        .uniques
        .iter()
        .filter(|unique| unique.primary && unique.columns.len() > 1);
    let keys: Vec<_> = keys.collect();
    let unique = p.dice.pick(&keys);
    let column = p.dice.pick(&unique.columns[1..]);
    let Some(row) = p.free_row(&unique.table, std::slice::from_ref(&column)) else {
        return false;
    };
    let planted = !p.protected.contains(&row) && p.set(&row, &column, &Stored::Null);
    if planted {
        p.note(&row, &column, Some(String::new()), &["null_in_not_null"]);
    }
    planted
}

pub(super) fn unknown_table(p: &mut Planter<'_>) -> bool {
    let name = p.dice.pick(&[
        "modelfile",
        "my\"own table",
        "without_rowid",
        "empty",
        "nameless",
    ]);
    if !p.ledger.unknown_tables.insert(name.to_owned()) {
        return false;
    }
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let (key, end) = match name {
        "without_rowid" => ("PRIMARY KEY", "WITHOUT ROWID"),
        "nameless" => ("", ""),
        _ => ("PRIMARY KEY", ""),
    };
    p.execute(&format!(
        "CREATE TABLE {quoted} (id TEXT {key}, content BLOB, \"odd \"\"column\" REAL) {end}"
    ));
    if name != "empty" {
        for n in 0..=p.dice.below(5) {
            p.execute(&format!("INSERT INTO {quoted} VALUES ('{n}', x'00ff{n:02x}', {n}.25), ('{n}b', CAST(x'610062' AS TEXT), 9e999)"));
        }
    }
    true
}

/// With content in some rows, or in none.
pub(super) fn unknown_column(p: &mut Planter<'_>) -> bool {
    let tables: Vec<_> = p.ground.tables.keys().collect();
    let table = p.dice.pick(&tables);
    let columns = p.ledger.unknown_columns.entry(table.clone()).or_default();
    let name = ["legacy", "odd \"column"][columns.len().min(1)];
    if columns.iter().any(|column| column == name) {
        return false;
    }
    columns.push(name.to_owned());
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    p.execute(&format!("ALTER TABLE \"{table}\" ADD COLUMN {quoted}"));
    for rowid in p.rows(table) {
        if !p.dice.one_in(3) {
            continue;
        }
        let value = p.dice.pick(&["1", "'text'", "x'ff00'", "''", "-0.5"]);
        p.execute(&format!(
            "UPDATE \"{table}\" SET {quoted} = {value} WHERE rowid = {rowid}"
        ));
    }
    true
}

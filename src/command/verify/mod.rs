//! Owns `webui-init verify`: source and target are compared as they are now, table by table. What is compared is
//! `compare`'s, how it is told `words`'.

mod compare;
mod words;

use serde::Serialize;

use crate::app::upgrade::upgrade_copy;
use crate::app::{names, revision};
use crate::command::frame::Controls;
use crate::command::open::open_to_read;
use crate::command::verify::compare::{Held, compare, rows_of};
use crate::failure::Failure;
use crate::load::plan::Unasked;
use crate::postgres::catalogue::Catalogue;
use crate::postgres::target::{Server, Target};
use crate::settings::Settings;
use crate::sqlite::source::{self, Found, Location};
use crate::sqlite::thread::off_thread;

/// The comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Audit {
    /// Database, host and role.
    pub target: String,
    /// The path of the source.
    pub source: String,
    /// When the move was completed; none if no move is recorded.
    pub moved_at: Option<String>,
    /// Sums over all tables.
    pub total: TableAudit,
    /// Every table that holds rows on either side.
    pub tables: Vec<TableAudit>,
}

/// The comparison of one table, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TableAudit {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub table: String,
    /// Rows that are equal on both sides.
    pub equal: u64,
    /// Rows that PostgreSQL holds with another content: the app has changed them since.
    pub changed: u64,
    /// Rows that PostgreSQL does not hold.
    pub missing: u64,
    /// Rows that only PostgreSQL holds: the app has made them since.
    pub extra: u64,
    /// Rows that Open WebUI's own upgrade of the old database makes under new random ids each time it runs:
    /// as many on both sides, and not to be told apart.
    pub renumbered: u64,
    /// Rows of the source that are kept aside in `webui_init.leftover`.
    pub kept_aside: u64,
    /// Rows that are in place in another form, and whose originals `webui_init.leftover` no longer holds.
    pub lost_originals: u64,
    /// Keys of the first missing rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_keys: Vec<String>,
    /// Keys of the first changed rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_keys: Vec<String>,
}

impl TableAudit {
    fn pair_renumbered(&mut self) {
        let renumbered = self.missing.min(self.extra);
        self.renumbered += renumbered;
        self.missing -= renumbered;
        self.extra -= renumbered;
        if self.missing == 0 {
            self.missing_keys.clear();
        }
    }

    fn add(&mut self, table: &Self) {
        self.equal += table.equal;
        self.changed += table.changed;
        self.missing += table.missing;
        self.extra += table.extra;
        self.renumbered += table.renumbered;
        self.kept_aside += table.kept_aside;
        self.lost_originals += table.lost_originals;
    }
}

/// Compares every table.
///
/// # Errors
/// Either side cannot be read. Differences are no error here.
pub(crate) async fn audit(settings: &Settings, controls: &Controls) -> Result<Audit, Failure> {
    let target = Target::new(&settings.dsn, settings.schema.as_deref())?;
    let first = target.first_look(settings.wait, names::USER).await?;
    let marker = first.marker;
    let server = target.server().await?;
    let Found::File(location) = source::locate(&settings.source)? else {
        return Err(Failure::NothingToCompare(settings.source_name()));
    };
    let name = location.name().to_owned();
    let tables = compare_tables(settings, controls, &target, &server, location).await?;
    let mut total = TableAudit::default();
    for table in &tables {
        total.add(table);
    }
    Ok(Audit {
        target: target.summary().to_owned(),
        source: name,
        moved_at: marker.map(|marker| marker.finished_at),
        total,
        tables,
    })
}

async fn compare_tables(
    settings: &Settings,
    controls: &Controls,
    target: &Target,
    server: &Server,
    location: Location,
) -> Result<Vec<TableAudit>, Failure> {
    let (source, ..) = open_to_read(settings, controls, location.clone(), 3).await?;
    let target_head = revision::of_target(target, &server.schema).await?;
    let make_scratch = |room| controls.make_scratch(settings, room);
    let (app, reporter) = (&settings.app, &controls.reporter);
    let (source, again) = match target_head.filter(|head| source.revision.as_ref() != Some(head)) {
        Some(head) => {
            let copy = upgrade_copy(app, reporter, source, &head, make_scratch).await?;
            // What the app's upgrade draws or reads off the clock differs between two of them, and so from the move's.
            let (source, ..) = open_to_read(settings, controls, location, 3).await?;
            let again = upgrade_copy(app, reporter, source, &head, make_scratch).await?;
            (copy, Some(again))
        }
        None => (source, None),
    };
    let client = target.client().await?;
    let catalogue = Catalogue::read(&client, &server.schema).await?;
    let plan = Unasked::new(&source.tables, &catalogue);
    let (source, plan) = plan.ask(&client, source).await?;
    let held = Held::read(&client, &server.schema, &plan).await?;
    let upgraded = again.is_some();
    let compared = off_thread(move || {
        let again = again.map(|again| rows_of(&again, &plan, &catalogue));
        let again = again.transpose()?.unwrap_or_default();
        compare(&source, &plan, &catalogue, held, again)
    });
    let mut tables = compared.await?;
    if upgraded {
        tables.iter_mut().for_each(TableAudit::pair_renumbered);
    }
    Ok(tables)
}

impl Audit {
    /// Whether all is well: a move is recorded and nothing of it is missing.
    ///
    /// # Errors
    /// [`Failure::NeverMoved`], [`Failure::Missing`].
    pub(crate) fn outcome(&self) -> Result<(), Failure> {
        let missing = self.total.missing + self.total.lost_originals;
        match missing {
            missing if self.moved_at.is_none() => Err(Failure::NeverMoved {
                target: self.target.clone(),
                missing,
            }),
            0 => Ok(()),
            missing => Err(Failure::Missing(missing)),
        }
    }
}

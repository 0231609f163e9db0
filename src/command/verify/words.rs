//! Owns how the comparison is told to people: the answer first, then the tables in which something differs.

use std::fmt::Write as _;

use crate::command::verify::{Audit, TableAudit};
use crate::output::words::{count, grouped};

impl Audit {
    /// The comparison for people.
    pub fn text(&self) -> String {
        let mut text = self.answer();
        let different: Vec<&TableAudit> =
            self.tables.iter().filter(|table| table.differs()).collect();
        if different.is_empty() {
            return text;
        }
        let longest = different.iter().map(|table| table.table.len()).max();
        let width = longest.unwrap_or(0).max(5);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n  {:<width$} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10}",
            "table", "equal", "changed", "missing", "new", "renumbered", "kept aside"
        );
        for table in &different {
            let _ = write!(
                text,
                "\n  {:<width$} {:>9} {:>9} {:>9} {:>9} {:>10} {:>10}",
                table.table,
                table.equal,
                table.changed,
                table.missing,
                table.extra,
                table.renumbered,
                table.kept_aside
            );
        }
        for table in &different {
            let lines = [
                ("missing in", table.missing, &table.missing_keys),
                ("changed in", table.changed, &table.changed_keys),
            ];
            for (what, number, keys) in lines {
                if !keys.is_empty() {
                    let more = if number > keys.len() as u64 {
                        "; …"
                    } else {
                        ""
                    };
                    let _ = write!(
                        text,
                        "\n  {what} {}: {}{more}",
                        table.table,
                        keys.join("; ")
                    );
                }
            }
            if table.lost_originals > 0 {
                let _ = write!(
                    text,
                    "\n  no longer kept of {}: {}",
                    table.table,
                    count(table.lost_originals, "original of repaired rows")
                );
            }
        }
        let alike = self.tables.len() - different.len();
        if alike > 0 {
            let _ = write!(
                text,
                "\n  equal in every row: {}",
                count(alike, "other table")
            );
        }
        text
    }

    fn answer(&self) -> String {
        let (total, target, source) = (&self.total, &self.target, &self.source);
        let Some(moved_at) = &self.moved_at else {
            return format!(
                "NOT MOVED: no move has been recorded in {target}. {} of {source} {} not there.",
                count(total.missing, "row"),
                if total.missing == 1 { "is" } else { "are" }
            );
        };
        if total.missing + total.lost_originals > 0 {
            let mut parts = Vec::new();
            if total.missing > 0 {
                parts.push(format!("{} of {source}", count(total.missing, "row")));
            }
            if total.lost_originals > 0 {
                parts.push(count(
                    total.lost_originals,
                    "original that was kept aside/originals that were kept aside",
                ));
            }
            let are = if total.missing + total.lost_originals == 1 {
                "is"
            } else {
                "are"
            };
            return format!("MISSING: {} {are} not in {target}.", parts.join(" and "));
        }
        if *total
            == (TableAudit {
                equal: total.equal,
                extra: total.extra,
                ..TableAudit::default()
            })
        {
            let all = match total.equal {
                1 => "The only row".to_owned(),
                equal => format!("All {} rows", grouped(equal)),
            };
            let are = if total.equal == 1 { "is" } else { "are" };
            return format!(
                "{all} of {source} {are} in {target}, unchanged.{}",
                self.newer()
            );
        }
        let mut parts = vec![format!("{} equal", count(total.equal, "row"))];
        let since = moved_at.get(..16).unwrap_or(moved_at);
        let more = [
            (
                total.changed,
                format!("changed in Open WebUI since {since}"),
            ),
            (
                total.renumbered,
                "made anew by Open WebUI's upgrade".to_owned(),
            ),
            (
                total.kept_aside,
                "kept aside in webui_init.leftover".to_owned(),
            ),
        ];
        let more = more.into_iter().filter(|(number, _)| *number > 0);
        parts.extend(more.map(|(number, what)| format!("{} {what}", grouped(number))));
        format!(
            "Nothing of {source} is missing in {target}: {}.{}",
            parts.join(", "),
            self.newer()
        )
    }

    /// What PostgreSQL holds besides.
    fn newer(&self) -> String {
        match self.total.extra {
            0 => String::new(),
            extra => format!(" {} came in Open WebUI since.", count(extra, "row")),
        }
    }
}

impl TableAudit {
    fn differs(&self) -> bool {
        let alike = Self {
            table: self.table.clone(),
            equal: self.equal,
            ..Self::default()
        };
        *self != alike
    }
}

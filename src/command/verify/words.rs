//! Owns how the comparison is told to people: the answer first, then the tables in which something differs.

use std::fmt::Write as _;

use crate::command::verify::{Audit, TableAudit};
use crate::output::words::{columns, count, grouped};

/// What the columns count.
const HEADS: [&str; 7] = [
    "table",
    "equal",
    "changed",
    "missing",
    "new",
    "renumbered",
    "kept aside",
];

impl Audit {
    /// The comparison for people.
    pub(crate) fn text(&self) -> String {
        let different: Vec<&TableAudit> =
            self.tables.iter().filter(|table| table.differs()).collect();
        let mut text = self.answer();
        if different.is_empty() {
            return text;
        }
        let rows: Vec<_> = different.iter().map(|table| table.row()).collect();
        text.push_str(&columns(HEADS, &rows));
        for table in &different {
            table.name_rows(&mut text);
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
                are(total.missing)
            );
        };
        if total.missing + total.lost_originals > 0 {
            return self.missing();
        }
        let unchanged = TableAudit {
            equal: total.equal,
            extra: total.extra,
            ..TableAudit::default()
        };
        if *total == unchanged {
            let all = match total.equal {
                1 => "The only row".to_owned(),
                equal => format!("All {} rows", grouped(equal)),
            };
            let are = are(total.equal);
            return format!(
                "{all} of {source} {are} in {target}, unchanged.{}",
                self.newer()
            );
        }
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
        let mut parts = vec![format!("{} equal", count(total.equal, "row"))];
        parts.extend(more.map(|(number, what)| format!("{} {what}", grouped(number))));
        format!(
            "Nothing of {source} is missing in {target}: {}.{}",
            parts.join(", "),
            self.newer()
        )
    }

    fn missing(&self) -> String {
        let TableAudit {
            missing,
            lost_originals,
            ..
        } = self.total;
        let mut parts = Vec::new();
        if missing > 0 {
            parts.push(format!("{} of {}", count(missing, "row"), self.source));
        }
        if lost_originals > 0 {
            let original = "original that was kept aside/originals that were kept aside";
            parts.push(count(lost_originals, original));
        }
        format!(
            "MISSING: {} {} not in {}.",
            parts.join(" and "),
            are(missing + lost_originals),
            self.target
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

fn are(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

impl TableAudit {
    fn row(&self) -> [String; 7] {
        let numbers = [
            self.equal,
            self.changed,
            self.missing,
            self.extra,
            self.renumbered,
            self.kept_aside,
        ];
        let mut cells = numbers.iter().map(u64::to_string);
        let mut next = || cells.next().unwrap_or_default();
        [
            self.table.clone(),
            next(),
            next(),
            next(),
            next(),
            next(),
            next(),
        ]
    }

    /// The first rows that are missing or changed, by their keys.
    fn name_rows(&self, text: &mut String) {
        let lines = [
            ("missing in", self.missing, &self.missing_keys),
            ("changed in", self.changed, &self.changed_keys),
        ];
        for (what, number, keys) in lines {
            if !keys.is_empty() {
                let more = if number > keys.len() as u64 {
                    "; …"
                } else {
                    ""
                };
                let _ = write!(text, "\n  {what} {}: {}{more}", self.table, keys.join("; "));
            }
        }
        if self.lost_originals > 0 {
            let lost = count(self.lost_originals, "original of repaired rows");
            let _ = write!(text, "\n  no longer kept of {}: {lost}", self.table);
        }
    }

    fn differs(&self) -> bool {
        let alike = Self {
            table: self.table.clone(),
            equal: self.equal,
            ..Self::default()
        };
        *self != alike
    }
}

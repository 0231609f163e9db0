//! Whether what became of a value is what PostgreSQL would have made of it, or a change that is reported.

use webui_init::value::{ColumnRule, Kind, Refusal, Repair, Repairs};

use super::value::Value;

/// Values by what became of them, and those whose literal PostgreSQL reads to the same bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub as_they_are: usize,
    pub repaired: usize,
    pub refused: usize,
    pub read_alike: usize,
}

pub struct Case {
    pub value: Value,
    pub column: ColumnRule,
    /// The COPY field and the repairs.
    pub stored: Result<(Vec<u8>, Repairs), Refusal>,
    /// The value as a literal, where it has one that PostgreSQL can be given.
    pub literal: Option<String>,
}

/// What PostgreSQL says.
pub struct Facts {
    /// What it holds.
    pub back: Option<Vec<u8>>,
    /// What it makes of the literal.
    pub reading: Option<Vec<u8>>,
    /// Whether its JSON functions can take the stored value apart.
    pub readable: bool,
    /// Whether the literal has the form of an ISO 8601 date or time.
    pub iso: bool,
}

impl Case {
    pub fn describe(&self) -> String {
        let ColumnRule {
            kind,
            not_null,
            default,
            ..
        } = &self.column;
        let value = match &self.value {
            Value::Text(bytes) => format!("TEXT {}", excerpt(Some(bytes))),
            Value::Blob(bytes) => format!("BLOB {}", excerpt(Some(bytes))),
            value => format!("{value:?}"),
        };
        let stored = match &self.stored {
            Ok((field, repairs)) => format!(
                "{} {:?}",
                excerpt(Some(field)),
                repairs.iter().collect::<Vec<_>>()
            ),
            Err(refusal) => format!("{refusal:?}"),
        };
        format!(
            "{kind:?} (not null {not_null}, default {}) from {value}\nstored {stored}",
            default.is_some()
        )
    }

    pub fn judge(&self, facts: &Facts, tally: &mut Tally) -> Result<(), &'static str> {
        let ensure = |holds: bool, wrong: &'static str| if holds { Ok(()) } else { Err(wrong) };
        let kind = self.column.kind;
        let (field, repairs) = match &self.stored {
            Err(refusal) => {
                tally.refused += 1;
                ensure(
                    self.column.not_null && self.column.default.is_none(),
                    "refused though something could stand in",
                )?;
                let null = self.value == Value::Null;
                ensure(
                    null == (*refusal == Refusal::NullInNotNull),
                    "refused for another reason",
                )?;
                return ensure(
                    facts.reading.is_none() || !self.must_read(facts),
                    "refused what PostgreSQL reads",
                );
            }
            Ok((field, repairs)) => (field, *repairs),
        };
        let (length, bytes) = field.split_first_chunk().expect("a length");
        let sent = (i32::from_be_bytes(*length) >= 0).then_some(bytes);
        ensure(
            sent.is_some() || !self.column.not_null,
            "NULL in a column that refuses it",
        )?;
        if kind != Kind::Jsonb {
            ensure(facts.back.as_deref() == sent, "came back otherwise")?;
        }
        ensure(facts.readable, "PostgreSQL cannot take this JSON apart")?;
        if repairs.is_empty() {
            tally.as_they_are += 1;
        } else {
            tally.repaired += 1;
        }
        if self.value == Value::Null {
            return ensure(
                repairs.is_empty() == (sent.is_none()),
                "NULL became something in silence",
            );
        }
        let replaced = repairs
            .first()
            .is_some_and(|repair| repair <= Repair::NullInNotNull);
        if replaced {
            let stand_in = if self.column.not_null {
                self.column.default.as_deref()
            } else {
                None
            };
            ensure(
                sent == stand_in,
                "replaced by something else than NULL or the default",
            )?;
            return ensure(
                facts.reading.is_none() || !self.must_read(facts),
                "replaced what PostgreSQL reads",
            );
        }
        ensure(sent.is_some(), "a value became NULL in silence")?;
        if let (Kind::Text, Some(bytes)) = (kind, self.value.bytes()) {
            ensure(
                sent == Some(sanitized(bytes).as_bytes()),
                "other text than the app would keep",
            )?;
        }
        if kind == Kind::Json && repairs.is_empty() && self.value.bytes().is_some() {
            ensure(sent == self.value.bytes(), "valid JSON was changed")?;
        }
        let comparable = match kind {
            Kind::Int2 | Kind::Int4 | Kind::Int8 => true,
            Kind::Varchar(_) => !repairs.iter().any(|repair| repair > Repair::TooLong),
            _ => repairs.is_empty(),
        };
        match &facts.reading {
            Some(reading) if comparable => {
                tally.read_alike += 1;
                ensure(
                    facts.back.as_ref() == Some(reading),
                    "PostgreSQL reads it otherwise",
                )
            }
            // Reported, and not to be compared.
            Some(_) => Ok(()),
            None => ensure(
                self.literal.is_none() || !repairs.is_empty(),
                "in silence, though PostgreSQL does not read it",
            ),
        }
    }

    /// Whether what PostgreSQL reads must not be given up on. Dates have forms that are not ISO 8601.
    fn must_read(&self, facts: &Facts) -> bool {
        let too_deep = match self.stored {
            Ok((_, repairs)) => repairs.contains(Repair::JsonTooDeep),
            Err(refusal) => refusal == Refusal::JsonTooDeep,
        };
        match self.column.kind {
            Kind::Json | Kind::Jsonb => !too_deep,
            Kind::Date | Kind::Timestamp | Kind::TimestampTz => facts.iso,
            _ => true,
        }
    }
}

/// What is worth showing of a long value.
pub fn excerpt(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(
        || "NULL".to_owned(),
        |bytes| bytes[..bytes.len().min(300)].escape_ascii().to_string(),
    )
}

/// What the app keeps of text: surrogates and NUL removed; what is not UTF-8 is replaced.
fn sanitized(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    while let Some(at) = bytes
        .windows(3)
        .position(|window| matches!(window, [0xED, 0xA0..=0xBF, 0x80..=0xBF]))
    {
        text += &String::from_utf8_lossy(&bytes[..at]);
        bytes = &bytes[at + 3..];
    }
    (text + &String::from_utf8_lossy(bytes)).replace('\0', "")
}

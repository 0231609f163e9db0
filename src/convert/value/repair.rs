//! What may become of a value that cannot be stored as it is, and the names of it.

/// Why something else than the source's value is stored. Most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Repair {
    /// Not a value of the type: NULL or the default instead.
    NotConvertible,
    /// A number or date beyond the type's range: NULL or the default instead.
    OutOfRange,
    /// Not JSON: NULL or the default instead.
    JsonInvalid,
    /// JSON nested deeper than [`crate::convert::json::MAX_DEPTH`]: NULL or the default instead.
    JsonTooDeep,
    /// Blank where JSON belongs: NULL or the default instead.
    EmptyJson,
    /// Blank where a date or time belongs: NULL or the default instead.
    EmptyDate,
    /// NULL where it is refused: the default or `''` instead.
    NullInNotNull,
    /// Cut to the characters that `varchar(n)` takes.
    TooLong,
    /// Bytes that are not UTF-8 became U+FFFD.
    InvalidUtf8,
    /// NUL characters were taken out.
    NulInText,
    /// Surrogates encoded as UTF-8 were taken out.
    LoneSurrogate,
    /// See [`crate::convert::json::Mend::Nul`].
    JsonNul,
    /// See [`crate::convert::json::Mend::LoneSurrogate`].
    JsonLoneSurrogate,
    /// See [`crate::convert::json::Mend::NonFinite`].
    JsonNonFinite,
    /// See [`crate::convert::json::Mend::Control`].
    JsonControl,
    /// A number other than 0 and 1 became true.
    NonzeroBool,
    /// A number or time lost digits that the type does not hold.
    Rounded,
}

impl Repair {
    /// All of them, in order.
    pub const ALL: [Self; 17] = [
        Self::NotConvertible,
        Self::OutOfRange,
        Self::JsonInvalid,
        Self::JsonTooDeep,
        Self::EmptyJson,
        Self::EmptyDate,
        Self::NullInNotNull,
        Self::TooLong,
        Self::InvalidUtf8,
        Self::NulInText,
        Self::LoneSurrogate,
        Self::JsonNul,
        Self::JsonLoneSurrogate,
        Self::JsonNonFinite,
        Self::JsonControl,
        Self::NonzeroBool,
        Self::Rounded,
    ];

    /// The name under which the original is kept.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotConvertible => "not_convertible",
            Self::OutOfRange => "out_of_range",
            Self::JsonInvalid => "json_invalid",
            Self::JsonTooDeep => "json_too_deep",
            Self::EmptyJson => "empty_json",
            Self::EmptyDate => "empty_date",
            Self::NullInNotNull => "null_in_not_null",
            Self::TooLong => "too_long",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::NulInText => "nul_in_text",
            Self::LoneSurrogate => "lone_surrogate",
            Self::JsonNul => "json_nul",
            Self::JsonLoneSurrogate => "json_lone_surrogate",
            Self::JsonNonFinite => "json_non_finite",
            Self::JsonControl => "json_control",
            Self::NonzeroBool => "nonzero_bool",
            Self::Rounded => "rounded",
        }
    }
}

/// The repairs of one value: usually none, sometimes several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Repairs(u32);

impl Repairs {
    /// No repair: the value arrives as it was.
    pub const NONE: Self = Self(0);

    /// Whether the value arrives as it was.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `repair` is among them.
    pub fn contains(self, repair: Repair) -> bool {
        self.0 & (1 << repair as u8) != 0
    }

    /// Adds one.
    pub fn insert(&mut self, repair: Repair) {
        self.0 |= 1 << repair as u8;
    }

    /// The most severe.
    pub fn first(self) -> Option<Repair> {
        self.iter().next()
    }

    /// Most severe first.
    pub fn iter(self) -> impl Iterator<Item = Repair> {
        Repair::ALL
            .into_iter()
            .filter(move |&repair| self.contains(repair))
    }
}

impl From<Repair> for Repairs {
    fn from(repair: Repair) -> Self {
        Self(1 << repair as u8)
    }
}

/// Why nothing can be stored: the column refuses NULL and has no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Not a value of the type.
    NotConvertible,
    /// A number or date beyond the type's range.
    OutOfRange,
    /// Not JSON.
    JsonInvalid,
    /// JSON nested deeper than [`crate::convert::json::MAX_DEPTH`].
    JsonTooDeep,
    /// Blank where JSON belongs.
    EmptyJson,
    /// Blank where a date or time belongs.
    EmptyDate,
    /// NULL.
    NullInNotNull,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NotConvertible,
        Self::OutOfRange,
        Self::JsonInvalid,
        Self::JsonTooDeep,
        Self::EmptyJson,
        Self::EmptyDate,
        Self::NullInNotNull,
    ];

    /// The name under which the row is kept.
    pub fn code(self) -> &'static str {
        self.repair().code()
    }

    /// What it is called where NULL or the default can stand in.
    pub(super) fn repair(self) -> Repair {
        match self {
            Self::NotConvertible => Repair::NotConvertible,
            Self::OutOfRange => Repair::OutOfRange,
            Self::JsonInvalid => Repair::JsonInvalid,
            Self::JsonTooDeep => Repair::JsonTooDeep,
            Self::EmptyJson => Repair::EmptyJson,
            Self::EmptyDate => Repair::EmptyDate,
            Self::NullInNotNull => Repair::NullInNotNull,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Repair::*;
    use super::*;

    #[test]
    fn codes_are_distinct_and_repairs_keep_their_order() {
        let codes: std::collections::BTreeSet<_> = Repair::ALL.map(Repair::code).into();
        assert_eq!(codes.len(), Repair::ALL.len());
        assert!(Repair::ALL.is_sorted());
        let mut repairs = Repairs::from(Rounded);
        repairs.insert(NotConvertible);
        assert_eq!(
            repairs.iter().collect::<Vec<_>>(),
            [NotConvertible, Rounded]
        );
        assert_eq!(repairs.first(), Some(NotConvertible));
        assert!(!repairs.is_empty() && repairs.contains(Rounded) && !repairs.contains(TooLong));
    }
}

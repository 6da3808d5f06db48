//! The order of a list.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;

/// What there are lists of.
pub trait Listed {
    /// What its lists are sorted by.
    type Field: SortField;
    /// The name of its lists, which tells their cursors from others.
    const LIST: &'static str;
}

/// The fields that a list can be sorted by. The default is when an item was made.
pub trait SortField: Copy + Eq + Default + fmt::Debug + Send + Sync + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// Its name in the API.
    fn as_str(self) -> &'static str;

    /// What its keys are.
    fn kind(self) -> KeyKind;
}

macro_rules! sort_fields {
    ($(#[$doc:meta])* $name:ident of $item:ident in $list:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $text:literal: $kind:ident),+ $(,)?
    }) => {
        $crate::action::words! {
            $(#[$doc])*
            $name { $($(#[$variant_doc])* $variant = $text),+ }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::CreatedAt
            }
        }

        impl $crate::sort::SortField for $name {
            const ALL: &'static [Self] = Self::ALL;

            fn as_str(self) -> &'static str {
                self.as_str()
            }

            fn kind(self) -> $crate::sort::KeyKind {
                match self { $(Self::$variant => $crate::sort::KeyKind::$kind),+ }
            }
        }

        impl $crate::sort::Listed for $item {
            type Field = $name;
            const LIST: &'static str = $list;
        }
    };
}
pub(crate) use sort_fields;

/// What the keys of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// [`SortKey::Text`].
    Text,
    /// [`SortKey::Text`] or [`SortKey::Absent`].
    OptionalText,
    /// [`SortKey::Instant`].
    Instant,
    /// [`SortKey::Instant`] or [`SortKey::Absent`].
    OptionalInstant,
}

impl KeyKind {
    /// Whether it can be absent.
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::OptionalText | Self::OptionalInstant)
    }

    /// Whether this is such a key.
    pub const fn admits(self, key: &SortKey) -> bool {
        match key {
            SortKey::Text(_) => matches!(self, Self::Text | Self::OptionalText),
            SortKey::Instant(_) => matches!(self, Self::Instant | Self::OptionalInstant),
            SortKey::Absent => self.is_optional(),
        }
    }

    /// Reads what [`SortKey`] displays.
    pub(crate) fn parse(self, text: &str) -> Option<SortKey> {
        let key = match self {
            // Neither a name nor an address is empty.
            Self::OptionalText | Self::OptionalInstant if text.is_empty() => SortKey::Absent,
            Self::Text | Self::OptionalText => SortKey::Text(text.to_owned()),
            Self::Instant | Self::OptionalInstant => {
                SortKey::Instant(Timestamp::from_millis(text.parse().ok()?))
            }
        };
        let is_line = text.chars().all(|character| !character.is_control());
        is_line.then_some(key)
    }
}

/// What an item is sorted by: the value of the field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// A text as [`fold`](crate::text::fold), by code points.
    Text(String),
    /// An instant.
    Instant(Timestamp),
    /// It has none. That is after all others.
    Absent,
}

impl fmt::Display for SortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Instant(at) => write!(f, "{}", at.as_millis()),
            Self::Absent => Ok(()),
        }
    }
}

/// By which field a list is sorted, and in which direction. Items with the same key are in the
/// order of their ids, in the same direction, so the order is total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sort<F> {
    /// The field.
    pub field: F,
    /// Whether the last come first.
    pub descending: bool,
}

impl<F: SortField> Sort<F> {
    /// All that there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let both = |field: &F| [false, true].map(|descending| Self { field: *field, descending });
        F::ALL.iter().flat_map(both)
    }
}

impl<F: SortField> fmt::Display for Sort<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.descending { "-" } else { "" };
        write!(f, "{sign}{}", self.field.as_str())
    }
}

impl<F: SortField> FromStr for Sort<F> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all().find(|sort| sort.to_string() == text).ok_or_else(|| {
            let names: Vec<_> = F::ALL.iter().map(|field| field.as_str()).collect();
            format!("must be one of {}, with - before it to turn it round", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::UserField;

    #[test]
    fn a_sort_reads_back_and_others_do_not() {
        for sort in Sort::<UserField>::all() {
            assert_eq!(sort.to_string().parse(), Ok(sort));
        }
        assert_eq!(Sort::<UserField>::default().to_string(), "createdAt");
        for text in ["", "-", "--name", "+name", "Name", "name,email", "expiresAt", " name"] {
            let problem = text.parse::<Sort<UserField>>().unwrap_err();
            assert!(problem.contains("createdAt, updatedAt, name, email"), "{problem}");
        }
    }

    #[test]
    fn a_key_reads_back_as_what_it_can_be() {
        let instant = SortKey::Instant(Timestamp::from_millis(-5));
        for (kind, key) in [
            (KeyKind::Text, SortKey::Text("æ 5".to_owned())),
            (KeyKind::OptionalText, SortKey::Text("-5".to_owned())),
            (KeyKind::OptionalText, SortKey::Absent),
            (KeyKind::Instant, instant.clone()),
            (KeyKind::OptionalInstant, instant),
            (KeyKind::OptionalInstant, SortKey::Absent),
        ] {
            assert!(kind.admits(&key));
            assert_eq!(kind.parse(&key.to_string()), Some(key));
        }
        assert!(!KeyKind::Instant.admits(&SortKey::Absent));
        assert!(!KeyKind::Instant.admits(&SortKey::Text("5".to_owned())));
        assert!(!KeyKind::OptionalText.admits(&SortKey::Instant(Timestamp::MIN)));
        for (kind, text) in
            [(KeyKind::Instant, ""), (KeyKind::Instant, "x"), (KeyKind::Text, "a\0b")]
        {
            assert_eq!(kind.parse(text), None);
        }
    }
}

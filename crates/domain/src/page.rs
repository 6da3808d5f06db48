//! One page of a list.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::sort::{Listed, Sort, SortField as _, SortKey};

/// How many items a page may have.
pub const MAX_LIMIT: u32 = 500;
/// How many it has unless the caller says.
pub const DEFAULT_LIMIT: u32 = 50;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<T: Listed> {
    /// At most this many items: 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// From where on, and in which order.
    pub from: PageStart<T>,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageStart<T: Listed> {
    /// After skipping items. The cost grows with their number.
    Offset {
        /// In which order.
        sort: Sort<T::Field>,
        /// How many to skip.
        offset: u64,
    },
    /// After an item seen before, whether it is still there or not. The cost does not grow.
    After(Cursor<T>),
}

impl<T: Listed> PageStart<T> {
    /// The order of the list.
    pub const fn sort(&self) -> Sort<T::Field> {
        match self {
            Self::Offset { sort, .. } => *sort,
            Self::After(cursor) => cursor.sort,
        }
    }
}

/// The place of an item in a list: the order of the list, the item's key in that order, and its id
/// among those with the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<T: Listed> {
    sort: Sort<T::Field>,
    key: SortKey,
    id: Uuid,
}

/// The text was not a cursor of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotACursor;

impl fmt::Display for NotACursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a nextCursor of this list")
    }
}

impl<T: Listed> Cursor<T> {
    /// The longest text of one: none has more than a name of 200 characters can take, of which each
    /// has twelve bytes in its key.
    pub const MAX: usize = 4_096;

    /// A place.
    ///
    /// # Errors
    /// If the field of the order has no such keys.
    pub fn new(sort: Sort<T::Field>, key: SortKey, id: Uuid) -> Result<Self, NotACursor> {
        if sort.field.kind().admits(&key) { Ok(Self { sort, key, id }) } else { Err(NotACursor) }
    }

    /// The order that it is a place in.
    pub const fn sort(&self) -> Sort<T::Field> {
        self.sort
    }

    /// The item's key in that order.
    pub const fn key(&self) -> &SortKey {
        &self.key
    }

    /// The item's id.
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// The text a caller gives back. Its form is nobody's business.
    pub fn to_text(&self) -> String {
        let Self { sort, key, id } = self;
        URL_SAFE_NO_PAD.encode(format!("{}\n{sort}\n{id}\n{key}", T::LIST))
    }

    /// Reads the text back.
    ///
    /// # Errors
    /// If it is not one of such a list.
    pub fn parse(text: &str) -> Result<Self, NotACursor> {
        Self::read(text).ok_or(NotACursor)
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > Self::MAX {
            return None;
        }
        let lines = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut lines = lines.splitn(4, '\n');
        if lines.next()? != T::LIST {
            return None;
        }
        let sort: Sort<T::Field> = lines.next()?.parse().ok()?;
        let id = lines.next()?.parse().ok()?;
        let key = sort.field.kind().parse(lines.next()?)?;
        Some(Self { sort, key, id })
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T: Listed> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are on all pages together.
    pub total: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor<T>>,
}

impl<T: Listed> Page<T> {
    /// A page from items and their places, one more than asked for, which tells whether there is
    /// a next page.
    pub fn new(mut placed: Vec<(T, Cursor<T>)>, total: u64, limit: u32) -> Self {
        let more = placed.len() > limit as usize;
        placed.truncate(limit as usize);
        let (items, mut places): (Vec<_>, Vec<_>) = placed.into_iter().unzip();
        Self { items, total, next: places.pop().filter(|_| more) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::ApiKey;
    use crate::clock::Timestamp;
    use crate::text::{Email, Name, fold};
    use crate::user::{User, UserField};

    fn by(field: UserField, descending: bool, key: SortKey) -> Cursor<User> {
        Cursor::new(Sort { field, descending }, key, Uuid::from_u128(9)).unwrap()
    }

    fn encoded(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn a_cursor_reads_back() {
        let text = |text: &str| SortKey::Text(text.to_owned());
        let instant = SortKey::Instant(Timestamp::from_millis(-5));
        for cursor in [
            by(UserField::CreatedAt, false, instant.clone()),
            by(UserField::UpdatedAt, true, instant),
            by(UserField::Name, false, text("ærø\u{1f600} \"1\"")),
            by(UserField::Name, true, SortKey::Absent),
            by(UserField::Email, true, text("ann@example.com")),
        ] {
            assert_eq!(Cursor::parse(&cursor.to_text()), Ok(cursor));
        }
    }

    #[test]
    fn the_longest_keys_fit() {
        // No key of a character is longer than that of a note of music: three of four bytes each.
        // The planes that are left out have ideographs alone, which have no case.
        let longest = ('\0'..='\u{1ffff}').max_by_key(|it| fold(it.encode_utf8(&mut [0; 4])).len());
        let longest = longest.unwrap();
        let name = Name::parse(&longest.to_string().repeat(Name::MAX)).unwrap();
        assert_eq!(name.key().len(), Name::MAX * 12, "{longest:?}");
        // An address has no such character in its domain.
        let domain = ["\u{fb2c}".repeat(21).as_str(); 11].join(".");
        let email = Email::parse(&format!("{}@{domain}", "\u{fb2c}".repeat(12))).unwrap();
        assert_eq!(email.as_str().chars().count(), Email::MAX);
        for (field, key) in [(UserField::Name, name.key()), (UserField::Email, email.key())] {
            let cursor = by(field, true, SortKey::Text(key));
            assert_eq!(Cursor::parse(&cursor.to_text()), Ok(cursor));
        }
    }

    #[test]
    fn what_is_no_cursor_of_the_list_is_refused() {
        let id = Uuid::from_u128(9);
        let cursor = |list: &str, sort: &str, key: &str| {
            Cursor::<User>::parse(&encoded(&format!("{list}\n{sort}\n{id}\n{key}")))
        };
        assert!(cursor("users", "createdAt", "5").is_ok());
        for (list, sort, key) in [
            ("api-keys", "createdAt", "5"),
            ("users", "expiresAt", "5"),
            ("users", "+createdAt", "5"),
            ("users", "createdAt", ""),
            ("users", "createdAt", "5\n"),
            ("users", "createdAt", "99999999999999999999"),
            ("users", "createdAt", "ann"),
            ("users", "name", "a\nb"),
            ("users", "name", "a\0b"),
            ("users", "name", &"x".repeat(4_000)),
        ] {
            assert_eq!(cursor(list, sort, key), Err(NotACursor), "{list} {sort} {key:?}");
        }
        let good = by(UserField::CreatedAt, false, SortKey::Instant(Timestamp::MIN)).to_text();
        assert!(Cursor::<ApiKey>::parse(&good).is_err());
        for text in
            ["", "!", "AAAA", "null", &good[1..], &format!("{good}="), &encoded("users"), "_____w"]
        {
            assert_eq!(Cursor::<User>::parse(text), Err(NotACursor), "{text}");
        }
        let sort = Sort { field: UserField::CreatedAt, descending: false };
        assert_eq!(Cursor::<User>::new(sort, SortKey::Absent, id), Err(NotACursor));
    }
}

//! One page of a list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::clock::Timestamp;

/// How many items a page may have.
pub const MAX_LIMIT: u32 = 500;
/// How many it has unless the caller says.
pub const DEFAULT_LIMIT: u32 = 50;

/// Which page of a list. Lists run in the order in which their items were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many items: 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// From where on.
    pub from: PageStart,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStart {
    /// After skipping this many items. The cost grows with it.
    Offset(u64),
    /// After an item seen before, whether it is still there or not. The cost does not grow.
    After(Cursor),
}

/// The place of an item in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When the item was made.
    pub created_at: Timestamp,
    /// Its id, among those made at the same instant.
    pub id: Uuid,
}

impl Cursor {
    /// The text a caller gives back. Its form is nobody's business.
    pub fn to_text(self) -> String {
        let mut bytes = [0; 24];
        let (instant, id) = bytes.split_at_mut(8);
        instant.copy_from_slice(&self.created_at.as_millis().to_be_bytes());
        id.copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the text back.
    ///
    /// # Errors
    /// What would be right, to follow the field's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "must be a nextCursor of this list".to_owned();
        let bytes: [u8; 24] = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(wrong)?;
        let (instant, id) = bytes.split_at(8);
        let instant = i64::from_be_bytes(instant.try_into().map_err(|_| wrong())?);
        let id = Uuid::from_slice(id).map_err(|_| wrong())?;
        Ok(Self { created_at: Timestamp::from_millis(instant), id })
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are on all pages together.
    pub total: u64,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page from one item more than asked for, which tells whether there is a next page.
    pub fn new(mut items: Vec<T>, total: u64, limit: u32, place: impl Fn(&T) -> Cursor) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = if more { items.last().map(place) } else { None };
        Self { items, total, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_others_do_not() {
        let cursor = Cursor { created_at: Timestamp::from_millis(-5), id: Uuid::from_u128(9) };
        assert_eq!(Cursor::parse(&cursor.to_text()), Ok(cursor));
        for text in ["", "!", "AAAA", "null"] {
            assert!(Cursor::parse(text).is_err());
        }
    }
}

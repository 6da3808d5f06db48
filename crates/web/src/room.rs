//! Memory that many share, up to a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes for all together.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// What one of them has taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    rooms: Rooms,
    taken: usize,
}

impl Rooms {
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// Room for nothing yet.
    pub(crate) fn none(&self) -> Room {
        Room { rooms: self.clone(), taken: 0 }
    }
}

impl Room {
    /// Takes some more; `None` if it is not there.
    pub(crate) fn add(&mut self, bytes: usize) -> Option<()> {
        let before = self.rooms.taken.fetch_add(bytes, Ordering::Relaxed);
        self.taken = self.taken.saturating_add(bytes);
        (before.saturating_add(bytes) <= self.rooms.most).then_some(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.rooms.taken.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let rooms = Rooms::new(100);
        let (mut one, mut other) = (rooms.none(), rooms.none());
        assert_eq!(one.add(60), Some(()));
        assert_eq!(other.add(40), Some(()));
        assert_eq!(other.add(1), None);
        drop(other);
        let mut next = rooms.none();
        assert_eq!(next.add(40), Some(()));
        assert_eq!(next.add(1), None);
        drop((one, next));
        assert_eq!(rooms.none().add(100), Some(()));
    }
}

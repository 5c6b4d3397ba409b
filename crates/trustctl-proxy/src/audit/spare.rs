//! Room for records that was used before. Those who append are other threads than the one that writes, and would wait for each other's
//! heap at every record (measured).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// As many as are written at once.
const MOST: usize = 256;

/// Room that goes to and fro between those who append and the one who writes. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Spares(Arc<Mutex<Vec<String>>>);

impl Spares {
    /// An empty text, with room if there is some.
    pub(super) fn take(&self) -> String {
        self.list().pop().unwrap_or_default()
    }

    /// Keeps the room of `used` texts for later, as far as it is no more than `each` bytes and not too much in all.
    pub(super) fn keep(&self, used: impl Iterator<Item = String>, each: usize) {
        let mut list = self.list();
        for mut text in used.filter(|text| text.capacity() <= each) {
            if list.len() < MOST {
                text.clear();
                list.push(text);
            }
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again_and_neither_large_nor_too_much_is_kept() {
        let spares = Spares::default();
        assert_eq!(spares.take().capacity(), 0);
        let texts = (0..1000).map(|number| if number == 0 { "long".repeat(100) } else { format!("{number:8}") });
        spares.keep(texts, 100);
        let kept: Vec<String> = (0..MOST).map(|_| spares.take()).collect();
        assert!(kept.iter().all(|text| text.is_empty() && (8..=100).contains(&text.capacity())));
        assert_eq!(spares.take().capacity(), 0, "the rest was not kept");
    }
}

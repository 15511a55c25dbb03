//! Memory that goes around between threads: fresh pages cost as much as what is copied into them.

use std::sync::Arc;

/// Buffers that were lent to others; one that all of them have dropped is used again.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Arc<Vec<u8>>>);

impl Buffers {
    /// A buffer that nobody else has, with whatever was in it.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let free = self.0.iter().position(|buffer| Arc::strong_count(buffer) == 1);
        let free = free.map(|place| self.0.swap_remove(place));
        free.and_then(|buffer| Arc::try_unwrap(buffer).ok()).unwrap_or_default()
    }

    /// Lends a filled one, until all clones of what is returned are dropped.
    pub(super) fn lend(&mut self, filled: Vec<u8>) -> Arc<Vec<u8>> {
        let lent = Arc::new(filled);
        self.0.push(Arc::clone(&lent));
        lent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_nobody_else_has_it() {
        let mut buffers = Buffers::default();
        let first = buffers.lend(vec![1; 10]);
        assert!(buffers.take().is_empty(), "the first is still lent");
        let place = first.as_ptr();
        drop(first);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), again.len()), (place, 10));
        assert!(buffers.take().is_empty(), "it is taken");
    }
}

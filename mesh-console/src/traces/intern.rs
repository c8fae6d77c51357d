//! Values that many spans share, kept once and counted in the store's bytes.

use std::{collections::HashSet, hash::Hash, sync::Arc};

/// What a shared value weighs.
pub(crate) trait Weight {
    /// Bytes on the heap.
    fn weight(&self) -> usize;
}

impl Weight for str {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// Bytes beside the value: its counts and its place in the set.
const OVERHEAD: usize = 48;

/// Shared values; one that only the interner holds is dropped when released.
pub(crate) struct Interner<T: ?Sized> {
    values: HashSet<Arc<T>>,
    bytes: usize,
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self {
            values: HashSet::new(),
            bytes: 0,
        }
    }
}

impl<T: ?Sized + Eq + Hash + Weight> Interner<T> {
    /// The one copy of a value.
    pub(crate) fn intern<V>(&mut self, value: V) -> Arc<T>
    where
        V: AsRef<T>,
        Arc<T>: From<V>,
    {
        if let Some(known) = self.values.get(value.as_ref()) {
            return Arc::clone(known);
        }
        self.bytes += value.as_ref().weight() + OVERHEAD;
        let value: Arc<T> = value.into();
        self.values.insert(Arc::clone(&value));
        value
    }

    /// Gives a copy back.
    pub(crate) fn release(&mut self, value: &Arc<T>) {
        // The set's and this one: nobody else.
        if Arc::strong_count(value) == 2 && self.values.remove(value) {
            self.bytes -= value.weight() + OVERHEAD;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.values.iter()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

//! What every user did, in order.

/// The items of every user from oldest to newest, stored row after row; an item may stand in a row more than once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sequences {
    offsets: Vec<usize>,
    items: Vec<u32>,
}

impl Sequences {
    /// Takes rows laid out one after another; row `u` is `items[offsets[u]..offsets[u + 1]]`.
    ///
    /// # Panics
    ///
    /// If the last offset is not the number of items.
    #[must_use]
    pub fn new(offsets: Vec<usize>, items: Vec<u32>) -> Self {
        let end = offsets.last().copied().unwrap_or(0);
        assert_eq!(end, items.len(), "the last offset is {end}, but there are {} items", items.len());
        Self { offsets, items }
    }

    /// Number of users, those without items included.
    #[must_use]
    pub fn users(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no event at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items of `user`, oldest first.
    #[must_use]
    pub fn of(&self, user: usize) -> &[u32] {
        &self.items[self.offsets[user]..self.offsets[user + 1]]
    }
}

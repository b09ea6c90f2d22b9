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

    /// Rows laid one after another.
    #[must_use]
    pub fn from_rows<R: AsRef<[u32]>>(rows: impl IntoIterator<Item = R>) -> Self {
        let (mut offsets, mut items) = (vec![0], Vec::new());
        for row in rows {
            items.extend_from_slice(row.as_ref());
            offsets.push(items.len());
        }
        Self { offsets, items }
    }

    /// The items of `users` users from `(user, item)` pairs; each user's in the order of the pairs.
    ///
    /// # Panics
    ///
    /// If a user is not below `users`.
    #[must_use]
    pub fn from_pairs(users: usize, pairs: &[(u32, u32)]) -> Self {
        let mut offsets = vec![0; users + 1];
        pairs.iter().for_each(|(user, _)| offsets[*user as usize + 1] += 1);
        for user in 0..users {
            offsets[user + 1] += offsets[user];
        }
        let mut next = offsets.clone();
        let mut items = vec![0; pairs.len()];
        for &(user, item) in pairs {
            items[next[user as usize]] = item;
            next[user as usize] += 1;
        }
        Self { offsets, items }
    }

    /// How often each of `items` items stands in them.
    ///
    /// # Panics
    ///
    /// If one is not below `items`.
    #[must_use]
    pub fn item_counts(&self, items: usize) -> Vec<u32> {
        let mut counts = vec![0; items];
        self.items.iter().for_each(|&item| counts[item as usize] += 1);
        counts
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_order_and_their_repeats() {
        let sequences = Sequences::from_pairs(4, &[(2, 5), (0, 1), (2, 3), (2, 5), (0, 0)]);
        let rows: Vec<&[u32]> = (0..4).map(|user| sequences.of(user)).collect();
        assert_eq!(rows, [&[1, 0][..], &[], &[5, 3, 5], &[]]);
        assert_eq!(Sequences::from_pairs(0, &[]).users(), 0);
        assert_eq!(Sequences::from_rows(rows), sequences);
    }
}

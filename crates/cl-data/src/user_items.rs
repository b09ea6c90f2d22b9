//! Which items each user touched: the shape in which splits, masks and graphs are handed around.

/// The items of every user, stored row after row (compressed sparse rows).
///
/// Items of one user are ascending and distinct; a user without items has an empty row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserItems {
    offsets: Vec<usize>,
    items: Vec<u32>,
}

impl UserItems {
    /// Groups `(user, item)` pairs by user in O(pairs · log(pairs of a user)) time. Repeated pairs are kept once.
    ///
    /// # Panics
    ///
    /// If a user is not below `users`.
    #[must_use]
    pub fn from_pairs(users: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut offsets = vec![0usize; users + 1];
        for (user, _) in pairs.clone() {
            assert!((user as usize) < users, "user {user} is not below the number of users {users}");
            offsets[user as usize + 1] += 1;
        }
        for user in 0..users {
            offsets[user + 1] += offsets[user];
        }
        let mut next = offsets.clone();
        let mut items = vec![0u32; offsets[users]];
        for (user, item) in pairs {
            items[next[user as usize]] = item;
            next[user as usize] += 1;
        }
        let mut kept = 0;
        let mut start = 0;
        for user in 0..users {
            let end = offsets[user + 1];
            items[start..end].sort_unstable();
            let row_start = kept;
            for at in start..end {
                if kept == row_start || items[kept - 1] != items[at] {
                    items[kept] = items[at];
                    kept += 1;
                }
            }
            start = end;
            offsets[user + 1] = kept;
        }
        items.truncate(kept);
        Self { offsets, items }
    }

    /// Number of users, those without items included.
    #[must_use]
    pub fn users(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no pair at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items of `user`, ascending.
    #[must_use]
    pub fn of(&self, user: usize) -> &[u32] {
        &self.items[self.offsets[user]..self.offsets[user + 1]]
    }

    /// Whether `user` touched `item`, by binary search.
    #[must_use]
    pub fn contains(&self, user: usize, item: u32) -> bool {
        self.of(user).binary_search(&item).is_ok()
    }

    /// All pairs, by user and then by item.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + Clone + '_ {
        (0..self.users()).flat_map(|user| self.of(user).iter().map(move |&item| (user as u32, item)))
    }

    /// Where each user's row starts in [`items`](Self::items): `users + 1` numbers.
    #[must_use]
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// All rows, one after another.
    #[must_use]
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// How many users touched each of `items` items.
    ///
    /// # Panics
    ///
    /// If an item is not below `items`.
    #[must_use]
    pub fn item_counts(&self, items: usize) -> Vec<u32> {
        let mut counts = vec![0u32; items];
        for &item in &self.items {
            counts[item as usize] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_distinct_and_complete() {
        let pairs = [(2, 5), (0, 9), (2, 1), (0, 9), (0, 3)];
        let lists = UserItems::from_pairs(4, pairs.iter().copied());
        assert_eq!(lists.users(), 4);
        assert_eq!(lists.of(0), [3, 9]);
        assert_eq!(lists.of(1), [0u32; 0]);
        assert_eq!(lists.of(2), [1, 5]);
        assert_eq!(lists.of(3), [0u32; 0]);
        assert_eq!(lists.len(), 4);
        assert_eq!(lists.pairs().collect::<Vec<_>>(), [(0, 3), (0, 9), (2, 1), (2, 5)]);
        assert!(lists.contains(2, 5) && !lists.contains(1, 5));
        assert_eq!(lists.item_counts(10)[9], 1);
    }
}

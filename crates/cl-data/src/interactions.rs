//! One data set: who touched what, and, where known, how much they liked it and when.

use crate::{Ids, Sequences, UserItems};

/// Interactions in file order. All event columns have the same length; `user` and `item` are rows of the dictionaries.
#[derive(Debug, Clone, PartialEq)]
pub struct Interactions {
    /// External user ids.
    pub users: Ids,
    /// External item ids.
    pub items: Ids,
    /// User row of each event.
    pub user: Vec<u32>,
    /// Item row of each event.
    pub item: Vec<u32>,
    /// Rating of each event, if the data has ratings.
    pub rating: Option<Vec<f32>>,
    /// Time of each event, in the unit of the data (Unix seconds, or the position in a sequence), if it has times.
    pub time: Option<Vec<i64>>,
}

impl Interactions {
    /// Number of events, repeats included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.user.len()
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.user.is_empty()
    }

    /// The `(user, item)` rows of all events, in file order.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + Clone + '_ {
        self.user.iter().copied().zip(self.item.iter().copied())
    }

    /// Each user's distinct items.
    #[must_use]
    pub fn user_items(&self) -> UserItems {
        UserItems::from_pairs(self.users.len(), self.pairs())
    }

    /// Each user's items from oldest to newest, repeats kept: by time, equal times (or all, without times) in file
    /// order.
    #[must_use]
    pub fn sequences(&self) -> Sequences {
        let (offsets, order) = self.by_user(self.time.as_deref());
        Sequences::new(offsets, order.into_iter().map(|event| self.item[event]).collect())
    }

    /// Event numbers grouped by user; inside a user by `time` if given, then by file order.
    pub(crate) fn by_user(&self, time: Option<&[i64]>) -> (Vec<usize>, Vec<usize>) {
        let mut offsets = vec![0usize; self.users.len() + 1];
        for &user in &self.user {
            offsets[user as usize + 1] += 1;
        }
        for user in 0..self.users.len() {
            offsets[user + 1] += offsets[user];
        }
        let mut next = offsets.clone();
        let mut order = vec![0usize; self.len()];
        for (event, &user) in self.user.iter().enumerate() {
            order[next[user as usize]] = event;
            next[user as usize] += 1;
        }
        if let Some(time) = time {
            for row in offsets.windows(2) {
                order[row[0]..row[1]].sort_by_key(|&event| time[event]);
            }
        }
        (offsets, order)
    }

    /// Keeps the events whose flag is set; dictionaries stay as they are.
    pub(crate) fn retain(&mut self, keep: &[bool]) {
        fn retain<T>(column: &mut Vec<T>, keep: &[bool]) {
            let mut flags = keep.iter();
            column.retain(|_| *flags.next().unwrap_or(&false));
        }
        retain(&mut self.user, keep);
        retain(&mut self.item, keep);
        if let Some(rating) = &mut self.rating {
            retain(rating, keep);
        }
        if let Some(time) = &mut self.time {
            retain(time, keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_follow_time_then_file_order() {
        let data = Interactions {
            users: Ids::range(2),
            items: Ids::range(4),
            user: vec![1, 0, 1, 1],
            item: vec![3, 0, 1, 2],
            rating: None,
            time: Some(vec![5, 1, 5, 4]),
        };
        let sequences = data.sequences();
        assert_eq!(sequences.of(0), [0]);
        assert_eq!(sequences.of(1), [2, 3, 1]); // times 4, 5, 5
        let untimed = Interactions { time: None, ..data };
        assert_eq!(untimed.sequences().of(1), [3, 1, 2]);
    }
}

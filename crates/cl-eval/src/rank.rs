//! The k best items of every user, from anything that can score all items.

use crate::select::TopK;
use cl_data::UserItems;
use rayon::prelude::*;

/// Stands in [`Rankings::items`] where a user has fewer unmasked items than the cut-off.
pub const NO_ITEM: u32 = u32::MAX;

/// What was recommended: for each ranked user the best items, best first.
///
/// Higher score first, smaller item id among equal scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Rankings {
    /// Places of each user's list.
    pub cutoff: usize,
    /// The ranked users, in the order in which they were asked for.
    pub users: Vec<u32>,
    /// `[users.len(), cutoff]`, row after row; [`NO_ITEM`] where there was no further unmasked item.
    pub items: Vec<u32>,
    /// The scores of [`items`](Self::items); −∞ beside [`NO_ITEM`].
    pub scores: Vec<f32>,
}

impl Rankings {
    /// Empty lists for `users`, to be filled.
    pub(crate) fn empty(users: &[u32], cutoff: usize) -> Self {
        let places = users.len() * cutoff;
        let (items, scores) = (vec![NO_ITEM; places], vec![f32::NEG_INFINITY; places]);
        Self { cutoff, users: users.to_vec(), items, scores }
    }

    /// The items of the `row`-th ranked user, best first, without the empty places at the end.
    ///
    /// # Panics
    ///
    /// If `row` is not below the number of ranked users.
    #[must_use]
    pub fn of(&self, row: usize) -> &[u32] {
        let places = &self.items[row * self.cutoff..(row + 1) * self.cutoff];
        &places[..places.iter().position(|&item| item == NO_ITEM).unwrap_or(self.cutoff)]
    }
}

/// Anything that can score all items for a user.
pub trait Scorer: Sync {
    /// Number of items in the catalogue.
    fn items(&self) -> usize;

    /// Writes the score of every item for `user` into `out`, which has [`items`](Self::items) places and
    /// arbitrary content. Higher is better; −∞ withdraws an item from the ranking; NaN is refused by
    /// [`rank`].
    fn score(&self, user: usize, out: &mut [f32]);
}

/// Ranks all items for each of `users`, leaving out the user's items in any of the `masks`.
///
/// A mask has a row for every user id; pass the training items, and for a test also the validation items. The
/// result does not depend on the number of threads.
///
/// # Panics
///
/// If `cutoff` is 0, if a mask has no row for a user or names an item outside the catalogue, or if a score is
/// NaN.
///
/// # Cost
///
/// One call of [`Scorer::score`] a user and O(items) for the selection, parallel over users; O(items) memory
/// a thread.
#[must_use]
pub fn rank(scorer: &dyn Scorer, users: &[u32], masks: &[&UserItems], cutoff: usize) -> Rankings {
    let items = scorer.items();
    check(users, masks, items, cutoff);
    let mut rankings = Rankings::empty(users, cutoff);
    let (places, kept) = (rankings.items.par_chunks_mut(cutoff), rankings.scores.par_chunks_mut(cutoff));
    users.par_iter().zip(places).zip(kept).for_each_init(
        || (vec![0f32; items], TopK::new(cutoff, items)),
        |(scores, top), ((&user, places), kept)| {
            scorer.score(user as usize, scores);
            for mask in masks {
                for &item in mask.of(user as usize) {
                    scores[item as usize] = f32::NEG_INFINITY;
                }
            }
            top.offer(user, 0, scores);
            top.finish(NO_ITEM, places, kept);
        },
    );
    rankings
}

/// Panics, naming both numbers, where a ranking is asked for that has no meaning.
#[track_caller]
pub(crate) fn check(users: &[u32], masks: &[&UserItems], items: usize, cutoff: usize) {
    assert!(cutoff > 0, "a ranking needs a cut-off of at least 1, got 0");
    assert!(items < NO_ITEM as usize, "{items} items: item ids must stay below {NO_ITEM}");
    for &user in users {
        for (place, mask) in masks.iter().enumerate() {
            let rows = mask.users();
            assert!((user as usize) < rows, "mask {place} has {rows} rows, and user {user} is to be ranked");
            if let Some(&last) = mask.of(user as usize).last() {
                let named = "is not below the number of items";
                assert!((last as usize) < items, "mask {place}: item {last} of user {user} {named} {items}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores items by their id, for every user.
    struct ById(usize);
    impl Scorer for ById {
        fn items(&self) -> usize {
            self.0
        }
        fn score(&self, _user: usize, out: &mut [f32]) {
            (0..self.0).for_each(|item| out[item] = item as f32);
        }
    }

    #[test]
    fn masks_are_left_out_and_short_lists_are_padded() {
        let train = UserItems::from_pairs(3, [(0, 4), (1, 0), (1, 1), (1, 2), (1, 3)].into_iter());
        let validation = UserItems::from_pairs(3, [(0, 2)].into_iter());
        let rankings = rank(&ById(5), &[0, 1, 2], &[&train, &validation], 2);
        assert_eq!(rankings.items, [3, 1, 4, NO_ITEM, 4, 3]);
        assert_eq!(rankings.scores, [3.0, 1.0, 4.0, f32::NEG_INFINITY, 4.0, 3.0]);
        assert_eq!((rankings.of(1), rankings.of(2)), (&[4][..], &[4, 3][..]));
    }

    #[test]
    fn users_may_come_in_any_order() {
        let train = UserItems::from_pairs(3, [(2, 4)].into_iter());
        let rankings = rank(&ById(5), &[2, 0], &[&train], 1);
        assert_eq!((rankings.users, rankings.items), (vec![2, 0], vec![3, 4]));
    }

    #[test]
    #[should_panic(expected = "mask 0 has 1 rows, and user 1 is to be ranked")]
    fn a_mask_without_the_user_is_a_mistake() {
        let _ = rank(&ById(5), &[1], &[&UserItems::from_pairs(1, std::iter::empty())], 1);
    }

    #[test]
    #[should_panic(expected = "mask 0: item 5 of user 0 is not below the number of items 5")]
    fn a_mask_beyond_the_catalogue_is_a_mistake() {
        let _ = rank(&ById(5), &[0], &[&UserItems::from_pairs(1, [(0, 5)].into_iter())], 1);
    }
}

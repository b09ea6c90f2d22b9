//! The ranking of a few items of each user, as old papers have it: the held-out ones and some that were sampled.

use std::cmp::Ordering;

use cl_data::UserItems;
use rayon::prelude::*;

use crate::rank::{NO_ITEM, Rankings, Scorer, check};
use crate::score::Score;

/// Ranks for each of `users` the user's `candidates` alone, and no other item.
///
/// Higher scores first, smaller item ids among equal ones, as in [`rank`](crate::rank()). Metrics of such lists are higher than
/// those of full rankings and do not order models alike (Krichene & Rendle 2020, "On Sampled Metrics for Item
/// Recommendation").
///
/// # Panics
///
/// If `cutoff` is 0, if there are no candidates of a user, if one is outside the catalogue, or if a score is NaN.
///
/// # Cost
///
/// One call of [`Scorer::score`] a user, parallel over users; O(items) memory a thread.
#[must_use]
pub fn rank_among(scorer: &dyn Scorer, users: &[u32], candidates: &UserItems, cutoff: usize) -> Rankings {
    check(users, &[candidates], scorer.items(), cutoff);
    lists(
        users,
        candidates,
        cutoff,
        || vec![0.0; scorer.items()],
        |all, user, items, out| {
            scorer.score(user, all);
            out.extend(items.iter().map(|&item| all[item as usize]));
        },
    )
}

/// The same by dot products of embeddings in host memory, `users [users, dim]` and `items [items, dim]`, row-major; what is
/// ranked by is `score` of the product.
///
/// # Panics
///
/// As [`rank_among`]; also if a table has no row for a user or an item.
///
/// # Cost
///
/// O(candidates · dim) a user, parallel over users.
#[must_use]
pub fn rank_embeddings_among(
    [user_table, item_table]: [&[f32]; 2],
    dim: usize,
    users: &[u32],
    candidates: &UserItems,
    cutoff: usize,
    score: Score,
) -> Rankings {
    check(users, &[candidates], item_table.len() / dim, cutoff);
    let row = |table: &'_ [f32], at: usize| -> Vec<f32> { table[at * dim..(at + 1) * dim].to_vec() };
    lists(
        users,
        candidates,
        cutoff,
        || (),
        |(), user, items, out| {
            let user = row(user_table, user);
            let dot = |&item: &u32| {
                let item = &item_table[item as usize * dim..(item as usize + 1) * dim];
                user.iter().zip(item).map(|(x, y)| x * y).sum::<f32>()
            };
            out.extend(items.iter().map(dot));
            score.apply(out);
        },
    )
}

/// The best candidates of each user by scores that `scores` appends in their order.
fn lists<S>(
    users: &[u32],
    candidates: &UserItems,
    cutoff: usize,
    scratch: impl Fn() -> S + Sync + Send,
    scores: impl Fn(&mut S, usize, &[u32], &mut Vec<f32>) + Sync,
) -> Rankings {
    let mut rankings = Rankings::empty(users, cutoff);
    let (places, kept) = (rankings.items.par_chunks_mut(cutoff), rankings.scores.par_chunks_mut(cutoff));
    users.par_iter().zip(places).zip(kept).for_each_init(
        || (scratch(), Vec::new(), Vec::new()),
        |(scratch, found, order), ((&user, places), kept)| {
            let items = candidates.of(user as usize);
            found.clear();
            scores(scratch, user as usize, items, found);
            assert!(found.iter().all(|score| !score.is_nan()), "a score of user {user} is NaN");
            order.clear();
            order.extend(0..items.len());
            // Candidates stand by id, and a stable sort keeps equal ones so.
            order.sort_by(|&a, &b| found[b].partial_cmp(&found[a]).unwrap_or(Ordering::Equal));
            places.fill(NO_ITEM);
            kept.fill(f32::NEG_INFINITY);
            for (place, &at) in order.iter().take(cutoff).enumerate() {
                (places[place], kept[place]) = (items[at], found[at]);
            }
        },
    );
    rankings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::rank;

    /// Any scores, many of them equal.
    struct Some7(usize);
    impl Scorer for Some7 {
        fn items(&self) -> usize {
            self.0
        }
        fn score(&self, user: usize, out: &mut [f32]) {
            (0..self.0).for_each(|item| out[item] = ((item * 31 + user * 17) % 7) as f32 - 3.0);
        }
    }

    #[test]
    fn the_others_might_as_well_be_masked() {
        let (users, items) = (9_u32, 40_u32);
        let pairs = (0..users).flat_map(|user| (0..items).map(move |item| (user, item)));
        let is_candidate = |&(user, item): &(u32, u32)| (item * 13 + user * 5) % 11 < 4;
        let candidates = UserItems::from_pairs(9, pairs.clone().filter(is_candidate));
        let others = UserItems::from_pairs(9, pairs.filter(|pair| !is_candidate(pair)));
        let who: Vec<u32> = (0..users).rev().collect();
        for cutoff in [1, 5, 40] {
            let expected = rank(&Some7(40), &who, &[&others], cutoff);
            assert_eq!(rank_among(&Some7(40), &who, &candidates, cutoff), expected);
        }
    }

    #[test]
    fn embeddings_are_ranked_by_their_products() {
        // Products of user 1: 2, 4, −2, 4, 0.
        let (users, items) = ([9.0, 9.0, 1.0, 2.0], [2.0, 0.0, 0.0, 2.0, -2.0, 0.0, 4.0, 0.0, 2.0, -1.0]);
        let candidates = UserItems::from_pairs(2, [(1, 0), (1, 1), (1, 3), (1, 4)].into_iter());
        for (score, best) in [(Score::Raw, 4.0), (Score::Sigmoid, 1.0 / (1.0 + (-4.0_f32).exp()))] {
            let found = rank_embeddings_among([&users, &items], 2, &[1], &candidates, 3, score);
            assert_eq!((found.of(0), found.scores[0]), (&[1, 3, 0][..], best));
        }
    }

    #[test]
    fn few_candidates_leave_places_empty() {
        let candidates = UserItems::from_pairs(1, [(0, 3)].into_iter());
        assert_eq!(rank_among(&Some7(5), &[0], &candidates, 3).items, [3, NO_ITEM, NO_ITEM]);
    }
}

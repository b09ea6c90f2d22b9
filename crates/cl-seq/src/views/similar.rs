//! Which item is most like which, by who has both.

use std::cmp::Ordering;
use std::sync::Arc;

use cl_data::{Sequences, UserItems};
use rayon::prelude::*;

/// Of each item the one that is most similar to it.
///
/// $$ \text{sim}(i, j) = \frac{1}{\sqrt{N_i N_j}} \sum_{u \ni i, j} \frac{1}{\ln(1 + |u|)} $$
///
/// with u the distinct items of a user in the training data and N_i the number of users who have i. Of equally similar items
/// the smallest counts. An item that nobody has beside another is similar to none.
///
/// # Cost
///
/// Time O(Σ |u|²), one item after another through the users who have it, the items spread over the threads; memory
/// O(events + threads · items), never items². The sums are in the order of the users, so that the threads change no bit.
///
/// # Source
///
/// Liu et al. 2021, CoSeRec (arXiv 2108.06479), as its code computes `ItemCF_IUF`. **Differs**: that code leaves
/// the last training target of a user out, takes one of equally similar items by the order in the file, and a random item for
/// one that is similar to none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Similar {
    /// Of each item; itself where there is none.
    nearest: Arc<[u32]>,
}

impl Similar {
    /// By the sequences of all users, over `items` items.
    ///
    /// # Panics
    ///
    /// If a sequence holds an item that is not below `items`.
    #[must_use]
    pub fn of_sequences(sequences: &Sequences, items: usize) -> Self {
        let users = sequences.users();
        let events = |user: usize| sequences.of(user).iter().map(move |&item| (user as u32, item));
        let has = UserItems::from_pairs(users, (0..users).flat_map(events));
        let who = UserItems::from_pairs(items, (0..users).flat_map(events).map(|(user, item)| (item, user)));
        let weights: Vec<f64> = (0..users).map(|user| 1.0 / (1.0 + has.of(user).len() as f64).ln()).collect();
        let nearest = (0..items).into_par_iter().map_init(
            || Tally { sums: vec![0.0; items], touched: Vec::new() },
            |tally, item| {
                for &user in who.of(item) {
                    tally.add(has.of(user as usize), weights[user as usize]);
                }
                tally.nearest(item as u32, &who)
            },
        );
        Self { nearest: nearest.collect() }
    }

    /// The item most similar to this one; `None` where there is none, or where this is no item (the mask token).
    #[must_use]
    pub fn to(&self, item: u32) -> Option<u32> {
        self.nearest.get(item as usize).copied().filter(|&nearest| nearest != item)
    }
}

/// Sums over the items that were met with one item.
struct Tally {
    /// Of each item; 0 between two items.
    sums: Vec<f64>,
    /// Those that are not 0.
    touched: Vec<u32>,
}

impl Tally {
    /// Adds a user's weight to all of the user's items.
    fn add(&mut self, items: &[u32], weight: f64) {
        for &item in items {
            let sum = &mut self.sums[item as usize];
            if *sum == 0.0 {
                self.touched.push(item);
            }
            *sum += weight;
        }
    }

    /// The item that is most similar to `item`, else `item` itself; clears the sums.
    fn nearest(&mut self, item: u32, who: &UserItems) -> u32 {
        let have = |item: u32| who.of(item as usize).len() as f64;
        let mut best = (0.0, item);
        for other in self.touched.drain(..) {
            let sum = std::mem::take(&mut self.sums[other as usize]);
            if other == item {
                continue;
            }
            let similarity = sum / (have(item) * have(other)).sqrt();
            best = match similarity.total_cmp(&best.0) {
                Ordering::Greater => (similarity, other),
                Ordering::Equal => (similarity, best.1.min(other)),
                Ordering::Less => best,
            };
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over all pairs of items and all users.
    fn by_force(rows: &[Vec<u32>], items: u32) -> Vec<Option<u32>> {
        let distinct = |row: &Vec<u32>| row.iter().collect::<std::collections::BTreeSet<_>>().len();
        let who = |item: u32| rows.iter().filter(|row| row.contains(&item)).count() as f64;
        let similarity = |i: u32, j: u32| {
            let both = rows.iter().filter(|row| row.contains(&i) && row.contains(&j));
            let sum: f64 = both.map(|row| 1.0 / (1.0 + distinct(row) as f64).ln()).sum();
            sum / (who(i) * who(j)).sqrt()
        };
        let nearest = |i: u32| {
            let others = (0..items).filter(|&j| j != i).map(|j| (similarity(i, j), j));
            let met = others.filter(|(similarity, _)| *similarity > 0.0);
            // Of the equal ones the last in this order: the smallest.
            met.max_by(|x, y| x.0.total_cmp(&y.0).then(y.1.cmp(&x.1))).map(|(_, j)| j)
        };
        (0..items).map(nearest).collect()
    }

    #[test]
    fn four_users_by_hand() {
        // 0 and 1 meet twice, each time among two items: 2 / ln 3 / sqrt(3 · 2) = 0.743; 0 and 2 once among two:
        // 1 / ln 3 / sqrt(3 · 2) = 0.372; 2 and 3 once, among two: 1 / ln 3 / sqrt(2 · 1) = 0.644; nobody has 4 with another.
        let rows = [vec![0, 1], vec![1, 0, 0], vec![0, 2], vec![3, 2], vec![4, 4]];
        let similar = Similar::of_sequences(&Sequences::from_rows(&rows), 6);
        let nearest: Vec<_> = (0..7).map(|item| similar.to(item)).collect();
        assert_eq!(nearest, [Some(1), Some(0), Some(3), Some(2), None, None, None]);
    }

    proptest::proptest! {
        #[test]
        fn the_index_finds_what_all_pairs_find(
            rows in proptest::collection::vec(proptest::collection::vec(0..12_u32, 0..9), 0..25)
        ) {
            let similar = Similar::of_sequences(&Sequences::from_rows(&rows), 12);
            let found: Vec<_> = (0..12).map(|item| similar.to(item)).collect();
            proptest::prop_assert_eq!(found, by_force(&rows, 12));
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let rows: Vec<Vec<u32>> = (0..300_u32)
            .map(|user| (0..user % 17).map(|at| (user * user + at * at * 7) % 97).collect())
            .collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Similar::of_sequences(&Sequences::from_rows(&rows), 97))
        };
        assert_eq!(with(1), with(3));
    }
}

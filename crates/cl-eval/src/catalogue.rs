//! What the recommendations do to the catalogue as a whole.

use crate::per_user::check_cutoffs;
use crate::rank::{NO_ITEM, Rankings};
use crate::slice::ItemGroups;

/// Catalogue measures of the first K places of all lists, for each cut-off K.
///
/// With c(i) = how many of the lists recommend item i, R = Σ c(i), n items in the catalogue and p(i) =
/// `counts[i]` training interactions:
///
/// * `coverage@K` = |{i : c(i) > 0}| / n: share of the catalogue that is recommended to anybody
/// * `tail_share@K` = Σ_{i in tail} c(i) / R: share of the recommendations that are among the 80 % least
///   popular items (the group `tail80` of [`ItemGroups::popularity`])
/// * `gini@K` = [`gini`] of c over the whole catalogue: 0 when all items are recommended equally often
/// * `average_popularity@K` = Σ c(i) · p(i) / R: mean training count of a recommendation
///
/// Every list counts, whether the user has held-out items or not. Where nothing at all is recommended the
/// values are 0.
///
/// # Panics
///
/// If a cut-off is 0 or above the ranking's, or if a recommended item is not below `counts.len()`.
///
/// # Cost
///
/// O(users · K + n log n) for each cut-off.
#[must_use]
pub fn catalogue(rankings: &Rankings, counts: &[u32], cutoffs: &[usize]) -> Vec<(String, f64)> {
    check_cutoffs(cutoffs, rankings.cutoff);
    let groups = ItemGroups::popularity(counts);
    let mut measures = Vec::with_capacity(4 * cutoffs.len());
    for &cutoff in cutoffs {
        let recommended = recommendation_counts(rankings, counts.len(), cutoff);
        let per_item = || recommended.iter().enumerate();
        let total: u64 = recommended.iter().sum();
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };

        let covered = recommended.iter().filter(|&&count| count > 0).count() as u64;
        let in_tail: u64 =
            per_item().filter(|&(item, _)| groups.group_of(item) == 0).map(|(_, &count)| count).sum();
        let popularity: u64 = per_item().map(|(item, &count)| count * u64::from(counts[item])).sum();
        measures.push((format!("coverage@{cutoff}"), share(covered, counts.len() as u64)));
        measures.push((format!("tail_share@{cutoff}"), share(in_tail, total)));
        measures.push((format!("gini@{cutoff}"), gini(&recommended)));
        measures.push((format!("average_popularity@{cutoff}"), share(popularity, total)));
    }
    measures
}

/// c(i): in how many lists each item stands among the first `cutoff`.
fn recommendation_counts(rankings: &Rankings, items: usize, cutoff: usize) -> Vec<u64> {
    let mut counts = vec![0u64; items];
    for list in rankings.items.chunks_exact(rankings.cutoff) {
        for &item in list[..cutoff].iter().take_while(|&&item| item != NO_ITEM) {
            assert!(
                (item as usize) < items,
                "item {item} is recommended, and the catalogue has {items} items"
            );
            counts[item as usize] += 1;
        }
    }
    counts
}

/// Gini coefficient of non-negative counts: 0 when all are equal, (n − 1) / n when one item has everything.
///
/// G = Σᵢ (2i − n − 1) · x₍ᵢ₎ / (n · Σ x), with x₍₁₎ ≤ … ≤ x₍ₙ₎
///
/// 0 where there is nothing to share out. Computed in whole numbers up to the last division.
#[must_use]
pub fn gini(counts: &[u64]) -> f64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let n = sorted.len() as i128;
    let total: i128 = sorted.iter().map(|&count| i128::from(count)).sum();
    let weighted: i128 = (1..).zip(&sorted).map(|(i, &count)| (2 * i - n - 1) * i128::from(count)).sum();
    if total == 0 { 0.0 } else { weighted as f64 / (n * total) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_by_hand() {
        assert_eq!(gini(&[3, 3, 3]), 0.0);
        assert_eq!(gini(&[0, 0, 0, 8]), 0.75);
        // 1, 2, 3: (−2·1 + 0·2 + 2·3) / (3·6) = 4/18.
        assert_eq!(gini(&[3, 1, 2]), 4.0 / 18.0);
        assert_eq!((gini(&[0, 0]), gini(&[])), (0.0, 0.0));
    }

    #[test]
    fn four_measures_by_hand() {
        // Five items; item 4 is the most popular, so items 0 to 3 are the tail.
        let counts = [1, 2, 3, 4, 10];
        let items = vec![4, 0, 4, 3, 4, NO_ITEM];
        let rankings = Rankings { cutoff: 2, users: vec![0, 1, 2], items, scores: vec![0.0; 6] };
        // First places: 4, 4, 4. Coverage 1/5, tail 0, Gini 4/5, popularity 10.
        // Both places: counts 1, 0, 0, 1, 3. Coverage 3/5, tail 2/5; sorted 0, 0, 1, 1, 3:
        // (−4·0 − 2·0 + 0·1 + 2·1 + 4·3) / (5·5) = 14/25; popularity (1 + 4 + 30) / 5 = 7.
        let expected = [
            ("coverage@1", 0.2),
            ("tail_share@1", 0.0),
            ("gini@1", 0.8),
            ("average_popularity@1", 10.0),
            ("coverage@2", 0.6),
            ("tail_share@2", 0.4),
            ("gini@2", 0.56),
            ("average_popularity@2", 7.0),
        ];
        let found = catalogue(&rankings, &counts, &[1, 2]);
        let found: Vec<(&str, f64)> = found.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(found, expected);
    }
}

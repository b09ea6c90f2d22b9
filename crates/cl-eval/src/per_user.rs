//! Every metric at every cut-off for every user.

use crate::metric::{Hits, Metric};
use crate::rank::Rankings;
use cl_data::UserItems;

/// Metric values user by user, column by column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PerUser {
    /// The evaluated users, in the order of the ranking.
    pub users: Vec<u32>,
    /// `("recall@20", a value a user)`: metrics in the order asked for, and for each its cut-offs.
    pub columns: Vec<(String, Vec<f64>)>,
}

impl PerUser {
    /// The mean of every column over the users, added up in their order. Without a user there is no mean, and
    /// the list is empty.
    #[must_use]
    pub fn mean(&self) -> Vec<(String, f64)> {
        let users = self.users.len() as f64;
        let named = |(name, values): &(String, Vec<f64>)| (name.clone(), values.iter().sum::<f64>() / users);
        if self.users.is_empty() { Vec::new() } else { self.columns.iter().map(named).collect() }
    }

    /// The values of a column, for example `"recall@20"`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(column, _)| column == name).map(|(_, values)| values.as_slice())
    }
}

/// Compares `rankings` with the held-out items `truth`, over the ranked users that have any.
///
/// Held-out items that no list can contain (masked ones, or unseen ones that a model cannot rank) stay in the
/// denominators.
///
/// # Panics
///
/// If a cut-off is 0 or above the ranking's, or if `truth` has no row for a ranked user.
///
/// # Cost
///
/// O(largest cut-off · log |T(u)|) a user for the hits, found once; O(K) for each metric and cut-off.
#[must_use]
pub fn evaluate(rankings: &Rankings, truth: &UserItems, metrics: &[Metric], cutoffs: &[usize]) -> PerUser {
    check_cutoffs(cutoffs, rankings.cutoff);
    let mut columns: Vec<(String, Vec<f64>)> =
        column_names(metrics, cutoffs).into_iter().map(|name| (name, Vec::new())).collect();
    let mut users = Vec::new();
    let mut ranks = Vec::new();
    for (row, &user) in rankings.users.iter().enumerate() {
        let held_out = held_out(truth, user);
        if held_out.is_empty() {
            continue;
        }
        users.push(user);
        hit_ranks(rankings.of(row), held_out, &mut ranks);
        let values = values(&ranks, held_out.len(), metrics, cutoffs);
        for (value, (_, column)) in values.zip(&mut columns) {
            column.push(value);
        }
    }
    PerUser { users, columns }
}

/// `recall@10, recall@20, ndcg@10, …`
pub(crate) fn column_names(metrics: &[Metric], cutoffs: &[usize]) -> Vec<String> {
    let names = metrics.iter().flat_map(|metric| cutoffs.iter().map(move |cutoff| (metric.name(), cutoff)));
    names.map(|(metric, cutoff)| format!("{metric}@{cutoff}")).collect()
}

/// The values of one user in the order of [`column_names`], from the ranks of the hits in the whole list.
pub(crate) fn values<'a>(
    ranks: &'a [u32],
    relevant: usize,
    metrics: &'a [Metric],
    cutoffs: &'a [usize],
) -> impl Iterator<Item = f64> + 'a {
    metrics.iter().flat_map(move |metric| {
        cutoffs.iter().map(move |&cutoff| {
            let found = ranks.partition_point(|&rank| rank as usize <= cutoff);
            metric.of(&Hits { ranks: &ranks[..found], relevant, cutoff })
        })
    })
}

/// Ranks, from 1, of the held-out items in a list.
pub(crate) fn hit_ranks(list: &[u32], held_out: &[u32], ranks: &mut Vec<u32>) {
    ranks.clear();
    ranks.extend(
        (1..).zip(list).filter(|(_, item)| held_out.binary_search(item).is_ok()).map(|(rank, _)| rank),
    );
}

#[track_caller]
pub(crate) fn held_out(truth: &UserItems, user: u32) -> &[u32] {
    let rows = truth.users();
    assert!((user as usize) < rows, "the held-out items have {rows} rows, and user {user} was ranked");
    truth.of(user as usize)
}

#[track_caller]
pub(crate) fn check_cutoffs(cutoffs: &[usize], ranked: usize) {
    for &cutoff in cutoffs {
        assert!(cutoff > 0 && cutoff <= ranked, "cut-off {cutoff} of a ranking of {ranked} places");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::NO_ITEM;

    /// Three users, lists of four; user 5 has nothing held out.
    fn example() -> (Rankings, UserItems) {
        let truth = UserItems::from_pairs(8, [(7, 3), (7, 9), (2, 0)].into_iter());
        let items =
            vec![9, 1, 3, 0, /* user 5 */ 1, 2, 3, 4, /* user 2 */ 6, NO_ITEM, NO_ITEM, NO_ITEM];
        (Rankings { cutoff: 4, users: vec![7, 5, 2], items, scores: vec![0.0; 12] }, truth)
    }

    #[test]
    fn all_metrics_at_all_cutoffs() {
        let (rankings, truth) = example();
        let result = evaluate(&rankings, &truth, &Metric::ALL, &[2, 4]);
        assert_eq!(result.users, [7, 2]);
        // User 7 holds out two items and has hits at ranks 1 and 3; user 2 has none.
        let first: Vec<(&str, f64)> = result.columns.iter().map(|(name, v)| (name.as_str(), v[0])).collect();
        let ideal = 1.0 + 1.0 / 3f64.log2();
        let expected = [
            ("recall@2", 0.5),
            ("recall@4", 1.0),
            ("ndcg@2", 1.0 / ideal),
            ("ndcg@4", 1.5 / ideal),
            ("hit_rate@2", 1.0),
            ("hit_rate@4", 1.0),
            ("mrr@2", 1.0),
            ("mrr@4", 1.0),
            ("precision@2", 0.5),
            ("precision@4", 0.5),
            ("map@2", 0.5),                     // (1/1) / 2
            ("map@4", (1.0 + 2.0 / 3.0) / 2.0), // (1/1 + 2/3) / 2
        ];
        assert_eq!(first, expected);
        assert!(result.columns.iter().all(|(_, values)| values[1] == 0.0));
        assert_eq!(result.mean()[1], ("recall@4".to_owned(), 0.5));
        assert_eq!(result.column("precision@2"), Some(&[0.5, 0.0][..]));
        assert_eq!(result.column("precision@3"), None);
    }

    #[test]
    fn nobody_to_evaluate_has_no_mean() {
        let (rankings, _) = example();
        let nothing = UserItems::from_pairs(8, std::iter::empty());
        let result = evaluate(&rankings, &nothing, &[Metric::Recall], &[1]);
        assert!(result.users.is_empty() && result.mean().is_empty());
    }

    #[test]
    #[should_panic(expected = "cut-off 5 of a ranking of 4 places")]
    fn cutoffs_beyond_the_ranking_are_refused() {
        let (rankings, truth) = example();
        let _ = evaluate(&rankings, &truth, &[Metric::Recall], &[5]);
    }
}

//! Metrics for parts of the items (by popularity) and of the users (by activity).

use crate::metric::Metric;
use crate::per_user::{PerUser, check_cutoffs, column_names, held_out, hit_ranks, values};
use crate::rank::Rankings;
use cl_data::UserItems;
use std::cmp::Reverse;

/// The metrics of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupMetrics {
    /// Name of the group, for example `tail80` or `q1`.
    pub group: String,
    /// Users over whom the means are taken: for item groups those with a held-out item in the group.
    pub users: usize,
    /// Held-out pairs in the group.
    pub pairs: usize,
    /// `("recall@20", mean)`; empty where the group has no user.
    pub metrics: Vec<(String, f64)>,
}

/// A partition of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemGroups {
    names: Vec<String>,
    group_of: Vec<u8>,
}

impl ItemGroups {
    /// The 80 % least popular items (`tail80`), the next 15 % (`mid15`) and the top 5 % (`head5`), as SimGCL
    /// cuts them.
    ///
    /// `counts` are training interactions an item. Items stand in the order of the popularity ranking (among
    /// equal counts the smaller id is the more popular), from its end; the cuts are after ⌊0.8 n⌋ and ⌊0.95
    /// n⌋ of n items.
    ///
    /// Source: Yu et al. 2022 (SimGCL, arXiv 2112.08679), section 4.2.4.
    #[must_use]
    pub fn popularity(counts: &[u32]) -> Self {
        let n = counts.len();
        let (mid, head) = (n * 80 / 100, n * 95 / 100);
        let mut group_of = vec![0; n];
        for (place, &item) in ascending(counts).iter().enumerate() {
            group_of[item as usize] = u8::from(place >= mid) + u8::from(place >= head);
        }
        Self { names: ["tail80", "mid15", "head5"].map(str::to_owned).to_vec(), group_of }
    }

    /// Ten groups `d1` (least popular) to `d10` with nearly equal numbers of training interactions.
    ///
    /// Items stand in the order of [`popularity`](Self::popularity); an item belongs to the tenth of all
    /// interactions in which its own first one falls. The last groups hold few, very popular items.
    ///
    /// Source: Wu et al. 2021 (SGL, arXiv 2010.10783), figure 4.
    #[must_use]
    pub fn deciles(counts: &[u32]) -> Self {
        let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
        let mut group_of = vec![0; counts.len()];
        let mut before = 0u64;
        for &item in &ascending(counts) {
            // Items without interactions come first, so that `before` stays below `total`.
            group_of[item as usize] = (10 * before).checked_div(total).unwrap_or(0) as u8;
            before += u64::from(counts[item as usize]);
        }
        Self { names: (1..=10).map(|decile| format!("d{decile}")).collect(), group_of }
    }

    /// Names of the groups, from unpopular to popular.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The group of an item, as a place in [`names`](Self::names).
    ///
    /// # Panics
    ///
    /// If the item is not in the catalogue.
    #[must_use]
    pub fn group_of(&self, item: usize) -> usize {
        usize::from(self.group_of[item])
    }
}

/// Disjoint groups of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserGroups {
    names: Vec<String>,
    members: Vec<Vec<u32>>,
}

impl UserGroups {
    /// Four equal parts `q1` (least active, the cold users) to `q4` of `users`, by their number of training
    /// items.
    ///
    /// Users are put in ascending order of that number, ties by user id; the i-th of n, from 0, goes to
    /// quartile ⌊4i/n⌋ + 1. Pass the evaluated users ([`PerUser::users`]), so that the four means rest on
    /// equally many.
    ///
    /// # Panics
    ///
    /// If `train` has no row for a user.
    #[must_use]
    pub fn degree_quartiles(train: &UserItems, users: &[u32]) -> Self {
        let mut order = users.to_vec();
        order.sort_unstable_by_key(|&user| (train.of(user as usize).len(), user));
        let mut members = vec![Vec::new(); 4];
        for (place, &user) in order.iter().enumerate() {
            members[4 * place / order.len()].push(user);
        }
        members.iter_mut().for_each(|group| group.sort_unstable());
        Self { names: (1..=4).map(|quartile| format!("q{quartile}")).collect(), members }
    }

    /// Users with up to 5 events (`to5`), 6 to 8 (`6to8`), 9 to 20 (`9to20`) and more (`from21`).
    ///
    /// Source: Qin et al. 2023 (MCLRec, SIGIR) divides at 5 and 8, with the held-out events counted.
    #[must_use]
    pub fn by_length(users: &[u32], length: impl Fn(usize) -> usize) -> Self {
        let mut members = vec![Vec::new(); 4];
        for &user in users {
            let group = match length(user as usize) {
                ..=5 => 0,
                6..=8 => 1,
                9..=20 => 2,
                21.. => 3,
            };
            members[group].push(user);
        }
        members.iter_mut().for_each(|group| group.sort_unstable());
        Self { names: ["to5", "6to8", "9to20", "from21"].map(str::to_owned).to_vec(), members }
    }

    /// Names of the groups, from cold to active.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The users of a group, ascending.
    #[must_use]
    pub fn members(&self, group: usize) -> &[u32] {
        &self.members[group]
    }
}

/// Metrics that count only the held-out items of one group at a time, in unchanged lists.
///
/// With T_g(u) the held-out items of group g, every metric is computed as usual from the ranks of the hits in
/// T_g(u), with
/// |T_g(u)| in place of |T(u)|, and averaged over the users with |T_g(u)| > 0. Items of other groups keep
/// their places in the list. Thus recall@K of a group = hits in the group / |T_g(u)|.
///
/// `recall_part@K`, always added, is SimGCL's decomposition: hits in the group / |T(u)|, averaged over all
/// users with held-out items. The parts of all groups add up to the overall recall@K.
///
/// # Panics
///
/// As [`evaluate`](crate::evaluate); also if a held-out item is not in the catalogue of `groups`.
///
/// # Cost
///
/// That of [`evaluate`](crate::evaluate) times the number of groups.
#[must_use]
pub fn by_item_group(
    rankings: &Rankings,
    truth: &UserItems,
    groups: &ItemGroups,
    metrics: &[Metric],
    cutoffs: &[usize],
) -> Vec<GroupMetrics> {
    check_cutoffs(cutoffs, rankings.cutoff);
    let names = column_names(metrics, cutoffs);
    let count = groups.names.len();
    let mut sums = vec![vec![0f64; names.len()]; count];
    let mut parts = vec![vec![0f64; cutoffs.len()]; count];
    let (mut users, mut pairs) = (vec![0usize; count], vec![0usize; count]);
    let mut evaluated = 0usize;

    let (mut group_items, mut ranks) = (vec![Vec::new(); count], Vec::new());
    for (row, &user) in rankings.users.iter().enumerate() {
        let held_out = held_out(truth, user);
        if held_out.is_empty() {
            continue;
        }
        evaluated += 1;
        group_items.iter_mut().for_each(Vec::clear);
        for &item in held_out {
            let known = groups.group_of.len();
            assert!((item as usize) < known, "item {item} is held out, and the groups know {known} items");
            group_items[groups.group_of(item as usize)].push(item);
        }
        for (group, items) in group_items.iter().enumerate().filter(|(_, items)| !items.is_empty()) {
            users[group] += 1;
            pairs[group] += items.len();
            hit_ranks(rankings.of(row), items, &mut ranks);
            for (sum, value) in sums[group].iter_mut().zip(values(&ranks, items.len(), metrics, cutoffs)) {
                *sum += value;
            }
            let recall = values(&ranks, held_out.len(), &[Metric::Recall], cutoffs);
            for (part, value) in parts[group].iter_mut().zip(recall) {
                *part += value;
            }
        }
    }

    let finish = |group: usize| {
        let means =
            names.iter().zip(&sums[group]).map(|(name, sum)| (name.clone(), sum / users[group] as f64));
        let parts = cutoffs.iter().zip(&parts[group]);
        let parts = parts.map(|(cutoff, sum)| (format!("recall_part@{cutoff}"), sum / evaluated as f64));
        let metrics = if users[group] == 0 { Vec::new() } else { means.chain(parts).collect() };
        GroupMetrics { group: groups.names[group].clone(), users: users[group], pairs: pairs[group], metrics }
    };
    (0..count).map(finish).collect()
}

/// The means of `result` over each group of users. Users of a group without held-out items do not count.
///
/// # Panics
///
/// If `truth` has no row for an evaluated user.
#[must_use]
pub fn by_user_group(result: &PerUser, truth: &UserItems, groups: &UserGroups) -> Vec<GroupMetrics> {
    let of_group = |(name, members): (&String, &Vec<u32>)| {
        let rows: Vec<usize> = (0..result.users.len())
            .filter(|&row| members.binary_search(&result.users[row]).is_ok())
            .collect();
        let part = PerUser {
            users: rows.iter().map(|&row| result.users[row]).collect(),
            columns: result
                .columns
                .iter()
                .map(|(name, values)| (name.clone(), rows.iter().map(|&row| values[row]).collect()))
                .collect(),
        };
        let pairs = part.users.iter().map(|&user| held_out(truth, user).len()).sum();
        GroupMetrics { group: name.clone(), users: rows.len(), pairs, metrics: part.mean() }
    };
    groups.names.iter().zip(&groups.members).map(of_group).collect()
}

/// Item ids from the least to the most popular: the popularity ranking (ties by smaller id) from its end.
fn ascending(counts: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..counts.len() as u32).collect();
    order.sort_unstable_by_key(|&item| (counts[item as usize], Reverse(item)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::per_user::evaluate;

    fn metric(groups: &[GroupMetrics], group: &str, name: &str) -> f64 {
        let group = groups.iter().find(|candidate| candidate.group == group).unwrap();
        group.metrics.iter().find(|(metric, _)| metric == name).unwrap().1
    }

    #[test]
    fn popularity_groups_of_twenty_items() {
        // Twenty items, all equally popular: the smaller id is the more popular, so 4..20 are the tail, 1..4
        // the middle, 0 the top.
        let groups = ItemGroups::popularity(&[3; 20]);
        let sizes = [0, 1, 2].map(|group| (0..20).filter(|&item| groups.group_of(item) == group).count());
        assert_eq!(sizes, [16, 3, 1]);
        assert_eq!([0, 1, 3, 4].map(|item| groups.group_of(item)), [2, 1, 1, 0]);
        // A popular item moves up whatever its id.
        let mut counts = [3; 20];
        counts[19] = 4;
        assert_eq!([0, 19].map(|item| ItemGroups::popularity(&counts).group_of(item)), [1, 2]);
    }

    #[test]
    fn deciles_hold_equal_numbers_of_interactions() {
        // Ten items with one interaction, two with five: 20 in all, 2 a group. Items 9 down to 0 pair up in
        // d1 to d5; item 11 starts at 10 of 20 (d6), item 10 at 15 of 20 (d8).
        let counts = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 5];
        let groups = ItemGroups::deciles(&counts);
        let found: Vec<usize> = (0..12).map(|item| groups.group_of(item)).collect();
        assert_eq!(found, [4, 4, 3, 3, 2, 2, 1, 1, 0, 0, 7, 5]);
        assert_eq!(ItemGroups::deciles(&[0, 0]).group_of(1), 0);
    }

    #[test]
    fn group_metrics_by_hand() {
        // Five items, item 4 the most popular: tail80 = 0..4, mid15 empty (⌊4.0⌋ to ⌊4.75⌋), head5 = 4.
        let groups = ItemGroups::popularity(&[1, 1, 1, 1, 9]);
        let truth = UserItems::from_pairs(2, [(0, 0), (0, 1), (0, 4), (1, 2)].into_iter());
        let items = vec![4, 0, 3, /* user 1 */ 0, 1, 2];
        let rankings = Rankings { cutoff: 3, users: vec![0, 1], items, scores: vec![0.0; 6] };
        let result = by_item_group(&rankings, &truth, &groups, &[Metric::Recall, Metric::Mrr], &[2, 3]);
        // tail80: user 0 finds item 0 at rank 2 (1 of 2); user 1 finds item 2 at rank 3 (1 of 1).
        assert_eq!((result[0].users, result[0].pairs), (2, 3));
        assert_eq!(metric(&result, "tail80", "recall@2"), (0.5 + 0.0) / 2.0);
        assert_eq!(metric(&result, "tail80", "recall@3"), (0.5 + 1.0) / 2.0);
        assert_eq!(metric(&result, "tail80", "mrr@3"), (1.0 / 2.0 + 1.0 / 3.0) / 2.0);
        // Part of the recall: user 0 one of three, user 1 one of one.
        assert_eq!(metric(&result, "tail80", "recall_part@3"), (1.0 / 3.0 + 1.0) / 2.0);
        // head5: user 0 alone finds it at rank 1; its part is 1/3 over two users.
        assert_eq!((result[2].users, result[2].pairs), (1, 1));
        assert_eq!(metric(&result, "head5", "recall@2"), 1.0);
        assert_eq!(metric(&result, "head5", "recall_part@3"), (1.0 / 3.0) / 2.0);
        // mid15 has no user, hence no number.
        assert_eq!((result[1].users, result[1].pairs, result[1].metrics.len()), (0, 0, 0));
        // The parts add up to the recall.
        let whole = evaluate(&rankings, &truth, &[Metric::Recall], &[3]).mean()[0].1;
        let parts = metric(&result, "tail80", "recall_part@3") + metric(&result, "head5", "recall_part@3");
        assert!((whole - parts).abs() < 1e-15);
    }

    #[test]
    fn quartiles_by_hand() {
        // Degrees of users 0..6: 2, 1, 1, 0, 3, 1. Users 0, 1, 2, 4, 5 are evaluated; order 1, 2, 5, 0, 4;
        // 4·place/5 = 0, 0, 1, 2, 3.
        let pairs = [(0, 0), (0, 1), (1, 0), (2, 0), (4, 0), (4, 1), (4, 2), (5, 0)];
        let train = UserItems::from_pairs(6, pairs.into_iter());
        let groups = UserGroups::degree_quartiles(&train, &[0, 1, 2, 4, 5]);
        let members: Vec<&[u32]> = (0..4).map(|group| groups.members(group)).collect();
        assert_eq!(members, [&[1, 2][..], &[5], &[0], &[4]]);

        let truth = UserItems::from_pairs(6, [(1, 7), (2, 7), (2, 8), (5, 7)].into_iter());
        let result =
            PerUser { users: vec![1, 2, 5], columns: vec![("recall@1".to_owned(), vec![1.0, 0.5, 0.25])] };
        let sliced = by_user_group(&result, &truth, &groups);
        assert_eq!((sliced[0].users, sliced[0].pairs), (2, 3));
        assert_eq!(metric(&sliced, "q1", "recall@1"), 0.75);
        assert_eq!(metric(&sliced, "q2", "recall@1"), 0.25);
        assert!(sliced[2].metrics.is_empty() && sliced[2].users == 0);
    }
}

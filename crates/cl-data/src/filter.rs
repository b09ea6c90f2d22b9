//! Filters on whole data sets: repeated pairs, low ratings, k-core. Each says how many events it removed.

use std::fmt;

use serde::Serialize;

use crate::{DataError, Duplicates, Interactions, KCore, Location, Overlap, Part};

/// What the filters of one data set removed. `read = duplicates + below_min_rating + outside_k_core + kept`. All counts
/// are written out by `Serialize`, each under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FilterReport {
    /// Events before any filter, over all parts.
    pub read: usize,
    /// Events removed because their pair occurs again.
    pub duplicates: usize,
    /// Events removed because of a low rating.
    pub below_min_rating: usize,
    /// Events removed because their user or item has too few.
    pub outside_k_core: usize,
    /// Users that lost all their events and left the catalogue.
    pub users_removed: usize,
    /// Items that lost all their events and left the catalogue.
    pub items_removed: usize,
    /// Events that are left.
    pub kept: usize,
}

impl fmt::Display for FilterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, duplicates, below_min_rating, outside_k_core, users_removed, items_removed, kept } =
            self;
        write!(
            f,
            "{read} interactions read, {kept} kept; removed: {duplicates} repeated, {below_min_rating} below the \
             least rating, {outside_k_core} outside the k-core, and with them {users_removed} users and \
             {items_removed} items"
        )
    }
}

/// Removes repeated events of a pair by the given rule and returns how many it removed. What stays keeps its order.
///
/// # Errors
///
/// The first repeated pair in file order, if the rule is [`Duplicates::Error`].
///
/// # Cost
///
/// O(events · log(events of a user)) to find out whether there are any; O(events · log events) if there are.
pub fn deduplicate(data: &mut Interactions, rule: Duplicates) -> Result<usize, DataError> {
    deduplicate_part(data, rule, Part::Train, |_, _, _| None)
}

/// As [`deduplicate`]; errors name the part and, through `locate(user, item, nth)`, the places.
pub(crate) fn deduplicate_part(
    data: &mut Interactions,
    rule: Duplicates,
    part: Part,
    locate: impl Fn(&str, &str, usize) -> Option<Location>,
) -> Result<usize, DataError> {
    if rule == Duplicates::KeepAll || data.user_items().len() == data.len() {
        return Ok(0);
    }
    let key = |event: usize| (data.user[event], data.item[event]);
    let time = |event: usize| data.time.as_ref().map_or(0, |time| time[event]);
    let mut order: Vec<usize> = (0..data.len()).collect();
    if rule == Duplicates::Error {
        order.sort_unstable_by_key(|&event| (key(event), event));
        let second = order.windows(2).filter(|pair| key(pair[0]) == key(pair[1])).map(|pair| pair[1]).min();
        let Some(second) = second else { return Ok(0) };
        let user = data.users.external(data.user[second] as usize).into_owned();
        let item = data.items.external(data.item[second] as usize).into_owned();
        let overlap = Overlap {
            first: locate(&user, &item, 0),
            second: locate(&user, &item, 1),
            user,
            item,
            first_part: part.name(),
            second_part: part.name(),
        };
        return Err(DataError::Repeated(
            Box::new(overlap),
            "remove one of them or write duplicates = \"keep_last\"",
        ));
    }
    order.sort_unstable_by_key(|&event| (key(event), time(event), event));
    let mut keep = vec![false; data.len()];
    for group in order.chunk_by(|&left, &right| key(left) == key(right)) {
        let kept = if rule == Duplicates::KeepFirst { group.first() } else { group.last() };
        if let Some(&event) = kept {
            keep[event] = true;
        }
    }
    Ok(retain(data, &keep))
}

/// Removes events rated below `least` and returns how many. Users and items without events stay in the dictionaries
/// until [`compact`].
///
/// # Errors
///
/// If the data has no ratings.
pub fn min_rating(data: &mut Interactions, least: f32) -> Result<usize, DataError> {
    let Some(rating) = &data.rating else { return Err(DataError::NoRatings(least)) };
    let keep: Vec<bool> = rating.iter().map(|&rating| rating >= least).collect();
    Ok(retain(data, &keep))
}

/// Removes users with fewer than `core.user` events and items with fewer than `core.item`, again and again until none
/// is left to remove, and returns how many events went. The outcome is unique: the largest set in which all degrees
/// suffice (Seidman 1983, in its bipartite form).
///
/// # Cost
///
/// O(events · rounds). The number of rounds depends on the data; a chain in which each removal causes the next needs
/// as many rounds as it has links.
pub fn k_core(data: &mut Interactions, core: KCore) -> usize {
    let before = data.len();
    loop {
        let mut users = vec![0u32; data.users.len()];
        let mut items = vec![0u32; data.items.len()];
        for (user, item) in data.pairs() {
            users[user as usize] += 1;
            items[item as usize] += 1;
        }
        let enough = |(user, item)| users[user as usize] >= core.user && items[item as usize] >= core.item;
        let keep: Vec<bool> = data.pairs().map(enough).collect();
        if retain(data, &keep) == 0 {
            return before - data.len();
        }
    }
}

/// Removes ids without events from the dictionaries and renumbers the rows. All parts must share their dictionaries,
/// and do so afterwards. Returns how many users and items went.
///
/// # Panics
///
/// If two parts have dictionaries of different sizes.
pub fn compact(parts: &mut [&mut Interactions]) -> (usize, usize) {
    let Some(first) = parts.first() else { return (0, 0) };
    let mut users = vec![false; first.users.len()];
    let mut items = vec![false; first.items.len()];
    for part in parts.iter() {
        assert_eq!(
            part.users.len(),
            users.len(),
            "parts with {} and {} users",
            part.users.len(),
            users.len()
        );
        assert_eq!(
            part.items.len(),
            items.len(),
            "parts with {} and {} items",
            part.items.len(),
            items.len()
        );
        for (user, item) in part.pairs() {
            users[user as usize] = true;
            items[item as usize] = true;
        }
    }
    let (user_ids, user_rows) = first.users.select(&users);
    let (item_ids, item_rows) = first.items.select(&items);
    for part in parts.iter_mut() {
        part.user.iter_mut().for_each(|row| *row = user_rows[*row as usize]);
        part.item.iter_mut().for_each(|row| *row = item_rows[*row as usize]);
        part.users = user_ids.clone();
        part.items = item_ids.clone();
    }
    (users.len() - user_ids.len(), items.len() - item_ids.len())
}

fn retain(data: &mut Interactions, keep: &[bool]) -> usize {
    let before = data.len();
    data.retain(keep);
    before - data.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ids;

    fn events(pairs: &[(u32, u32)], time: Option<Vec<i64>>) -> Interactions {
        let size =
            |pick: fn(&(u32, u32)) -> u32| pairs.iter().map(pick).max().map_or(0, |row| row as usize + 1);
        Interactions {
            users: Ids::range(size(|pair| pair.0)),
            items: Ids::range(size(|pair| pair.1)),
            user: pairs.iter().map(|pair| pair.0).collect(),
            item: pairs.iter().map(|pair| pair.1).collect(),
            rating: Some((0..pairs.len()).map(|event| event as f32).collect()),
            time,
        }
    }

    /// Events are told apart by their rating, which is their number.
    fn left(data: &Interactions) -> Vec<f32> {
        data.rating.clone().unwrap()
    }

    #[test]
    fn the_newest_or_oldest_of_a_pair_stays() {
        let pairs = [(0, 1), (1, 1), (0, 1), (0, 2), (0, 1)];
        let untimed = events(&pairs, None);
        let timed = events(&pairs, Some(vec![9, 0, 5, 0, 5]));
        let after = |data: &Interactions, rule| {
            let mut data = data.clone();
            let removed = deduplicate(&mut data, rule).unwrap();
            (removed, left(&data))
        };
        assert_eq!(after(&untimed, Duplicates::KeepLast), (2, vec![1.0, 3.0, 4.0]));
        assert_eq!(after(&untimed, Duplicates::KeepFirst), (2, vec![0.0, 1.0, 3.0]));
        // Pair (0, 1) has times 9, 5, 5: the newest is event 0, the oldest the earlier of events 2 and 4.
        assert_eq!(after(&timed, Duplicates::KeepLast), (2, vec![0.0, 1.0, 3.0]));
        assert_eq!(after(&timed, Duplicates::KeepFirst), (2, vec![1.0, 2.0, 3.0]));
        assert_eq!(after(&timed, Duplicates::KeepAll), (0, vec![0.0, 1.0, 2.0, 3.0, 4.0]));
    }

    #[test]
    fn low_ratings_go_and_missing_ratings_are_an_error() {
        let mut data = events(&[(0, 0), (1, 1), (2, 2)], None);
        assert_eq!(min_rating(&mut data, 1.0).unwrap(), 1);
        assert_eq!(left(&data), [1.0, 2.0]);
        assert_eq!(compact(&mut [&mut data]), (1, 1));
        assert_eq!(data.users, Ids::Integers(vec![1, 2]));
        assert_eq!(data.user, [0, 1]);
        data.rating = None;
        assert_eq!(
            min_rating(&mut data, 3.5).unwrap_err().to_string(),
            "data.min_rating: found 3.5, but the data has no ratings; remove min_rating or name the rating column"
        );
    }

    #[test]
    fn the_report_is_a_sentence() {
        let report = FilterReport {
            read: 9,
            duplicates: 1,
            below_min_rating: 2,
            outside_k_core: 3,
            kept: 3,
            ..Default::default()
        };
        assert_eq!(
            report.to_string(),
            "9 interactions read, 3 kept; removed: 1 repeated, 2 below the least rating, 3 outside the k-core, and \
             with them 0 users and 0 items"
        );
    }

    #[test]
    fn a_chain_of_removals_is_followed_to_its_end() {
        // Users 0 and 1 share items 0 and 1. User 2 has items 1 and 2, user 3 items 2 and 3.
        // 2-core: item 3 (one event) goes, then user 3, then item 2, then user 2.
        let mut data = events(&[(0, 0), (0, 1), (1, 0), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3)], None);
        assert_eq!(k_core(&mut data, KCore { user: 2, item: 2 }), 4);
        assert_eq!(left(&data), [0.0, 1.0, 2.0, 3.0]);
    }

    proptest::proptest! {
        #[test]
        fn k_core_is_what_removing_one_at_a_time_leaves(
            pairs in proptest::collection::vec((0u32..8, 0u32..8), 1..60), user in 0u32..5, item in 0u32..5,
        ) {
            let mut data = events(&pairs, None);
            let removed = k_core(&mut data, KCore { user, item });
            // The plain way: look for any event that must go, remove only it, start again.
            let mut rest: Vec<(usize, (u32, u32))> = pairs.iter().copied().enumerate().collect();
            while let Some(at) = rest.iter().position(|(_, pair)| {
                let degree = |same: fn(&(u32, u32), &(u32, u32)) -> bool| rest.iter().filter(|(_, other)| same(other, pair)).count();
                degree(|a, b| a.0 == b.0) < user as usize || degree(|a, b| a.1 == b.1) < item as usize
            }) {
                rest.remove(at);
            }
            proptest::prop_assert_eq!(left(&data), rest.iter().map(|(event, _)| *event as f32).collect::<Vec<_>>());
            proptest::prop_assert_eq!(removed, pairs.len() - rest.len());
        }
    }
}

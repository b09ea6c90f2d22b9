//! How near positive pairs are.

use super::{Table, dot};

/// Mean of ‖u/‖u‖ − i/‖i‖‖² over the given pairs of users and items; 0 (equal) to 4 (opposite). `None` without pairs.
///
/// Lower is better aligned. A zero row has no direction: its distance to a unit row counts as 1, that of two zero rows
/// as 0.
///
/// # Cost
/// O(pairs · dim) time.
///
/// # Source
/// Wang & Isola 2020, section 4.2, α = 2 (arXiv 2005.10242).
#[must_use]
pub fn alignment(users: Table<'_>, items: Table<'_>, pairs: impl Iterator<Item = (u32, u32)>) -> Option<f64> {
    let (of_users, of_items) = (users.inverse_lengths(), items.inverse_lengths());
    let mut sum = 0.0;
    let mut count = 0_usize;
    for (user, item) in pairs {
        let (user, item) = (user as usize, item as usize);
        let cosine = dot(users.row(user), items.row(item)) * of_users[user] * of_items[item];
        let squares = |inverse: f64| if inverse > 0.0 { 1.0 } else { 0.0 };
        sum += squares(of_users[user]) + squares(of_items[item]) - 2.0 * cosine;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        // u0 = (3, 4) -> (0.6, 0.8); i0 = (2, 0) -> (1, 0): 0.16 + 0.64 = 0.8. i1 = (0, -1): 0.36 + 3.24 = 3.6.
        let (users, items) = ([3.0, 4.0], [2.0, 0.0, 0.0, -1.0]);
        let value =
            alignment(Table::new(&users, 2), Table::new(&items, 2), [(0, 0), (0, 1)].into_iter()).unwrap();
        assert!((value - 2.2).abs() < 1e-12, "{value}");
        assert_eq!(alignment(Table::new(&users, 2), Table::new(&items, 2), std::iter::empty()), None);
    }
}

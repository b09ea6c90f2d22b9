//! How large, how dense and how uneven a data set is.

use std::fmt;

use serde::Serialize;

use crate::{Interactions, UserItems};

/// The spread of a set of degrees. Quantiles between two values are interpolated linearly (Hyndman and Fan 1996,
/// type 7: R's and NumPy's default).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Quantiles {
    /// Smallest.
    pub min: f64,
    /// First quartile.
    pub q25: f64,
    /// Median.
    pub median: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Third quartile.
    pub q75: f64,
    /// 90 % are at most this.
    pub q90: f64,
    /// 99 % are at most this.
    pub q99: f64,
    /// Largest.
    pub max: f64,
}

impl Quantiles {
    /// Of ascending degrees; all zero if there are none.
    fn of(ascending: &[u32]) -> Self {
        let Some(last) = ascending.len().checked_sub(1) else { return Self::default() };
        let at = |share: f64| {
            let place = share * last as f64;
            let (low, high) = (ascending[place.floor() as usize], ascending[place.ceil() as usize]);
            f64::from(low) + place.fract() * (f64::from(high) - f64::from(low))
        };
        let sum: u64 = ascending.iter().map(|&degree| u64::from(degree)).sum();
        Self {
            min: at(0.0),
            q25: at(0.25),
            median: at(0.5),
            mean: sum as f64 / ascending.len() as f64,
            q75: at(0.75),
            q90: at(0.9),
            q99: at(0.99),
            max: at(1.0),
        }
    }
}

/// Figures of one data set. The degree of a user or item is its number of events (repeats count); ids of the
/// catalogue without events have degree 0 and count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// Users in the catalogue.
    pub users: usize,
    /// Items in the catalogue.
    pub items: usize,
    /// Events.
    pub interactions: usize,
    /// Events / (users · items).
    pub density: f64,
    /// Events of a user.
    pub user_degree: Quantiles,
    /// Events of an item.
    pub item_degree: Quantiles,
    /// Gini coefficient of the user degrees: 0 = all equal, towards 1 = one user has all.
    pub user_gini: f64,
    /// Gini coefficient of the item degrees.
    pub item_gini: f64,
}

impl Stats {
    /// Figures of one set. O(events + ids · log ids).
    #[must_use]
    pub fn of(data: &Interactions) -> Self {
        Self::of_parts(&[data])
    }

    /// Figures of several parts taken together; they share their dictionaries.
    ///
    /// # Panics
    ///
    /// If there is no part, or a row is past the dictionaries of the first.
    #[must_use]
    pub fn of_parts(parts: &[&Interactions]) -> Self {
        let (users, items) = (parts[0].users.len(), parts[0].items.len());
        Self::count(users, items, parts.iter().flat_map(|part| part.pairs()))
    }

    /// Figures of one part of a split over a catalogue of `items` items.
    ///
    /// # Panics
    ///
    /// If an item is not below `items`.
    #[must_use]
    pub fn of_pairs(pairs: &UserItems, items: usize) -> Self {
        Self::count(pairs.users(), items, pairs.pairs())
    }

    fn count(users: usize, items: usize, pairs: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut user = vec![0u32; users];
        let mut item = vec![0u32; items];
        let mut interactions = 0;
        for (user_row, item_row) in pairs {
            user[user_row as usize] += 1;
            item[item_row as usize] += 1;
            interactions += 1;
        }
        user.sort_unstable();
        item.sort_unstable();
        let cells = (users as f64 * items as f64).max(1.0);
        Self {
            users,
            items,
            interactions,
            density: interactions as f64 / cells,
            user_degree: Quantiles::of(&user),
            item_degree: Quantiles::of(&item),
            user_gini: gini(&user),
            item_gini: gini(&item),
        }
    }
}

/// Σᵢ (2i − n − 1)·xᵢ / (n · Σᵢ xᵢ) over ascending x₁ … xₙ; 0 if all are zero.
fn gini(ascending: &[u32]) -> f64 {
    let n = ascending.len() as f64;
    let sum: u64 = ascending.iter().map(|&degree| u64::from(degree)).sum();
    if sum == 0 {
        return 0.0;
    }
    let weighted: f64 = ascending
        .iter()
        .zip(1u32..)
        .map(|(&degree, i)| (2.0 * f64::from(i) - n - 1.0) * f64::from(degree))
        .sum();
    weighted / (n * sum as f64)
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "users         {:>12}", self.users)?;
        writeln!(f, "items         {:>12}", self.items)?;
        writeln!(f, "interactions  {:>12}", self.interactions)?;
        writeln!(f, "density       {:>11.5} %", 100.0 * self.density)?;
        let names = ["min", "q25", "median", "mean", "q75", "q90", "q99", "max", "gini"];
        write!(f, "{:<12}", "degree")?;
        for name in names {
            write!(f, "{name:>9}")?;
        }
        for (name, q, gini) in [
            ("of a user", self.user_degree, self.user_gini),
            ("of an item", self.item_degree, self.item_gini),
        ] {
            write!(f, "\n{name:<12}")?;
            for value in [q.min, q.q25, q.median, q.mean, q.q75, q.q90, q.q99, q.max] {
                write!(f, "{:>9}", short(value))?;
            }
            write!(f, "{gini:>9.3}")?;
        }
        Ok(())
    }
}

/// Whole numbers without decimals, others with two.
fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ids;

    fn small() -> Stats {
        // Users 0, 1, 2 have 3, 1, 0 events; items 0 … 3 have 2, 1, 1, 0.
        Stats::of(&Interactions {
            users: Ids::range(3),
            items: Ids::range(4),
            user: vec![0, 0, 0, 1],
            item: vec![0, 1, 2, 0],
            rating: None,
            time: None,
        })
    }

    #[test]
    fn figures_by_hand() {
        let stats = small();
        assert_eq!((stats.users, stats.items, stats.interactions), (3, 4, 4));
        assert_eq!(stats.density, 4.0 / 12.0);
        assert_eq!(stats.user_degree.median, 1.0);
        assert_eq!(stats.user_degree.q75, 2.0); // 0, 1, 3: place 0.75 · 2 = 1.5, half way from 1 to 3
        assert_eq!(stats.item_degree.q25, 0.75); // 0, 1, 1, 2: place 0.75, three quarters from 0 to 1
        assert_eq!(stats.item_degree.mean, 1.0);
        // Users 0, 1, 3: (−2·0 + 0·1 + 2·3) / (3 · 4) = 0.5
        assert_eq!(stats.user_gini, 0.5);
        // Items 0, 1, 1, 2: (−3·0 − 1·1 + 1·1 + 3·2) / (4 · 4) = 0.375
        assert_eq!(stats.item_gini, 0.375);
    }

    #[test]
    fn parts_add_up_and_split_parts_count_the_whole_catalogue() {
        let part = |user: Vec<u32>, item: Vec<u32>| Interactions {
            users: Ids::range(3),
            items: Ids::range(4),
            user,
            item,
            rating: None,
            time: None,
        };
        let (train, test) = (part(vec![0, 0], vec![0, 1]), part(vec![0, 1], vec![2, 0]));
        assert_eq!(Stats::of_parts(&[&train, &test]), small());
        let pairs = UserItems::from_pairs(3, small_pairs().into_iter());
        assert_eq!(Stats::of_pairs(&pairs, 4), small());
    }

    fn small_pairs() -> [(u32, u32); 4] {
        [(0, 0), (0, 1), (0, 2), (1, 0)]
    }

    #[test]
    fn gini_is_the_mean_difference_over_twice_the_mean() {
        let x = [1u32, 1, 2, 5, 9, 30];
        let n = x.len() as f64;
        let differences: f64 =
            x.iter().flat_map(|&a| x.iter().map(move |&b| (f64::from(a) - f64::from(b)).abs())).sum();
        let mean = x.iter().sum::<u32>() as f64 / n;
        assert!((gini(&x) - differences / (2.0 * n * n * mean)).abs() < 1e-12);
        assert_eq!(gini(&[4, 4, 4]), 0.0);
    }

    #[test]
    fn the_table_is_readable() {
        let expected = "\
users                    3
items                    4
interactions             4
density          33.33333 %
degree            min      q25   median     mean      q75      q90      q99      max     gini
of a user           0     0.50        1     1.33        2     2.60     2.96        3    0.500
of an item          0     0.75        1        1     1.25     1.70     1.97        2    0.375";
        assert_eq!(small().to_string(), expected);
    }
}

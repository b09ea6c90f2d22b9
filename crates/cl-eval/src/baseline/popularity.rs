//! The same list for everybody: the most popular items.

use super::{BaselineError, check};
use crate::rank::Scorer;
use cl_data::UserItems;
use serde::{Deserialize, Serialize};

/// Settings of [`Popularity`]: none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PopularityConfig {}

impl PopularityConfig {
    /// Always right: there is nothing to set.
    ///
    /// # Errors
    ///
    /// None.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        Ok(())
    }

    /// Counts the training interactions of each of `items` items. Takes O(pairs) time.
    ///
    /// # Errors
    ///
    /// [`BaselineError::ItemOutOfRange`].
    pub fn fit(&self, train: &UserItems, items: usize) -> Result<Popularity, BaselineError> {
        check(self.validate(), train, items)?;
        Ok(self.by_counts(&train.item_counts(items)))
    }

    /// The ranking by counts that are known already, for example of events where repeats count.
    #[must_use]
    pub fn by_counts(&self, counts: &[u32]) -> Popularity {
        // Whole numbers up to 2²⁴ = 16 777 216 are exact in f32; more than that round the largest counts.
        Popularity { scores: counts.iter().map(|&count| count as f32).collect() }
    }
}

/// Scores an item by its number of training interactions; equally popular items rank by id.
///
/// Counts above 2²⁴ are rounded to f32.
#[derive(Debug, Clone)]
pub struct Popularity {
    scores: Vec<f32>,
}

impl Scorer for Popularity {
    fn items(&self) -> usize {
        self.scores.len()
    }

    fn score(&self, _user: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.scores);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::example;
    use crate::rank::rank;

    #[test]
    fn counts_decide_and_ids_break_ties() {
        // Counts 2, 3, 2, 1.
        let popularity = PopularityConfig::default().fit(&example(), 4).unwrap();
        assert_eq!(rank(&popularity, &[0], &[], 4).items, [1, 0, 2, 3]);
    }

    #[test]
    fn there_is_nothing_to_set() {
        assert!(serde_json::from_str::<PopularityConfig>("{}").is_ok());
        assert!(serde_json::from_str::<PopularityConfig>(r#"{"by": "count"}"#).is_err());
    }
}

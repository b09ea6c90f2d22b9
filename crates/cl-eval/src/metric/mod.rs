//! Ranking metrics with binary relevance, one file each, all computed from the ranks of a user's hits.
//!
//! Symbols: K is the cut-off, T(u) the user's held-out items, r₁ < r₂ < … ≤ K the ranks (from 1) at which
//! items of T(u) stand. Every metric is in [0, 1] and is averaged over the users with |T(u)| > 0.

mod hit_rate;
mod map;
mod mrr;
mod ndcg;
mod precision;
mod recall;

pub use hit_rate::hit_rate;
pub use map::map;
pub use mrr::mrr;
pub use ndcg::ndcg;
pub use precision::precision;
pub use recall::recall;

use serde::{Deserialize, Serialize};

/// What a metric sees of one user's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hits<'a> {
    /// Ranks of the hits, from 1, ascending, none above [`cutoff`](Self::cutoff).
    pub ranks: &'a [u32],
    /// |T(u)|: how many items were to be found, at least 1. Items that the ranking cannot reach count too.
    pub relevant: usize,
    /// K, at least 1.
    pub cutoff: usize,
}

/// A ranking metric, by its name in an experiment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of the held-out items that were found: [`recall()`](recall()).
    Recall,
    /// Found items discounted by rank, against the best possible list: [`ndcg()`](ndcg()).
    Ndcg,
    /// Whether anything was found: [`hit_rate()`](hit_rate()).
    HitRate,
    /// One over the rank of the first hit: [`mrr()`](mrr()).
    Mrr,
    /// Share of the list that is right: [`precision()`](precision()).
    Precision,
    /// Precision averaged over the hits: [`map()`](map()).
    Map,
}

/// The name of no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no metric named '{name}'; choose among recall, ndcg, hit_rate, mrr, precision, map")]
pub struct UnknownMetric {
    /// What was asked for.
    pub name: String,
}

impl Metric {
    /// Every metric, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Recall, Self::Ndcg, Self::HitRate, Self::Mrr, Self::Precision, Self::Map];

    /// The name in experiment files and results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Ndcg => "ndcg",
            Self::HitRate => "hit_rate",
            Self::Mrr => "mrr",
            Self::Precision => "precision",
            Self::Map => "map",
        }
    }

    /// The metric of that name.
    ///
    /// # Errors
    ///
    /// [`UnknownMetric`], which lists the names.
    pub fn parse(name: &str) -> Result<Self, UnknownMetric> {
        let found = Self::ALL.into_iter().find(|metric| metric.name() == name);
        found.ok_or_else(|| UnknownMetric { name: name.to_owned() })
    }

    /// The metric's value for one user.
    #[must_use]
    pub fn of(self, hits: &Hits) -> f64 {
        match self {
            Self::Recall => recall(hits),
            Self::Ndcg => ndcg(hits),
            Self::HitRate => hit_rate(hits),
            Self::Mrr => mrr(hits),
            Self::Precision => precision(hits),
            Self::Map => map(hits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_serde_names() {
        for metric in Metric::ALL {
            assert_eq!(Metric::parse(metric.name()), Ok(metric));
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
        let error = Metric::parse("recal").unwrap_err().to_string();
        assert_eq!(
            error,
            "no metric named 'recal'; choose among recall, ndcg, hit_rate, mrr, precision, map"
        );
    }

    #[test]
    fn nothing_found_is_zero_and_a_perfect_list_is_one() {
        for metric in Metric::ALL {
            assert_eq!(metric.of(&Hits { ranks: &[], relevant: 3, cutoff: 3 }), 0.0);
            assert_eq!(metric.of(&Hits { ranks: &[1, 2, 3], relevant: 3, cutoff: 3 }), 1.0);
        }
    }
}

//! MRR@K.

use super::Hits;

/// Reciprocal rank of the first hit.
///
/// mrr@K = 1 / r₁, and 0 where nothing was found among the first K. Never falls with K.
#[must_use]
pub fn mrr(hits: &Hits) -> f64 {
    hits.ranks.first().map_or(0.0, |&rank| 1.0 / f64::from(rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_hit_counts() {
        assert_eq!(mrr(&Hits { ranks: &[4, 5], relevant: 2, cutoff: 10 }), 0.25);
    }
}

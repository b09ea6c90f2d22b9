//! Hit rate@K.

use super::Hits;

/// 1 if any held-out item stands among the first K, else 0.
///
/// hit_rate@K = 1 if hits > 0, else 0; its mean is the share of users with a hit. Never falls with K.
///
/// Some papers print hits over all held-out pairs under this name; that is a weighted recall, not this.
#[must_use]
pub fn hit_rate(hits: &Hits) -> f64 {
    if hits.ranks.is_empty() { 0.0 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hit_is_as_good_as_two() {
        assert_eq!(hit_rate(&Hits { ranks: &[9], relevant: 4, cutoff: 10 }), 1.0);
        assert_eq!(hit_rate(&Hits { ranks: &[1, 2], relevant: 4, cutoff: 10 }), 1.0);
    }
}

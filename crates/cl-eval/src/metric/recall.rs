//! Recall@K.

use super::Hits;

/// Share of the held-out items that stand among the first K.
///
/// recall@K = hits / |T(u)|
///
/// The denominator is the whole held-out list, also where it is longer than K (then 1 cannot be reached), as
/// LightGCN's evaluation has it. Never falls with K.
#[must_use]
pub fn recall(hits: &Hits) -> f64 {
    hits.ranks.len() as f64 / hits.relevant as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_hits_among_all_held_out_items() {
        // Two of five found.
        assert_eq!(recall(&Hits { ranks: &[1, 4], relevant: 5, cutoff: 4 }), 0.4);
        // Three held-out items, two places: at best 2/3.
        assert_eq!(recall(&Hits { ranks: &[1, 2], relevant: 3, cutoff: 2 }), 2.0 / 3.0);
    }
}

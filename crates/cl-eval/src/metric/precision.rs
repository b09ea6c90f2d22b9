//! Precision@K.

use super::Hits;

/// Share of the K places that hold a held-out item.
///
/// precision@K = hits / K
///
/// The denominator is K also where fewer items were held out or fewer could be recommended. May fall when K
/// grows.
#[must_use]
pub fn precision(hits: &Hits) -> f64 {
    hits.ranks.len() as f64 / hits.cutoff as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_hits_among_all_places() {
        // One held-out item, found, in a list of four.
        assert_eq!(precision(&Hits { ranks: &[2], relevant: 1, cutoff: 4 }), 0.25);
    }
}

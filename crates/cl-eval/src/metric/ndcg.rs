//! NDCG@K.

use super::Hits;

/// Normalised discounted cumulative gain with gain 1 for a held-out item.
///
/// ndcg@K = Σⱼ 1 / log₂(rⱼ + 1)  /  Σ_{i = 1 … min(K, |T(u)|)} 1 / log₂(i + 1)
///
/// The denominator is the best list that K places allow, so that 1 can be reached by every user. May fall
/// when K grows.
///
/// Source: Järvelin and Kekäläinen 2002, with binary gain; the ideal as in LightGCN's evaluation.
#[must_use]
pub fn ndcg(hits: &Hits) -> f64 {
    let ideal = 1..=hits.cutoff.min(hits.relevant) as u32;
    hits.ranks.iter().copied().map(discount).sum::<f64>() / ideal.map(discount).sum::<f64>()
}

fn discount(rank: u32) -> f64 {
    1.0 / (f64::from(rank) + 1.0).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discounts_by_rank() {
        // Hits at 1 and 3: 1/log₂2 + 1/log₂4 = 1.5. Ideal of two: 1 + 1/log₂3 = 1.6309297535714575.
        let value = ndcg(&Hits { ranks: &[1, 3], relevant: 2, cutoff: 5 });
        assert!((value - 1.5 / 1.630_929_753_571_457_5).abs() < 1e-15);
    }

    #[test]
    fn the_ideal_has_no_more_than_k_places() {
        // One place, ten held-out items: rank 1 is all that can be done.
        assert_eq!(ndcg(&Hits { ranks: &[1], relevant: 10, cutoff: 1 }), 1.0);
    }
}

//! MAP@K.

use super::Hits;

/// Average precision: the precision at each hit, averaged over the hits that were possible.
///
/// map@K = Σⱼ (j / rⱼ)  /  min(K, |T(u)|)
///
/// j / rⱼ is the precision of the list cut after the j-th hit. With this denominator 1 can be reached by
/// every user; others divide by |T(u)| or by the number of hits. May fall when K grows.
#[must_use]
pub fn map(hits: &Hits) -> f64 {
    let precisions = (1u32..).zip(hits.ranks).map(|(found, &rank)| f64::from(found) / f64::from(rank));
    precisions.sum::<f64>() / hits.cutoff.min(hits.relevant) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_the_precision_at_hits() {
        // Hits at 1, 4 of three held-out items: (1/1 + 2/4) / 3 = 0.5.
        assert_eq!(map(&Hits { ranks: &[1, 4], relevant: 3, cutoff: 5 }), 0.5);
        // A list of two places can hold two: (1/2) / 2 = 0.25.
        assert_eq!(map(&Hits { ranks: &[2], relevant: 3, cutoff: 2 }), 0.25);
    }
}

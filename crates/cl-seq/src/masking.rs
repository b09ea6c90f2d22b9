//! Which events of a sequence are masked, to be foretold from the others.

use cl_core::StreamKey;
use rand::RngExt;
use rand::seq::index::sample;

/// How many events are masked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Masking {
    /// ρ, in (0, 1]: max(1, ρ n rounded) events of n, each set of them equally likely.
    pub rate: f64,
    /// The share of sequences in which the newest event alone is masked instead, as in ranking; in [0, 1].
    pub last: f64,
}

impl Masking {
    /// The masked events of a sequence of `length`, ascending; a function of the key and the sequence's number.
    ///
    /// Source: Sun et al. 2019 (BERT4Rec, arXiv 1904.06690), section 3.6; its code makes ten copies of a sequence with random
    /// masks and one with the newest event masked, once and for all, which is `last = 1/11`; here masks are drawn anew.
    pub(crate) fn draw(&self, length: usize, key: StreamKey, sequence: u32) -> Vec<usize> {
        let mut rng = key.rng(sequence);
        if rng.random::<f64>() < self.last {
            return vec![length - 1];
        }
        let masked = ((self.rate * length as f64).round() as usize).clamp(1, length);
        let mut places = sample(&mut rng, length, masked).into_vec();
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_masked_as_the_rate_says_and_each_as_often() {
        let masking = Masking { rate: 0.3, last: 0.0 };
        let mut times = [0; 10];
        for sequence in 0..4000 {
            let places = masking.draw(10, StreamKey::root(4), sequence);
            assert_eq!(places.len(), 3);
            assert!(places.is_sorted_by(|a, b| a < b));
            places.into_iter().for_each(|place| times[place] += 1);
        }
        // 1200 expected, standard deviation 29.
        assert!(times.iter().all(|time| (1050..1350).contains(time)), "{times:?}");
        for (rate, length, masked) in [(0.1, 2, 1), (0.2, 13, 3), (0.5, 3, 2), (1.0, 4, 4)] {
            let masking = Masking { rate, last: 0.0 };
            assert_eq!(masking.draw(length, StreamKey::root(4), 0).len(), masked);
        }
    }

    #[test]
    fn some_have_the_newest_event_masked_alone() {
        let masking = Masking { rate: 0.5, last: 0.25 };
        let alone =
            (0..4000).filter(|&sequence| masking.draw(8, StreamKey::root(4), sequence) == [7]).count();
        // 1000 expected, standard deviation 27.
        assert!((860..1140).contains(&alone), "{alone}");
    }
}

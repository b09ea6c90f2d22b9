//! Drawing which of many things are kept.

use cl_core::StreamKey;
use cl_core::rng::unit;
use rayon::prelude::*;

/// A random word for each of `count` things.
fn words(key: StreamKey, count: usize) -> Vec<u32> {
    let mut words = vec![0; count];
    words.par_chunks_mut(4).with_min_len(4096).enumerate().for_each(|(block, out)| {
        out.copy_from_slice(&key.words(block as u32, 0)[..out.len()]);
    });
    words
}

/// How many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// ⌊count · (1 − rate)⌋: SGL's code for edges.
    Floor,
    /// count − ⌊count · rate⌋: SGL's code for nodes.
    AllButFloor,
    /// Each with probability 1 − rate by itself.
    Each,
}

/// What is kept of many things when a share of them is dropped at random.
///
/// Thing i has word `i mod 4` of row `i / 4` of the stream. Of an exact number those with the smallest words are kept,
/// of equal words the first ones; where each is kept by itself, those whose word is at least `rate`, taken as a number in
/// [0, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The stream of words.
    pub key: StreamKey,
    /// The share that is dropped, in [0, 1).
    pub rate: f64,
    /// How many are kept.
    pub keep: Keep,
}

impl Share {
    /// How many of `count` things are kept; `None` where each is drawn by itself.
    pub(crate) fn exactly(&self, count: usize) -> Option<usize> {
        match self.keep {
            Keep::Floor => Some((count as f64 * (1.0 - self.rate)).floor() as usize),
            Keep::AllButFloor => Some(count - (count as f64 * self.rate).floor() as usize),
            Keep::Each => None,
        }
    }

    /// Marks for `count` things. Each set of an exact number is equally likely. O(count).
    pub(crate) fn marks(&self, count: usize) -> Vec<bool> {
        let words = words(self.key, count);
        let Some(kept) = self.exactly(count) else {
            return words.into_iter().map(|word| f64::from(unit(word)) >= self.rate).collect();
        };
        if kept == 0 || kept == count {
            return vec![kept == count; count];
        }
        let mut order = words.clone();
        let (_, &mut threshold, _) = order.select_nth_unstable(kept - 1);
        let mut at_threshold = kept - words.iter().filter(|&&word| word < threshold).count();
        words
            .into_iter()
            .map(|word| {
                if word == threshold && at_threshold > 0 {
                    at_threshold -= 1;
                    true
                } else {
                    word < threshold
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(key: StreamKey, count: usize, rate: f64, keep: Keep) -> Vec<bool> {
        Share { key, rate, keep }.marks(count)
    }

    #[test]
    fn exact_keeps_the_exact_number_and_every_thing_equally_often() {
        let mut counts = [0_u32; 10];
        for draw in 0..2000 {
            let kept = marks(StreamKey::root(1).at(draw), 10, 0.3, Keep::Floor);
            assert_eq!(kept.iter().filter(|&&kept| kept).count(), 7);
            for (count, kept) in counts.iter_mut().zip(kept) {
                *count += u32::from(kept);
            }
        }
        // 1400 expected, standard deviation 20.5.
        assert!(counts.iter().all(|&count| (1290..1510).contains(&count)), "{counts:?}");
    }

    #[test]
    fn the_two_roundings_differ_where_the_share_is_no_whole_number() {
        let kept = |how| marks(StreamKey::root(1), 7, 0.1, how).into_iter().filter(|&kept| kept).count();
        // 7 · 0.9 = 6.3 and 7 · 0.1 = 0.7.
        assert_eq!((kept(Keep::Floor), kept(Keep::AllButFloor)), (6, 7));
    }

    #[test]
    fn bernoulli_keeps_about_the_share() {
        let kept =
            marks(StreamKey::root(2), 100_000, 0.1, Keep::Each).into_iter().filter(|&kept| kept).count();
        // Standard deviation 95.
        assert!((89_500..90_500).contains(&kept), "{kept}");
        assert!(marks(StreamKey::root(2), 100, 0.0, Keep::Each).into_iter().all(|kept| kept));
        assert!(marks(StreamKey::root(2), 100, 0.0, Keep::Floor).into_iter().all(|kept| kept));
    }
}

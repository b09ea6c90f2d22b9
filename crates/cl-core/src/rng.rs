//! Random numbers as a function of where they are needed.
//!
//! Every random number of a run is a pure function of `(seed, stream name, epoch, step, row, column)`. Nothing is
//! drawn from a shared generator, so the numbers do not depend on the number of threads, on the order of calls, on
//! the backend, or on how often a run was killed and resumed.
//!
//! The function is `pcg4d` (Jarzynski & Olano 2020, *Hash Functions for GPU Rendering*, JCGT 9(3)): four 32-bit words
//! in, four out, multiplications and shifts of 32 bits alone, so that a GPU kernel computes the same bits.

use std::convert::Infallible;

use rand::{TryRng, rand_core};

/// The key of one stream of random numbers; cheap to copy, and children are derived from it.
///
/// ```
/// use cl_core::rng::StreamKey;
/// let noise = StreamKey::root(2024).child("noise").at(3).at(17);   // epoch 3, step 17
/// assert_eq!(noise.words(5, 0), noise.words(5, 0));                // row 5, block 0: always the same four words
/// assert_ne!(noise.words(5, 0), noise.words(6, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(u64);

impl StreamKey {
    /// The key above all streams of a run with this seed.
    #[must_use]
    pub fn root(seed: u64) -> Self {
        Self(mix(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    /// The stream of this name below this key.
    #[must_use]
    pub fn child(self, name: &str) -> Self {
        // FNV-1a over the name, then mixed into the parent's key.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(mix(self.0 ^ mix(hash)))
    }

    /// The stream at a position below this key: an epoch, a step, a layer.
    #[must_use]
    pub fn at(self, position: u64) -> Self {
        Self(mix(self.0.wrapping_add(mix(position ^ 0xd1b5_4a32_d192_ed03))))
    }

    /// The two 32-bit words that key the counter function.
    #[must_use]
    pub fn halves(self) -> [u32; 2] {
        [self.0 as u32, (self.0 >> 32) as u32]
    }

    /// Four random words for a row and a block of four columns.
    #[inline]
    #[must_use]
    pub fn words(self, row: u32, block: u32) -> [u32; 4] {
        let [low, high] = self.halves();
        pcg4d([row, block, low, high])
    }

    /// A number in `[−1, 1)` for a row and a column.
    #[inline]
    #[must_use]
    pub fn signed_unit(self, row: u32, column: u32) -> f32 {
        2.0 * unit(self.words(row, column / 4)[column as usize % 4]) - 1.0
    }

    /// A generator that walks through the blocks of one row, for `rand` and `rand_distr`.
    #[must_use]
    pub fn rng(self, row: u32) -> StreamRng {
        StreamRng { key: self, row, block: 0, words: [0; 4], left: 0 }
    }
}

/// A `rand` generator over one row of a stream.
#[derive(Debug, Clone)]
pub struct StreamRng {
    key: StreamKey,
    row: u32,
    block: u32,
    words: [u32; 4],
    left: usize,
}

impl TryRng for StreamRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        if self.left == 0 {
            self.words = self.key.words(self.row, self.block);
            self.block = self.block.wrapping_add(1);
            if self.block == 0 {
                // 2^34 words of one row are used up: go on with a key of their own.
                self.key = self.key.at(u64::from(self.row));
            }
            self.left = 4;
        }
        self.left -= 1;
        Ok(self.words[3 - self.left])
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_u64_via_u32(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        rand_core::utils::fill_bytes_via_next_word(bytes, || self.try_next_u32())
    }
}

/// A number in `[0, 1)` with 24 random bits, from one random word.
#[inline]
#[must_use]
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A number in `0..below` from one random word, by multiplication (bias below `below / 2^32`).
#[inline]
#[must_use]
pub fn below(word: u32, below: u32) -> u32 {
    ((u64::from(word) * u64::from(below)) >> 32) as u32
}

/// Shuffles `0..length` by Fisher and Yates; O(length).
#[must_use]
pub fn permutation(key: StreamKey, length: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..length as u32).collect();
    let mut words = [0; 4];
    for at in (1..length).rev() {
        if at % 4 == 3 || at == length - 1 {
            words = key.words((at / 4) as u32, 0);
        }
        order.swap(at, below(words[at % 4], at as u32 + 1) as usize);
    }
    order
}

/// The counter function itself.
#[inline]
#[must_use]
pub fn pcg4d(counter: [u32; 4]) -> [u32; 4] {
    let step = |v: u32| v.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let [mut x, mut y, mut z, mut w] = counter.map(step);
    x = x.wrapping_add(y.wrapping_mul(w));
    y = y.wrapping_add(z.wrapping_mul(x));
    z = z.wrapping_add(x.wrapping_mul(y));
    w = w.wrapping_add(y.wrapping_mul(z));
    x ^= x >> 16;
    y ^= y >> 16;
    z ^= z >> 16;
    w ^= w >> 16;
    x = x.wrapping_add(y.wrapping_mul(w));
    y = y.wrapping_add(z.wrapping_mul(x));
    z = z.wrapping_add(x.wrapping_mul(y));
    w = w.wrapping_add(y.wrapping_mul(z));
    [x, y, z, w]
}

/// SplitMix64's finaliser (Steele, Lea & Flood 2014): spreads every input bit over the output.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, RngExt};

    use super::*;

    /// The values of the reference formula, computed with unbounded integers modulo 2^32 in Python.
    #[test]
    fn pcg4d_matches_the_published_formula() {
        assert_eq!(pcg4d([0, 0, 0, 0]), PCG4D_OF_ZERO);
        assert_eq!(pcg4d([1, 2, 3, 4]), PCG4D_OF_1234);
    }
    const PCG4D_OF_ZERO: [u32; 4] = [251852841, 760645481, 850445371, 3542436074];
    const PCG4D_OF_1234: [u32; 4] = [908250390, 4044648920, 3775961919, 45698095];

    #[test]
    fn children_and_positions_differ() {
        let root = StreamKey::root(1);
        let keys = [
            root,
            root.child("a"),
            root.child("b"),
            root.at(0),
            root.at(1),
            root.child("a").at(0),
            StreamKey::root(2),
        ];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(a, b);
            }
        }
    }

    #[test]
    fn words_of_neighbouring_rows_look_independent() {
        // 65 536 words: mean of U(0,1) is 1/2 with deviation 1/sqrt(12 n) = 0.0011; lag-one correlation 1/sqrt(n) = 0.004.
        let key = StreamKey::root(7).child("noise");
        let values: Vec<f64> =
            (0..16_384).flat_map(|row| key.words(row, 0)).map(|word| f64::from(unit(word))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean - 0.5).abs() < 5.0 * 0.0011, "mean {mean}");
        for lag in [1, 4, 8] {
            let correlation = values.windows(lag + 1).map(|w| (w[0] - 0.5) * (w[lag] - 0.5)).sum::<f64>()
                * 12.0
                / values.len() as f64;
            assert!(correlation.abs() < 5.0 * 0.004, "lag {lag}: {correlation}");
        }
    }

    #[test]
    fn the_generator_is_the_stream() {
        let key = StreamKey::root(3).child("x");
        let mut rng = key.rng(9);
        let drawn: Vec<u32> = (0..8).map(|_| rng.next_u32()).collect();
        assert_eq!(drawn, [key.words(9, 0), key.words(9, 1)].concat());
        let again: f64 = key.rng(9).random();
        assert_eq!(again, key.rng(9).random::<f64>());
    }

    #[test]
    fn a_permutation_holds_each_number_once_and_is_fair() {
        let mut firsts = [0u32; 5];
        for position in 0..5000 {
            let mut order = permutation(StreamKey::root(1).at(position), 5);
            firsts[order[0] as usize] += 1;
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4]);
        }
        // 1000 expected each, standard deviation 28.
        assert!(firsts.iter().all(|&count| (850..1150).contains(&count)), "{firsts:?}");
    }
}

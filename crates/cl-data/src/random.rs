//! Random numbers as a function of (seed, name of the stream, key): the same on every machine and in any order.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

/// A generator of its own for one user or one global choice.
///
/// The key is what identifies the drawer outside the program (an external id), so that neither row numbers nor the
/// order of lines reach the outcome.
pub(crate) fn generator(seed: u64, stream: &str, key: &[u8]) -> Xoshiro256PlusPlus {
    let mut state = mix(seed);
    for part in [stream.as_bytes(), key] {
        // The length first: "ab" + "c" must differ from "a" + "bc".
        state = mix(state ^ part.len() as u64);
        for chunk in part.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            state = mix(state ^ u64::from_le_bytes(word));
        }
    }
    Xoshiro256PlusPlus::seed_from_u64(state)
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Moves a uniform draw of `count` elements to the front, in random order (Fisher and Yates 1938, stopped early).
pub(crate) fn draw_to_front<T>(values: &mut [T], count: usize, generator: &mut Xoshiro256PlusPlus) {
    let total = values.len() as u64;
    for at in 0..count {
        let other = generator.random_range(at as u64..total) as usize;
        values.swap(at, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_keys_are_told_apart_and_repeat() {
        let first = |seed, stream, key: &str| generator(seed, stream, key.as_bytes()).random::<u64>();
        assert_eq!(first(1, "split", "7"), first(1, "split", "7"));
        assert_ne!(first(1, "split", "7"), first(2, "split", "7"));
        assert_ne!(first(1, "split", "7"), first(1, "split", "8"));
        assert_ne!(first(1, "ab", "c"), first(1, "a", "bc"));
        assert_ne!(first(1, "a", "x"), first(1, "a", "x\0"));
    }

    #[test]
    fn every_element_is_drawn_equally_often() {
        // 6,000 draws of 2 out of 6: each element is expected 2,000 times, standard deviation √(6000·⅓·⅔) = 36.5.
        let mut counts = [0i32; 6];
        for key in 0..6000u32 {
            let mut values = [0, 1, 2, 3, 4, 5];
            draw_to_front(&mut values, 2, &mut generator(3, "test", &key.to_le_bytes()));
            counts[values[0]] += 1;
            counts[values[1]] += 1;
        }
        assert!(counts.iter().all(|count| (count - 2000).abs() < 150), "{counts:?}");
    }
}

//! Random numbers of the device: those of [`rng`](crate::rng), to the bit.

// What #[cube] makes of a function cannot be given a word of its own.
#![allow(missing_docs)]

use cubecl::prelude::*;

/// The four words of [`rng::pcg4d`](crate::rng::pcg4d()); products and sums wrap around.
#[cube]
pub fn pcg4d(a: u32, b: u32, c: u32, d: u32) -> (u32, u32, u32, u32) {
    let mut x = a * 1664525u32 + 1013904223u32;
    let mut y = b * 1664525u32 + 1013904223u32;
    let mut z = c * 1664525u32 + 1013904223u32;
    let mut w = d * 1664525u32 + 1013904223u32;
    x += y * w;
    y += z * x;
    z += x * y;
    w += y * z;
    x = x ^ (x >> 16u32);
    y = y ^ (y >> 16u32);
    z = z ^ (z >> 16u32);
    w = w ^ (w >> 16u32);
    x += y * w;
    y += z * x;
    z += x * y;
    w += y * z;
    (x, y, z, w)
}

/// The same words, one after another.
#[cube]
pub fn words(a: u32, b: u32, c: u32, d: u32) -> Array<u32> {
    let (x, y, z, w) = pcg4d(a, b, c, d);
    let mut words = Array::<u32>::new(4usize);
    words[0] = x;
    words[1] = y;
    words[2] = z;
    words[3] = w;
    words
}

/// [`rng::unit`](crate::rng::unit()): a number in `[0, 1)` of 24 bits.
#[cube]
pub fn unit(word: u32) -> f32 {
    f32::cast_from(word >> 8u32) * f32::new(1.0 / 16_777_216.0)
}

/// Word `at` of those that a generator of row `row` gives; see [`StreamKey::rng`](crate::StreamKey::rng).
#[cube]
pub fn word(row: u32, at: u32, low: u32, high: u32) -> u32 {
    let (a, b, c, d) = pcg4d(row, at / 4u32, low, high);
    let of_four = at % 4u32;
    select(of_four < 2u32, select(of_four == 0u32, a, b), select(of_four == 2u32, c, d))
}

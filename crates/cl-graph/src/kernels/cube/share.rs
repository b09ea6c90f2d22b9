//! Marks for a random share of many things, drawn on the device: the marks of [`Share`](crate::Share), to the bit.
//!
//! Of an exact number those with the smallest words are kept. The largest of these words is found digit by digit, from
//! counts of the words that begin as it does; words are computed anew each time, which takes less than to read them.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::{room_for, spread, zeros_u32};
use cl_core::kernels::cube::random::{pcg4d, words};
use cubecl::prelude::*;

use crate::kept::Share;

/// Units of a cube.
const UNITS: usize = 256;
/// Values of a digit. A word has digits of 11, 11 and 10 bits.
const BINS: usize = 2048;
/// Cubes that count.
const COUNTING: usize = 512;
/// A word's upper 24 bits are the number that is drawn; this many numbers there are.
const NUMBERS: f64 = 16_777_216.0;

/// Bits below a digit.
const fn below(digit: usize) -> u32 {
    [21, 10, 0][digit]
}

/// The bits of a word above a digit.
const fn above(digit: usize) -> u32 {
    if digit == 0 { 0 } else { u32::MAX << below(digit - 1) }
}

/// The bits of a digit.
const fn bits(digit: usize) -> u32 {
    !above(digit) >> below(digit)
}

/// The first bin up to which there are `target` counts, how many of its own are among these, and how many it has. All units
/// of a cube call it together.
#[cube]
fn chosen(bins: &Tensor<u32>, target: u32) -> (u32, u32, u32) {
    let mut sums = SharedMemory::<u32>::new(UNITS);
    let mut found = SharedMemory::<u32>::new(3usize);
    let each = comptime!(BINS / UNITS);
    let first = UNIT_POS as usize * each;
    let mut sum = 0u32;
    for bin in 0..each {
        sum += bins[first + bin];
    }
    sums[UNIT_POS as usize] = sum;
    sync_cube();
    if UNIT_POS == 0u32 {
        let mut left = target;
        let mut group = 0usize;
        while group < comptime!(UNITS - 1) && sums[group] < left {
            left -= sums[group];
            group += 1;
        }
        let mut bin = group * each;
        let last = bin + each - 1;
        while bin < last && bins[bin] < left {
            left -= bins[bin];
            bin += 1;
        }
        found[0] = u32::cast_from(bin);
        found[1] = left;
        found[2] = bins[bin];
    }
    sync_cube();
    (found[0], found[1], found[2])
}

/// Counts the digits of the words that begin as the largest that is kept. What that begins with is told by the counts of the
/// digit before, and written to `known` for the kernels after this one: the beginning, and how many that begin so are kept.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn count_kernel(
    before: &Tensor<u32>,
    known: &mut Tensor<u32>,
    bins: &mut Tensor<Atomic<u32>>,
    count: u32,
    kept: u32,
    stride: u32,
    low: u32,
    high: u32,
    #[comptime] digit: usize,
) {
    let mut prefix = 0u32;
    if comptime!(digit > 0) {
        let mut target = kept;
        if comptime!(digit == 2) {
            prefix = known[0];
            target = known[1];
        }
        let (bin, left, _) = chosen(before, target);
        prefix = prefix | (bin << comptime!(below(digit - 1)));
        if ABSOLUTE_POS == 0 {
            known[comptime!(2 * (digit - 1))] = prefix;
            known[comptime!(2 * (digit - 1) + 1)] = left;
        }
    }
    let mut block = u32::cast_from(ABSOLUTE_POS);
    while block * 4u32 < count {
        let words = words(block, 0u32, low, high);
        #[unroll]
        for k in 0..4u32 {
            if block * 4u32 + k < count && (words[k as usize] & comptime!(above(digit))) == prefix {
                let bin = (words[k as usize] >> comptime!(below(digit))) & comptime!(bits(digit));
                bins[usize::cast_from(bin)].fetch_add(1u32);
            }
        }
        block += stride;
    }
}

/// How many things before this one have its word.
#[cube]
fn equal_before(thing: u32, word: u32, low: u32, high: u32) -> u32 {
    let mut equal = 0u32;
    let mut block = 0u32;
    while block * 4u32 < thing {
        let (a, b, c, d) = pcg4d(block, 0u32, low, high);
        equal += select(a == word, 1u32, 0u32);
        equal += select(b == word && block * 4u32 + 1u32 < thing, 1u32, 0u32);
        equal += select(c == word && block * 4u32 + 2u32 < thing, 1u32, 0u32);
        equal += select(d == word && block * 4u32 + 3u32 < thing, 1u32, 0u32);
        block += 1u32;
    }
    equal
}

/// Writes 1 for each thing that is kept and 0 for the others, from place `first` on.
///
/// With `exact` those up to the largest word that is kept, which the counts tell, otherwise those whose upper 24 bits are
/// `lowest` or more.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn mark_kernel(
    before: &Tensor<u32>,
    known: &Tensor<u32>,
    marks: &mut Tensor<u32>,
    first: u32,
    count: u32,
    lowest: u32,
    low: u32,
    high: u32,
    #[comptime] exact: bool,
) {
    let mut largest = 0u32;
    let mut left = 0u32;
    let mut equal = 0u32;
    if comptime!(exact) {
        let (bin, of_bin, in_bin) = chosen(before, known[3]);
        largest = known[2] | bin;
        left = of_bin;
        equal = in_bin;
    }
    let block = u32::cast_from(ABSOLUTE_POS);
    if block * 4u32 < count {
        let words = words(block, 0u32, low, high);
        #[unroll]
        for k in 0..4u32 {
            let thing = block * 4u32 + k;
            if thing < count {
                let word = words[k as usize];
                let mut mark = select(word >> 8u32 >= lowest, 1u32, 0u32);
                if comptime!(exact) {
                    mark = select(word <= largest, 1u32, 0u32);
                    // Of equal words the first are kept, which hardly ever matters.
                    if word == largest && equal != left {
                        mark = select(equal_before(thing, word, low, high) < left, 1u32, 0u32);
                    }
                }
                marks[usize::cast_from(first + thing)] = mark;
            }
        }
    }
}

/// Marks a share of `count` things, from place `first` on.
pub(super) fn mark<R: CubeRuntime>(share: &Share, count: usize, marks: &CubeTensor<R>, first: usize) {
    if count == 0 {
        return;
    }
    let [low, high] = share.key.halves();
    let client = &marks.client;
    let cube = CubeDim::new_1d(UNITS as u32);
    let blocks = count.div_ceil(4);
    let number = |number: usize| number as u32;
    let write = |before: &CubeTensor<R>, known: &CubeTensor<R>, lowest: u32, exact: bool| {
        // SAFETY: each unit writes marks below the count, which the caller has room for from `first` on.
        unsafe {
            mark_kernel::launch_unchecked(
                client,
                spread(blocks.div_ceil(UNITS)),
                cube,
                marks.required_address_type(),
                before.clone().into_tensor_arg(),
                known.clone().into_tensor_arg(),
                marks.clone().into_tensor_arg(),
                number(first),
                number(count),
                lowest,
                low,
                high,
                exact,
            );
        }
    };
    let all_or_none = |all: bool| if all { 0 } else { NUMBERS as u32 };
    let nothing = || room_for(marks, 1, DType::U32);
    match share.exactly(count) {
        // Numbers are exact in f64, so that the smallest that is not below the rate is.
        None => write(&nothing(), &nothing(), (share.rate * NUMBERS).ceil() as u32, false),
        Some(kept) if kept == 0 || kept == count => {
            write(&nothing(), &nothing(), all_or_none(kept == count), false);
        }
        Some(kept) => {
            let known = zeros_u32(marks, 4);
            let mut before = nothing();
            let cubes = blocks.div_ceil(UNITS).min(COUNTING);
            for digit in 0..3 {
                let bins = zeros_u32(marks, BINS);
                // SAFETY: digits are below the number of bins; there are four known numbers.
                unsafe {
                    count_kernel::launch_unchecked(
                        client,
                        spread(cubes),
                        cube,
                        marks.required_address_type(),
                        before.into_tensor_arg(),
                        known.clone().into_tensor_arg(),
                        bins.clone().into_tensor_arg(),
                        number(count),
                        number(kept),
                        number(cubes * UNITS),
                        low,
                        high,
                        digit,
                    );
                }
                before = bins;
            }
            write(&before, &known, 0, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_make_up_a_word() {
        let word = 0xdead_beef_u32;
        let digits = [0, 1, 2].map(|digit| (word >> below(digit)) & bits(digit));
        assert!(digits.iter().all(|digit| (*digit as usize) < BINS), "{digits:?}");
        assert_eq!(word, digits[0] << 21 | digits[1] << 10 | digits[2]);
        assert_eq!([0, 1, 2].map(|digit| word & above(digit)), [0, digits[0] << 21, word & !1023]);
    }
}

//! How evenly rows cover the sphere.

use rayon::prelude::*;

use super::{Table, dot};
use crate::rng::{StreamKey, permutation};

/// The value and how it was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uniformity {
    /// `log mean_{i<j} exp(−2‖x_i − x_j‖²)`, from −8 (impossible) to 0 (all equal); lower is more uniform.
    pub value: f64,
    /// Number of rows among which all pairs were taken.
    pub rows: usize,
}

/// Uniformity over all pairs of rows, or of `limit` rows drawn without replacement if there are more. `None` below 2.
///
/// # Cost
/// O(min(rows, limit)² · dim) time.
///
/// # Source
/// Wang & Isola 2020, section 4.2, t = 2 (arXiv 2005.10242).
#[must_use]
pub fn uniformity(table: Table<'_>, limit: usize, key: StreamKey) -> Option<Uniformity> {
    let lengths = table.inverse_lengths();
    let mut chosen: Vec<u32> = if table.rows() > limit {
        permutation(key, table.rows())[..limit].to_vec()
    } else {
        (0..table.rows() as u32).collect()
    };
    chosen.sort_unstable();
    if chosen.len() < 2 {
        return None;
    }
    let unit = |inverse: f64| if inverse > 0.0 { 1.0 } else { 0.0 };
    let sums: Vec<f64> = chosen
        .par_iter()
        .enumerate()
        .map(|(at, &i)| {
            let i = i as usize;
            let mut sum = 0.0;
            for &j in &chosen[at + 1..] {
                let j = j as usize;
                let cosine = dot(table.row(i), table.row(j)) * lengths[i] * lengths[j];
                sum += (-2.0 * (unit(lengths[i]) + unit(lengths[j]) - 2.0 * cosine)).exp();
            }
            sum
        })
        .collect();
    let pairs = chosen.len() as f64 * (chosen.len() as f64 - 1.0) / 2.0;
    Some(Uniformity { value: (sums.iter().sum::<f64>() / pairs).ln(), rows: chosen.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        // (1, 0), (0, 2), (-3, 0): squared distances 2, 4, 2 -> log((2 e^-4 + e^-8) / 3).
        let data = [1.0, 0.0, 0.0, 2.0, -3.0, 0.0];
        let found = uniformity(Table::new(&data, 2), 10, StreamKey::root(1)).unwrap();
        let expected = ((2.0 * (-4.0_f64).exp() + (-8.0_f64).exp()) / 3.0).ln();
        assert!((found.value - expected).abs() < 1e-12);
        assert_eq!(found.rows, 3);
        assert_eq!(uniformity(Table::new(&data, 2), 2, StreamKey::root(1)).unwrap().rows, 2);
        assert_eq!(uniformity(Table::new(&data[..2], 2), 2, StreamKey::root(1)), None);
    }
}

//! The random streams with `rand_distr`'s laws.
#![allow(clippy::unwrap_used)]

use cl_core::StreamKey;
use rand_distr::{Beta, Distribution, StandardNormal, Uniform, Zipf};

/// Draws from 20 000 rows of a stream, two from each.
fn drawn(law: impl Distribution<f64>) -> Vec<f64> {
    let key = StreamKey::root(31).child("law");
    (0..20_000)
        .flat_map(|row| {
            let mut rng = key.rng(row);
            [law.sample(&mut rng), law.sample(&mut rng)]
        })
        .collect()
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
}

#[test]
fn normal() {
    let values = drawn(StandardNormal);
    let (mean, variance) = moments(&values);
    // 40 000 draws: deviations 1 / √40 000 = 0.005 of the mean, √(2 / 40 000) = 0.0071 of the variance.
    assert!(mean.abs() < 5.0 * 0.005 && (variance - 1.0).abs() < 5.0 * 0.0071, "{mean} {variance}");
    // Two numbers of one row have nothing to do with one another: deviation of the correlation 1 / √20 000 = 0.0071.
    let correlation = values.chunks(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / 20_000.0;
    assert!(correlation.abs() < 5.0 * 0.0071, "{correlation}");
}

#[test]
fn uniform_and_beta() {
    let (mean, variance) = moments(&drawn(Uniform::new(2.0, 5.0).unwrap()));
    // Mean 3.5, variance 9 / 12; the mean's deviation is 0.866 / 200 = 0.0043, the variance's 0.67 / 200 = 0.0034.
    assert!((mean - 3.5).abs() < 5.0 * 0.0043 && (variance - 0.75).abs() < 5.0 * 0.0034, "{mean} {variance}");
    let (mean, variance) = moments(&drawn(Beta::new(2.0, 6.0).unwrap()));
    // Mean 1/4, variance 12 / (64 · 9) = 0.02083; the mean's deviation is 0.144 / 200 = 0.0007.
    assert!((mean - 0.25).abs() < 5.0 * 0.0007 && (variance - 0.020_83).abs() < 0.001, "{mean} {variance}");
}

#[test]
fn zipf_has_its_heavy_tail() {
    let values = drawn(Zipf::new(1000.0, 1.0).unwrap());
    // P(1) = 1 / H(1000) = 1 / 7.485 = 0.1336; deviation √(0.1336 · 0.8664 / 40 000) = 0.0017.
    let share = values.iter().filter(|&&x| x == 1.0).count() as f64 / 40_000.0;
    assert!((share - 0.1336).abs() < 5.0 * 0.0017, "{share}");
}

#[test]
fn a_row_is_drawn_the_same_whenever_it_is_drawn() {
    let key = StreamKey::root(32);
    let row = |row: u32| -> [f64; 3] {
        let mut rng = key.rng(row);
        [(); 3].map(|()| StandardNormal.sample(&mut rng))
    };
    let (nine, _, again) = (row(9), row(8), row(9));
    assert_eq!(nine, again);
    assert_ne!(nine, row(10));
}

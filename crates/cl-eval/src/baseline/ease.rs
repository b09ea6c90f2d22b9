//! EASE: a linear item–item model in closed form.

use super::tiles::Tiles;
use super::{BaselineError, check, users_of_items};
use crate::rank::Scorer;
use cl_data::UserItems;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Settings of [`Ease`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EaseConfig {
    /// λ: weight of the squared norm of the model, above 0. Default 500, the best on MovieLens-20M in the
    /// paper.
    pub regularization: f64,
    /// The largest peak memory that [`fit`](Self::fit) may take, GiB, above 0. Default 8 (32 000 items).
    pub memory_limit_gib: f64,
}

impl Default for EaseConfig {
    fn default() -> Self {
        Self { regularization: 500.0, memory_limit_gib: 8.0 }
    }
}

impl EaseConfig {
    /// Checks the ranges of all settings.
    ///
    /// # Errors
    ///
    /// The name of a setting that is out of range, and what it must be.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        for (field, value) in
            [("regularization", self.regularization), ("memory_limit_gib", self.memory_limit_gib)]
        {
            if !(value > 0.0 && value.is_finite()) {
                return Err((field, format!("must be above 0 and finite, got {value}")));
            }
        }
        Ok(())
    }

    /// Solves for the item–item weights: one Cholesky factorisation and inverse of an `[items, items]`
    /// matrix.
    ///
    /// In f64, because a small λ leaves the matrix ill-conditioned (MovieLens-1M's XᵀX has eigenvalues from
    /// 0.85 to 163,171). The same data give the same bits for any number of threads.
    ///
    /// # Errors
    ///
    /// [`BaselineError::Setting`], [`BaselineError::ItemOutOfRange`]; [`BaselineError::TooManyItems`] before
    /// anything is allocated; [`BaselineError::NotPositiveDefinite`].
    ///
    /// # Cost
    ///
    /// items³ / 2 multiply-adds and O(Σ |I(u)|²); 8 · items² bytes and a few percent at the peak, 4 · items² afterwards.
    pub fn fit(&self, train: &UserItems, items: usize) -> Result<Ease, BaselineError> {
        check(self.validate(), train, items)?;
        // Half of a square in f64 and its tiles' surplus, and a square in f32.
        let needed_gib = 8.0 * items as f64 * (items + 2 * SIDE) as f64 / 1024f64.powi(3);
        if needed_gib > self.memory_limit_gib {
            let limit_gib = self.memory_limit_gib;
            return Err(BaselineError::TooManyItems { items, needed_gib, limit_gib });
        }
        let inverse = gram(train, items, self.regularization, SIDE).invert();
        let inverse =
            inverse.ok_or(BaselineError::NotPositiveDefinite { regularization: self.regularization })?;
        Ok(Ease { weights: weights(&inverse), history: train.clone() })
    }
}

/// Rows of a tile: 2 MiB, so that a product of two is bound by arithmetic.
const SIDE: usize = 512;

/// The lower triangle of XᵀX + λI: how many users share two items.
fn gram(train: &UserItems, items: usize, regularization: f64, side: usize) -> Tiles {
    let users = users_of_items(train, items);
    let mut gram = Tiles::zeros(items, side);
    for item in 0..items {
        for &user in users.of(item) {
            let history = train.of(user as usize);
            for &other in &history[history.partition_point(|&other| (other as usize) < item)..] {
                *gram.entry(other as usize, item) += 1.0;
            }
        }
        *gram.entry(item, item) += regularization;
    }
    gram
}

/// B of [`Ease`], `[items, items]` row after row, from P.
fn weights(inverse: &Tiles) -> Vec<f32> {
    let items = inverse.size();
    let diagonal: Vec<f64> = (0..items).map(|i| inverse.get(i, i)).collect();
    let mut weights = vec![0f32; items * items];
    if items > 0 {
        weights.par_chunks_mut(items).enumerate().for_each(|(j, row)| {
            for (i, weight) in row.iter_mut().enumerate() {
                if i != j {
                    *weight = (-inverse.get(j, i) / diagonal[i]) as f32;
                }
            }
        });
    }
    weights
}

/// Scores an item by a linear function of the user's history, fitted to give the history back without an
/// item's own help.
///
/// min over B with zero diagonal of ‖X − XB‖² + λ‖B‖², solved by P = (XᵀX + λI)⁻¹, B(j, i) = −P(j, i) / P(i,
/// i); s(u, i) = Σ over j in I(u) of B(j, i). X is the users × items matrix of training interactions.
///
/// Source: Steck 2019 (arXiv 1905.03375), equation 8 and algorithm 1.
#[derive(Debug, Clone)]
pub struct Ease {
    weights: Vec<f32>,
    history: UserItems,
}

impl Ease {
    /// B, `[items, items]` row after row: row j says what item j of a history adds to each item's score.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }
}

impl Scorer for Ease {
    fn items(&self) -> usize {
        self.weights.len().isqrt()
    }

    fn score(&self, user: usize, out: &mut [f32]) {
        let items = out.len();
        out.fill(0.0);
        for &item in self.history.of(user) {
            let row = &self.weights[item as usize * items..(item as usize + 1) * items];
            for (score, weight) in out.iter_mut().zip(row) {
                *score += weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::example;

    #[test]
    fn two_items_by_hand() {
        // Users [0, 1], [0], λ = 1: G = [[3, 1], [1, 2]], P = [[2, −1], [−1, 3]] / 5.
        // B(0, 1) = −P(0, 1) / P(1, 1) = 1/3, B(1, 0) = −P(1, 0) / P(0, 0) = 1/2.
        let train = UserItems::from_pairs(2, [(0, 0), (0, 1), (1, 0)].into_iter());
        let ease = EaseConfig { regularization: 1.0, ..Default::default() }.fit(&train, 2).unwrap();
        for (weight, expected) in ease.weights().iter().zip([0.0, 1.0 / 3.0, 0.5, 0.0]) {
            assert!((weight - expected).abs() < 1e-7, "{:?}", ease.weights());
        }
        let mut out = [f32::NAN; 2];
        ease.score(1, &mut out);
        assert_eq!((ease.items(), out[0]), (2, 0.0));
        assert!((out[1] - 1.0 / 3.0).abs() < 1e-7);
    }

    #[test]
    fn matches_numpy() {
        // numpy 2.4.6:
        //   X = np.array([[1,1,1,0],[1,1,0,0],[0,1,1,0],[0,0,0,1.]])
        //   P = np.linalg.inv(X.T @ X + 0.5 * np.eye(4)); B = -P / np.diag(P); np.fill_diagonal(B, 0)
        let (a, b, c) = (0.571_428_571_428_571_4, -0.105_263_157_894_736_84, 0.631_578_947_368_421);
        let expected = [0.0, a, b, 0.0, c, 0.0, c, 0.0, b, a, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let ease = EaseConfig { regularization: 0.5, ..Default::default() }.fit(&example(), 4).unwrap();
        for (weight, expected) in ease.weights().iter().zip(expected) {
            assert!((f64::from(*weight) - expected).abs() < 1e-7, "{:?}", ease.weights());
        }
    }

    #[test]
    fn a_larger_inverse_is_one() {
        // P·G = I for 200 items in small random histories; one tile, and tiles that leave a small one at the end.
        let items = 200;
        let pairs =
            (0..300u32).flat_map(|user| (0..8).map(move |k| (user, (user * 7919 + k * k * 131) % 200)));
        let train = UserItems::from_pairs(300, pairs);
        for side in [512, 64, 33] {
            let matrix = gram(&train, items, 2.0, side);
            let inverse = gram(&train, items, 2.0, side).invert().unwrap();
            for i in 0..items {
                for j in 0..items {
                    let product: f64 = (0..items).map(|k| inverse.get(i, k) * matrix.get(k, j)).sum();
                    let unit = if i == j { 1.0 } else { 0.0 };
                    assert!((product - unit).abs() < 1e-10, "tiles of {side}, ({i}, {j}): {product}");
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let pairs = (0..300u32).flat_map(|user| (0..8).map(move |k| (user, (user * 31 + k * k * 17) % 150)));
        let train = UserItems::from_pairs(300, pairs);
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| weights(&gram(&train, 150, 1.0, 32).invert().unwrap()))
        };
        let one: Vec<u32> = of(1).iter().map(|weight| weight.to_bits()).collect();
        let four: Vec<u32> = of(4).iter().map(|weight| weight.to_bits()).collect();
        assert_eq!(one, four);
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_found_in_any_tile() {
        let mut matrix = Tiles::zeros(70, 32);
        for i in 0..70 {
            *matrix.entry(i, i) = if i == 65 { -1.0 } else { 1.0 };
        }
        assert!(matrix.invert().is_none());
    }

    #[test]
    fn too_many_items_are_refused_before_memory_is_taken() {
        let none = UserItems::from_pairs(1, std::iter::empty());
        let error = EaseConfig::default().fit(&none, 38_048).unwrap_err();
        // 8 · 38048 · 39072 / 2³⁰ = 11.08.
        let text = error.to_string();
        assert!(
            text.contains("EASE on 38048 items takes 11.1 GiB") && text.contains("limit_gib is 8"),
            "{text}"
        );
        assert!(EaseConfig::default().fit(&none, 3).is_ok());
    }

    #[test]
    fn settings_are_checked() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let config = EaseConfig { regularization: wrong, ..Default::default() };
            assert_eq!(config.validate().unwrap_err().0, "regularization");
        }
        let config = EaseConfig { memory_limit_gib: 0.0, ..Default::default() };
        assert!(matches!(
            config.fit(&example(), 4),
            Err(BaselineError::Setting { field: "memory_limit_gib", .. })
        ));
        assert!(serde_json::from_str::<EaseConfig>(r#"{"lambda": 5}"#).is_err());
    }
}

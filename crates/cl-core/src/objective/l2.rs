//! The L2 penalty in the variants that official codes use.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::contrast::{Reduction, row_dot};
use crate::kernels::ContrastBackend;
use crate::registry::{Check, ensure};

/// Which rows are penalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum L2On {
    /// The parameters themselves (LightGCN, SGL).
    #[default]
    LayerZero,
    /// The embeddings that the objective sees (SELFRec's SGL, SimGCL, XSimGCL).
    Propagated,
}

/// What is penalised about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum L2Form {
    /// `½ Σ ‖row‖²` (LightGCN, SGL).
    #[default]
    Squared,
    /// `Σ_part ‖part‖_F`: the norm of all users, of all positives, of all negatives, not squared (SELFRec).
    Norm,
}

/// `weight · form(rows)`, divided by the batch size if the objective takes the mean over the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct L2 {
    /// The weight; 0 switches it off.
    pub weight: f64,
    /// Which rows.
    pub on: L2On,
    /// What about them.
    pub form: L2Form,
    /// Whether the sampled negatives count (SELFRec's contrastive models leave them out).
    pub negatives: bool,
    /// `mean` divides by the number of positives.
    pub reduction: Reduction,
}

/// Weights are finite and not negative.
pub(super) fn check_l2(weight: f64) -> Check {
    ensure(weight >= 0.0 && weight.is_finite(), "l2", || format!("must be 0 or more, got {weight}"))
}

impl L2 {
    /// The penalty `[1]` over the given parts (users, positives, negatives), for a batch of `n` positives.
    ///
    /// # Panics
    ///
    /// If there is no part.
    #[must_use]
    pub fn loss<B: ContrastBackend>(&self, parts: Vec<Tensor<B, 2>>, n: usize) -> Tensor<B, 1> {
        let total = parts
            .into_iter()
            .map(|part| {
                // Row by row first, so that the order of additions is fixed.
                let squares = Reduction::Sum.apply(row_dot(part.clone(), part));
                match self.form {
                    L2Form::Squared => squares.div_scalar(2.0),
                    // The floor keeps the gradient of a zero part finite.
                    L2Form::Norm => squares.clamp_min(1e-24).sqrt(),
                }
            })
            .reduce(|sum, part| sum + part);
        let Some(total) = total else { panic!("an L2 penalty needs at least one part") };
        match self.reduction {
            Reduction::Mean => total.mul_scalar(self.weight / n as f64),
            Reduction::Sum => total.mul_scalar(self.weight),
        }
    }
}

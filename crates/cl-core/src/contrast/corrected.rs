//! What losses share that correct the sum over negatives for those which are none.

use burn::tensor::Tensor;

use super::parts::Others;
use crate::kernels::ContrastBackend;
use crate::registry::{Check, ensure};

/// τ⁺ is a probability below 1.
pub(super) fn check_share(share: f64) -> Check {
    ensure((0.0..1.0).contains(&share), "positive_share", || {
        format!("must be 0 or more and below 1, got {share}")
    })
}

/// `log(exp(pos) + N g) − pos` from the logarithm of the sum over negatives: what the corrected losses share.
pub(super) fn corrected<B: ContrastBackend>(
    positive: Tensor<B, 1>,
    log_sum: Tensor<B, 1>,
    others: &Others<B>,
    temperature: f64,
    positive_share: f64,
) -> Tensor<B, 1> {
    // All terms relative to the largest one.
    let peak = log_sum.clone().detach().max_pair(positive.clone().detach()); // [n]
    let excess =
        others.of_counts(|count| count * positive_share as f32) * (positive.clone() - peak.clone()).exp();
    let negatives = ((log_sum - peak.clone()).exp() - excess).div_scalar(1.0 - positive_share); // N g, first bound
    let floor = others.of_counts(|count| count.ln() - (1.0 / temperature) as f32) - peak.clone();
    let negatives = negatives.max_pair(floor.exp()).clamp_min(f32::MIN_POSITIVE); // N g
    // log(1 + eˣ) with x = log(N g) − pos: no difference of near numbers where the negatives are far.
    let x = negatives.log() + peak - positive;
    let loss = x.clone().clamp_min(0.0) + x.abs().neg().exp().log1p();
    others.or_zero(loss)
}

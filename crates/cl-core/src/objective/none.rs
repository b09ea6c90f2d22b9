//! No recommendation loss: contrastive pretraining alone ("CL only" in the SimGCL paper).

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::l2::check_l2;
use super::{L2, L2Form, L2On, Objective, Triples};
use crate::contrast::Reduction;
use crate::registry::{Check, Component};

/// `type = "none"`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoneConfig {
    /// Weight of the L2 penalty on users and positives.
    pub l2: f64,
    /// Rows that are penalised.
    pub l2_on: L2On,
    /// Squared (halved) or the norm itself.
    pub l2_form: L2Form,
}

impl<B: Backend> Component<dyn Objective<B>> for NoneConfig {
    const NAME: &'static str = "none";
    const SUMMARY: &'static str = "no recommendation loss: the contrast alone";

    fn validate(&self) -> Check {
        check_l2(self.l2)
    }

    fn build(self) -> Box<dyn Objective<B>> {
        Box::new(self)
    }
}

impl<B: Backend> Objective<B> for NoneConfig {
    fn negatives_per_positive(&self) -> usize {
        0
    }

    fn l2(&self) -> L2 {
        L2 {
            weight: self.l2,
            on: self.l2_on,
            form: self.l2_form,
            negatives: false,
            reduction: Reduction::Mean,
        }
    }

    fn loss(&self, batch: Triples<B>) -> Tensor<B, 1> {
        Tensor::zeros([1], &batch.anchors.device())
    }

    fn is_active(&self) -> bool {
        false
    }
}

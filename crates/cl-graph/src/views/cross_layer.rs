//! XSimGCL: one noisy pass; one of its layers against the final embedding.

use cl_core::encoder::Perturbs;
use cl_core::registry::{Check, Component};
use cl_core::views::{At, Drawn, Views};
use serde::{Deserialize, Serialize};

use super::check_noise;
use crate::input::{GraphInput, Noise, Output};

/// `type = "cross_layer"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossLayerConfig {
    /// l*, the layer that is contrasted with the final embedding; 0 is the table itself.
    pub layer: usize,
    /// ε ≥ 0, the length of the noise that each layer adds to each row; XSimGCL uses 0.2.
    pub noise: f64,
}

impl Default for CrossLayerConfig {
    fn default() -> Self {
        Self { layer: 1, noise: 0.2 }
    }
}

impl Component<dyn Views<GraphInput>> for CrossLayerConfig {
    const NAME: &'static str = "cross_layer";
    const SUMMARY: &'static str = "one noisy pass, layer l* against the final mean; the objective sees it too (XSimGCL, Yu et al. 2023)";

    fn validate(&self) -> Check {
        check_noise(self.noise)
    }

    fn build(self) -> Box<dyn Views<GraphInput>> {
        Box::new(self)
    }
}

impl Views<GraphInput> for CrossLayerConfig {
    fn perturbs(&self) -> Perturbs {
        Perturbs { noise: true, layer: Some(self.layer), ..Perturbs::default() }
    }

    fn unperturbed(&self, clean: &GraphInput) -> GraphInput {
        clean.with_output(Output::Layer(self.layer))
    }

    fn draw(&mut self, clean: &GraphInput, at: At) -> Drawn<GraphInput> {
        let noisy = clean.with_noise(Noise { key: at.step_key(), magnitude: self.noise as f32 });
        Drawn { objective: noisy.clone(), a: noisy.clone(), b: noisy.with_output(Output::Layer(self.layer)) }
    }
}

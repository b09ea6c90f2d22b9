//! SimGCL: the same graph twice, with different noise.

use cl_core::encoder::Perturbs;
use cl_core::registry::{Check, Component};
use cl_core::views::{At, Drawn, Views};
use serde::{Deserialize, Serialize};

use super::check_noise;
use crate::input::{GraphInput, Noise};

/// `type = "embedding_noise"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingNoiseConfig {
    /// ε ≥ 0, the length of the noise that each layer adds to each row; SimGCL uses 0.1.
    pub noise: f64,
}

impl Default for EmbeddingNoiseConfig {
    fn default() -> Self {
        Self { noise: 0.1 }
    }
}

impl Component<dyn Views<GraphInput>> for EmbeddingNoiseConfig {
    const NAME: &'static str = "embedding_noise";
    const SUMMARY: &'static str =
        "two passes with different noise, the objective on a clean third (SimGCL, Yu et al. 2022)";

    fn validate(&self) -> Check {
        check_noise(self.noise)
    }

    fn build(self) -> Box<dyn Views<GraphInput>> {
        Box::new(self)
    }
}

impl Views<GraphInput> for EmbeddingNoiseConfig {
    fn perturbs(&self) -> Perturbs {
        Perturbs { noise: true, ..Perturbs::default() }
    }

    fn draw(&mut self, clean: &GraphInput, at: At) -> Drawn<GraphInput> {
        let noise = |view| Noise { key: at.step_key().child(view), magnitude: self.noise as f32 };
        Drawn { objective: clean.clone(), a: clean.with_noise(noise("a")), b: clean.with_noise(noise("b")) }
    }
}

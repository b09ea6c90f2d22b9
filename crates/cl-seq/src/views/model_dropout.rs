//! The same sequences twice, with different dropout.

use cl_core::encoder::Perturbs;
use cl_core::registry::Component;
use cl_core::views::{At, Drawn, Views};
use serde::{Deserialize, Serialize};

use crate::input::SequenceInput;

/// `type = "model_dropout"`: the objective's own pass against one with other dropout.
///
/// Source: Qiu et al. 2022, DuoRec (arXiv 2110.05730), section 4.2 (after SimCSE, Gao et al. 2021).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelDropoutConfig {}

impl Component<dyn Views<SequenceInput>> for ModelDropoutConfig {
    const NAME: &'static str = "model_dropout";
    const SUMMARY: &'static str = "the same sequences with other dropout (DuoRec, Qiu et al. 2022)";

    fn build(self) -> Box<dyn Views<SequenceInput>> {
        Box::new(self)
    }
}

impl Views<SequenceInput> for ModelDropoutConfig {
    fn perturbs(&self) -> Perturbs {
        Perturbs { noise: true, ..Perturbs::default() }
    }

    fn draw(&mut self, clean: &SequenceInput, _at: At) -> Drawn<SequenceInput> {
        Drawn { objective: clean.clone(), a: clean.clone(), b: clean.with_other_dropout("b") }
    }
}

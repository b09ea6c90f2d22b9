//! For each sequence and side another operation.

use cl_core::encoder::Perturbs;
use cl_core::registry::{Check, Component, ensure};
use cl_core::views::{At, Drawn, Views};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{Operation, OperationTable, applied};
use crate::input::SequenceInput;

/// `type = "one_of"`: each sequence goes through two operations of a menu, one for each view.
///
/// Source: Xie et al. 2022, CL4SRec (arXiv 2010.14395), section 3.2.2, draws both with replacement (nine pairs of three
/// operations); DuoRec's, RecBole-DA's and SSLRec's codes draw two different ones (six).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OneOfConfig {
    /// The menu; CL4SRec's by default.
    pub of: Vec<OperationTable>,
    /// Whether both views may go through the same operation.
    pub with_replacement: bool,
}

impl Default for OneOfConfig {
    fn default() -> Self {
        Self { of: OperationTable::all(), with_replacement: true }
    }
}

impl Component<dyn Views<SequenceInput>> for OneOfConfig {
    const NAME: &'static str = "one_of";
    const SUMMARY: &'static str = "two operations of a menu for each sequence (CL4SRec, Xie et al. 2022)";

    fn complete(&mut self) {
        self.of.iter_mut().for_each(OperationTable::complete);
    }

    fn validate(&self) -> Check {
        let enough = if self.with_replacement { 1 } else { 2 };
        ensure(self.of.len() >= enough, "of", || {
            format!("must list {enough} operations at least, got {}", self.of.len())
        })?;
        self.of.iter().try_for_each(OperationTable::validate)
    }

    fn build(self) -> Box<dyn Views<SequenceInput>> {
        Box::new(OneOf {
            menu: self.of.iter().filter_map(OperationTable::operation).collect(),
            with_replacement: self.with_replacement,
        })
    }
}

struct OneOf {
    menu: Vec<Box<dyn Operation>>,
    with_replacement: bool,
}

impl Views<SequenceInput> for OneOf {
    fn perturbs(&self) -> Perturbs {
        Perturbs { structure: true, ..Perturbs::default() }
    }

    fn draw(&mut self, clean: &SequenceInput, at: At) -> Drawn<SequenceInput> {
        let (key, menu) = (at.step_key(), self.menu.len());
        // Both choices of each sequence.
        let chosen: Vec<[usize; 2]> = (0..clean.sequences.users() as u32)
            .map(|sequence| {
                let mut rng = key.child("choice").rng(sequence);
                let a = rng.random_range(0..menu);
                let b = if self.with_replacement {
                    rng.random_range(0..menu)
                } else {
                    (a + rng.random_range(1..menu)) % menu
                };
                [a, b]
            })
            .collect();
        let view = |name, side: usize| {
            applied(clean, key, name, |sequence| &*self.menu[chosen[sequence as usize][side]])
        };
        Drawn { objective: clean.clone(), a: view("a", 0), b: view("b", 1) }
    }
}

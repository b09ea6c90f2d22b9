//! Two views of a batch of sequences. Stored sequences are never touched: a view lays out new ones.

mod crop;
mod mask;
mod menu;
mod model_dropout;
mod one_of;
mod reorder;

use std::sync::Arc;

use cl_core::StreamKey;
use cl_core::registry::{Check, Registry, ensure};
use cl_core::rng::StreamRng;
use cl_core::views::{At, Drawn, Views};
use cl_data::Sequences;

pub use crop::CropConfig;
pub use mask::MaskConfig;
pub use menu::OperationTable;
pub use model_dropout::ModelDropoutConfig;
pub use one_of::OneOfConfig;
pub use reorder::ReorderConfig;

use crate::input::SequenceInput;

/// The sequence views of this crate.
#[must_use]
pub fn views() -> Registry<dyn Views<SequenceInput>> {
    Registry::new("views")
        .with::<CropConfig>()
        .with::<MaskConfig>()
        .with::<ReorderConfig>()
        .with::<OneOfConfig>()
        .with::<ModelDropoutConfig>()
}

/// What makes another sequence of one.
pub trait Operation: Send + Sync {
    /// A new sequence of at least one event from one of at least one; `mask` is the mask token.
    fn apply(&self, sequence: &[u32], mask: u32, rng: &mut StreamRng) -> Vec<u32>;
}

/// A batch in which each sequence that is not empty went through an operation, which `choose` picks by the sequence's number; with dropout of
/// its own.
fn applied<'a>(
    clean: &SequenceInput,
    key: StreamKey,
    name: &str,
    choose: impl Fn(u32) -> &'a dyn Operation,
) -> SequenceInput {
    let key = key.child(name);
    let changed = (0..clean.sequences.users()).map(|at| match clean.sequences.of(at) {
        [] => Vec::new(),
        sequence => choose(at as u32).apply(sequence, clean.items, &mut key.rng(at as u32)),
    });
    SequenceInput { sequences: Arc::new(Sequences::from_rows(changed)), ..clean.with_other_dropout(name) }
}

/// The same operation on both sides, drawn for each.
fn both(clean: &SequenceInput, at: At, operation: &dyn Operation) -> Drawn<SequenceInput> {
    let view = |name| applied(clean, at.step_key(), name, |_| operation);
    Drawn { objective: clean.clone(), a: view("a"), b: view("b") }
}

/// ⌊share · length⌋, as all codes round but SELFRec's, whose crop has one event more.
fn part(share: f64, length: usize) -> usize {
    (share * length as f64).floor() as usize
}

/// A share of a sequence is in [0, 1].
fn check_share(name: &'static str, share: f64) -> Check {
    ensure((0.0..=1.0).contains(&share), name, || format!("must be in [0, 1], got {share}"))
}

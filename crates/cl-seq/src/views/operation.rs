//! What makes another sequence of one, and what it may know of the training data.

use std::cell::OnceCell;
use std::sync::Arc;

use cl_core::StreamKey;
use cl_core::encoder::Perturbs;
use cl_core::rng::StreamRng;
use cl_core::views::{At, Drawn, Views};
use cl_data::Sequences;

use super::similar::Similar;
use crate::input::SequenceInput;

/// The training data, and what was found out about it; each thing once, when somebody asks for it first.
pub struct Training<'a> {
    sequences: &'a SequenceInput,
    similar: OnceCell<Similar>,
}

impl<'a> Training<'a> {
    /// All training sequences at their full length.
    #[must_use]
    pub fn new(sequences: &'a SequenceInput) -> Self {
        Self { sequences, similar: OnceCell::new() }
    }

    /// The training sequences.
    #[must_use]
    pub fn sequences(&self) -> &'a SequenceInput {
        self.sequences
    }

    /// Which item is most similar to which.
    #[must_use]
    pub fn similar(&self) -> Similar {
        let SequenceInput { sequences, items, .. } = self.sequences;
        self.similar.get_or_init(|| Similar::of_sequences(sequences, *items as usize)).clone()
    }
}

/// What makes another sequence of one.
pub trait Operation: Send + Sync {
    /// Looks at the training data, once, before the first sequence. Operations that need nothing do nothing.
    fn prepare(&mut self, _train: &Training<'_>) {}

    /// A new sequence of at least one event from one of at least one; `mask` is the mask token. If it is longer than an
    /// encoder reads, its newest events are.
    fn apply(&self, sequence: &[u32], mask: u32, rng: &mut StreamRng) -> Vec<u32>;
}

/// The views of one operation: it is drawn for each side.
pub(super) struct Both<O>(pub(super) O);

impl<O: Operation> Views<SequenceInput> for Both<O> {
    fn perturbs(&self) -> Perturbs {
        Perturbs { structure: true, ..Perturbs::default() }
    }

    fn prepare(&mut self, train: &SequenceInput) {
        self.0.prepare(&Training::new(train));
    }

    fn draw(&mut self, clean: &SequenceInput, at: At) -> Drawn<SequenceInput> {
        let view = |name| applied(clean, at.step_key(), name, |_| &self.0);
        Drawn { objective: clean.clone(), a: view("a"), b: view("b") }
    }
}

/// A batch in which each sequence that is not empty went through an operation, which `choose` picks by the sequence's number;
/// with dropout of its own.
pub(super) fn applied<'a>(
    clean: &SequenceInput,
    key: StreamKey,
    name: &str,
    choose: impl Fn(usize) -> &'a dyn Operation,
) -> SequenceInput {
    let key = key.child(name);
    let changed = (0..clean.sequences.users()).map(|at| match clean.sequences.of(at) {
        [] => Vec::new(),
        sequence => {
            let mut changed = choose(at).apply(sequence, clean.items, &mut key.rng(at as u32));
            changed.drain(..changed.len().saturating_sub(clean.longest));
            changed
        }
    });
    SequenceInput { sequences: Arc::new(Sequences::from_rows(changed)), ..clean.with_other_dropout(name) }
}

//! What is known of every sequence encoder before it is made.

use burn::tensor::Device;
use cl_core::encoder::Senses;
use cl_core::{Encoder, StreamKey};

use crate::input::SequenceInput;
use crate::kernels::SequenceBackend;

/// The configuration of a sequence encoder.
pub trait SequenceEncoder {
    /// The encoder on a backend.
    type Encoder<B: SequenceBackend>: Encoder<B, Input = SequenceInput>;

    /// Whether the state after an event is a function of what came until then, so that it can foretell the next event;
    /// otherwise events are masked to be foretold.
    const CAUSAL: bool;

    /// The newest events that are read.
    fn max_length(&self) -> usize;

    /// Numbers that stand for a sequence in a contrast.
    fn whole_width(&self) -> usize;

    /// What the encoder reads of its input.
    fn senses(&self) -> Senses;

    /// The encoder of a catalogue of `items` items with initial parameters drawn from `key`.
    fn init<B: SequenceBackend>(&self, items: usize, key: StreamKey, device: &Device<B>) -> Self::Encoder<B>;
}

//! Graph encoders as components.

use burn::tensor::Device;
use cl_core::encoder::Senses;
use cl_core::{Encoder, StreamKey};

use crate::adjacency::Weighting;
use crate::bipartite::BipartiteGraph;
use crate::input::GraphInput;
use crate::kernels::GraphBackend;

/// What a configuration of a graph encoder tells before there is an encoder, and how it becomes one.
pub trait GraphEncoder {
    /// The encoder on a backend.
    type Encoder<B: GraphBackend>: Encoder<B, Input = GraphInput>;

    /// Width of the embeddings.
    fn dim(&self) -> usize;

    /// What the encoder reads of its input.
    fn senses(&self) -> Senses;

    /// How the edges of its graph are weighted.
    fn weighting(&self) -> Weighting;

    /// The encoder with initial parameters drawn from `key`.
    fn init<B: GraphBackend>(
        &self,
        graph: &BipartiteGraph,
        key: StreamKey,
        device: &Device<B>,
    ) -> Self::Encoder<B>;
}

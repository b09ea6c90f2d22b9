//! Matrix factorisation: the floor under every graph model.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor};
use cl_core::encoder::{Planned, Planner, Senses};
use cl_core::registry::Check;
use cl_core::{Encoder, Request, StreamKey};
use serde::{Deserialize, Serialize};

use crate::adjacency::Weighting;
use crate::bipartite::BipartiteGraph;
use crate::encoder::GraphEncoder;
use crate::init::{Init, check};
use crate::input::GraphInput;
use crate::kernels::GraphBackend;
use crate::plan::{Propagation, Storage};

/// `type = "matrix_factorization"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatrixFactorizationConfig {
    /// d, width of the embeddings, 1 to 4096.
    pub dim: usize,
    /// The law of the initial embeddings.
    pub init: Init,
    /// Gain of `xavier_uniform` (default 1), standard deviation of `normal` (default 0.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_scale: Option<f64>,
}

impl Default for MatrixFactorizationConfig {
    fn default() -> Self {
        Self { dim: 64, init: Init::XavierUniform, init_scale: None }
    }
}

impl MatrixFactorizationConfig {
    /// The one-line summary.
    pub const SUMMARY: &'static str = "a vector for each user and item, no graph (Koren et al. 2009)";

    /// Writes the default scale of the chosen law down.
    pub fn complete(&mut self) {
        self.init_scale.get_or_insert(self.init.default_scale());
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// The first key whose value is out of range.
    pub fn validate(&self) -> Check {
        check(self.dim, self.init_scale)
    }
}

impl GraphEncoder for MatrixFactorizationConfig {
    type Encoder<B: GraphBackend> = MatrixFactorization<B>;

    fn dim(&self) -> usize {
        self.dim
    }

    fn senses(&self) -> Senses {
        Senses { structure: false, noise: true, layers: 0, final_is: Some(0) }
    }

    fn weighting(&self) -> Weighting {
        Weighting::default()
    }

    fn init<B: GraphBackend>(
        &self,
        graph: &BipartiteGraph,
        key: StreamKey,
        device: &Device<B>,
    ) -> MatrixFactorization<B> {
        let scale = self.init_scale.unwrap_or(self.init.default_scale());
        MatrixFactorization {
            table: Param::from_tensor(self.init.table(graph, self.dim, scale, key, device)),
        }
    }
}

/// An embedding table, scored by dot products; noise views add their noise to the table itself.
#[derive(Module, Debug)]
pub struct MatrixFactorization<B: Backend> {
    /// `[users + items, dim]`, users first.
    pub table: Param<Tensor<B, 2>>,
}

/// The table itself.
const PROPAGATION: Propagation = Propagation { layers: 0, include_layer_zero: true, storage: Storage::F32 };

impl<B: GraphBackend> Encoder<B> for MatrixFactorization<B> {
    type Input = GraphInput;

    fn encode(&self, requests: &[Request<GraphInput>]) -> Vec<Tensor<B, 2>> {
        PROPAGATION.encode(self.table.val(), requests)
    }

    fn planner(&self) -> Option<Planner<GraphInput>> {
        let table = self.table.val();
        PROPAGATION.planner::<B>(table.dims()[0], &table.device())
    }

    fn encode_planned(&self, requests: &[Request<GraphInput>], planned: &Planned) -> Vec<Tensor<B, 2>> {
        PROPAGATION.encode_planned(self.table.val(), requests, planned)
    }
}

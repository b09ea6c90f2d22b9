//! LightGCN.

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor};
use cl_core::encoder::{Planned, Planner, Senses};
use cl_core::registry::{Check, ensure};
use cl_core::{Encoder, Request, StreamKey};
use serde::{Deserialize, Serialize};

use crate::adjacency::{Normalization, Weighting};
use crate::bipartite::BipartiteGraph;
use crate::encoder::GraphEncoder;
use crate::init::{Init, check};
use crate::input::GraphInput;
use crate::kernels::GraphBackend;
use crate::plan::{Propagation, Storage};

/// `type = "light_gcn"`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LightGcnConfig {
    /// d, width of the embeddings, 1 to 4096.
    pub dim: usize,
    /// L, number of propagation steps, 1 to 16.
    pub layers: usize,
    /// Whether the bare embeddings are in the mean: yes in LightGCN and SGL, no in SimGCL and XSimGCL.
    pub include_layer_zero: bool,
    /// How edges are weighted.
    pub normalization: Normalization,
    /// Whether each node is its own neighbour: no in LightGCN; yes in early versions of LightGCN-PyTorch.
    pub self_loops: bool,
    /// How what a product reads is stored.
    pub storage: Storage,
    /// The law of the initial embeddings.
    pub init: Init,
    /// Gain of `xavier_uniform` (default 1), standard deviation of `normal` (default 0.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_scale: Option<f64>,
}

impl Default for LightGcnConfig {
    fn default() -> Self {
        Self {
            dim: 64,
            layers: 3,
            include_layer_zero: true,
            normalization: Normalization::Symmetric,
            self_loops: false,
            storage: Storage::F32,
            init: Init::XavierUniform,
            init_scale: None,
        }
    }
}

impl LightGcnConfig {
    /// The one-line summary.
    pub const SUMMARY: &'static str =
        "mean of propagated embeddings, no weights, no activation (He et al. 2020)";

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
        check(self.dim, self.init_scale)?;
        ensure((1..=16).contains(&self.layers), "layers", || {
            format!("must be from 1 to 16, got {} (without layers it is matrix_factorization)", self.layers)
        })
    }
}

impl GraphEncoder for LightGcnConfig {
    type Encoder<B: GraphBackend> = LightGcn<B>;

    fn dim(&self) -> usize {
        self.dim
    }

    fn senses(&self) -> Senses {
        let final_is = (self.layers == 1 && !self.include_layer_zero).then_some(1);
        Senses { structure: true, noise: true, layers: self.layers, final_is }
    }

    fn weighting(&self) -> Weighting {
        Weighting { normalization: self.normalization, self_loops: self.self_loops }
    }

    fn init<B: GraphBackend>(
        &self,
        graph: &BipartiteGraph,
        key: StreamKey,
        device: &Device<B>,
    ) -> LightGcn<B> {
        let scale = self.init_scale.unwrap_or(self.init.default_scale());
        LightGcn {
            table: Param::from_tensor(self.init.table(graph, self.dim, scale, key, device)),
            layers: self.layers,
            include_layer_zero: self.include_layer_zero,
            storage: self.storage,
        }
    }
}

/// LightGCN: an embedding table behind a propagation.
///
/// ```text
/// E⁽ˡ⁾ = Â E⁽ˡ⁻¹⁾,   E = 1/(L+1) Σ_{l=0..L} E⁽ˡ⁾   (or 1/L Σ_{l=1..L})
/// ```
///
/// Source: He, Deng, Wang, Li, Zhang & Wang 2020, equations 7 and 8 with α_l = 1/(L+1) (arXiv 2002.02126).
#[derive(Module, Debug)]
pub struct LightGcn<B: Backend> {
    /// `[users + items, dim]`, users first.
    pub table: Param<Tensor<B, 2>>,
    layers: usize,
    include_layer_zero: bool,
    #[module(skip)]
    storage: Storage,
}

impl<B: Backend> LightGcn<B> {
    fn propagation(&self) -> Propagation {
        Propagation {
            layers: self.layers,
            include_layer_zero: self.include_layer_zero,
            storage: self.storage,
        }
    }
}

impl<B: GraphBackend> Encoder<B> for LightGcn<B> {
    type Input = GraphInput;

    fn encode(&self, requests: &[Request<GraphInput>]) -> Vec<Tensor<B, 2>> {
        self.propagation().encode(self.table.val(), requests)
    }

    fn planner(&self) -> Option<Planner<GraphInput>> {
        let table = self.table.val();
        self.propagation().planner::<B>(table.dims()[0], &table.device())
    }

    fn encode_planned(&self, requests: &[Request<GraphInput>], planned: &Planned) -> Vec<Tensor<B, 2>> {
        self.propagation().encode_planned(self.table.val(), requests, planned)
    }
}

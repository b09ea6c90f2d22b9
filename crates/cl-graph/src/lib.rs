//! User-item graphs: the bipartite graph and its normalised adjacency, propagation with its own backward, LightGCN and
//! matrix factorisation, and the graph views of contrastive recommenders.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adjacency;
mod bipartite;
mod encoder;
mod init;
mod input;
mod kept;
pub mod kernels;
mod light_gcn;
mod matrix_factorization;
mod petgraph;
mod plan;
mod source;
pub mod views;

pub use adjacency::{Adjacency, Csr, Normalization, Weighting};
pub use bipartite::BipartiteGraph;
pub use encoder::GraphEncoder;
pub use init::Init;
pub use input::{GraphInput, Noise, Output, PerLayer, Structure};
pub use kept::{Keep, Kept, Share};
pub use kernels::{GraphBackend, Preparer, spmm};
pub use light_gcn::{LightGcn, LightGcnConfig};
pub use matrix_factorization::{MatrixFactorization, MatrixFactorizationConfig};
pub use petgraph::{Edge, Node};
pub use plan::{Gather, Pass, Plan, Storage, propagate};
pub use source::{GraphSource, Sampler, SourceError};

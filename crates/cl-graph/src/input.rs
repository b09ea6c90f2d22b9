//! What a graph encoder encodes.

use std::sync::{Arc, Mutex, PoisonError};

use cl_core::StreamKey;

use crate::adjacency::Adjacency;

/// The graph of each layer.
#[derive(Debug, Clone)]
pub enum Structure {
    /// One for all layers.
    Same(Adjacency),
    /// One of its own for each layer (SGL's "random walk").
    PerLayer(PerLayer),
}

/// Graphs that are made when a layer asks for them, so that a view need not know how many layers there are.
#[derive(Clone)]
pub struct PerLayer(Arc<Lazy>);

struct Lazy {
    nodes: usize,
    make: Box<dyn Fn(usize) -> Adjacency + Send + Sync>,
    made: Mutex<Vec<Adjacency>>,
}

impl PerLayer {
    /// Graphs of `nodes` nodes; `make(l)` is called once for each layer l from 1 on.
    pub fn new(nodes: usize, make: impl Fn(usize) -> Adjacency + Send + Sync + 'static) -> Self {
        Self(Arc::new(Lazy { nodes, make: Box::new(make), made: Mutex::default() }))
    }
}

impl std::fmt::Debug for PerLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PerLayer({} nodes)", self.0.nodes)
    }
}

impl Structure {
    /// The adjacency of layer `layer`, counted from 1.
    #[must_use]
    pub fn layer(&self, layer: usize) -> Adjacency {
        match self {
            Self::Same(adjacency) => adjacency.clone(),
            Self::PerLayer(PerLayer(lazy)) => {
                let mut made = lazy.made.lock().unwrap_or_else(PoisonError::into_inner);
                while made.len() < layer {
                    let next = (lazy.make)(made.len() + 1);
                    made.push(next);
                }
                made[layer - 1].clone()
            }
        }
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        match self {
            Self::Same(adjacency) => adjacency.nodes(),
            Self::PerLayer(PerLayer(lazy)) => lazy.nodes,
        }
    }

    /// Whether both are the same graphs.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Same(a), Self::Same(b)) => a.same(b),
            (Self::PerLayer(a), Self::PerLayer(b)) => Arc::ptr_eq(&a.0, &b.0),
            _ => false,
        }
    }
}

/// Noise that is added after each propagation step (to the table itself where there is none).
///
/// Row r gets `sign(e_r) ⊙ u / ‖u‖₂ · magnitude` with u uniform in [0, 1)^d: a vector of length `magnitude` in the
/// orthant of e_r (Yu et al. 2022, SimGCL, equation 7, as its code has it). Column k takes word `k / ⌈d/4⌉` of block
/// `k mod ⌈d/4⌉` of the row's random words, so that a loop over blocks is a loop over columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// The stream; layer l uses its child `at(l)`.
    pub key: StreamKey,
    /// ε, the length of the noise.
    pub magnitude: f32,
}

/// Which output of a pass is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The mean of the layers.
    Final,
    /// The output of one layer; 0 is the table itself, without noise.
    Layer(usize),
}

/// Structure, noise, and the output that is wanted.
#[derive(Debug, Clone)]
pub struct GraphInput {
    /// The graph of each layer.
    pub structure: Structure,
    /// Noise, if any.
    pub noise: Option<Noise>,
    /// The output that is wanted.
    pub output: Output,
}

impl GraphInput {
    /// A clean input: the final embeddings over one adjacency.
    #[must_use]
    pub fn clean(adjacency: Adjacency) -> Self {
        Self { structure: Structure::Same(adjacency), noise: None, output: Output::Final }
    }

    /// The same with another structure.
    #[must_use]
    pub fn with_structure(&self, structure: Structure) -> Self {
        Self { structure, ..self.clone() }
    }

    /// The same with noise.
    #[must_use]
    pub fn with_noise(&self, noise: Noise) -> Self {
        Self { noise: Some(noise), ..self.clone() }
    }

    /// The same pass, another output.
    #[must_use]
    pub fn with_output(&self, output: Output) -> Self {
        Self { output, ..self.clone() }
    }
}

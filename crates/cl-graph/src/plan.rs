//! Propagation as one operation: all passes of a step and the rows that are wanted of them.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorPrimitive};
use cl_core::encoder::{Planned, Planner};
use cl_core::kernels::OnDevice;
use cl_core::{Request, Rows};
use serde::{Deserialize, Serialize};

use crate::input::{GraphInput, Noise, Output, Structure};
use crate::kernels::{GraphBackend, needed};

/// How what stands between two products is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// As they are.
    #[default]
    F32,
    /// What a product reads is rounded to 8 bits of significand (the nearest; ties to even in the kernels): layers 0
    /// to L − 1, and the gradients of layers 1 to L, which pass the rounding as if it were not there. Half the memory
    /// traffic of a product. All sums are in f32; so are the table, its own share in the mean, layer L and the gradient
    /// of the table.
    Bf16,
}

/// One pass over the graph.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The graph of each layer.
    pub structure: Structure,
    /// Noise after each layer, if any.
    pub noise: Option<Noise>,
}

/// Rows of one output of one pass.
#[derive(Debug, Clone)]
pub struct Gather {
    /// Index of the pass.
    pub pass: usize,
    /// Which output.
    pub output: Output,
    /// Which rows.
    pub rows: Rows,
}

/// What one call of [`propagate`] computes.
///
/// ```text
/// e⁽⁰⁾ = table;   e⁽ˡ⁾ = A_l e⁽ˡ⁻¹⁾ + noise_l;   final = mean over l of e⁽ˡ⁾,  l from 0 or 1 to L
/// ```
///
/// With no layer, `final = table + noise`. Passes are distinct: equal structure and equal noise are one pass.
#[derive(Debug)]
pub struct Plan {
    /// L.
    pub layers: usize,
    /// Whether e⁽⁰⁾ is in the mean (LightGCN, SGL) or not (SimGCL, XSimGCL).
    pub include_layer_zero: bool,
    /// Number of nodes, the rows of the table.
    pub nodes: usize,
    /// The passes.
    pub passes: Vec<Pass>,
    /// What is wanted of them; the output holds these rows one after another.
    pub wanted: Vec<Gather>,
    /// How layers are stored.
    pub storage: Storage,
    /// The answers of [`Plan::needed`]: forward and backward ask the same. A plan is not changed once it was run.
    needed: Mutex<Vec<Needed>>,
    /// What backends keep of it.
    on_device: OnDevice,
}

/// Gathers, and the rows of each layer that they need by which neighbours.
type Needed = (Vec<bool>, needed::Neighbours, Arc<Vec<needed::Rows>>);

impl Plan {
    /// The plan that answers a list of requests.
    ///
    /// # Panics
    ///
    /// If a request asks for a layer that there is not, or graphs have different numbers of nodes.
    #[track_caller]
    #[must_use]
    pub fn new(
        layers: usize,
        include_layer_zero: bool,
        nodes: usize,
        requests: &[Request<GraphInput>],
    ) -> Self {
        let mut passes: Vec<Pass> = Vec::new();
        let wanted = requests
            .iter()
            .map(|Request { input, rows }| {
                let of = input.structure.nodes();
                assert_eq!(of, nodes, "the graph has {of} nodes, the table {nodes} rows");
                if let Output::Layer(layer) = input.output {
                    assert!(layer <= layers, "layer {layer} is asked for, and there are {layers}");
                }
                let same = |pass: &Pass| pass.structure.same(&input.structure) && pass.noise == input.noise;
                let pass = passes.iter().position(same).unwrap_or_else(|| {
                    passes.push(Pass { structure: input.structure.clone(), noise: input.noise });
                    passes.len() - 1
                });
                Gather { pass, output: input.output, rows: rows.clone() }
            })
            .collect();
        Self {
            layers,
            include_layer_zero,
            nodes,
            passes,
            wanted,
            storage: Storage::F32,
            needed: Mutex::default(),
            on_device: OnDevice::default(),
        }
    }

    /// The same plan with layers so stored.
    #[must_use]
    pub fn stored(self, storage: Storage) -> Self {
        Self { storage, ..self }
    }

    /// The rows of each layer that the chosen gathers need; see [`needed::needed`].
    #[cfg_attr(not(any(feature = "flex", feature = "ndarray", feature = "cube")), allow(dead_code))]
    pub(crate) fn needed(
        &self,
        structure: &Structure,
        chosen: impl Fn(&Gather) -> bool,
        neighbours: needed::Neighbours,
    ) -> Arc<Vec<needed::Rows>> {
        let chosen: Vec<bool> = self.wanted.iter().map(chosen).collect();
        let mut known = self.needed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, needed)) = known.iter().find(|(of, by, _)| *of == chosen && *by == neighbours) {
            return needed.clone();
        }
        let needed = Arc::new(needed::needed(self, structure, &chosen, neighbours));
        known.push((chosen, neighbours, needed.clone()));
        needed
    }

    /// What backends keep of it.
    #[cfg_attr(not(feature = "cube"), allow(dead_code))]
    pub(crate) fn on_device(&self) -> &OnDevice {
        &self.on_device
    }

    /// Number of rows that come out.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.wanted.iter().map(|gather| gather.rows.len()).sum()
    }

    /// The weight of a layer in the mean.
    pub(crate) fn share(&self) -> f32 {
        match self.layers {
            0 => 1.0,
            layers => 1.0 / (layers + usize::from(self.include_layer_zero)) as f32,
        }
    }

    /// Whether layer `layer` is in the mean.
    pub(crate) fn in_mean(&self, layer: usize) -> bool {
        layer > 0 || self.include_layer_zero || self.layers == 0
    }
}

/// Runs a plan: `table [nodes, d]` → `[plan.rows(), d]`, with its own backward.
///
/// # Cost
///
/// On the host backends: the product of a layer once for each pass that needs it (the first once for each graph), the
/// last at the wanted rows only; the backward once for each graph. Memory O(nodes · d).
///
/// # Panics
///
/// If the table has not one row a node.
#[track_caller]
#[must_use]
pub fn propagate<B: GraphBackend>(plan: &Arc<Plan>, table: Tensor<B, 2>) -> Tensor<B, 2> {
    let [rows, _] = table.dims();
    assert_eq!(rows, plan.nodes, "the table has {rows} rows, the graph {} nodes", plan.nodes);
    Tensor::from_primitive(TensorPrimitive::Float(B::propagate(plan, table.into_primitive().tensor())))
}

/// The propagation of an encoder, whatever is asked of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Propagation {
    pub(crate) layers: usize,
    pub(crate) include_layer_zero: bool,
    pub(crate) storage: Storage,
}

impl Propagation {
    fn plan(self, nodes: usize, requests: &[Request<GraphInput>]) -> Arc<Plan> {
        Arc::new(Plan::new(self.layers, self.include_layer_zero, nodes, requests).stored(self.storage))
    }

    /// Answers requests with one propagation.
    pub(crate) fn encode<B: GraphBackend>(
        self,
        table: Tensor<B, 2>,
        requests: &[Request<GraphInput>],
    ) -> Vec<Tensor<B, 2>> {
        let [nodes, _] = table.dims();
        run(&self.plan(nodes, requests), table)
    }

    /// Plans requests for a table of so many nodes, where the backend can make plans ready.
    pub(crate) fn planner<B: GraphBackend>(
        self,
        nodes: usize,
        device: &Device<B>,
    ) -> Option<Planner<GraphInput>> {
        let prepare = B::preparer(device, false)?;
        Some(Box::new(move |requests| {
            let plan = self.plan(nodes, requests);
            prepare(&plan);
            Box::new(plan)
        }))
    }

    /// Answers requests by the plan that was made of them.
    ///
    /// # Panics
    ///
    /// If it is no such plan.
    pub(crate) fn encode_planned<B: GraphBackend>(
        self,
        table: Tensor<B, 2>,
        requests: &[Request<GraphInput>],
        planned: &Planned,
    ) -> Vec<Tensor<B, 2>> {
        let Some(plan) = planned.downcast_ref::<Arc<Plan>>() else {
            panic!("what was planned is no plan of a graph encoder")
        };
        let (nodes, made) = (table.dims()[0], [plan.layers, plan.nodes, plan.wanted.len()]);
        let asked = [self.layers, nodes, requests.len()];
        assert_eq!(made, asked, "the plan is of other layers, nodes and requests than are asked for");
        run(plan, table)
    }
}

fn run<B: GraphBackend>(plan: &Arc<Plan>, table: Tensor<B, 2>) -> Vec<Tensor<B, 2>> {
    let parts = B::propagate_parts(plan, table.into_primitive().tensor());
    parts.into_iter().map(|part| Tensor::from_primitive(TensorPrimitive::Float(part))).collect()
}

//! The extension trait.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};

use super::portable;
use crate::adjacency::Adjacency;
use crate::plan::Plan;

/// Makes a plan ready; see [`GraphBackend::preparer`].
pub type Preparer = Box<dyn Fn(&Plan) + Send>;

/// Products with a graph's adjacency.
pub trait GraphBackend: Backend {
    /// `A x`, or `Aᵀ x` with `transposed`; `[nodes, d]` → `[nodes, d]`.
    fn spmm(adjacency: &Adjacency, transposed: bool, x: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::spmm::<Self>(adjacency, transposed, x)
    }

    /// See [`propagate`](crate::propagate).
    fn propagate(plan: &Arc<Plan>, table: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::propagate::<Self>(plan, table)
    }

    /// The same, each gather's rows as a tensor of their own.
    fn propagate_parts(plan: &Arc<Plan>, table: FloatTensor<Self>) -> Vec<FloatTensor<Self>> {
        portable::parts::<Self>(plan, Self::propagate(plan, table))
    }

    /// What makes a plan ready, ahead of its step and on any thread: all that [`propagate`](Self::propagate) and, with
    /// `gradient`, its gradient read of the plan (not of the graphs) is worked out and copied to the device, which they would do
    /// themselves otherwise. `None` where that is nothing.
    ///
    /// Made on the thread that runs plans, whose queue on the device the copies then join. A backend with a tape always makes
    /// the gradient ready.
    fn preparer(_device: &Self::Device, _gradient: bool) -> Option<Preparer> {
        None
    }

    /// The gradient of [`propagate`](Self::propagate) for the table: `[plan.rows(), d]` → `[nodes, d]`.
    ///
    /// Propagation is linear in the table plus noise whose sign is held constant, so the plan and the gradient of the
    /// output are all that it needs.
    fn propagate_backward(plan: &Arc<Plan>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::propagate_backward::<Self>(plan, grad)
    }
}

/// The sparse product `A x`, with its own backward; `x [nodes, d]` → `[nodes, d]`.
///
/// # Cost
///
/// Time O(values · d), bound by memory traffic; no memory besides the output on the host backends.
///
/// # Panics
///
/// If `x` has not one row a node.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use burn::{backend::Flex, tensor::Tensor};
/// use cl_graph::{Adjacency, BipartiteGraph, Normalization, spmm};
///
/// let graph = BipartiteGraph::new(&[0, 1, 3], &[0, 0, 1], 2);      // user 0: item 0, user 1: items 0 and 1
/// let adjacency = Adjacency::new(Arc::new(graph), Normalization::Left);
/// let x = Tensor::<Flex, 2>::from_data([[1.0], [2.0], [4.0], [8.0]], &Default::default());
/// let means = spmm(&adjacency, x).into_data().to_vec::<f32>().unwrap();
/// assert_eq!(means, [4.0, 6.0, 1.5, 2.0]);
/// ```
#[track_caller]
#[must_use]
pub fn spmm<B: GraphBackend>(adjacency: &Adjacency, x: Tensor<B, 2>) -> Tensor<B, 2> {
    let ([rows, _], nodes) = (x.dims(), adjacency.nodes());
    assert_eq!(rows, nodes, "the matrix has {rows} rows, the graph {nodes} nodes");
    Tensor::from_primitive(TensorPrimitive::Float(B::spmm(adjacency, false, x.into_primitive().tensor())))
}

//! The hand-written backward.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

use super::backend::GraphBackend;
use crate::adjacency::Adjacency;
use crate::plan::Plan;

#[derive(Debug)]
struct Spmm;

impl<B: GraphBackend> Backward<B, 1> for Spmm {
    type State = (Adjacency, bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [parent] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (adjacency, transposed) = ops.state;
        if let Some(node) = parent {
            grads.register::<B>(node.id, B::spmm(&adjacency, !transposed, grad));
        }
    }
}

#[derive(Debug)]
struct Propagate;

impl<B: GraphBackend> Backward<B, 1> for Propagate {
    type State = Arc<Plan>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [parent] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        if let Some(node) = parent {
            grads.register::<B>(node.id, B::propagate_backward(&ops.state, grad));
        }
    }
}

impl<B: GraphBackend, C: CheckpointStrategy> GraphBackend for Autodiff<B, C> {
    fn spmm(adjacency: &Adjacency, transposed: bool, x: FloatTensor<Self>) -> FloatTensor<Self> {
        let out = B::spmm(adjacency, transposed, x.primitive);
        match Spmm.prepare::<C>([x.node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((adjacency.clone(), transposed), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn propagate(plan: &Arc<Plan>, table: FloatTensor<Self>) -> FloatTensor<Self> {
        let out = B::propagate(plan, table.primitive);
        match Propagate.prepare::<C>([table.node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(plan.clone(), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }
}

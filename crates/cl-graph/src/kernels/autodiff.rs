//! The hand-written backward.

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

use super::backend::{GraphBackend, Preparer};
use super::portable;
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

/// The gradients of the parts of a propagation, where they wait for one another.
///
/// Burn would make of each part's gradient a tensor of all rows that is zero outside the part, and add these up.
type Waiting<B> = Arc<Mutex<Vec<Option<FloatTensor<B>>>>>;

#[derive(Debug)]
struct Propagate;

impl<B: GraphBackend> Backward<B, 1> for Propagate {
    /// `None` where the output was not taken apart.
    type State = (Arc<Plan>, Option<Waiting<B>>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [parent] = ops.parents;
        let whole = grads.consume::<B>(&ops.node);
        let (plan, waiting) = ops.state;
        let Some(node) = parent else { return };
        let grad = match waiting {
            None => whole,
            Some(waiting) => {
                let parts = std::mem::take(&mut *waiting.lock().unwrap_or_else(PoisonError::into_inner));
                match joined::<B>(&plan, parts) {
                    Some(grad) => grad,
                    None => return,
                }
            }
        };
        grads.register::<B>(node.id, B::propagate_backward(&plan, grad));
    }
}

/// All parts one after another, zeros for those that no loss used; `None` if there is no part.
fn joined<B: GraphBackend>(plan: &Plan, parts: Vec<Option<FloatTensor<B>>>) -> Option<FloatTensor<B>> {
    let one = parts.iter().flatten().next()?;
    let (device, dtype, dim) = (B::float_device(one), one.dtype(), one.shape()[1]);
    let parts = plan.wanted.iter().zip(parts).filter(|(gather, _)| !gather.rows.is_empty());
    let parts: Vec<_> = parts
        .map(|(gather, part)| {
            let zeros = || B::float_zeros(Shape::new([gather.rows.len(), dim]), &device, dtype.into());
            part.unwrap_or_else(zeros)
        })
        .collect();
    (!parts.is_empty()).then(|| B::float_cat(parts, 0))
}

#[derive(Debug)]
struct Part;

impl<B: GraphBackend> Backward<B, 1> for Part {
    type State = (Waiting<B>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [parent] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (waiting, index) = ops.state;
        if let Some(node) = parent {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Something must be registered once for the propagation to be visited; it looks at what waits alone.
            if waiting.iter().all(Option::is_none) {
                let token = B::float_zeros(Shape::new([1]), &B::float_device(&grad), grad.dtype().into());
                grads.register::<B>(node.id, token);
            }
            waiting[index] = Some(grad);
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
            OpsKind::Tracked(prep) => prep.finish((plan.clone(), None), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn preparer(device: &Self::Device, _gradient: bool) -> Option<Preparer> {
        B::preparer(device, true)
    }

    fn propagate_parts(plan: &Arc<Plan>, table: FloatTensor<Self>) -> Vec<FloatTensor<Self>> {
        let out = B::propagate(plan, table.primitive);
        let parts = portable::parts::<B>(plan, out.clone());
        match Backward::<B, 1>::prepare::<C>(Propagate, [table.node]).compute_bound().stateful() {
            OpsKind::UnTracked(_) => parts.into_iter().map(Self::from_inner).collect(),
            OpsKind::Tracked(prep) => {
                let waiting: Waiting<B> = Arc::new(Mutex::new(vec![None; parts.len()]));
                let all = prep.finish((plan.clone(), Some(waiting.clone())), out);
                let part = |(index, part)| {
                    let node = [all.node.clone()];
                    match Backward::<B, 1>::prepare::<C>(Part, node).compute_bound().stateful() {
                        OpsKind::Tracked(prep) => prep.finish((waiting.clone(), index), part),
                        OpsKind::UnTracked(prep) => prep.finish(part),
                    }
                };
                parts.into_iter().enumerate().map(part).collect()
            }
        }
    }
}

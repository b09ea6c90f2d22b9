//! The hand-written backward of [`ContrastBackend`]'s operations.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::ops::FloatTensor;

use super::backend::{ContrastBackend, IdMask, OptimizerBackend};

#[derive(Debug)]
struct RowLse;

#[derive(Debug, Clone)]
struct State<T> {
    anchors: T,
    keys: T,
    lse: T,
    scale: f32,
    mask: Option<IdMask>,
}

impl<B: ContrastBackend> Backward<B, 2> for RowLse {
    type State = State<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [anchors, keys] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let State { anchors: rows, keys: columns, lse, scale, mask } = ops.state;
        let Some(keys) = keys else {
            if let Some(node) = anchors {
                let of_anchors = B::row_lse_backward_of_anchors(rows, columns, lse, grad, scale, mask);
                grads.register::<B>(node.id, of_anchors);
            }
            return;
        };
        let (of_anchors, of_keys) = B::row_lse_backward(rows, columns, lse, grad, scale, mask);
        if let Some(node) = anchors {
            grads.register::<B>(node.id, of_anchors);
        }
        grads.register::<B>(keys.id, of_keys);
    }
}

#[derive(Debug)]
struct NormalizeRows;

impl<B: ContrastBackend> Backward<B, 1> for NormalizeRows {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(rows)] = ops.parents {
            grads.register::<B>(rows.id, B::normalize_rows_backward(ops.state, grad));
        }
    }
}

impl<B: ContrastBackend, C: CheckpointStrategy> ContrastBackend for Autodiff<B, C> {
    fn normalize_rows(rows: FloatTensor<Self>) -> FloatTensor<Self> {
        match NormalizeRows.prepare::<C>([rows.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(rows.primitive.clone(), B::normalize_rows(rows.primitive)),
            OpsKind::UnTracked(prep) => prep.finish(B::normalize_rows(rows.primitive)),
        }
    }

    fn row_lse(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        scale: f32,
        mask: Option<IdMask>,
    ) -> FloatTensor<Self> {
        match RowLse.prepare::<C>([anchors.node.clone(), keys.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (anchors, keys) = (anchors.primitive, keys.primitive);
                let lse = B::row_lse(anchors.clone(), keys.clone(), scale, mask.clone());
                prep.finish(State { anchors, keys, lse: lse.clone(), scale, mask }, lse)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::row_lse(anchors.primitive, keys.primitive, scale, mask))
            }
        }
    }
}

// An optimizer works on the inner backend; on the outer one the portable body is right, and never hot.
impl<B: OptimizerBackend, C: CheckpointStrategy> OptimizerBackend for Autodiff<B, C> {}

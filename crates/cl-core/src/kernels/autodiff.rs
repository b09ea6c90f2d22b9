//! The hand-written backward of [`ContrastBackend`]'s operations.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::TensorMetadata;
use burn::tensor::ops::{FloatTensor, IntTensor};

use super::backend::{ContrastBackend, Copier, KeyMask, OptimizerBackend};
use super::portable;
use crate::sampling::Draw;

#[derive(Debug)]
struct RowLse;

#[derive(Debug, Clone)]
struct State<T> {
    anchors: T,
    keys: T,
    lse: T,
    scale: f32,
    mask: Option<KeyMask>,
}

impl<B: ContrastBackend> Backward<B, 2> for RowLse {
    type State = State<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let parents = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let State { anchors, keys, lse, scale, mask } = ops.state;
        let (of_anchors, of_keys) = B::row_lse_backward(anchors, keys, lse, grad, scale, mask);
        for (parent, grad) in parents.into_iter().zip([of_anchors, of_keys]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

/// [`RowLse`] of keys without a gradient: what the forward pass left makes it a product.
#[derive(Debug)]
struct RowLseOfAnchors;

impl<B: ContrastBackend> Backward<B, 1> for RowLseOfAnchors {
    /// The mean key of each anchor, and the scale.
    type State = (FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node); // [n]
        let (mean, scale) = ops.state;
        let [Some(anchors)] = ops.parents else { return };
        let rows = mean.shape()[0];
        let grad = B::float_reshape(B::float_mul_scalar(grad, scale.into()), [rows, 1].into()); // [n, 1]
        grads.register::<B>(anchors.id, B::float_mul(mean, grad)); // [n, d]
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

#[derive(Debug)]
struct RowDot;

impl<B: ContrastBackend> Backward<B, 2> for RowDot {
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [a, b] = ops.state;
        let (of_a, of_b) = B::row_dot_backward(a, b, grad);
        for (parent, grad) in ops.parents.into_iter().zip([of_a, of_b]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct Total;

impl<B: ContrastBackend> Backward<B, 1> for Total {
    /// How many numbers were added.
    type State = usize;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node); // [1]
        if let [Some(x)] = ops.parents {
            grads.register::<B>(x.id, B::float_expand(grad, [ops.state].into())); // [n]
        }
    }
}

#[derive(Debug)]
struct LogSigmoid;

impl<B: ContrastBackend> Backward<B, 1> for LogSigmoid {
    type State = (FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, floor) = ops.state;
        if let [Some(parent)] = ops.parents {
            grads.register::<B>(parent.id, B::floored_log_sigmoid_backward(x, floor, grad));
        }
    }
}

#[derive(Debug)]
struct SampledScores;

impl<B: ContrastBackend> Backward<B, 2> for SampledScores {
    type State = ([FloatTensor<B>; 2], IntTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([anchors, table], ids) = ops.state;
        let of_inputs = B::sampled_scores_backward(anchors, table, ids, grad);
        for (parent, grad) in ops.parents.into_iter().zip(of_inputs) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, grad);
            }
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

    fn row_dot(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        match RowDot.prepare::<C>([a.node.clone(), b.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (a, b) = (a.primitive, b.primitive);
                let dots = B::row_dot(a.clone(), b.clone());
                prep.finish([a, b], dots)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::row_dot(a.primitive, b.primitive)),
        }
    }

    fn total(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let numbers = x.primitive.shape()[0];
        match Total.prepare::<C>([x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(numbers, B::total(x.primitive)),
            OpsKind::UnTracked(prep) => prep.finish(B::total(x.primitive)),
        }
    }

    fn floored_log_sigmoid(x: FloatTensor<Self>, floor: f32) -> FloatTensor<Self> {
        if !B::ONE_LOG_SIGMOID {
            return portable::floored_log_sigmoid::<Self>(x, floor);
        }
        match LogSigmoid.prepare::<C>([x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let x = x.primitive;
                prep.finish((x.clone(), floor), B::floored_log_sigmoid(x, floor))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::floored_log_sigmoid(x.primitive, floor)),
        }
    }

    fn row_lse(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> FloatTensor<Self> {
        if keys.node.requirement.is_none() {
            let keys = keys.primitive;
            return match RowLseOfAnchors.prepare::<C>([anchors.node]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let (lse, mean) = B::row_lse_and_mean(anchors.primitive, keys, scale, mask);
                    prep.finish((mean, scale), lse)
                }
                OpsKind::UnTracked(prep) => prep.finish(B::row_lse(anchors.primitive, keys, scale, mask)),
            };
        }
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

    fn copier(device: &Self::Device) -> Option<Copier> {
        B::copier(device)
    }

    fn draw(draw: &Draw, device: &Self::Device) -> IntTensor<Self> {
        B::draw(draw, device)
    }

    fn sampled_scores(
        anchors: FloatTensor<Self>,
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [anchors.node.clone(), table.node.clone()];
        match SampledScores.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (anchors, table) = (anchors.primitive, table.primitive);
                let scores = B::sampled_scores(anchors.clone(), table.clone(), ids.clone());
                prep.finish(([anchors, table], ids), scores)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::sampled_scores(anchors.primitive, table.primitive, ids))
            }
        }
    }
}

// An optimizer works on the inner backend; on the outer one the portable body is right, and never hot.
impl<B: OptimizerBackend, C: CheckpointStrategy> OptimizerBackend for Autodiff<B, C> {}

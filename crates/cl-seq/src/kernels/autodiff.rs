//! The hand-written backward.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;
use cl_core::kernels::List;

use super::backend::{Attention, Dropout, Preparer, SequenceBackend};

#[derive(Debug)]
struct Gather;

impl<B: SequenceBackend> Backward<B, 1> for Gather {
    /// The ids, and the rows of the table.
    type State = (List<i32>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([table], (ids, rows)) = (ops.parents, ops.state);
        if let Some(table) = table {
            grads.register::<B>(table.id, B::gather_backward(grad, &ids, rows));
        }
    }
}

#[derive(Debug)]
struct Attend;

impl<B: SequenceBackend> Backward<B, 3> for Attend {
    type State = (Attention, [FloatTensor<B>; 3]);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (attention, [q, k, v]) = ops.state;
        let of_inputs = B::attend_backward(&attention, q, k, v, grad);
        for (node, grad) in ops.parents.into_iter().zip(of_inputs) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct Recur;

impl<B: SequenceBackend> Backward<B, 3> for Recur {
    /// Where sequences begin; gates, weight, bias, and the states that came out.
    type State = (List<usize>, [FloatTensor<B>; 4]);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (offsets, [gates, weight, bias, states]) = ops.state;
        let of_inputs = B::recur_backward(&offsets, gates, weight, bias, states, grad);
        for (node, grad) in ops.parents.into_iter().zip(of_inputs) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct RowNorm;

impl<B: SequenceBackend> Backward<B, 3> for RowNorm {
    /// The rows, γ, ε.
    type State = ([FloatTensor<B>; 2], f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([x, gamma], epsilon) = ops.state;
        let of_inputs = B::row_norm_backward(x, gamma, epsilon, grad);
        for (node, grad) in ops.parents.into_iter().zip(of_inputs) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct Affine;

impl<B: SequenceBackend> Backward<B, 3> for Affine {
    /// The rows, if the weight has a gradient, and the weight, if the rows have one.
    type State = [Option<FloatTensor<B>>; 2];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([x, weight], [of_x, of_weight, of_bias]) = (ops.state, ops.parents);
        if let (Some(node), Some(weight)) = (of_x, weight) {
            grads.register::<B>(node.id, B::linear_x_backward(weight, grad.clone()));
        }
        if let (Some(node), Some(x)) = (of_weight, x) {
            grads.register::<B>(node.id, B::linear_weight_backward(x, grad.clone()));
        }
        if let Some(node) = of_bias {
            grads.register::<B>(node.id, B::sum_rows(grad));
        }
    }
}

#[derive(Debug)]
struct DropOut;

impl<B: SequenceBackend> Backward<B, 1> for DropOut {
    type State = Dropout;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(x)] = ops.parents {
            grads.register::<B>(x.id, B::drop_out(grad, &ops.state));
        }
    }
}

impl<B: SequenceBackend, C: CheckpointStrategy> SequenceBackend for Autodiff<B, C> {
    fn preparer(device: &Self::Device, _gradient: bool) -> Option<Preparer> {
        B::preparer(device, true)
    }

    fn row_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [x.node.clone(), gamma.node.clone(), beta.node.clone()];
        let [x, gamma, beta] = [x.primitive, gamma.primitive, beta.primitive];
        match RowNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let out = B::row_norm(x.clone(), gamma.clone(), beta, epsilon);
                prep.finish(([x, gamma], epsilon), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::row_norm(x, gamma, beta, epsilon)),
        }
    }

    fn affine(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node.clone(), weight.node.clone(), bias.node.clone()];
        let keeps = [&weight, &x].map(|tensor| !tensor.node.requirement.is_none());
        let [x, weight, bias] = [x.primitive, weight.primitive, bias.primitive];
        match Affine.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = [keeps[0].then(|| x.clone()), keeps[1].then(|| weight.clone())];
                prep.finish(state, B::affine(x, weight, bias))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::affine(x, weight, bias)),
        }
    }

    fn drop_out(x: FloatTensor<Self>, dropout: &Dropout) -> FloatTensor<Self> {
        match DropOut.prepare::<C>([x.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(dropout.clone(), B::drop_out(x.primitive, dropout)),
            OpsKind::UnTracked(prep) => prep.finish(B::drop_out(x.primitive, dropout)),
        }
    }

    fn gather(table: FloatTensor<Self>, ids: &List<i32>) -> FloatTensor<Self> {
        let rows = table.primitive.shape()[0];
        match Gather.prepare::<C>([table.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((ids.clone(), rows), B::gather(table.primitive, ids)),
            OpsKind::UnTracked(prep) => prep.finish(B::gather(table.primitive, ids)),
        }
    }

    fn attend(
        attention: &Attention,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [q.node.clone(), k.node.clone(), v.node.clone()];
        let [q, k, v] = [q.primitive, k.primitive, v.primitive];
        match Attend.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let out = B::attend(attention, q.clone(), k.clone(), v.clone());
                prep.finish((attention.clone(), [q, k, v]), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::attend(attention, q, k, v)),
        }
    }

    fn recur(
        offsets: &List<usize>,
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [gates.node.clone(), weight.node.clone(), bias.node.clone()];
        let [gates, weight, bias] = [gates.primitive, weight.primitive, bias.primitive];
        match Recur.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let out = B::recur(offsets, gates.clone(), weight.clone(), bias.clone());
                prep.finish((offsets.clone(), [gates, weight, bias, out.clone()]), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::recur(offsets, gates, weight, bias)),
        }
    }
}

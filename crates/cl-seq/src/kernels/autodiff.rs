//! The hand-written backward.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::TensorMetadata;
use burn::tensor::ops::FloatTensor;

use super::backend::{Attention, SequenceBackend};

#[derive(Debug)]
struct Gather;

impl<B: SequenceBackend> Backward<B, 1> for Gather {
    /// The ids, and the rows of the table.
    type State = (Box<[i32]>, usize);

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
    type State = (Box<[usize]>, [FloatTensor<B>; 4]);

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

impl<B: SequenceBackend, C: CheckpointStrategy> SequenceBackend for Autodiff<B, C> {
    fn gather(table: FloatTensor<Self>, ids: &[i32]) -> FloatTensor<Self> {
        let rows = table.primitive.shape()[0];
        match Gather.prepare::<C>([table.node.clone()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((ids.into(), rows), B::gather(table.primitive, ids)),
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
        offsets: &[usize],
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [gates.node.clone(), weight.node.clone(), bias.node.clone()];
        let [gates, weight, bias] = [gates.primitive, weight.primitive, bias.primitive];
        match Recur.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let out = B::recur(offsets, gates.clone(), weight.clone(), bias.clone());
                prep.finish((offsets.into(), [gates, weight, bias, out.clone()]), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::recur(offsets, gates, weight, bias)),
        }
    }
}

//! The same operations under [`Fusion`], which puts off what is asked and joins neighbouring element-wise operations into
//! one kernel. Ours wait in the same queue and then run on the backend below, each as one operation that is not joined
//! with others.

use std::fmt;
use std::marker::PhantomData;

use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{DType, Element, Shape, TensorMetadata};
use burn_fusion::stream::{Operation, OperationStreams};
use burn_fusion::{Client, Fusion, FusionBackend, FusionRuntime, get_client};
use burn_ir::{CustomOpIr, HandleContainer, OperationIr, TensorIr};

use super::backend::{AdamStep, ContrastBackend, Copier, KeyMask, OptimizerBackend};
use crate::sampling::Draw;

type Handles<B> = HandleContainer<<<B as FusionBackend>::FusionRuntime as FusionRuntime>::FusionHandle>;

struct Queued<B, F> {
    tensors: CustomOpIr,
    run: F,
    backend: PhantomData<fn() -> B>,
}

impl<B, F> fmt::Debug for Queued<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.tensors.id)
    }
}

impl<B, F> Operation<B::FusionRuntime> for Queued<B, F>
where
    B: FusionBackend,
    F: Fn(&CustomOpIr, &mut Handles<B>) + Send + Sync,
{
    fn execute(&self, handles: &mut Handles<B>) {
        (self.run)(&self.tensors, handles);
    }
}

/// Queues an operation; `run` reads its inputs and leaves its outputs, which have these shapes and this type.
fn queue<B, const M: usize>(
    name: &'static str,
    client: &Client<B::FusionRuntime>,
    inputs: Vec<FloatTensor<Fusion<B>>>,
    outputs: [Shape; M],
    dtype: DType,
    run: impl Fn(&CustomOpIr, &mut Handles<B>) + Send + Sync + 'static,
) -> [FloatTensor<Fusion<B>>; M]
where
    B: FusionBackend,
{
    // The inputs tell their streams only before they are taken.
    let streams = OperationStreams::with_inputs(inputs.iter());
    let outputs = outputs.map(|shape| TensorIr::uninit(client.create_empty_handle(), shape, dtype));
    let inputs: Vec<TensorIr> = inputs.into_iter().map(|tensor| tensor.into_ir()).collect();
    let tensors = CustomOpIr::new(name, &inputs, &outputs);
    let operation = Queued::<B, _> { tensors: tensors.clone(), run, backend: PhantomData };
    let outputs = client.register(streams, OperationIr::Custom(tensors), operation);
    outputs
        .try_into()
        .unwrap_or_else(|outputs: Vec<_>| panic!("{name} has {} outputs, not {M}", outputs.len()))
}

/// Queues an operation of the backend below; its outputs have these shapes, and the type of the first input.
///
/// What the operation needs besides tensors is captured by `run`. It may run on another thread, later.
///
/// # Panics
///
/// Without any input.
pub fn custom<B, const N: usize, const M: usize>(
    name: &'static str,
    inputs: [FloatTensor<Fusion<B>>; N],
    outputs: [Shape; M],
    run: impl Fn([FloatTensor<B>; N]) -> [FloatTensor<B>; M] + Send + Sync + 'static,
) -> [FloatTensor<Fusion<B>>; M]
where
    B: FusionBackend,
{
    let (client, dtype) = (inputs[0].client.clone(), inputs[0].dtype());
    queue::<B, M>(name, &client, inputs.into(), outputs, dtype, move |tensors, handles| {
        let (inputs, outputs) = tensors.as_fixed::<N, M>();
        let inputs = inputs.each_ref().map(|tensor| handles.get_float_tensor::<B>(tensor));
        leave::<B, M>(outputs, run(inputs), handles);
    })
}

/// The same with whole numbers as one input more, the last.
fn custom_with_ids<B, const N: usize, const M: usize>(
    name: &'static str,
    inputs: [FloatTensor<Fusion<B>>; N],
    ids: IntTensor<Fusion<B>>,
    outputs: [Shape; M],
    run: impl Fn([FloatTensor<B>; N], IntTensor<B>) -> [FloatTensor<B>; M] + Send + Sync + 'static,
) -> [FloatTensor<Fusion<B>>; M]
where
    B: FusionBackend,
{
    let (client, dtype) = (inputs[0].client.clone(), inputs[0].dtype());
    let inputs = inputs.into_iter().chain([ids]).collect();
    queue::<B, M>(name, &client, inputs, outputs, dtype, move |tensors, handles| {
        let [inputs @ .., ids] = &tensors.inputs[..] else { unreachable!("ids are queued with the inputs") };
        let ids = handles.get_int_tensor::<B>(ids);
        let inputs = std::array::from_fn(|at| handles.get_float_tensor::<B>(&inputs[at]));
        leave::<B, M>(&tensors.outputs, run(inputs, ids), handles);
    })
}

fn leave<B: FusionBackend, const M: usize>(
    tensors: &[TensorIr],
    values: [FloatTensor<B>; M],
    handles: &mut Handles<B>,
) {
    for (tensor, value) in tensors.iter().zip(values) {
        handles.register_float_tensor::<B>(&tensor.id, value);
    }
}

impl<B: FusionBackend + ContrastBackend> ContrastBackend for Fusion<B> {
    const ONE_LOG_SIGMOID: bool = B::ONE_LOG_SIGMOID;

    fn normalize_rows(rows: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = rows.shape();
        let [out] = custom::<B, 1, 1>("normalize_rows", [rows], [shape], |[rows]| [B::normalize_rows(rows)]);
        out
    }

    fn normalize_rows_backward(rows: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = rows.shape();
        let run = |[rows, grad]: [FloatTensor<B>; 2]| [B::normalize_rows_backward(rows, grad)];
        let [out] = custom::<B, 2, 1>("normalize_rows_backward", [rows, grad], [shape], run);
        out
    }

    fn row_dot(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = Shape::new([a.shape()[0]]);
        let [dots] = custom::<B, 2, 1>("row_dot", [a, b], [shape], |[a, b]| [B::row_dot(a, b)]);
        dots
    }

    fn row_dot_backward(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let shapes = [a.shape(), b.shape()];
        let run = |[a, b, grad]: [FloatTensor<B>; 3]| B::row_dot_backward(a, b, grad).into();
        custom::<B, 3, 2>("row_dot_backward", [a, b, grad], shapes, run).into()
    }

    fn total(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let [sum] = custom::<B, 1, 1>("total", [x], [Shape::new([1])], |[x]| [B::total(x)]);
        sum
    }

    fn floored_log_sigmoid(x: FloatTensor<Self>, floor: f32) -> FloatTensor<Self> {
        let shape = x.shape();
        let [out] = custom::<B, 1, 1>("floored_log_sigmoid", [x], [shape], move |[x]| {
            [B::floored_log_sigmoid(x, floor)]
        });
        out
    }

    fn floored_log_sigmoid_backward(
        x: FloatTensor<Self>,
        floor: f32,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shape = x.shape();
        let run = move |[x, grad]: [FloatTensor<B>; 2]| [B::floored_log_sigmoid_backward(x, floor, grad)];
        let [out] = custom::<B, 2, 1>("floored_log_sigmoid_backward", [x, grad], [shape], run);
        out
    }

    fn row_lse(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> FloatTensor<Self> {
        let shape = Shape::new([anchors.shape()[0]]);
        let [lse] = custom::<B, 2, 1>("row_lse", [anchors, keys], [shape], move |[anchors, keys]| {
            [B::row_lse(anchors, keys, scale, mask.clone())]
        });
        lse
    }

    fn row_lse_backward(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        lse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let shapes = [anchors.shape(), keys.shape()];
        let inputs = [anchors, keys, lse, grad];
        let run = move |[anchors, keys, lse, grad]: [FloatTensor<B>; 4]| {
            B::row_lse_backward(anchors, keys, lse, grad, scale, mask.clone()).into()
        };
        custom::<B, 4, 2>("row_lse_backward", inputs, shapes, run).into()
    }

    fn row_lse_and_mean(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let shapes = [Shape::new([anchors.shape()[0]]), anchors.shape()];
        let run = move |[anchors, keys]: [FloatTensor<B>; 2]| {
            B::row_lse_and_mean(anchors, keys, scale, mask.clone()).into()
        };
        custom::<B, 2, 2>("row_lse_and_mean", [anchors, keys], shapes, run).into()
    }

    fn copier(device: &Self::Device) -> Option<Copier> {
        B::copier(device)
    }

    fn draw(draw: &Draw, device: &Self::Device) -> IntTensor<Self> {
        let (client, shape) = (get_client::<B>(device), Shape::new([draw.len()]));
        let (draw, device) = (draw.clone(), device.clone());
        let dtype = <B::IntElem as Element>::dtype();
        let [items] = queue::<B, 1>("draw", &client, Vec::new(), [shape], dtype, move |tensors, handles| {
            handles.register_int_tensor::<B>(&tensors.outputs[0].id, B::draw(&draw, &device));
        });
        items
    }

    fn sampled_scores(
        anchors: FloatTensor<Self>,
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let n = anchors.shape()[0];
        let shape = Shape::new([n, ids.shape()[0] / n]);
        let run = |[anchors, table]: [FloatTensor<B>; 2], ids| [B::sampled_scores(anchors, table, ids)];
        let [scores] = custom_with_ids::<B, 2, 1>("sampled_scores", [anchors, table], ids, [shape], run);
        scores
    }

    fn sampled_scores_backward(
        anchors: FloatTensor<Self>,
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        let shapes = [anchors.shape(), table.shape()];
        let run = |[anchors, table, grad]: [FloatTensor<B>; 3], ids| {
            B::sampled_scores_backward(anchors, table, ids, grad)
        };
        custom_with_ids::<B, 3, 2>("sampled_scores_backward", [anchors, table, grad], ids, shapes, run)
    }
}

impl<B: FusionBackend + OptimizerBackend> OptimizerBackend for Fusion<B> {
    fn adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> [FloatTensor<Self>; 3] {
        let shapes = [parameter.shape(), first.shape(), second.shape()];
        custom::<B, 4, 3>(
            "adam",
            [parameter, gradient, first, second],
            shapes,
            move |[parameter, gradient, first, second]| B::adam(parameter, gradient, first, second, step),
        )
    }

    fn lerp(from: FloatTensor<Self>, to: FloatTensor<Self>, weight: f64) -> FloatTensor<Self> {
        let shape = from.shape();
        let [out] =
            custom::<B, 2, 1>("lerp", [from, to], [shape], move |[from, to]| [B::lerp(from, to, weight)]);
        out
    }
}

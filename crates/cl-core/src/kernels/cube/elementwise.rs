//! One pass over a table: Adam, the step of a copy that follows it, the logarithm of a sigmoid. One unit a number.

use burn::tensor::Shape;
use burn::tensor::ops::FloatTensorOps;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};
use cubecl::prelude::*;

use super::launch::{Launch, addresses, room, spread};
use crate::kernels::backend::AdamStep;

const UNITS: u32 = 256;

#[cube(launch_unchecked, address_type = "dynamic")]
fn adam_kernel(
    parameter: &Tensor<f32>,
    gradient: &Tensor<f32>,
    first: &Tensor<f32>,
    second: &Tensor<f32>,
    parameter_out: &mut Tensor<f32>,
    first_out: &mut Tensor<f32>,
    second_out: &mut Tensor<f32>,
    keep: f32,
    coupled: f32,
    complement_1: f32,
    beta_2: f32,
    complement_2: f32,
    step_size: f32,
    root_2: f32,
    epsilon: f32,
) {
    let at = ABSOLUTE_POS;
    if at < parameter_out.shape(0) {
        let theta = parameter[at];
        let g = gradient[at] + coupled * theta;
        let m = first[at] + complement_1 * (g - first[at]);
        let v = beta_2 * second[at] + complement_2 * g * g;
        first_out[at] = m;
        second_out[at] = v;
        parameter_out[at] = keep * theta - step_size * (m / (v.sqrt() / root_2 + epsilon));
    }
}

#[cube(launch_unchecked, address_type = "dynamic")]
fn lerp_kernel(from: &Tensor<f32>, to: &Tensor<f32>, out: &mut Tensor<f32>, weight: f32) {
    let at = ABSOLUTE_POS;
    if at < out.shape(0) {
        out[at] = from[at] + weight * (to[at] - from[at]);
    }
}

/// `ln(floor + σ(x))`, from `t = exp(−|x|)`, so that nothing grows large.
#[cube(launch_unchecked, address_type = "dynamic")]
fn log_sigmoid_kernel(x: &Tensor<f32>, out: &mut Tensor<f32>, floor: f32, #[comptime] bounded: bool) {
    let at = ABSOLUTE_POS;
    if at < out.shape(0) {
        let x = x[at];
        let below = x < f32::new(0.0);
        let t = (-x.abs()).exp();
        let one_more = f32::new(1.0) + t;
        if comptime!(bounded) {
            out[at] = (floor * one_more + select(below, t, f32::new(1.0))).ln() - one_more.ln();
        } else {
            out[at] = select(below, x, f32::new(0.0)) - one_more.ln();
        }
    }
}

/// `grad · σ (1 − σ) / (floor + σ)`; σ and 1 − σ are 1 / (1 + t) and t / (1 + t), in this or the other order.
#[cube(launch_unchecked, address_type = "dynamic")]
fn log_sigmoid_backward_kernel(
    x: &Tensor<f32>,
    grad: &Tensor<f32>,
    out: &mut Tensor<f32>,
    floor: f32,
    #[comptime] bounded: bool,
) {
    let at = ABSOLUTE_POS;
    if at < out.shape(0) {
        let x = x[at];
        let below = x < f32::new(0.0);
        let t = (-x.abs()).exp();
        let one_more = f32::new(1.0) + t;
        let rest = grad[at] * select(below, f32::new(1.0), t) / one_more;
        if comptime!(bounded) {
            let share = select(below, t, f32::new(1.0));
            out[at] = rest * share / (floor * one_more + share);
        } else {
            out[at] = rest;
        }
    }
}

/// As one row without gaps.
fn flat<R, F, I, BT>(tensor: CubeTensor<R>) -> CubeTensor<R>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    let length = tensor.meta.shape().num_elements();
    // A tensor of one dimension is not copied by a reshape, whatever its stride.
    CubeBackend::<R, F, I, BT>::float_reshape(into_contiguous(tensor), Shape::new([length]))
}

/// See [`OptimizerBackend::adam`](crate::kernels::OptimizerBackend::adam); reads four tables and writes three.
pub(super) fn adam<R, F, I, BT>(tables: [CubeTensor<R>; 4], step: AdamStep) -> [CubeTensor<R>; 3]
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    let shape = tables[0].meta.shape().clone();
    let length = shape.num_elements();
    let [parameter, gradient, first, second] = tables.map(flat::<R, F, I, BT>);
    let out = [0, 1, 2].map(|_| room(&parameter, length));
    let numbers = step.numbers();
    let address = addresses(&[&parameter, &gradient, &first, &second, &out[0]]);
    // Safety: each unit reads and writes the number at its position, which it holds against the length.
    unsafe {
        adam_kernel::launch_unchecked(
            &parameter.client.clone(),
            spread(length.div_ceil(UNITS as usize)),
            CubeDim::new_1d(UNITS),
            address,
            parameter.into_tensor_arg(),
            gradient.into_tensor_arg(),
            first.into_tensor_arg(),
            second.into_tensor_arg(),
            out[0].clone().into_tensor_arg(),
            out[1].clone().into_tensor_arg(),
            out[2].clone().into_tensor_arg(),
            numbers[0],
            numbers[1],
            numbers[2],
            numbers[3],
            numbers[4],
            numbers[5],
            numbers[6],
            numbers[7],
        );
    }
    out.map(|table| CubeBackend::<R, F, I, BT>::float_reshape(table, shape.clone()))
}

/// A tensor like these, which the kernel that is launched on them writes number by number.
///
/// # Panics
///
/// If the tensors have different shapes.
fn number_by_number<R, F, I, BT, const N: usize>(
    tensors: [CubeTensor<R>; N],
    launch: impl FnOnce(Launch<'_, R>, [CubeTensor<R>; N], CubeTensor<R>),
) -> CubeTensor<R>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    let shape = tensors[0].meta.shape().clone();
    for tensor in &tensors {
        let other = tensor.meta.shape();
        assert!(*other == shape, "numbers go with numbers of the same tensor: {shape:?} beside {other:?}");
    }
    let length = shape.num_elements();
    let tensors = tensors.map(flat::<R, F, I, BT>);
    let out = room(&tensors[0], length);
    let all: Vec<&CubeTensor<R>> = tensors.iter().chain([&out]).collect();
    let address = addresses(&all);
    let client = out.client.clone();
    let cubes = spread(length.div_ceil(UNITS as usize));
    launch((&client, cubes, CubeDim::new_1d(UNITS), address), tensors, out.clone());
    CubeBackend::<R, F, I, BT>::float_reshape(out, shape)
}

/// See [`OptimizerBackend::lerp`](crate::kernels::OptimizerBackend::lerp).
pub(super) fn lerp<R, F, I, BT>(from: CubeTensor<R>, to: CubeTensor<R>, weight: f32) -> CubeTensor<R>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    number_by_number::<R, F, I, BT, 2>([from, to], |(client, cubes, cube, address), [from, to], out| {
        let [from, to, out] = [from, to, out].map(CubeTensor::into_tensor_arg);
        // Safety: each unit reads and writes the number at its position, which it holds against the length.
        unsafe { lerp_kernel::launch_unchecked(client, cubes, cube, address, from, to, out, weight) }
    })
}

/// See [`ContrastBackend::floored_log_sigmoid`](crate::kernels::ContrastBackend::floored_log_sigmoid).
pub(super) fn floored_log_sigmoid<R, F, I, BT>(x: CubeTensor<R>, floor: f32) -> CubeTensor<R>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    number_by_number::<R, F, I, BT, 1>([x], |(client, cubes, cube, address), [x], out| {
        let ([x, out], bounded) = ([x, out].map(CubeTensor::into_tensor_arg), floor != 0.0);
        // Safety: as above.
        unsafe { log_sigmoid_kernel::launch_unchecked(client, cubes, cube, address, x, out, floor, bounded) }
    })
}

/// See [`ContrastBackend::floored_log_sigmoid_backward`](crate::kernels::ContrastBackend::floored_log_sigmoid_backward).
pub(super) fn floored_log_sigmoid_backward<R, F, I, BT>(
    x: CubeTensor<R>,
    floor: f32,
    grad: CubeTensor<R>,
) -> CubeTensor<R>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    number_by_number::<R, F, I, BT, 2>([x, grad], |(client, cubes, cube, address), [x, grad], out| {
        let [x, grad, out] = [x, grad, out].map(CubeTensor::into_tensor_arg);
        let bounded = floor != 0.0;
        // Safety: as above.
        unsafe {
            log_sigmoid_backward_kernel::launch_unchecked(
                client, cubes, cube, address, x, grad, out, floor, bounded,
            );
        }
    })
}

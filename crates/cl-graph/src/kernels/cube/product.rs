//! Sparse products, and sums of rows as a case of them.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::StreamKey;
use cl_core::kernels::cube::launch::addresses;
use cubecl::prelude::*;

use super::device::{Lanes, Tasks, cubes, empty, lanes_beside};
use super::numbers::{add_noise, draw, factor, rounded};
use super::operand::Operand;
use super::work::TASK;

/// What is compiled into a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Spec {
    lanes: Lanes,
    /// Whether the values of a row have columns and weights; without, value p is row p of `x`, as it is.
    weighted: bool,
    /// Whether only the marked rows of `x` are there, the others zero.
    masked: bool,
    noise: bool,
    add: bool,
    /// Whether `x` has two numbers a word.
    packed: bool,
    round_in: bool,
    round_out: bool,
}

/// `out[row] = Σ value_p · x[column_p]` over the range p of each task, plus noise.
///
/// A cube has `lanes.rows` tasks (y), each with `lanes.units` units (x): a unit sums `N` columns of the row in registers,
/// so that neighbouring units read neighbouring columns of one row of `x`. Values are added in their order, no unit reads
/// what another wrote, but for the noise, of which each unit draws a part into shared memory: 4 ⌈dim / 4⌉ numbers and
/// `lanes.units` partial squares a task.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn product_kernel<X: Numeric, N: Size, P: Size>(
    tasks: &Tensor<u32>,
    columns: &Tensor<u32>,
    values: &Tensor<f32>,
    marks: &Tensor<u32>,
    x: &Tensor<Vector<X, P>>,
    out: &mut Tensor<Vector<f32, N>>,
    first: u32,
    count: u32,
    low: u32,
    high: u32,
    magnitude: f32,
    #[comptime] spec: Spec,
    #[define(X)] _stored: StorageType,
) {
    let at = CUBE_POS * comptime!(spec.lanes.rows) + UNIT_POS_Y as usize;
    let live = at < usize::cast_from(count);
    let task = (usize::cast_from(first) + select(live, at, 0usize)) * TASK;
    let start = usize::cast_from(tasks[task]);
    let end = usize::cast_from(tasks[task + 1]);
    let row = tasks[task + 2];

    let mut noise = SharedMemory::<f32>::new(comptime!(spec.lanes.noise(spec.noise)));
    let mut squares = SharedMemory::<f32>::new(comptime!(spec.lanes.squares(spec.noise)));
    let mut scale = f32::new(0.0);
    if comptime!(spec.noise) {
        draw(row, low, high, &mut noise, &mut squares, spec.lanes.dim, spec.lanes.units);
        sync_cube();
        scale = factor(&squares, magnitude, spec.lanes.units);
    }

    if live {
        // Strides are in numbers: CUDA pads rows.
        let below = x.stride(0) / x.vector_size();
        let place = usize::cast_from(row) * (out.stride(0) / out.vector_size());
        let mut column = UNIT_POS_X as usize;
        while column < comptime!(spec.lanes.vectors()) {
            let mut sum = Vector::<f32, N>::new(f32::new(0.0));
            let mut p = start;
            if comptime!(!spec.masked) {
                // Four loads under way at a time.
                while p + 4 <= end {
                    #[unroll]
                    for ahead in 0..4 {
                        sum = plus::<X, N, P>(sum, columns, values, x, p + ahead, below, column, spec);
                    }
                    p += 4;
                }
            }
            while p < end {
                if comptime!(spec.masked) {
                    let from = columns[p];
                    if (marks[usize::cast_from(from >> 5u32)] >> (from & 31u32)) & 1u32 == 1u32 {
                        sum = plus::<X, N, P>(sum, columns, values, x, p, below, column, spec);
                    }
                } else {
                    sum = plus::<X, N, P>(sum, columns, values, x, p, below, column, spec);
                }
                p += 1;
            }
            if comptime!(spec.noise) {
                sum = add_noise::<N>(sum, column, &noise, scale, spec.lanes.dim);
            }
            if comptime!(spec.add) {
                sum += out[place + column];
            }
            if comptime!(spec.round_out) {
                sum = rounded::<N>(sum);
            }
            out[place + column] = sum;
            column += comptime!(spec.lanes.units);
        }
    }
}

/// `sum` and the share of value p.
#[cube]
#[allow(clippy::too_many_arguments)]
fn plus<X: Numeric, N: Size, P: Size>(
    sum: Vector<f32, N>,
    columns: &Tensor<u32>,
    values: &Tensor<f32>,
    x: &Tensor<Vector<X, P>>,
    p: usize,
    below: usize,
    column: usize,
    #[comptime] spec: Spec,
) -> Vector<f32, N> {
    if comptime!(spec.weighted) {
        let mut from = read::<X, N, P>(x[usize::cast_from(columns[p]) * below + column], spec.packed);
        if comptime!(spec.round_in) {
            from = rounded::<N>(from);
        }
        fma(Vector::<f32, N>::new(values[p]), from, sum)
    } else {
        sum + read::<X, N, P>(x[p * below + column], spec.packed)
    }
}

/// The numbers that are stored.
#[cube]
fn read<X: Numeric, N: Size, P: Size>(stored: Vector<X, P>, #[comptime] packed: bool) -> Vector<f32, N> {
    let mut numbers = Vector::<f32, N>::new(f32::new(0.0));
    #[unroll]
    for k in 0..P::value() {
        if comptime!(packed) {
            let word = u32::cast_from(stored[k]);
            numbers[2 * k] = f32::reinterpret(word << 16u32);
            numbers[2 * k + 1] = f32::reinterpret(word & 0xffff_0000u32);
        } else {
            numbers[k] = f32::cast_from(stored[k]);
        }
    }
    numbers
}

/// A sparse matrix of weights on the device, and its tasks.
#[derive(Clone)]
pub(super) struct Matrix<R: CubeRuntime> {
    pub(super) columns: CubeTensor<R>,
    pub(super) values: CubeTensor<R>,
    pub(super) tasks: Tasks<R>,
}

/// What is done besides the product.
#[derive(Clone)]
pub(super) struct Options<R: CubeRuntime> {
    /// A bit for each row of `x` that is there, if not all are.
    pub(super) marks: Option<CubeTensor<R>>,
    /// Noise: its stream and its length.
    pub(super) noise: Option<(StreamKey, f32)>,
    /// Whether the rows are added to what `out` holds.
    pub(super) add: bool,
    /// Whether `out` is written rounded to 8 bits.
    pub(super) round_out: bool,
}

impl<R: CubeRuntime> Options<R> {
    /// The bare product.
    pub(super) fn none() -> Self {
        Self { marks: None, noise: None, add: false, round_out: false }
    }
}

impl<R: CubeRuntime> Matrix<R> {
    /// Writes the rows that the tasks are of to `out`; no other row of it is touched.
    ///
    /// One launch for the whole rows; where rows are long, one for their segments and one that adds these up.
    pub(super) fn product(&self, x: &Operand<R>, out: &CubeTensor<R>, options: &Options<R>) {
        let tasks = &self.tasks;
        self.launch(0, tasks.whole, x, out, options, true);
        if tasks.segments > 0 {
            let bare = Options { noise: None, add: false, round_out: false, ..options.clone() };
            let parts = empty(out, [tasks.segments, out.meta.shape()[1]]); // [segments, dim]
            self.launch(tasks.whole, tasks.segments, x, &parts, &bare, true);
            let rest = Options { marks: None, ..options.clone() };
            let parts = Operand::Plain(parts);
            self.launch(tasks.whole + tasks.segments, tasks.long, &parts, out, &rest, false);
        }
    }

    fn launch(
        &self,
        first: usize,
        count: usize,
        operand: &Operand<R>,
        out: &CubeTensor<R>,
        options: &Options<R>,
        weighted: bool,
    ) {
        if count == 0 {
            return;
        }
        let (tasks, columns, values) = (&self.tasks.list, &self.columns, &self.values);
        let (x, packed, round_in) = match operand {
            Operand::Plain(x) => (x, false, false),
            Operand::Rounded(x) => (x, false, true),
            Operand::Packed(x) => (x, true, false),
        };
        let (lanes, width) = lanes_beside(&[out], x, if packed { 2 } else { 1 });
        let stored = if packed { width / 2 } else { width };
        let spec = Spec {
            lanes,
            weighted,
            masked: options.marks.is_some(),
            noise: options.noise.is_some(),
            add: options.add,
            packed,
            round_in,
            round_out: options.round_out,
        };
        let (key, magnitude) = options.noise.unwrap_or((StreamKey::root(0), 0.0));
        let [low, high] = key.halves();
        // Where there are no marks, no kernel reads what stands for them.
        let marks = options.marks.as_ref().unwrap_or(columns);
        // SAFETY: tasks lie within the columns and the values, columns and rows within the tables, units beyond the last
        // task write nothing.
        unsafe {
            product_kernel::launch_unchecked(
                &out.client,
                cubes(count, lanes.rows),
                lanes.cube(),
                addresses(&[tasks, columns, values, x, out]),
                width,
                stored,
                tasks.clone().into_tensor_arg(),
                columns.clone().into_tensor_arg(),
                values.clone().into_tensor_arg(),
                marks.clone().into_tensor_arg(),
                x.clone().into_tensor_arg(),
                out.clone().into_tensor_arg(),
                first as u32,
                count as u32,
                low,
                high,
                magnitude,
                spec,
                x.dtype.into(),
            );
        }
    }
}

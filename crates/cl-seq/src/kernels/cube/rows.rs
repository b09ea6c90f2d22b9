//! The gradient of rows that were gathered: each row of the table is the sum of its copies' gradients, in their order.
//!
//! Burn's own gives one unit a column of the table and lets it walk through all copies; here each row has units of its own.
//! A row with many copies is cut into segments, whose sums a second launch adds.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::List;
use cl_core::kernels::cube::launch::{addresses, spread, upload_u32};
use cubecl::prelude::*;

use super::work::matrix;

/// Units of a row, one column each at a time, and rows of a cube.
const LANES: usize = 64;
const ROWS: usize = 4;
/// Numbers that a task is: where its summands begin and end, and the row that they make.
const TASK: usize = 3;
/// Copies that are added one after another at most.
const SEGMENT: usize = 128;

/// `out[row] = Σ x[order[p]]` over the p of each task; of `x[p]` where there is no order.
#[cube(launch_unchecked, address_type = "dynamic")]
fn sum_rows_kernel(
    x: &Tensor<f32>,
    order: &Tensor<u32>,
    tasks: &Tensor<u32>,
    out: &mut Tensor<f32>,
    first: u32,
    count: u32,
    #[comptime] ordered: bool,
) {
    let at = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    if at < usize::cast_from(count) {
        let task = (usize::cast_from(first) + at) * TASK;
        let begin = usize::cast_from(tasks[task]);
        let end = usize::cast_from(tasks[task + 1]);
        let row = usize::cast_from(tasks[task + 2]);
        let (below, place) = (x.stride(0), row * out.stride(0));
        let mut column = UNIT_POS_X as usize;
        while column < x.shape(1) {
            let mut sum = f32::new(0.0);
            for p in begin..end {
                let mut from = p;
                if comptime!(ordered) {
                    from = usize::cast_from(order[p]);
                }
                sum += x[from * below + column];
            }
            out[place + column] = sum;
            column += LANES;
        }
    }
}

/// Which copies make which rows: whole rows, segments of rows, and rows of segments.
#[derive(Debug, Default)]
struct Plan {
    /// Places of the copies, those of a row together, in their order.
    order: Vec<u32>,
    whole: Vec<u32>,
    segments: Vec<u32>,
    long: Vec<u32>,
}

impl Plan {
    fn new(ids: &[i32]) -> Self {
        // Rows behind the last that is asked for have no copy.
        let rows = ids.iter().max().map_or(0, |&id| id as usize + 1);
        // A stable sort by counting: where each row's copies begin.
        let mut begins = vec![0u32; rows + 1];
        for &id in ids {
            begins[id as usize + 1] += 1;
        }
        for row in 0..rows {
            begins[row + 1] += begins[row];
        }
        let mut next = begins.clone();
        let mut plan = Self { order: vec![0; ids.len()], ..Self::default() };
        for (place, &id) in ids.iter().enumerate() {
            let next = &mut next[id as usize];
            plan.order[*next as usize] = place as u32;
            *next += 1;
        }
        for row in 0..rows {
            let (begin, end) = (begins[row] as usize, begins[row + 1] as usize);
            match end - begin {
                0 => {}
                1..=SEGMENT => plan.whole.extend([begin as u32, end as u32, row as u32]),
                _ => {
                    let first = plan.segments.len() / TASK;
                    for (at, begin) in (begin..end).step_by(SEGMENT).enumerate() {
                        let end = end.min(begin + SEGMENT);
                        plan.segments.extend([begin, end, first + at].map(|number| number as u32));
                    }
                    let last = plan.segments.len() / TASK;
                    plan.long.extend([first, last, row].map(|number| number as u32));
                }
            }
        }
        plan
    }
}

/// A plan on the device.
#[derive(Clone)]
pub(super) struct Planned<R: CubeRuntime> {
    order: CubeTensor<R>,
    /// Whole rows, segments, long rows.
    tasks: CubeTensor<R>,
    counts: [usize; 3],
}

impl<R: CubeRuntime> Planned<R> {
    /// Of a list of ids, made on first use.
    pub(super) fn of(ids: &List<i32>, beside: &CubeTensor<R>) -> Self {
        let here = |made: &Self| made.order.device == beside.device;
        ids.on_device().get(here, || {
            let Plan { order, whole, segments, long } = Plan::new(ids);
            let tasks = upload_u32(beside, &[&whole[..], &segments, &long].concat());
            let counts = [whole, segments, long].map(|tasks| tasks.len() / TASK);
            Self { order: upload_u32(beside, &order), tasks, counts }
        })
    }
}

/// See [`SequenceBackend::gather_backward`](crate::SequenceBackend::gather_backward); `out` holds zeros.
pub(super) fn sum_rows<R: CubeRuntime>(grad: &CubeTensor<R>, ids: &List<i32>, out: &CubeTensor<R>) {
    let Planned { order, tasks, counts: [whole, segments, long] } = Planned::of(ids, grad);
    let launch = |x: &CubeTensor<R>, out: &CubeTensor<R>, first: usize, count: usize, ordered: bool| {
        if count == 0 {
            return;
        }
        // SAFETY: places lie within the gradient, rows within the output, and units beyond the last task do nothing.
        unsafe {
            sum_rows_kernel::launch_unchecked(
                &x.client,
                spread(count.div_ceil(ROWS)),
                CubeDim::new_2d(LANES as u32, ROWS as u32),
                addresses(&[x, out]),
                x.clone().into_tensor_arg(),
                order.clone().into_tensor_arg(),
                tasks.clone().into_tensor_arg(),
                out.clone().into_tensor_arg(),
                first as u32,
                count as u32,
                ordered,
            );
        }
    };
    launch(grad, out, 0, whole, true);
    if segments > 0 {
        let parts = matrix(grad, [segments, grad.meta.shape()[1]]); // [segments, d]
        launch(grad, &parts, whole, segments, true);
        launch(&parts, out, whole + segments, long, false);
    }
}

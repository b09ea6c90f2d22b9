//! The values of a view, on the device: what is kept is drawn there, and a value that is not kept becomes 0 in its place, so
//! that nothing else of the whole graph's matrix changes.

use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::{addresses, room_for, spread, upload_u32, zeros_u32};
use cl_core::kernels::cube::random::word;
use cubecl::prelude::*;

use super::product::Matrix;
use super::share::mark;
use crate::adjacency::{Adjacency, Normalization, View};
use crate::kept::Kept;

/// Units of a row, and rows of a cube.
const UNITS: usize = 32;
const ROWS: usize = 8;
/// What stands for an edge where a value is a self-loop's.
const LOOP: u32 = u32::MAX;

/// How the values of a view come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Spec {
    /// Whether marks are of nodes, not of edges.
    of_nodes: bool,
    renormalize: bool,
    normalization: Normalization,
    transposed: bool,
}

/// Whether value p of a row is kept.
#[cube]
fn is_kept(
    columns: &Tensor<u32>,
    edges: &Tensor<u32>,
    marks: &Tensor<u32>,
    row: usize,
    p: usize,
    #[comptime] of_nodes: bool,
) -> bool {
    let edge = edges[p];
    let mut mark = 1u32;
    if edge != LOOP {
        if comptime!(of_nodes) {
            mark = marks[row] & marks[usize::cast_from(columns[p])];
        } else {
            mark = marks[usize::cast_from(edge)];
        }
    }
    mark == 1u32
}

/// How many values of each row are kept.
#[cube(launch_unchecked, address_type = "dynamic")]
fn degree_kernel(
    offsets: &Tensor<u32>,
    columns: &Tensor<u32>,
    edges: &Tensor<u32>,
    marks: &Tensor<u32>,
    degrees: &mut Tensor<u32>,
    #[comptime] of_nodes: bool,
) {
    let mut counts = SharedMemory::<u32>::new(comptime!(UNITS * ROWS));
    let row = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    let own = UNIT_POS_Y as usize * UNITS;
    let mut count = 0u32;
    if row < degrees.shape(0) {
        let mut p = usize::cast_from(offsets[row]) + UNIT_POS_X as usize;
        let end = usize::cast_from(offsets[row + 1]);
        while p < end {
            count += select(is_kept(columns, edges, marks, row, p, of_nodes), 1u32, 0u32);
            p += UNITS;
        }
    }
    counts[own + UNIT_POS_X as usize] = count;
    sync_cube();
    if UNIT_POS_X == 0u32 && row < degrees.shape(0) {
        let mut sum = 0u32;
        for unit in 0..UNITS {
            sum += counts[own + unit];
        }
        degrees[row] = sum;
    }
}

/// The values that are kept, from the degrees that are left or as they are in the whole; 0 for the others.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn value_kernel(
    offsets: &Tensor<u32>,
    columns: &Tensor<u32>,
    edges: &Tensor<u32>,
    marks: &Tensor<u32>,
    degrees: &Tensor<u32>,
    whole: &Tensor<f32>,
    values: &mut Tensor<f32>,
    nodes: u32,
    #[comptime] spec: Spec,
) {
    let row = CUBE_POS * ROWS + UNIT_POS_Y as usize;
    if row < usize::cast_from(nodes) {
        let mut p = usize::cast_from(offsets[row]) + UNIT_POS_X as usize;
        let end = usize::cast_from(offsets[row + 1]);
        while p < end {
            let mut value = f32::new(0.0);
            if is_kept(columns, edges, marks, row, p, spec.of_nodes) {
                if comptime!(spec.renormalize) {
                    value = weight(degrees, row, usize::cast_from(columns[p]), spec);
                } else {
                    value = whole[p];
                }
            }
            values[p] = value;
            p += UNITS;
        }
    }
}

/// The weight of an edge that is kept; both ends then have a degree.
#[cube]
fn weight(degrees: &Tensor<u32>, row: usize, column: usize, #[comptime] spec: Spec) -> f32 {
    if comptime!(spec.normalization == Normalization::Symmetric) {
        f32::new(1.0) / (f32::cast_from(degrees[row]) * f32::cast_from(degrees[column])).sqrt()
    } else if comptime!(spec.transposed) {
        f32::new(1.0) / f32::cast_from(degrees[column])
    } else {
        f32::new(1.0) / f32::cast_from(degrees[row])
    }
}

/// Marks the edges that a walk of `length` steps from each node passes; a unit walks.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn walk_kernel(
    offsets: &Tensor<u32>,
    columns: &Tensor<u32>,
    edges: &Tensor<u32>,
    marks: &mut Tensor<Atomic<u32>>,
    nodes: u32,
    users: u32,
    length: u32,
    low: u32,
    high: u32,
    #[comptime] self_loops: bool,
) {
    let start = u32::cast_from(ABSOLUTE_POS);
    if start < nodes {
        let mut node = start;
        let mut step = 0u32;
        while step < length {
            let word = word(start, step, low, high);
            let mut first = offsets[usize::cast_from(node)];
            let mut end = offsets[usize::cast_from(node + 1u32)];
            if comptime!(self_loops) {
                // A user's own value comes first, an item's last.
                first += select(node < users, 1u32, 0u32);
                end -= select(node < users, 0u32, 1u32);
            }
            if first == end {
                step = length;
            } else {
                let p = usize::cast_from(first + word.mul_hi(end - first));
                marks[usize::cast_from(edges[p])].store(1u32);
                node = columns[p];
                step += 1u32;
            }
        }
    }
}

/// Where the values of a whole graph's matrix stand, for its views.
#[derive(Clone)]
struct Pattern<R: CubeRuntime> {
    offsets: CubeTensor<R>,
    /// The edge of each value.
    edges: CubeTensor<R>,
}

impl<R: CubeRuntime> Pattern<R> {
    /// That of a whole adjacency, made on first use.
    fn of(whole: &Adjacency, like: &CubeTensor<R>) -> Self {
        let here = |made: &Self| made.edges.device == like.device;
        whole.on_device(here, |whole| {
            let (graph, loops) = (whole.graph(), whole.weighting().self_loops.then_some(LOOP));
            let mut edges: Vec<u32> = Vec::with_capacity(whole.csr().columns.len());
            // In the order of the matrix: users stand before items, and items after users.
            for user in 0..graph.users() {
                edges.extend(loops);
                edges.extend(graph.edges_of(user).map(|edge| edge as u32));
            }
            for item in 0..graph.items() {
                edges.extend(graph.item_edges_of(item));
                edges.extend(loops);
            }
            Self { offsets: upload_u32(like, &whole.csr().offsets), edges: upload_u32(like, &edges) }
        })
    }
}

/// A mark for each edge, or for each node where nodes are drawn.
fn marks<R: CubeRuntime>(view: &View, pattern: &Pattern<R>, columns: &CubeTensor<R>) -> CubeTensor<R> {
    let graph = view.whole.graph();
    let room = |marks: usize| room_for(columns, marks.max(1), DType::U32);
    match &view.kept {
        Kept::Marked(marks) => {
            upload_u32(columns, &marks.iter().map(|&kept| u32::from(kept)).collect::<Vec<_>>())
        }
        Kept::Edges(share) => {
            let marks = room(graph.edges());
            mark(share, graph.edges(), &marks, 0);
            marks
        }
        Kept::Nodes { users, items } => {
            let marks = room(graph.nodes());
            mark(users, graph.users(), &marks, 0);
            mark(items, graph.items(), &marks, graph.users());
            marks
        }
        Kept::Walks { key, length } => {
            const WALKS: usize = 256;
            let marks = zeros_u32(columns, graph.edges());
            let [low, high] = key.halves();
            // SAFETY: a walk goes from node to node along the values of the matrix, each of which has an edge.
            unsafe {
                walk_kernel::launch_unchecked(
                    &columns.client,
                    spread(graph.nodes().div_ceil(WALKS)),
                    CubeDim::new_1d(WALKS as u32),
                    addresses(&[columns, &marks]),
                    pattern.offsets.clone().into_tensor_arg(),
                    columns.clone().into_tensor_arg(),
                    pattern.edges.clone().into_tensor_arg(),
                    marks.clone().into_tensor_arg(),
                    graph.nodes() as u32,
                    graph.users() as u32,
                    *length as u32,
                    low,
                    high,
                    view.whole.weighting().self_loops,
                );
            }
            marks
        }
    }
}

/// The matrix of a view and its transpose, from those of the whole.
pub(super) fn matrices<R: CubeRuntime>(view: &View, [forward, backward]: [Matrix<R>; 2]) -> [Matrix<R>; 2] {
    let nodes = view.whole.nodes();
    let columns = &forward.columns;
    let pattern = Pattern::of(&view.whole, columns);
    let marks = marks(view, &pattern, columns);
    let of_nodes = matches!(view.kept, Kept::Nodes { .. });
    let cube = CubeDim::new_2d(UNITS as u32, ROWS as u32);
    let cubes = || spread(nodes.div_ceil(ROWS));
    let arg = |tensor: &CubeTensor<R>| tensor.clone().into_tensor_arg();
    let address = addresses(&[columns, &forward.values]);

    let degrees = room_for(columns, nodes.max(1), DType::U32);
    if view.renormalize {
        // SAFETY: values lie between the offsets of their row; each has a column and an edge, and there is a mark for it.
        unsafe {
            degree_kernel::launch_unchecked(
                &columns.client,
                cubes(),
                cube,
                address,
                arg(&pattern.offsets),
                arg(columns),
                arg(&pattern.edges),
                arg(&marks),
                arg(&degrees),
                of_nodes,
            );
        }
    }
    let normalization = view.whole.weighting().normalization;
    let values = |whole: &CubeTensor<R>, transposed: bool| {
        let values = room_for(whole, whole.meta.shape()[0], DType::F32);
        let spec = Spec { of_nodes, renormalize: view.renormalize, normalization, transposed };
        // SAFETY: as above.
        unsafe {
            value_kernel::launch_unchecked(
                &columns.client,
                cubes(),
                cube,
                address,
                arg(&pattern.offsets),
                arg(columns),
                arg(&pattern.edges),
                arg(&marks),
                arg(&degrees),
                arg(whole),
                arg(&values),
                nodes as u32,
                spec,
            );
        }
        values
    };
    let of_forward = values(&forward.values, false);
    let of_backward = match normalization {
        Normalization::Symmetric => of_forward.clone(),
        Normalization::Left => values(&backward.values, true),
    };
    [Matrix { values: of_forward, ..forward }, Matrix { values: of_backward, ..backward }]
}

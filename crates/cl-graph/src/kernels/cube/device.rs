//! Tensors of the device, and how kernels spread over it.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::{spread, upload, upload_u32};
use cubecl::prelude::*;

use super::product::Matrix;
use super::view;
use super::work::{TASK, Work, bits};
use crate::adjacency::Adjacency;
use crate::kernels::needed::Rows;

/// Units of a cube at most.
const UNITS: usize = 256;

/// How the units of a cube share rows of `dim` numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Lanes {
    /// Numbers of a row.
    pub(super) dim: usize,
    /// Numbers of a vector.
    pub(super) width: usize,
    /// Units of a row.
    pub(super) units: usize,
    /// Rows of a cube.
    pub(super) rows: usize,
}

impl Lanes {
    /// Vectors of a row.
    pub(super) fn vectors(&self) -> usize {
        self.dim / self.width
    }

    /// Shared numbers for the noise of a cube's rows; one where there is none.
    pub(super) fn noise(&self, noise: bool) -> usize {
        if noise { self.rows * self.dim.next_multiple_of(4) } else { 1 }
    }

    /// Shared numbers for its squared lengths.
    pub(super) fn squares(&self, noise: bool) -> usize {
        if noise { self.rows * self.units } else { 1 }
    }

    pub(super) fn cube(&self) -> CubeDim {
        CubeDim::new_2d(self.units as u32, self.rows as u32)
    }
}

/// The lanes for kernels that read and write these tables, and the width of their vectors: the largest that divides the
/// rows and the strides of all.
pub(super) fn lanes<R: CubeRuntime>(tables: &[&CubeTensor<R>]) -> (Lanes, usize) {
    lanes_beside(tables, tables[0], 1)
}

/// The same, if a table has so many numbers in each word.
pub(super) fn lanes_beside<R: CubeRuntime>(
    tables: &[&CubeTensor<R>],
    words: &CubeTensor<R>,
    numbers: usize,
) -> (Lanes, usize) {
    let table = tables[0];
    let dim = table.meta.shape()[1];
    let divides = |table: &CubeTensor<R>, width: usize| {
        let strides = table.meta.strides();
        strides[0].is_multiple_of(width) && strides[1] == 1
    };
    let fits = |&width: &usize| {
        dim.is_multiple_of(width)
            && tables.iter().all(|table| divides(table, width))
            && width.is_multiple_of(numbers)
            && divides(words, width / numbers)
    };
    let widths = table.client.io_optimized_vector_sizes(table.dtype.size());
    let width = widths.filter(fits).max().unwrap_or(numbers);
    let units = UNITS.min(table.client.properties().hardware.max_units_per_cube as usize);
    let lanes = (dim / width).min(units);
    (Lanes { dim, width, units: lanes, rows: (units / lanes).max(1) }, width)
}

/// Cubes for so many rows.
pub(super) fn cubes(rows: usize, rows_of_cube: usize) -> CubeCount {
    spread(rows.div_ceil(rows_of_cube))
}

/// A matrix on the device of `like`, with anything in it.
pub(super) fn empty<R: CubeRuntime>(like: &CubeTensor<R>, shape: [usize; 2]) -> CubeTensor<R> {
    empty_device_dtype(like.client.clone(), like.device.clone(), Shape::new(shape), like.dtype)
}

/// The tasks of a product on the device: whole rows, then segments, then long rows.
#[derive(Clone)]
pub(super) struct Tasks<R: CubeRuntime> {
    pub(super) list: CubeTensor<R>,
    pub(super) whole: usize,
    pub(super) segments: usize,
    pub(super) long: usize,
}

impl<R: CubeRuntime> Tasks<R> {
    pub(super) fn new(like: &CubeTensor<R>, work: &Work) -> Self {
        let list = upload_u32(like, &[&work.whole[..], &work.segments, &work.long].concat());
        let [whole, segments, long] =
            [&work.whole, &work.segments, &work.long].map(|tasks| tasks.len() / TASK);
        Self { list, whole, segments, long }
    }
}

/// An adjacency and its transpose on the device, made on first use: O(values), on the host and to copy for a whole one, on
/// the device for a view.
fn matrices<R: CubeRuntime>(adjacency: &Adjacency, like: &CubeTensor<R>) -> [Matrix<R>; 2] {
    let here = |made: &[Matrix<R>; 2]| made[0].columns.device == like.device;
    adjacency.on_device(here, |adjacency| match adjacency.view() {
        None => whole(adjacency, like),
        Some(view) => view::matrices(view, matrices(&view.whole, like)),
    })
}

fn whole<R: CubeRuntime>(adjacency: &Adjacency, like: &CubeTensor<R>) -> [Matrix<R>; 2] {
    let (csr, turned) = (adjacency.csr(), adjacency.transposed());
    let work = Work::new((0..csr.rows()).map(|row| (row as u32, csr.row(row))));
    let values = |values: &[f32]| upload(like, values, DType::F32, 0.0);
    let forward = Matrix {
        columns: upload_u32(like, &csr.columns),
        values: values(&csr.values),
        tasks: Tasks::new(like, &work),
    };
    // The pattern is symmetric: the transpose has the same rows and columns.
    debug_assert!(csr.offsets == turned.offsets && csr.columns == turned.columns);
    let of_transpose =
        if std::ptr::eq(csr, turned) { forward.values.clone() } else { values(&turned.values) };
    [forward.clone(), Matrix { values: of_transpose, ..forward }]
}

/// The adjacency or its transpose on the device of `like`.
pub(super) fn matrix<R: CubeRuntime>(
    adjacency: &Adjacency,
    transposed: bool,
    like: &CubeTensor<R>,
) -> Matrix<R> {
    let [forward, backward] = matrices(adjacency, like);
    if transposed { backward } else { forward }
}

/// The same, at these rows alone; at all where these are most.
pub(super) fn matrix_at<R: CubeRuntime>(
    adjacency: &Adjacency,
    transposed: bool,
    rows: &Rows,
    like: &CubeTensor<R>,
) -> Matrix<R> {
    let matrix = matrix(adjacency, transposed, like);
    match tasks_at(adjacency, rows, like) {
        Some(tasks) => Matrix { tasks, ..matrix },
        None => matrix,
    }
}

/// The tasks of these rows, made on first use, if they have tasks of their own. An adjacency and its transpose have the same.
pub(super) fn tasks_at<R: CubeRuntime>(
    adjacency: &Adjacency,
    rows: &Rows,
    like: &CubeTensor<R>,
) -> Option<Tasks<R>> {
    let Rows::Some(wanted) = rows else { return None };
    if wanted.are_most() {
        return None;
    }
    // Layers may have graphs of their own.
    let whole = adjacency.whole();
    let fits = |(of, made): &(Adjacency, Tasks<R>)| of.same(whole) && made.list.device == like.device;
    let (_, tasks) = wanted.on_device().get(fits, || {
        let csr = whole.csr();
        let work = Work::new(wanted.rows.iter().map(|&row| (row, csr.row(row as usize))));
        (whole.clone(), Tasks::new(like, &work))
    });
    Some(tasks)
}

/// A bit for each row that is among these, made on first use; `None` where all are.
pub(super) fn marks_of<R: CubeRuntime>(rows: &Rows, like: &CubeTensor<R>) -> Option<CubeTensor<R>> {
    match rows {
        Rows::Some(wanted) if !wanted.are_all() => {
            let here = |made: &CubeTensor<R>| made.device == like.device;
            let make = || upload_u32(like, &bits(&wanted.rows, wanted.nodes()));
            Some(wanted.on_device().get(here, make))
        }
        _ => None,
    }
}

//! Tensors of the device, and how kernels spread over it.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::{spread, upload, upload_u32};
use cubecl::prelude::*;

use super::product::Matrix;
use super::work::{TASK, Work};
use crate::adjacency::Adjacency;

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
    let table = tables[0];
    let dim = table.meta.shape()[1];
    let fits = |width: &usize| {
        dim.is_multiple_of(*width)
            && tables.iter().all(|table| {
                let strides = table.meta.strides();
                strides[0].is_multiple_of(*width) && strides[1] == 1
            })
    };
    let width = table.client.io_optimized_vector_sizes(table.dtype.size()).filter(fits).max().unwrap_or(1);
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

/// An adjacency on the device, made on first use: O(values) to prepare and to copy.
#[derive(Clone)]
struct OnDevice<R: CubeRuntime> {
    forward: Matrix<R>,
    backward: Matrix<R>,
}

/// The adjacency or its transpose on the device of `like`.
pub(super) fn matrix<R: CubeRuntime>(
    adjacency: &Adjacency,
    transposed: bool,
    like: &CubeTensor<R>,
) -> Matrix<R> {
    let here = |made: &OnDevice<R>| made.forward.columns.device == like.device;
    let OnDevice { forward, backward } = adjacency.on_device(here, |adjacency| {
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
        let values = if std::ptr::eq(csr, turned) { forward.values.clone() } else { values(&turned.values) };
        OnDevice { backward: Matrix { values, ..forward.clone() }, forward }
    });
    if transposed { backward } else { forward }
}

/// The same, at these rows alone.
pub(super) fn matrix_of_rows<R: CubeRuntime>(
    adjacency: &Adjacency,
    transposed: bool,
    rows: &[u32],
    like: &CubeTensor<R>,
) -> Matrix<R> {
    let csr = adjacency.csr();
    let work = Work::new(rows.iter().map(|&row| (row, csr.row(row as usize))));
    Matrix { tasks: Tasks::new(like, &work), ..matrix(adjacency, transposed, like) }
}

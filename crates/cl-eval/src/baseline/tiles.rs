//! The inverse of a large symmetric positive definite matrix, in little more than the memory of its lower triangle.
//!
//! faer's routines for whole matrices take two squares, four times as much. Here its routines work on tiles: a tile is
//! computed by one thread in a fixed order, so that the bits do not depend on the number of threads.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

/// The lower triangle of a symmetric matrix. The diagonal's tiles are whole squares.
pub(super) struct Tiles {
    /// Rows of the matrix.
    size: usize,
    /// Rows of a tile; those of the last row of tiles may have fewer.
    side: usize,
    /// Tiles in a column of tiles.
    count: usize,
    /// Tile (i, j), j ≤ i, at i (i + 1) / 2 + j.
    tiles: Vec<Mat<f64>>,
}

fn index(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

/// `out += factor · a b`
fn add_product(out: &mut Mat<f64>, factor: f64, a: MatRef<'_, f64>, b: MatRef<'_, f64>) {
    matmul(out.as_mut(), Accum::Add, a, b, factor, Par::Seq);
}

impl Tiles {
    pub(super) fn zeros(size: usize, side: usize) -> Self {
        let count = size.div_ceil(side);
        let rows = |tile: usize| side.min(size - tile * side);
        let tiles = (0..count).flat_map(|i| (0..=i).map(move |j| Mat::zeros(rows(i), rows(j)))).collect();
        Self { size, side, count, tiles }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The entry of row `i` and column `j`, j ≤ i.
    pub(super) fn entry(&mut self, i: usize, j: usize) -> &mut f64 {
        &mut self.tiles[index(i / self.side, j / self.side)][(i % self.side, j % self.side)]
    }

    /// The entry of row `i` and column `j`, j ≤ i or not.
    pub(super) fn get(&self, i: usize, j: usize) -> f64 {
        let (i, j) = (i.max(j), i.min(j));
        self.tiles[index(i / self.side, j / self.side)][(i % self.side, j % self.side)]
    }

    fn tile(&self, i: usize, j: usize) -> MatRef<'_, f64> {
        self.tiles[index(i, j)].as_ref()
    }

    fn take(&mut self, i: usize, j: usize) -> Mat<f64> {
        std::mem::replace(&mut self.tiles[index(i, j)], Mat::new())
    }

    /// The inverse; `None` if the matrix is not positive definite.
    ///
    /// # Cost
    ///
    /// size³ / 2 multiply-adds; two columns of tiles besides the triangle.
    pub(super) fn invert(mut self) -> Option<Self> {
        self.factorize()?;
        self.invert_factor();
        self.multiply_factors();
        Some(self)
    }

    /// L with L Lᵀ the matrix takes its place: column after column, what is right of it brought up to date.
    fn factorize(&mut self) -> Option<()> {
        for k in 0..self.count {
            let mut diagonal = self.take(k, k);
            let scratch = cholesky_in_place_scratch::<f64>(diagonal.nrows(), Par::Seq, Default::default());
            let mut memory = MemBuffer::new(scratch);
            let stack = MemStack::new(&mut memory);
            cholesky_in_place(diagonal.as_mut(), Default::default(), Par::Seq, stack, Default::default())
                .ok()?;
            let mut below: Vec<Mat<f64>> = (k + 1..self.count).map(|i| self.take(i, k)).collect();
            // L(i, k) = A(i, k) L(k, k)⁻ᵀ
            below.par_iter_mut().for_each(|tile| {
                solve_lower_triangular_in_place(diagonal.as_ref(), tile.as_mut().transpose_mut(), Par::Seq);
            });
            let right = (k + 1..self.count).flat_map(|i| (k + 1..=i).map(move |j| (i, j)));
            let right: Vec<(usize, usize)> = right.collect();
            let mut tiles: Vec<_> = right.iter().map(|&(i, j)| self.take(i, j)).collect();
            tiles.par_iter_mut().zip(&right).for_each(|(tile, &(i, j))| {
                add_product(tile, -1.0, below[i - k - 1].as_ref(), below[j - k - 1].transpose());
            });
            for (tile, (i, j)) in tiles.into_iter().zip(right) {
                self.tiles[index(i, j)] = tile;
            }
            self.tiles[index(k, k)] = diagonal;
            for (tile, i) in below.into_iter().zip(k + 1..) {
                self.tiles[index(i, k)] = tile;
            }
        }
        Some(())
    }

    /// M = L⁻¹ takes the place of L, from the last column to the first:
    /// M(i, j) = −(Σ over k, j < k ≤ i, of M(i, k) L(k, j)) M(j, j).
    fn invert_factor(&mut self) {
        for j in (0..self.count).rev() {
            let factor = self.take(j, j);
            let mut diagonal = Mat::zeros(factor.nrows(), factor.nrows());
            invert_lower_triangular(diagonal.as_mut(), factor.as_ref(), Par::Seq);
            let below: Vec<Mat<f64>> = (j + 1..self.count).map(|i| self.take(i, j)).collect();
            let inverse = (j + 1..self.count).into_par_iter().map(|i| {
                let mut sum = Mat::zeros(below[i - j - 1].nrows(), diagonal.nrows());
                for k in j + 1..=i {
                    add_product(&mut sum, 1.0, self.tile(i, k), below[k - j - 1].as_ref());
                }
                let mut out = Mat::zeros(sum.nrows(), sum.ncols());
                add_product(&mut out, -1.0, sum.as_ref(), diagonal.as_ref());
                out
            });
            let inverse: Vec<Mat<f64>> = inverse.collect();
            self.tiles[index(j, j)] = diagonal;
            for (tile, i) in inverse.into_iter().zip(j + 1..) {
                self.tiles[index(i, j)] = tile;
            }
        }
    }

    /// Mᵀ M takes the place of M, from the first row to the last: of the rows below, M is still there.
    fn multiply_factors(&mut self) {
        for i in 0..self.count {
            let row: Vec<Mat<f64>> = (0..=i).map(|j| self.take(i, j)).collect();
            let products = (0..=i).into_par_iter().map(|j| {
                let mut sum = Mat::zeros(row[i].ncols(), row[j].ncols());
                add_product(&mut sum, 1.0, row[i].transpose(), row[j].as_ref());
                for k in i + 1..self.count {
                    add_product(&mut sum, 1.0, self.tile(k, i).transpose(), self.tile(k, j));
                }
                sum
            });
            let products: Vec<Mat<f64>> = products.collect();
            for (tile, j) in products.into_iter().zip(0..) {
                self.tiles[index(i, j)] = tile;
            }
        }
    }
}

//! What embeddings look like: alignment and uniformity (Wang & Isola 2020), effective rank.
//!
//! These run on host slices in f64, whatever backend trained the embeddings.

mod alignment;
mod effective_rank;
mod uniformity;

pub use alignment::alignment;
pub use effective_rank::effective_rank;
pub use uniformity::{Uniformity, uniformity};

/// Embeddings in host memory, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a> {
    /// `rows · dim` numbers.
    pub data: &'a [f32],
    /// Width of a row.
    pub dim: usize,
}

impl<'a> Table<'a> {
    /// A table over `data`.
    ///
    /// # Panics
    ///
    /// If the data is not a whole number of rows.
    #[must_use]
    pub fn new(data: &'a [f32], dim: usize) -> Self {
        assert!(
            dim > 0 && data.len().is_multiple_of(dim),
            "{} numbers are not rows of width {dim}",
            data.len()
        );
        Self { data, dim }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.data.len() / self.dim
    }

    /// One row.
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.dim..][..self.dim]
    }

    /// The inverse lengths of all rows; 0 for a zero row, which has no direction.
    fn inverse_lengths(&self) -> Vec<f64> {
        (0..self.rows())
            .map(|row| self.row(row).iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt())
            .map(|length| if length > 0.0 { 1.0 / length } else { 0.0 })
            .collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

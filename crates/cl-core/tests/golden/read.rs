//! The files.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::common;

/// A row-major matrix.
#[derive(Debug, Deserialize)]
pub(crate) struct Matrix {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f64>,
}

impl Matrix {
    /// As a tensor of rank 2: a third axis is folded into the first, a vector is one row.
    pub(crate) fn tensor<B: Backend>(&self) -> Tensor<B, 2> {
        let width = *self.shape.last().unwrap();
        common::tensor(&self.data, [self.data.len() / width, width])
    }
}

pub(crate) fn file<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/../../tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

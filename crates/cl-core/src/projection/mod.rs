//! A head between the encoder and the contrast; ranking never sees it.

mod linear;
mod mlp;
mod none;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

pub use linear::LinearConfig;
pub use mlp::MlpConfig;
pub use none::NoneConfig;

use crate::registry::Registry;
use crate::rng::StreamKey;

/// The shape of a head.
pub trait Projection: Send {
    /// The widths after each linear layer; between two layers stands a ReLU. Empty: no head.
    fn widths(&self) -> Vec<usize>;
}

/// The heads of this crate.
#[must_use]
pub fn projections() -> Registry<dyn Projection> {
    Registry::new("projection").with::<NoneConfig>().with::<LinearConfig>().with::<MlpConfig>()
}

/// Linear layers with ReLU between them: `x → W₂ relu(W₁ x + b₁) + b₂`.
#[derive(Module, Debug)]
pub struct ProjectionHead<B: Backend> {
    layers: Vec<Linear<B>>,
}

impl<B: Backend> ProjectionHead<B> {
    /// A head on embeddings of width `dim`, its weights and biases from U(−1/√in, 1/√in) as PyTorch's `Linear`.
    pub fn new(projection: &dyn Projection, dim: usize, key: StreamKey, device: &B::Device) -> Self {
        let mut inputs = dim;
        let layers = projection
            .widths()
            .into_iter()
            .enumerate()
            .map(|(layer, outputs)| {
                let bound = 1.0 / (inputs as f32).sqrt();
                let key = key.child("projection").at(layer as u64);
                let draw = |row: usize, column: usize| key.signed_unit(row as u32, column as u32) * bound;
                let weight: Vec<f32> = (0..inputs)
                    .flat_map(|row| (0..outputs).map(move |column| (row, column)))
                    .map(|(r, c)| draw(r, c))
                    .collect();
                let bias: Vec<f32> = (0..outputs).map(|column| draw(inputs, column)).collect();
                let layer = Linear {
                    weight: Param::from_data(TensorData::new(weight, [inputs, outputs]), device),
                    bias: Some(Param::from_data(TensorData::new(bias, [outputs]), device)),
                };
                inputs = outputs;
                layer
            })
            .collect();
        Self { layers }
    }

    /// No head: rows pass as they are.
    #[must_use]
    pub fn identity() -> Self {
        Self { layers: Vec::new() }
    }

    /// `[n, dim]` → `[n, widths.last()]`; the rows themselves without a head.
    pub fn forward(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        let mut rows = rows;
        for (at, layer) in self.layers.iter().enumerate() {
            if at > 0 {
                rows = relu(rows);
            }
            rows = layer.forward(rows);
        }
        rows
    }
}

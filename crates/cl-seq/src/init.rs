//! Initial parameters, from the run's random streams.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use cl_core::StreamKey;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// The law of the initial embeddings and weights; biases are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// U(−b, b), `b = scale · √(6 / (rows + columns))` (Glorot & Bengio 2010; SASRec's TensorFlow code).
    #[default]
    XavierUniform,
    /// N(0, scale²); 0.02 in S3-Rec, RecBole and what follows BERT.
    Normal,
}

impl Init {
    /// The scale that goes with the law if none is given.
    #[must_use]
    pub fn default_scale(self) -> f64 {
        match self {
            Self::XavierUniform => 1.0,
            Self::Normal => 0.02,
        }
    }

    /// A matrix `[rows, columns]`.
    pub(crate) fn matrix<B: Backend>(
        self,
        [rows, columns]: [usize; 2],
        scale: f64,
        key: StreamKey,
        device: &B::Device,
    ) -> Param<Tensor<B, 2>> {
        let bound = scale * (6.0 / (rows + columns) as f64).sqrt();
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows as u32 {
            match self {
                Self::XavierUniform => {
                    let columns = 0..columns as u32;
                    values.extend(columns.map(|column| key.signed_unit(row, column) * bound as f32));
                }
                Self::Normal => {
                    let normal = StandardNormal.sample_iter(key.rng(row)).take(columns);
                    values.extend(normal.map(|x: f32| x * scale as f32));
                }
            }
        }
        Param::from_data(TensorData::new(values, [rows, columns]), device)
    }

    /// A linear layer `[inputs, outputs]`.
    pub(crate) fn linear<B: Backend>(
        self,
        shape: [usize; 2],
        scale: f64,
        key: StreamKey,
        device: &B::Device,
    ) -> Linear<B> {
        let bias = Tensor::zeros([shape[1]], device);
        Linear { weight: self.matrix(shape, scale, key, device), bias: Some(Param::from_tensor(bias)) }
    }
}

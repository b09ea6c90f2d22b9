//! A transformer over sequences that lie end to end: what SASRec and BERT4Rec have in common.

mod block;
mod config;

use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor};
use cl_core::StreamKey;

pub(crate) use block::{gelu, norm};
pub(crate) use config::TransformerConfig;
pub use config::{Activation, Norm};

use crate::encode::Operands;
use crate::kernels::{Operand, SequenceBackend, gather};
use crate::norm::LayerNorm;
use crate::pass::{EMBEDDING, Pass, Reading};
use block::Block;

/// Embeddings of items and positions, and blocks.
#[derive(Module, Debug)]
pub struct Transformer<B: Backend> {
    /// `[items + 1, d]`; the last row is the mask token.
    pub items: Param<Tensor<B, 2>>,
    /// `[max_length, d]`
    pub positions: Param<Tensor<B, 2>>,
    first_norm: Option<LayerNorm<B>>,
    blocks: Vec<Block<B>>,
    last_norm: Option<LayerNorm<B>>,
    #[module(skip)]
    config: TransformerConfig,
}

impl TransformerConfig {
    /// With initial parameters drawn from `key`.
    pub(crate) fn init<B: Backend>(self, items: usize, key: StreamKey, device: &Device<B>) -> Transformer<B> {
        let matrix = |name: &str, shape| self.init.matrix(shape, self.init_scale, key.child(name), device);
        let block = |at| Block::new(&self, key.child("block").at(at as u64), device);
        Transformer {
            items: matrix("items", [items + 1, self.dim]),
            positions: matrix("positions", [self.max_length, self.dim]),
            first_norm: (self.norm == Norm::Post).then(|| norm(&self, device)),
            blocks: (0..self.blocks).map(block).collect(),
            last_norm: (self.norm != Norm::Post).then(|| norm(&self, device)),
            config: self,
        }
    }
}

impl<B: SequenceBackend> Transformer<B> {
    /// How it reads sequences.
    pub(crate) fn reading(&self) -> Reading {
        Reading {
            items: self.items.val().dims()[0] - 1,
            longest: self.config.max_length,
            positions: self.config.positions,
        }
    }

    /// Tells what [`states`](Self::states) reads of a pass.
    pub(crate) fn operands(&self) -> Operands {
        let config = self.config.clone();
        Box::new(move |pass, visit| {
            visit(Operand::Ids(&pass.items));
            visit(Operand::Ids(&pass.positions));
            if let Some(dropout) = pass.layout.dropout(config.dropout, EMBEDDING) {
                visit(Operand::Dropout(&dropout));
            }
            for layer in 0..config.blocks {
                block::operands(&pass.layout, &config, layer, visit);
            }
        })
    }

    /// The state after each token of a pass, `[tokens, d]`.
    pub(crate) fn states(&self, pass: &Pass) -> Tensor<B, 2> {
        let config = &self.config;
        let items = gather(self.items.val(), &pass.items);
        let scale = if config.scale_embeddings { (config.dim as f64).sqrt() } else { 1.0 };
        let positions = gather(self.positions.val(), &pass.positions);
        let mut x = items.mul_scalar(scale) + positions; // [tokens, d]
        if let Some(norm) = &self.first_norm {
            x = norm.forward(x);
        }
        x = pass.layout.drop(x, config.dropout, EMBEDDING);
        for (layer, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, &pass.layout, config, layer);
        }
        match &self.last_norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}

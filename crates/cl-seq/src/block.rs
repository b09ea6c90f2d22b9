//! One transformer block on sequences that lie end to end.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::{gelu, relu};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use cl_core::StreamKey;
use cl_core::rng::unit;

use crate::kernels::{Attention, SequenceBackend, attention};
use crate::sas_rec::{Activation, Norm, SasRecConfig};

/// The sequences of a pass.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Where each begins, and where the last ends.
    pub(crate) offsets: Arc<[usize]>,
    /// The dropout of each; none in ranking.
    pub(crate) dropout: Option<Arc<[StreamKey]>>,
}

impl Layout {
    /// Drops numbers of `x [tokens, d]` at the share `rate`; the others grow by 1 / (1 − rate). Which ones is a function of
    /// the sequence's key, the place, the position in the sequence and the column.
    pub(crate) fn drop<B: Backend>(
        &self,
        x: Tensor<B, 2>,
        rate: f64,
        place: &str,
        layer: usize,
    ) -> Tensor<B, 2> {
        let Some(keys) = self.dropout.as_ref().filter(|_| rate > 0.0) else { return x };
        let ([tokens, dim], rate) = (x.dims(), rate as f32);
        let kept = 1.0 / (1.0 - rate);
        let mut mask = vec![0.0_f32; tokens * dim];
        for (key, pair) in keys.iter().zip(self.offsets.windows(2)) {
            let key = key.child(place).at(layer as u64);
            for (row, out) in mask[pair[0] * dim..pair[1] * dim].chunks_mut(dim).enumerate() {
                for (block, out) in out.chunks_mut(4).enumerate() {
                    for (out, word) in out.iter_mut().zip(key.words(row as u32, block as u32)) {
                        *out = if unit(word) < rate { 0.0 } else { kept };
                    }
                }
            }
        }
        let device = x.device();
        x * Tensor::from_data(TensorData::new(mask, [tokens, dim]), &device)
    }

    /// Who attends to whom in layer `layer`.
    fn attention(&self, heads: usize, rate: f64, layer: usize) -> Attention {
        let keys = self.dropout.as_ref().filter(|_| rate > 0.0);
        let key = |key: &StreamKey| key.child("attention weights").at(layer as u64);
        let dropout = keys.map(|keys| (rate as f32, keys.iter().map(key).collect()));
        Attention { offsets: self.offsets.clone(), heads, causal: true, dropout }
    }
}

/// Attention and feed-forward layer, with their residuals and norms.
#[derive(Module, Debug)]
pub(crate) struct Block<B: Backend> {
    query: Linear<B>,
    key: Linear<B>,
    value: Linear<B>,
    /// Mixes the heads; SASRec's own code has none.
    output: Option<Linear<B>>,
    attention_norm: LayerNorm<B>,
    inner: Linear<B>,
    outer: Linear<B>,
    feed_norm: LayerNorm<B>,
}

/// Layer normalisation as a configuration has it.
pub(crate) fn norm<B: Backend>(config: &SasRecConfig, device: &B::Device) -> LayerNorm<B> {
    LayerNormConfig::new(config.dim).with_epsilon(config.norm.epsilon()).init(device)
}

impl<B: Backend> Block<B> {
    pub(crate) fn new(config: &SasRecConfig, key: StreamKey, device: &B::Device) -> Self {
        let (dim, inner) = (config.dim, config.inner());
        let linear = |name: &str, shape| config.init.linear(shape, config.scale(), key.child(name), device);
        Self {
            query: linear("query", [dim, dim]),
            key: linear("key", [dim, dim]),
            value: linear("value", [dim, dim]),
            output: (config.norm != Norm::Query).then(|| linear("output", [dim, dim])),
            attention_norm: norm(config, device),
            inner: linear("inner", [dim, inner]),
            outer: linear("outer", [inner, dim]),
            feed_norm: norm(config, device),
        }
    }
}

impl<B: SequenceBackend> Block<B> {
    /// `[tokens, d]` → `[tokens, d]`
    pub(crate) fn forward(
        &self,
        x: Tensor<B, 2>,
        layout: &Layout,
        config: &SasRecConfig,
        layer: usize,
    ) -> Tensor<B, 2> {
        let attend = |queries: Tensor<B, 2>, rest: Tensor<B, 2>| {
            let who = layout.attention(config.heads, config.attention_dropout(), layer);
            let (k, v) = (self.key.forward(rest.clone()), self.value.forward(rest));
            let mixed = attention(&who, self.query.forward(queries), k, v);
            match &self.output {
                // Dropout of the output belongs to the codes that have one.
                Some(output) => layout.drop(output.forward(mixed), config.dropout, "attention", layer),
                None => mixed,
            }
        };
        let feed = |x: Tensor<B, 2>| {
            let inner = self.inner.forward(x);
            let inner = match config.activation {
                Activation::Relu => relu(inner),
                Activation::Gelu => gelu(inner),
            };
            let inner = match config.norm {
                // BERT's feed-forward layer drops once, at its end.
                Norm::Post => inner,
                Norm::Pre | Norm::Query => layout.drop(inner, config.dropout, "inner", layer),
            };
            layout.drop(self.outer.forward(inner), config.dropout, "outer", layer)
        };
        let (norm_a, norm_f) = (|x| self.attention_norm.forward(x), |x| self.feed_norm.forward(x));
        match config.norm {
            Norm::Post => {
                let x = norm_a(x.clone() + attend(x.clone(), x));
                norm_f(x.clone() + feed(x))
            }
            Norm::Pre => {
                let normed = norm_a(x.clone());
                let x = x + attend(normed.clone(), normed);
                x.clone() + feed(norm_f(x))
            }
            Norm::Query => {
                // Residuals are added to what was normalised, as SASRec's code does.
                let queries = norm_a(x.clone());
                let x = norm_f(queries.clone() + attend(queries, x));
                x.clone() + feed(x)
            }
        }
    }
}

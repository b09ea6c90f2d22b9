//! One transformer block on sequences that lie end to end.

use std::sync::Arc;

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use cl_core::StreamKey;

use crate::dropout;
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
        let mut mask = vec![0.0_f32; tokens * dim];
        for (key, pair) in keys.iter().zip(self.offsets.windows(2)) {
            let key = key.child(place).at(layer as u64);
            for (row, out) in mask[pair[0] * dim..pair[1] * dim].chunks_mut(dim).enumerate() {
                dropout::keep(key, row as u32, rate, out);
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

/// x Φ(x). Not Burn's own: its gradient on most backends is that of an approximation, wrong by 6e-4.
fn gelu<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let twice_phi = x.clone().mul_scalar(std::f64::consts::FRAC_1_SQRT_2).erf().add_scalar(1.0);
    x * twice_phi.mul_scalar(0.5)
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
            let out = match &self.output {
                Some(output) => output.forward(mixed),
                None => mixed,
            };
            match config.norm {
                Norm::Post => layout.drop(out, config.dropout, "attention", layer),
                // These codes drop weights alone.
                Norm::Pre | Norm::Query => out,
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

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    /// What a layout drops of ones, `[tokens, 20]`.
    fn dropped(layout: &Layout, rate: f64, place: &str, layer: usize) -> Vec<f32> {
        let tokens = layout.offsets[layout.offsets.len() - 1];
        let ones = Tensor::<Flex, 2>::ones([tokens, 20], &Default::default());
        layout.drop(ones, rate, place, layer).into_data().to_vec().unwrap()
    }

    fn layout(offsets: &[usize], keys: &[u64]) -> Layout {
        let keys = keys.iter().map(|&key| StreamKey::root(key)).collect();
        Layout { offsets: offsets.into(), dropout: Some(keys) }
    }

    #[test]
    fn numbers_are_dropped_at_the_rate_and_the_others_grow() {
        let found = dropped(&layout(&[0, 1000, 3000], &[1, 2]), 0.3, "inner", 1);
        let zeros = found.iter().filter(|&&x| x == 0.0).count();
        // 18 000 expected, standard deviation 112.
        assert!((17_500..18_500).contains(&zeros), "{zeros}");
        assert!(found.iter().all(|&x| x == 0.0 || x == 1.0 / (1.0 - 0.3_f32)));
        let untouched = Layout { offsets: [0, 2].into(), dropout: None };
        assert_eq!(dropped(&untouched, 0.3, "inner", 1), [1.0; 40]);
        assert_eq!(dropped(&layout(&[0, 2], &[1]), 0.0, "inner", 1), [1.0; 40]);
    }

    #[test]
    fn each_key_place_and_layer_drops_others_and_a_sequence_keeps_its_own() {
        let both = dropped(&layout(&[0, 7, 12], &[1, 2]), 0.5, "inner", 0);
        assert_eq!(
            both[7 * 20..],
            dropped(&layout(&[0, 5], &[2]), 0.5, "inner", 0),
            "whoever stands before it"
        );
        let one = |key, place, layer| dropped(&layout(&[0, 7], &[key]), 0.5, place, layer);
        assert_eq!(both[..7 * 20], one(1, "inner", 0));
        for other in [one(2, "inner", 0), one(1, "outer", 0), one(1, "inner", 1)] {
            assert_ne!(one(1, "inner", 0), other);
        }
    }
}

//! One transformer block on sequences that lie end to end.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use cl_core::StreamKey;

use super::config::{Activation, Norm, TransformerConfig};
use crate::encode::Visit;
use crate::kernels::{Attention, Operand, SequenceBackend, attention, linear};
use crate::norm::LayerNorm;
use crate::pass::Layout;

/// Who attends to whom in layer `layer`.
fn who(layout: &Layout, config: &TransformerConfig, layer: usize) -> Attention {
    let rate = config.attention_dropout;
    let dropout = layout.keys(rate, ("attention weights", layer)).map(|keys| (rate as f32, keys));
    Attention { offsets: layout.offsets.clone(), heads: config.heads, causal: config.causal, dropout }
}

/// What is dropped behind attention, inside the feed-forward layer, and at its end.
const PLACES: [&str; 3] = ["attention", "inner", "outer"];

/// Which of these places a block has.
fn drops(norm: Norm) -> [bool; 3] {
    match norm {
        // BERT's feed-forward layer drops once, at its end.
        Norm::Post => [true, false, true],
        // Behind attention these codes drop weights alone.
        Norm::Pre | Norm::Query => [false, true, true],
    }
}

/// Tells what [`Block::forward`] reads of a layout.
pub(super) fn operands(layout: &Layout, config: &TransformerConfig, layer: usize, visit: Visit<'_>) {
    visit(Operand::Attention(&who(layout, config, layer)));
    for (place, _) in PLACES.into_iter().zip(drops(config.norm)).filter(|(_, drops)| *drops) {
        if let Some(dropout) = layout.dropout(config.dropout, (place, layer)) {
            visit(Operand::Dropout(&dropout));
        }
    }
}

/// x Φ(x). Not Burn's own: its gradient on most backends is that of an approximation, wrong by 6e-4.
pub(crate) fn gelu<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
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
pub(crate) fn norm<B: Backend>(config: &TransformerConfig, device: &B::Device) -> LayerNorm<B> {
    LayerNorm::new(config.dim, config.norm.epsilon(), device)
}

impl<B: Backend> Block<B> {
    pub(crate) fn new(config: &TransformerConfig, key: StreamKey, device: &B::Device) -> Self {
        let (dim, inner) = (config.dim, config.inner);
        let linear =
            |name: &str, shape| config.init.linear(shape, config.init_scale, key.child(name), device);
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
        config: &TransformerConfig,
        layer: usize,
    ) -> Tensor<B, 2> {
        let [at_attention, at_inner, at_outer] = PLACES;
        let [drops_attention, drops_inner, drops_outer] = drops(config.norm);
        let drop = |drops: bool, x, place| match drops {
            true => layout.drop(x, config.dropout, (place, layer)),
            false => x,
        };
        let attend = |queries: Tensor<B, 2>, rest: Tensor<B, 2>| {
            let who = who(layout, config, layer);
            let (k, v) = (linear(&self.key, rest.clone()), linear(&self.value, rest));
            let mixed = attention(&who, linear(&self.query, queries), k, v);
            let out = match &self.output {
                Some(output) => linear(output, mixed),
                None => mixed,
            };
            drop(drops_attention, out, at_attention)
        };
        let feed = |x: Tensor<B, 2>| {
            let inner = linear(&self.inner, x);
            let inner = match config.activation {
                Activation::Relu => relu(inner),
                Activation::Gelu => gelu(inner),
            };
            drop(drops_outer, linear(&self.outer, drop(drops_inner, inner, at_inner)), at_outer)
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

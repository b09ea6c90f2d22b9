//! GRU4Rec.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor};
use cl_core::encoder::{Planned, Planner, Senses};
use cl_core::registry::{Check, ensure};
use cl_core::{Encoder, Request, StreamKey};
use serde::{Deserialize, Serialize};

use crate::check::{check_dropout, check_init_scale, check_range};
use crate::encode::{Operands, States, encode, encode_planned, planner};
use crate::encoder::SequenceEncoder;
use crate::init::Init;
use crate::input::SequenceInput;
use crate::kernels::{Operand, SequenceBackend, gated_recurrence, gather, linear};
use crate::pass::{EMBEDDING, Pass, Positions, Reading};
use crate::pooling::Pooling;

/// `type = "gru4rec"`. The defaults are RecBole's, but for biases, which its GRU has not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gru4RecConfig {
    /// d, width of embeddings, 1 to 4096.
    pub dim: usize,
    /// Width of the hidden states, 1 to 4096.
    pub hidden: usize,
    /// Number of recurrent layers, 1 to 16.
    pub layers: usize,
    /// The newest events that are read, 1 to 65 536.
    pub max_length: usize,
    /// Dropout of embeddings, in [0, 1).
    pub dropout: f64,
    /// Whether a linear layer turns hidden states into what is compared with items; without it `hidden` must be `dim`.
    pub output: bool,
    /// What stands for a sequence as a whole.
    pub pooling: Pooling,
    /// Whether states are compared with the embeddings that are read, or with a table of their own.
    pub tie_items: bool,
    /// The law of the initial parameters.
    pub init: Init,
    /// Gain of `xavier_uniform` (default 1), standard deviation of `normal` (default 0.02).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_scale: Option<f64>,
}

impl Default for Gru4RecConfig {
    fn default() -> Self {
        Self {
            dim: 64,
            hidden: 128,
            layers: 1,
            max_length: 50,
            dropout: 0.3,
            output: true,
            pooling: Pooling::Last,
            tie_items: true,
            init: Init::XavierUniform,
            init_scale: None,
        }
    }
}

impl Gru4RecConfig {
    /// The one-line summary.
    pub const SUMMARY: &'static str = "a gated recurrent network over the user's items (Hidasi et al. 2016)";

    fn scale(&self) -> f64 {
        self.init_scale.unwrap_or(self.init.default_scale())
    }

    /// Writes down the defaults that depend on other keys.
    pub fn complete(&mut self) {
        self.init_scale = Some(self.scale());
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// The first key whose value is out of range.
    pub fn validate(&self) -> Check {
        check_range("dim", self.dim, 1, 4096)?;
        check_range("hidden", self.hidden, 1, 4096)?;
        ensure(self.output || self.hidden == self.dim, "hidden", || {
            format!("must be dim = {} with output = false, got {}", self.dim, self.hidden)
        })?;
        check_range("layers", self.layers, 1, 16)?;
        check_range("max_length", self.max_length, 1, 65_536)?;
        check_dropout("dropout", self.dropout)?;
        check_init_scale(self.scale())
    }
}

impl SequenceEncoder for Gru4RecConfig {
    type Encoder<B: SequenceBackend> = Gru4Rec<B>;

    const CAUSAL: bool = true;

    fn max_length(&self) -> usize {
        self.max_length
    }

    fn whole_width(&self) -> usize {
        self.pooling.width(self.max_length, self.dim)
    }

    fn senses(&self) -> Senses {
        Senses { structure: true, noise: self.dropout > 0.0, layers: 0, final_is: None }
    }

    fn init<B: SequenceBackend>(&self, items: usize, key: StreamKey, device: &Device<B>) -> Gru4Rec<B> {
        let (dim, hidden, scale) = (self.dim, self.hidden, self.scale());
        let table = |name: &str, rows| self.init.matrix([rows, dim], scale, key.child(name), device);
        let linear = |key, shape| self.init.linear(shape, scale, key, device);
        let layer = |at: usize| {
            let key = key.child("layer").at(at as u64);
            Recurrent {
                input: linear(key.child("input"), [if at == 0 { dim } else { hidden }, 3 * hidden]),
                state: self.init.matrix([hidden, 3 * hidden], scale, key.child("state"), device),
                state_bias: Param::from_tensor(Tensor::zeros([1, 3 * hidden], device)),
            }
        };
        Gru4Rec {
            items: table("items", items + 1),
            layers: (0..self.layers).map(layer).collect(),
            output: self.output.then(|| linear(key.child("output"), [hidden, dim])),
            compared_items: (!self.tie_items).then(|| table("compared items", items)),
            config: self.clone(),
        }
    }
}

/// GRU4Rec: a gated recurrent network over a user's items; the hidden state after an event is compared with items.
///
/// ```text
/// r = σ(x W_r + b_r + h V_r + c_r)    z = σ(x W_z + b_z + h V_z + c_z)
/// n = tanh(x W_n + b_n + r ∘ (h V_n + c_n))    h′ = (1 − z) ∘ n + z ∘ h
/// ```
///
/// Source: Hidasi, Karatzoglou, Baltrunas & Tikk 2016 (arXiv 1511.06939), section 3, with the gates as PyTorch has them; the
/// losses are those of the objective slot, not the paper's own (BPR and TOP1 over a session-parallel batch). It has no
/// positions: with `pooling = "flatten"` the oldest event stands first.
#[derive(Module, Debug)]
pub struct Gru4Rec<B: Backend> {
    /// `[items + 1, d]`; the last row is the mask token.
    pub items: Param<Tensor<B, 2>>,
    layers: Vec<Recurrent<B>>,
    output: Option<Linear<B>>,
    /// What states are compared with if not with the embeddings that are read, `[items, d]`.
    pub compared_items: Option<Param<Tensor<B, 2>>>,
    #[module(skip)]
    config: Gru4RecConfig,
}

/// One recurrent layer; columns are those of r, z and n.
#[derive(Module, Debug)]
struct Recurrent<B: Backend> {
    /// W and b.
    input: Linear<B>,
    /// V, `[hidden, 3 hidden]`
    state: Param<Tensor<B, 2>>,
    /// c, `[1, 3 hidden]`
    state_bias: Param<Tensor<B, 2>>,
}

impl<B: SequenceBackend> States<B> for Gru4Rec<B> {
    fn reading(&self) -> Reading {
        Reading {
            items: self.items.val().dims()[0] - 1,
            longest: self.config.max_length,
            positions: Positions::FromStart,
        }
    }

    fn pooling(&self) -> Pooling {
        self.config.pooling
    }

    fn table(&self) -> Tensor<B, 2> {
        match &self.compared_items {
            Some(items) => items.val(),
            None => self.items.val(),
        }
    }

    fn operands(&self) -> Operands {
        let rate = self.config.dropout;
        Box::new(move |pass, visit| {
            visit(Operand::Ids(&pass.items));
            if let Some(dropout) = pass.layout.dropout(rate, EMBEDDING) {
                visit(Operand::Dropout(&dropout));
            }
            visit(Operand::Recurrence(&pass.layout.offsets));
        })
    }

    fn states(&self, pass: &Pass) -> Tensor<B, 2> {
        let x = gather(self.items.val(), &pass.items); // [tokens, d]
        let mut x = pass.layout.drop(x, self.config.dropout, EMBEDDING);
        for Recurrent { input, state, state_bias } in &self.layers {
            let gates = linear(input, x);
            x = gated_recurrence(&pass.layout.offsets, gates, state.val(), state_bias.val()); // [tokens, hidden]
        }
        match &self.output {
            Some(output) => linear(output, x),
            None => x,
        }
    }
}

impl<B: SequenceBackend> Encoder<B> for Gru4Rec<B> {
    type Input = SequenceInput;

    fn encode(&self, requests: &[Request<SequenceInput>]) -> Vec<Tensor<B, 2>> {
        encode(self, requests)
    }

    fn planner(&self) -> Option<Planner<SequenceInput>> {
        planner(self, &self.items.val().device())
    }

    fn encode_planned(&self, requests: &[Request<SequenceInput>], planned: &Planned) -> Vec<Tensor<B, 2>> {
        encode_planned(self, requests, planned)
    }
}

//! The extension trait.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive};
use cl_core::StreamKey;
use cl_core::kernels::List;

use super::portable;
use super::recurrence::{self, Steps};
use crate::dropout;

/// Who attends to whom: each token to tokens of its own sequence.
///
/// Sequences lie end to end, without padding; sequence s is the rows `offsets[s]..offsets[s + 1]`.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Where sequences begin, and where the last ends; ascending from 0.
    pub offsets: List<usize>,
    /// h; each head reads d / h columns.
    pub heads: usize,
    /// Whether a token sees itself and what came before it, and nothing after.
    pub causal: bool,
    /// p, the share of attention weights that are dropped (the others grow by 1 / (1 − p)), and a key for each sequence.
    pub dropout: Option<(f32, List<StreamKey>)>,
}

impl Attention {
    /// Number of sequences.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.offsets[self.sequences()]
    }

    /// What dropout multiplies the weights with that token `from` (of its sequence) has in head `head` for tokens 0 to
    /// `out.len()` of its sequence: 0 or 1 / (1 − p).
    #[inline]
    pub(super) fn keep(&self, sequence: usize, head: usize, from: usize, out: &mut [f32]) {
        let Some((rate, keys)) = &self.dropout else {
            out.fill(1.0);
            return;
        };
        dropout::keep(keys[sequence], (from * self.heads + head) as u32, *rate, out);
    }
}

/// Which numbers of `[tokens, d]` are dropped: a function of the sequence's key, the position in it and the column.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// Where sequences begin, and where the last ends.
    pub offsets: List<usize>,
    /// A key for each sequence.
    pub keys: List<StreamKey>,
    /// p, the share that is dropped; the others grow by 1 / (1 − p).
    pub rate: f32,
}

impl Dropout {
    /// Multiplies the rows of a sequence, `[length, dim]`.
    pub(super) fn of_sequence(&self, sequence: usize, rows: &mut [f32], dim: usize) {
        for (row, x) in rows.chunks_mut(dim).enumerate() {
            dropout::multiply(self.keys[sequence], row as u32, self.rate, x);
        }
    }
}

/// What an operation reads besides tensors.
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a> {
    /// Of [`SequenceBackend::gather`].
    Ids(&'a List<i32>),
    /// Of [`SequenceBackend::attend`].
    Attention(&'a Attention),
    /// Of [`SequenceBackend::drop_out`].
    Dropout(&'a Dropout),
    /// Of [`SequenceBackend::recur`].
    Recurrence(&'a List<usize>),
}

/// Makes an operand ready; see [`SequenceBackend::preparer`].
pub type Preparer = Box<dyn Fn(Operand<'_>) + Send>;

/// Rows of tables, attention and gated recurrence inside sequences, and what a transformer does with each row.
pub trait SequenceBackend: Backend {
    /// What makes an operand ready, ahead of its step and on any thread: all that the operation and, with `gradient`, its gradient
    /// read of it is worked out and copied to the device, which they would do themselves otherwise. `None` where that is
    /// nothing.
    ///
    /// Made on the thread that runs the operations, whose queue on the device the copies then join. A backend with a tape
    /// always makes the gradient ready.
    fn preparer(_device: &Self::Device, _gradient: bool) -> Option<Preparer> {
        None
    }

    /// See [`gather`]; `table [rows, d]` → `[ids, d]`.
    fn gather(table: FloatTensor<Self>, ids: &List<i32>) -> FloatTensor<Self> {
        portable::gather::<Self>(table, ids)
    }

    /// The gradient of [`gather`](Self::gather) for its table of so many rows, given that of its output.
    fn gather_backward(grad: FloatTensor<Self>, ids: &List<i32>, rows: usize) -> FloatTensor<Self> {
        portable::gather_backward::<Self>(grad, ids, rows)
    }

    /// See [`attention`]; `q`, `k`, `v` `[tokens, d]` → `[tokens, d]`.
    fn attend(
        attention: &Attention,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::attention::<Self>(attention, q, k, v)
    }

    /// The gradients of [`attend`](Self::attend) for `q`, `k` and `v`, given that of its output.
    fn attend_backward(
        attention: &Attention,
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        portable::attention_backward::<Self>(attention, q, k, v, grad)
    }

    /// `γ ∘ (x − mean) / √(variance + ε) + β`, mean and variance of each row; `x [n, d]`, `gamma` and `beta` `[d]` →
    /// `[n, d]`.
    ///
    /// The variance is the mean square of what the mean leaves, as the difference of two means would be rounding alone
    /// where a row is almost constant (burn-flex's `layer_norm` takes that).
    fn row_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        portable::row_norm::<Self>(x, gamma, beta, epsilon)
    }

    /// The gradients of [`row_norm`](Self::row_norm) for `x`, `gamma` and `beta`, given that of its output.
    ///
    /// With `x̂` the normalised row and `h = γ ∘ g`: `(h − mean(h) − x̂ mean(h ∘ x̂)) / √(variance + ε)`, and the sums over
    /// rows of `g ∘ x̂` and `g`.
    fn row_norm_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f32,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        portable::row_norm_backward::<Self>(x, gamma, epsilon, grad)
    }

    /// The sum of all rows, `[n, d]` → `[d]`: the gradient of what is added to each row.
    fn sum_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::sum_rows::<Self>(x)
    }

    /// `x W + b`, `[n, in], [in, out], [out]` → `[n, out]`: Burn's own product, whose gradient for b is
    /// [`sum_rows`](Self::sum_rows).
    fn affine(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear(x, weight, Some(bias))
    }

    /// `x` with some numbers dropped; `[tokens, d]` → `[tokens, d]`. It is its own gradient.
    fn drop_out(x: FloatTensor<Self>, dropout: &Dropout) -> FloatTensor<Self> {
        portable::drop_out::<Self>(x, dropout)
    }

    /// See [`gated_recurrence`]; `gates [tokens, 3h]`, `weight [h, 3h]`, `bias [1, 3h]` → `[tokens, h]`.
    fn recur(
        offsets: &List<usize>,
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let steps = Steps::new(offsets, &Self::float_device(&gates));
        recurrence::forward::<Self>(steps, gates, weight, bias)
    }

    /// The gradients of [`recur`](Self::recur) for `gates`, `weight` and `bias`, given its output and the gradient of that.
    fn recur_backward(
        offsets: &List<usize>,
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        states: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let steps = Steps::new(offsets, &Self::float_device(&gates));
        recurrence::backward::<Self>(steps, gates, weight, bias, states, grad)
    }
}

/// Rows of a table by number, in any order and as often as is asked; `[rows, d]` → `[ids, d]`.
///
/// The gradient of a row is the sum of those of its copies, added in their order, so that it has the same bits every time.
///
/// # Cost
///
/// O(ids · d), and for the gradient a table of zeros.
///
/// # Panics
///
/// If an id is no row of the table.
#[track_caller]
#[must_use]
pub fn gather<B: SequenceBackend>(table: Tensor<B, 2>, ids: &List<i32>) -> Tensor<B, 2> {
    let [rows, dim] = table.dims();
    if let Some(id) = ids.iter().find(|&&id| usize::try_from(id).map_or(true, |id| id >= rows)) {
        panic!("row {id} is asked for, and the table is [{rows}, {dim}]");
    }
    let table = table.into_primitive().tensor();
    Tensor::from_primitive(TensorPrimitive::Float(B::gather(table, ids)))
}

/// Multi-head scaled dot-product attention inside sequences that lie end to end; `[tokens, d]` → `[tokens, d]`.
///
/// ```text
/// out_i = Σ_j D_ij softmax_j(⟨q_i, k_j⟩ / √(d/h)) v_j     for each head, j over the sequence of i (causal: j ≤ i)
/// ```
///
/// D is dropout's 0 or 1 / (1 − p). Source: Vaswani et al. 2017, equation 1 and section 3.2.2, without the linear layers.
///
/// # Cost
///
/// O(Σ length² · d). The host kernel holds O(length · d) a thread; the portable body pads to the longest sequence.
///
/// # Panics
///
/// If the shapes differ, rows are not the tokens, or the heads do not divide d.
///
/// # Example
///
/// ```
/// use burn::{backend::Flex, tensor::Tensor};
/// use cl_seq::{Attention, attention};
///
/// // Two sequences, of two tokens and of one. Scores of 0 weigh all alike.
/// let who = Attention { offsets: [0, 2, 3].into(), heads: 1, causal: true, dropout: None };
/// let zeros = Tensor::<Flex, 2>::zeros([3, 1], &Default::default());
/// let v = Tensor::from_data([[1.0], [3.0], [8.0]], &Default::default());
/// let out = attention(&who, zeros.clone(), zeros, v).into_data().to_vec::<f32>().unwrap();
/// assert_eq!(out, [1.0, 2.0, 8.0]);
/// ```
#[track_caller]
#[must_use]
pub fn attention<B: SequenceBackend>(
    attention: &Attention,
    q: Tensor<B, 2>,
    k: Tensor<B, 2>,
    v: Tensor<B, 2>,
) -> Tensor<B, 2> {
    let [tokens, dim] = q.dims();
    assert!(
        k.dims() == q.dims() && v.dims() == q.dims(),
        "queries are {:?}, keys {:?}, values {:?}",
        q.dims(),
        k.dims(),
        v.dims()
    );
    assert_eq!(tokens, attention.tokens(), "there are {tokens} rows and {} tokens", attention.tokens());
    assert_eq!(dim % attention.heads, 0, "{} heads do not divide {dim} columns", attention.heads);
    if let Some((_, keys)) = &attention.dropout {
        let (keys, sequences) = (keys.len(), attention.sequences());
        assert_eq!(keys, sequences, "there are {keys} keys for {sequences} sequences");
    }
    let [q, k, v] = [q, k, v].map(|x| x.into_primitive().tensor());
    Tensor::from_primitive(TensorPrimitive::Float(B::attend(attention, q, k, v)))
}

/// A gated recurrent unit over sequences that lie end to end, each from a state of zeros.
///
/// With a, u the columns of `gates` and of `h V + c`, in the order r, z, n:
///
/// ```text
/// r = σ(a_r + u_r)    z = σ(a_z + u_z)    n = tanh(a_n + r ∘ u_n)    h′ = (1 − z) ∘ n + z ∘ h
/// ```
///
/// # Shapes
/// - gates (the inputs' share): `[tokens, 3 hidden]`, weight V: `[hidden, 3 hidden]`, bias c: `[1, 3 hidden]` →
///   `[tokens, hidden]`, the state after each token
///
/// # Source
/// Cho et al. 2014 (arXiv 1406.1078), with the gates as PyTorch's `GRU` has them.
///
/// # Cost
/// O(tokens · hidden²), in as many products as the longest sequence has tokens, each over the sequences that are as long.
///
/// # Panics
/// If the shapes do not belong together.
#[track_caller]
#[must_use]
pub fn gated_recurrence<B: SequenceBackend>(
    offsets: &List<usize>,
    gates: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 2>,
) -> Tensor<B, 2> {
    let [hidden, columns] = weight.dims();
    let tokens = offsets.last().copied().unwrap_or(0);
    assert!(
        columns == 3 * hidden && gates.dims() == [tokens, columns] && bias.dims() == [1, columns],
        "gates of {tokens} tokens are {:?}, the weight {:?}, the bias {:?}",
        gates.dims(),
        weight.dims(),
        bias.dims()
    );
    let [gates, weight, bias] = [gates, weight, bias].map(|x| x.into_primitive().tensor());
    Tensor::from_primitive(TensorPrimitive::Float(B::recur(offsets, gates, weight, bias)))
}

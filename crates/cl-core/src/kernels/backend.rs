//! The extension traits.

use burn::tensor::backend::Backend;
use burn::tensor::ops::{FloatTensor, IntTensor};

use super::{List, portable, sampled};
use crate::sampling::Draw;

/// Which keys an anchor must not see.
#[derive(Debug, Clone)]
pub enum KeyMask {
    /// Those that carry its own id.
    Ids {
        /// The id of each anchor.
        anchors: List<u32>,
        /// The id of each key.
        keys: List<u32>,
    },
    /// One: that at its place; none where no key stands there.
    Places(Places),
    /// One: key i from anchor i.
    Diagonal,
}

/// Where a key of each anchor stands, as keys are counted from `first`. All numbers of keys are below 2³¹.
#[derive(Debug, Clone)]
pub struct Places {
    /// A number for each anchor; key j has the number `first + j`.
    pub numbers: List<u32>,
    /// The number of key 0.
    pub first: u32,
}

impl From<List<u32>> for Places {
    fn from(numbers: List<u32>) -> Self {
        Self { numbers, first: 0 }
    }
}

impl KeyMask {
    /// The same mask by ids: an anchor does not see the keys that carry its own.
    #[must_use]
    pub fn ids(&self, anchors: usize, keys: usize) -> [List<u32>; 2] {
        let counted = |first: u32, count: usize| (first..first + count as u32).collect();
        match self {
            Self::Ids { anchors, keys } => [anchors.clone(), keys.clone()],
            Self::Places(places) => [places.numbers.clone(), counted(places.first, keys)],
            Self::Diagonal => [counted(0, anchors), counted(0, keys)],
        }
    }

    /// Panics where it is not of so many anchors and keys.
    #[track_caller]
    pub(crate) fn check(&self, anchors: usize, keys: usize) {
        let has = match self {
            Self::Ids { anchors, keys } => (anchors.len(), keys.len()),
            Self::Places(places) => (places.numbers.len(), keys),
            Self::Diagonal => (anchors, keys),
        };
        if let Self::Places(Places { first, .. }) = self {
            let end = *first as usize + keys;
            assert!(end <= i32::MAX as usize, "{keys} keys from number {first} on end behind 2^31");
        }
        let asked = (anchors, keys);
        assert_eq!(has, asked, "the mask has {has:?} ids for {anchors} anchors and {keys} keys");
    }
}

/// Copies a list to a device; see [`ContrastBackend::copier`].
pub type Copier = Box<dyn Fn(&List<u32>) + Send>;

/// A row no longer than this has no direction.
pub(crate) const SHORTEST: f32 = 1e-12;

/// What losses call: unit rows, the streaming log-sum-exp, scores of sampled items.
pub trait ContrastBackend: Backend {
    /// `rows_i / ‖rows_i‖₂`, and 0 for a row no longer than 1e-12; `[n, d]` → `[n, d]`.
    ///
    /// A kernel keeps nothing for the backward pass but the rows; the portable body, taped operation by operation,
    /// would keep several copies of them.
    fn normalize_rows(rows: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::normalize_rows::<Self>(rows)
    }

    /// The gradient of [`normalize_rows`](Self::normalize_rows), with the unit row u and the gradient g of it:
    /// `(g − u ⟨u, g⟩) / ‖rows_i‖₂`, and 0 for a row no longer than 1e-12; `[n, d], [n, d]` → `[n, d]`.
    fn normalize_rows_backward(rows: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::normalize_rows_backward::<Self>(rows, grad)
    }

    /// `out_i = ⟨a_i, b_i⟩`; `[n, d], [n, d]` → `[n]`.
    fn row_dot(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::row_dot::<Self>(a, b)
    }

    /// The gradients of [`row_dot`](Self::row_dot) for both tables, given that of its output: `grad_i b_i` and `grad_i a_i`.
    fn row_dot_backward(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::row_dot_backward::<Self>(a, b, grad)
    }

    /// `out = Σ_i x_i`, `[n]` → `[1]`, in an order that depends on n alone.
    fn total(x: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::total::<Self>(x)
    }

    /// Whether [`floored_log_sigmoid`](Self::floored_log_sigmoid) and its backward are one operation each, as launches are what a GPU
    /// waits for. If not, autodiff takes the portable body apart.
    const ONE_LOG_SIGMOID: bool = false;

    /// `out = ln(floor + σ(x))`, number by number, `[n, k]`; the floor is 0 or a small number.
    fn floored_log_sigmoid(x: FloatTensor<Self>, floor: f32) -> FloatTensor<Self> {
        portable::floored_log_sigmoid::<Self>(x, floor)
    }

    /// The gradient of [`floored_log_sigmoid`](Self::floored_log_sigmoid), given that of its output. It is asked for only of backends
    /// with [`ONE_LOG_SIGMOID`](Self::ONE_LOG_SIGMOID).
    fn floored_log_sigmoid_backward(
        x: FloatTensor<Self>,
        floor: f32,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::floored_log_sigmoid_backward::<Self>(x, floor, grad)
    }

    /// `out_i = log Σ_j exp(scale · ⟨anchors_i, keys_j⟩)` over the keys that `mask` leaves to anchor i; −∞ if none.
    ///
    /// Shapes: anchors `[n, d]`, keys `[m, d]` → `[n]`. The portable body holds the `n × m` logits; the host kernels
    /// take O((n + m) · d) memory.
    fn row_lse(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> FloatTensor<Self> {
        portable::row_lse::<Self>(anchors, keys, scale, mask)
    }

    /// The gradients of [`row_lse`](Self::row_lse) for anchors and keys, given its output and the gradient of it.
    fn row_lse_backward(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        lse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::row_lse_backward::<Self>(anchors, keys, lse, grad, scale, mask)
    }

    /// [`row_lse`](Self::row_lse), and the mean key under its softmax, for keys that have no gradient (a queue).
    ///
    /// ```text
    /// mean_i = Σ_j exp(scale · ⟨anchors_i, keys_j⟩ − out_i) keys_j,   0 without any key
    /// ```
    ///
    /// The gradient of `out_i` for anchor i is `scale · mean_i`: with it no logit is computed twice, a third of the work
    /// of both passes. Shapes: anchors `[n, d]`, keys `[m, d]` → `[n]`, `[n, d]`.
    fn row_lse_and_mean(
        anchors: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        scale: f32,
        mask: Option<KeyMask>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::row_lse_and_mean::<Self>(anchors, keys, scale, mask)
    }

    /// What copies lists to the device ahead of their step, on any thread: ids of masks, owners of draws. `None` where kernels
    /// read them where they are.
    ///
    /// Made on the thread that runs the kernels, whose queue on the device the copies then join.
    fn copier(_device: &Self::Device) -> Option<Copier> {
        None
    }

    /// See [`draw`](super::draw); `[n · k]`.
    fn draw(draw: &Draw, device: &Self::Device) -> IntTensor<Self> {
        sampled::listed::<Self>(draw, device)
    }

    /// See [`sampled_scores`](super::sampled_scores); anchors `[n, d]`, table `[items, d]`, ids `[n · k]` → `[n, k]`. The
    /// portable body gathers the rows.
    fn sampled_scores(
        anchors: FloatTensor<Self>,
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::sampled_scores::<Self>(anchors, table, ids)
    }

    /// The gradients of [`sampled_scores`](Self::sampled_scores) for anchors `[n, d]` and table `[items, d]`, given that of its
    /// output `[n, k]`:
    ///
    /// ```text
    /// of_anchors_i = Σ_j grad_ij table[ids_{ik + j}]    of_table_r = Σ grad_ij anchors_i over i, j with ids_{ik + j} = r
    /// ```
    fn sampled_scores_backward(
        anchors: FloatTensor<Self>,
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        portable::sampled_scores_backward::<Self>(anchors, table, ids, grad)
    }
}

/// The numbers of one Adam step, bias corrections included.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// Learning rate.
    pub rate: f64,
    /// β₁.
    pub beta_1: f64,
    /// β₂.
    pub beta_2: f64,
    /// ε, added to the square root.
    pub epsilon: f64,
    /// Weight decay added to the gradient (Adam).
    pub coupled_decay: f64,
    /// Weight decay taken from the parameter (AdamW).
    pub decoupled_decay: f64,
    /// Steps taken, this one included.
    pub time: usize,
}

/// Steps over a table in one pass: the optimizer's, and that of a copy which follows it.
pub trait OptimizerBackend: Backend {
    /// The new parameter, first and second moment, as `torch.optim.Adam` and `AdamW` compute them:
    ///
    /// ```text
    /// g ← g + coupled_decay · θ;  θ ← θ (1 − rate · decoupled_decay)
    /// m ← m + (1 − β₁)(g − m);    v ← β₂ v + (1 − β₂) g²
    /// θ ← θ − rate / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
    /// ```
    fn adam(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> [FloatTensor<Self>; 3] {
        portable::adam::<Self>(parameter, gradient, first, second, step)
    }
    /// `from + weight · (to − from)` of two tensors of one shape.
    fn lerp(from: FloatTensor<Self>, to: FloatTensor<Self>, weight: f64) -> FloatTensor<Self> {
        portable::lerp::<Self>(from, to, weight)
    }
}

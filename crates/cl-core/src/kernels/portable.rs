//! The same operations in plain Burn operations: the reference of every kernel, and the body of a backend without one.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor, TensorData, TensorPrimitive};

use super::List;
use super::backend::{AdamStep, KeyMask, Places, SHORTEST};
pub use super::sampled::{scores as sampled_scores, scores_backward as sampled_scores_backward};

fn float<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// `1 / ‖row‖₂`, 0 where a row has no direction; `[n, d]` → `[n, 1]`.
fn inverse_norms<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let squares = (rows.clone() * rows).sum_dim(1); // [n, 1]
    let without_direction = squares.clone().lower_equal_elem(SHORTEST * SHORTEST);
    // Not `recip`: on burn-ndarray it is the processor's estimate, wrong by 6e-5.
    (squares.ones_like() / squares.sqrt()).mask_fill(without_direction, 0.0) // [n, 1]
}

/// See [`ContrastBackend::normalize_rows`](super::ContrastBackend::normalize_rows).
pub fn normalize_rows<B: Backend>(rows: FloatTensor<B>) -> FloatTensor<B> {
    let rows = float::<B, 2>(rows);
    let inverse = inverse_norms(rows.clone()); // [n, 1]
    primitive(rows * inverse)
}

/// See [`ContrastBackend::normalize_rows_backward`](super::ContrastBackend::normalize_rows_backward).
pub fn normalize_rows_backward<B: Backend>(rows: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    let (rows, grad) = (float::<B, 2>(rows), float::<B, 2>(grad));
    let inverse = inverse_norms(rows.clone()); // [n, 1]
    let units = rows * inverse.clone(); // [n, d]
    let along = (units.clone() * grad.clone()).sum_dim(1); // [n, 1]
    primitive((grad - units * along) * inverse)
}

/// See [`ContrastBackend::row_dot`](super::ContrastBackend::row_dot).
pub fn row_dot<B: Backend>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
    let (a, b) = (float::<B, 2>(a), float::<B, 2>(b));
    let [n, _] = a.dims();
    primitive((a * b).sum_dim(1).reshape([n]))
}

/// See [`ContrastBackend::row_dot_backward`](super::ContrastBackend::row_dot_backward).
pub fn row_dot_backward<B: Backend>(
    a: FloatTensor<B>,
    b: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (a, b) = (float::<B, 2>(a), float::<B, 2>(b));
    let grad = float::<B, 1>(grad).unsqueeze_dim::<2>(1); // [n, 1]
    (primitive(b * grad.clone()), primitive(a * grad))
}

/// See [`ContrastBackend::floored_log_sigmoid`](super::ContrastBackend::floored_log_sigmoid).
///
/// With a floor, from `t = exp(−|x|)`, as `ln(floor (1 + t) + s) − ln(1 + t)` with s = 1 for x ≥ 0 and t below.
/// The gradient of that holds `σ (1 − σ)`, and where σ is near 1 that difference keeps few digits; the two terms here are
/// never near each other.
pub fn floored_log_sigmoid<B: Backend>(x: FloatTensor<B>, floor: f32) -> FloatTensor<B> {
    let x = float::<B, 2>(x);
    if floor == 0.0 {
        return primitive(burn::tensor::activation::log_sigmoid(x));
    }
    let below = x.clone().lower_elem(0.0);
    // −|x| as a product with a constant sign, so that the gradient at 0 is that of σ too.
    let signs = x.ones_like().neg().mask_fill(below.clone(), 1.0);
    let t = (x.clone() * signs).exp();
    let numerator = t.ones_like().mask_where(below, t.clone());
    let one_more = t.add_scalar(1.0);
    primitive((one_more.clone().mul_scalar(floor) + numerator).log() - one_more.log())
}

/// See [`ContrastBackend::floored_log_sigmoid_backward`](super::ContrastBackend::floored_log_sigmoid_backward):
/// `grad · σ (1 − σ) / (floor + σ)`, with σ = s / (1 + t) as above.
pub fn floored_log_sigmoid_backward<B: Backend>(
    x: FloatTensor<B>,
    floor: f32,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let (x, grad) = (float::<B, 2>(x), float::<B, 2>(grad));
    let below = x.clone().lower_elem(0.0);
    let t = x.abs().neg().exp();
    let one_more = t.clone().add_scalar(1.0);
    let (one, rest) = (t.ones_like(), t.clone());
    // σ = s / (1 + t), and 1 − σ = r / (1 + t), of which one is 1 and the other t.
    let s = one.clone().mask_where(below.clone(), t);
    let r = rest.mask_where(below, one);
    let rest = grad * r / one_more.clone();
    primitive(if floor == 0.0 { rest } else { rest * s.clone() / (one_more.mul_scalar(floor) + s) })
}

/// Scaled logits `[n, m]`, −∞ where the mask hides a key.
fn logits<B: Backend>(
    anchors: Tensor<B, 2>,
    keys: Tensor<B, 2>,
    scale: f32,
    mask: Option<KeyMask>,
) -> Tensor<B, 2> {
    let device = anchors.device();
    let logits = anchors.matmul(keys.transpose()).mul_scalar(scale); // [n, m]
    let Some(mask) = mask else { return logits };
    let listed = |ids: &List<u32>| {
        let here = |made: &Tensor<B, 1, Int>| made.device() == device;
        ids.on_device().get(here, || {
            let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
            let length = ids.len();
            Tensor::from_data(TensorData::new(ids, [length]), &device)
        })
    };
    let counted = |first: u32, count: usize| {
        let first = i64::from(first);
        Tensor::<B, 1, Int>::arange(first..first + count as i64, &device)
    };
    let [n, m] = logits.dims();
    let (anchors, keys) = match &mask {
        KeyMask::Ids { anchors, keys } => (listed(anchors), listed(keys)),
        KeyMask::Places(Places { numbers, first }) => (listed(numbers), counted(*first, m)),
        KeyMask::Diagonal => (counted(0, n), counted(0, m)),
    };
    let anchors = anchors.reshape([n, 1]).expand([n, m]);
    let keys = keys.reshape([1, m]).expand([n, m]);
    logits.mask_fill(anchors.equal(keys), f32::NEG_INFINITY)
}

/// See [`ContrastBackend::row_lse`](super::ContrastBackend::row_lse); holds `n × m` numbers.
pub fn row_lse<B: Backend>(
    anchors: FloatTensor<B>,
    keys: FloatTensor<B>,
    scale: f32,
    mask: Option<KeyMask>,
) -> FloatTensor<B> {
    let logits = logits::<B>(float(anchors), float(keys), scale, mask);
    let [n, _] = logits.dims();
    // A row without any key has maximum −∞; subtracting 0 instead keeps −∞ − −∞ out.
    let peak = logits.clone().max_dim(1).clamp_min(f32::MIN); // [n, 1]
    let sum = (logits - peak.clone()).exp().sum_dim(1); // [n, 1]
    primitive((sum.log() + peak).reshape([n]))
}

/// See [`ContrastBackend::row_lse_backward`](super::ContrastBackend::row_lse_backward).
pub fn row_lse_backward<B: Backend>(
    anchors: FloatTensor<B>,
    keys: FloatTensor<B>,
    lse: FloatTensor<B>,
    grad: FloatTensor<B>,
    scale: f32,
    mask: Option<KeyMask>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (anchors, keys) = (float::<B, 2>(anchors), float::<B, 2>(keys));
    let [n, _] = anchors.dims();
    let grad = float::<B, 1>(grad).mul_scalar(scale).reshape([n, 1]);
    let weights = softmax(anchors.clone(), keys.clone(), lse, scale, mask) * grad; // [n, m]
    let of_anchors = weights.clone().matmul(keys); // [n, d]
    let of_keys = weights.transpose().matmul(anchors); // [m, d]
    (primitive(of_anchors), primitive(of_keys))
}

/// See [`ContrastBackend::row_lse_and_mean`](super::ContrastBackend::row_lse_and_mean); holds `n × m` numbers.
pub fn row_lse_and_mean<B: Backend>(
    anchors: FloatTensor<B>,
    keys: FloatTensor<B>,
    scale: f32,
    mask: Option<KeyMask>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let lse = row_lse::<B>(anchors.clone(), keys.clone(), scale, mask.clone());
    let weights = softmax::<B>(float(anchors), float(keys.clone()), lse.clone(), scale, mask); // [n, m], rows of sum 1
    (lse, primitive(weights.matmul(float(keys)))) // [n], [n, d]
}

/// `exp(logit_ij − lse_i)`, `[n, m]`.
fn softmax<B: Backend>(
    anchors: Tensor<B, 2>,
    keys: Tensor<B, 2>,
    lse: FloatTensor<B>,
    scale: f32,
    mask: Option<KeyMask>,
) -> Tensor<B, 2> {
    let [n, _] = anchors.dims();
    let lse = float::<B, 1>(lse).clamp_min(f32::MIN).reshape([n, 1]);
    (logits(anchors, keys, scale, mask) - lse).exp()
}

/// See [`ContrastBackend::total`](super::ContrastBackend::total).
pub fn total<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let x = float::<B, 1>(x);
    let [n] = x.dims();
    primitive(x.reshape([1, n]).sum_dim(1).reshape([1]))
}

/// See [`OptimizerBackend::adam`](super::OptimizerBackend::adam).
pub fn adam<B: Backend>(
    parameter: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    step: AdamStep,
) -> [FloatTensor<B>; 3] {
    // The rank does not matter element by element, and primitives do not carry it in their type.
    let shape = burn::tensor::TensorMetadata::shape(&parameter);
    let length = shape.num_elements();
    let flat = |tensor| float::<B, 1>(B::float_reshape(tensor, [length].into()));
    let (parameter, gradient, first, second) = (flat(parameter), flat(gradient), flat(first), flat(second));

    let gradient = match step.coupled_decay {
        0.0 => gradient,
        decay => gradient + parameter.clone().mul_scalar(decay),
    };
    let first = first.clone() + (gradient.clone() - first).mul_scalar(1.0 - step.beta_1);
    let second = second.mul_scalar(step.beta_2) + (gradient.clone() * gradient).mul_scalar(1.0 - step.beta_2);
    let [correct_1, correct_2] = step.corrections();
    let denominator = second.clone().sqrt().div_scalar(correct_2.sqrt()).add_scalar(step.epsilon);
    let parameter = parameter.mul_scalar(1.0 - step.rate * step.decoupled_decay)
        - (first.clone() / denominator).mul_scalar(step.rate / correct_1);
    [parameter, first, second].map(|tensor| B::float_reshape(primitive(tensor), shape.clone()))
}

/// See [`OptimizerBackend::lerp`](super::OptimizerBackend::lerp).
pub fn lerp<B: Backend>(from: FloatTensor<B>, to: FloatTensor<B>, weight: f64) -> FloatTensor<B> {
    let shape = burn::tensor::TensorMetadata::shape(&from);
    let flat = |tensor| float::<B, 1>(B::float_reshape(tensor, [shape.num_elements()].into()));
    let (from, to) = (flat(from), flat(to));
    let between = from.clone() + (to - from).mul_scalar(weight);
    B::float_reshape(primitive(between), shape.clone())
}

impl AdamStep {
    /// `1 − β₁ᵗ` and `1 − β₂ᵗ`.
    pub(crate) fn corrections(&self) -> [f64; 2] {
        [self.beta_1, self.beta_2].map(|beta| 1.0 - beta.powf(self.time as f64))
    }

    /// What a kernel needs: what the parameter keeps, coupled decay, 1 − β₁, β₂, 1 − β₂, the size of the step, the root of
    /// the second correction, ε.
    #[cfg_attr(not(any(feature = "flex", feature = "ndarray", feature = "cube")), allow(dead_code))]
    pub(crate) fn numbers(&self) -> [f32; 8] {
        let [correct_1, correct_2] = self.corrections();
        [
            1.0 - self.rate * self.decoupled_decay,
            self.coupled_decay,
            1.0 - self.beta_1,
            self.beta_2,
            1.0 - self.beta_2,
            self.rate / correct_1,
            correct_2.sqrt(),
            self.epsilon,
        ]
        .map(|number| number as f32)
    }
}

//! What a transformer does with each row against plain loops in f64: values, gradients through autodiff, bits.
#![allow(clippy::unwrap_used)]

#[path = "../../cl-core/tests/common/mod.rs"]
mod common;

use burn::backend::Autodiff;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Tensor, TensorPrimitive, backend::Backend};
use cl_core::StreamKey;
use cl_core::rng::unit;
use cl_seq::{Dropout, SequenceBackend};
use common::{Worst, bits, on_each_backend, random, tensor, values, with_threads};

const TOLERANCE: f64 = 1e-5;
/// Rows and columns: one, below and above what a cube and a chunk take.
const SHAPES: [(usize, usize); 6] = [(1, 1), (3, 7), (17, 64), (257, 50), (600, 64), (70_000, 3)];

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

fn wrap<B: Backend, const D: usize>(primitive: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

const EPSILON: f64 = 1e-5;

/// The output, and the gradients for x, γ and β, of a product with `grad`.
fn norm_by_loops(x: &[f64], gamma: &[f64], beta: &[f64], grad: &[f64]) -> [Vec<f64>; 4] {
    let dim = gamma.len();
    let [mut out, mut of_x] = [0; 2].map(|_| vec![0.0; x.len()]);
    let [mut of_gamma, mut of_beta] = [0; 2].map(|_| vec![0.0; dim]);
    for row in 0..x.len() / dim {
        let at = row * dim;
        let mean = x[at..at + dim].iter().sum::<f64>() / dim as f64;
        let variance = x[at..at + dim].iter().map(|x| (x - mean).powi(2)).sum::<f64>() / dim as f64;
        let deviation = (variance + EPSILON).sqrt();
        let normed: Vec<f64> = x[at..at + dim].iter().map(|x| (x - mean) / deviation).collect();
        for k in 0..dim {
            out[at + k] = gamma[k] * normed[k] + beta[k];
            of_gamma[k] += grad[at + k] * normed[k];
            of_beta[k] += grad[at + k];
        }
        // The Jacobian of the normalised row, element by element: (δ_jk − 1/d − x̂_j x̂_k / d) / deviation.
        for j in 0..dim {
            for k in 0..dim {
                let own = f64::from(u8::from(j == k));
                let jacobian = (own - (1.0 + normed[j] * normed[k]) / dim as f64) / deviation;
                of_x[at + j] += grad[at + k] * gamma[k] * jacobian;
            }
        }
    }
    [out, of_x, of_gamma, of_beta]
}

fn normalised_rows_and_their_gradients<B: SequenceBackend>(backend: &str) {
    let mut forward = Worst::new(format!("row_norm on {backend}"), TOLERANCE);
    let mut backward = Worst::new(format!("row_norm_backward on {backend}"), TOLERANCE);
    for (rows, dim) in SHAPES {
        let key = StreamKey::root(81).at(rows as u64).at(dim as u64);
        let make = |name: &str, count| -> Vec<f64> {
            random(key.child(name), count).into_iter().map(|x| f64::from(x as f32)).collect()
        };
        let (mut x, gamma, beta) = (make("x", rows * dim), make("gamma", dim), make("beta", dim));
        let grad = make("grad", rows * dim);
        // A row of equal numbers has no variance but ε.
        x[..dim].fill(0.25);
        let leaf = tensor::<Autodiff<B>, 2>(&x, [rows, dim]).require_grad();
        let [g, b] = [&gamma, &beta].map(|x| tensor::<Autodiff<B>, 1>(x, [dim]).require_grad());
        let inputs = (primitive(leaf.clone()), primitive(g.clone()), primitive(b.clone()));
        let out =
            wrap::<Autodiff<B>, 2>(Autodiff::<B>::row_norm(inputs.0, inputs.1, inputs.2, EPSILON as f32));
        let grads = (out.clone() * tensor(&grad, [rows, dim])).sum().backward();
        let [expected, of_x, of_gamma, of_beta] = norm_by_loops(&x, &gamma, &beta, &grad);
        let name = format!("{rows} × {dim}");
        forward.check(&values(out), &expected, &name);
        if dim > 1 {
            backward.check(&values(leaf.grad(&grads).unwrap()), &of_x, &name);
            backward.check(&values(g.grad(&grads).unwrap()), &of_gamma, &name);
        } else {
            // One number is its own mean: both are 0, up to rounding.
            assert!(values(leaf.grad(&grads).unwrap()).iter().all(|x| x.abs() < 1e-3), "{name}");
        }
        backward.check(&values(b.grad(&grads).unwrap()), &of_beta, &name);
    }
}

fn sums_over_rows<B: SequenceBackend>(backend: &str) {
    let mut worst = Worst::new(format!("sum_rows on {backend}"), TOLERANCE);
    for (rows, dim) in SHAPES {
        let x: Vec<f64> = random(StreamKey::root(82).at(rows as u64), rows * dim);
        let mut expected = vec![0.0; dim];
        for (at, x) in x.iter().enumerate() {
            expected[at % dim] += f64::from(*x as f32);
        }
        let x = tensor::<B, 2>(&x, [rows, dim]);
        let name = format!("{rows} × {dim}");
        worst.check(&values(wrap::<B, 1>(B::sum_rows(primitive(x.clone())))), &expected, &name);
        // And of a table that is not contiguous.
        let turned = tensor::<B, 2>(&values(x.transpose()), [dim, rows]).transpose(); // [rows, dim]
        worst.check(&values(wrap::<B, 1>(B::sum_rows(primitive(turned)))), &expected, &name);
    }
}

fn affine_layers_have_the_gradients_of_burns_own<B: SequenceBackend>(backend: &str) {
    let mut worst = Worst::new(format!("affine on {backend}"), TOLERANCE);
    let key = StreamKey::root(83);
    let (x, weight, bias) =
        (random(key.child("x"), 70 * 5), random(key.child("w"), 15), random(key.child("b"), 3));
    let grad = tensor::<Autodiff<B>, 2>(&random(key.child("grad"), 210), [70, 3]);
    let run = |affine: bool, tracked: [bool; 3]| -> Vec<Option<Vec<f64>>> {
        let x = tensor::<Autodiff<B>, 2>(&x, [70, 5]).set_require_grad(tracked[0]);
        let weight = tensor::<Autodiff<B>, 2>(&weight, [5, 3]).set_require_grad(tracked[1]);
        let bias = tensor::<Autodiff<B>, 1>(&bias, [3]).set_require_grad(tracked[2]);
        let inputs = (primitive(x.clone()), primitive(weight.clone()), primitive(bias.clone()));
        let out = if affine {
            Autodiff::<B>::affine(inputs.0, inputs.1, inputs.2)
        } else {
            <Autodiff<B> as burn::tensor::ops::ModuleOps<_>>::linear(inputs.0, inputs.1, Some(inputs.2))
        };
        let out = wrap::<Autodiff<B>, 2>(out);
        let mut found = vec![Some(values(out.clone()))];
        let grads = (out * grad.clone()).sum().backward();
        found.extend([
            x.grad(&grads).map(values),
            weight.grad(&grads).map(values),
            bias.grad(&grads).map(values),
        ]);
        found
    };
    for tracked in [[true, true, true], [false, true, true], [true, false, false], [false, false, true]] {
        for (found, expected) in run(true, tracked).into_iter().zip(run(false, tracked)) {
            assert_eq!(found.is_some(), expected.is_some(), "{tracked:?}");
            if let (Some(found), Some(expected)) = (found, expected) {
                worst.check(&found, &expected, &format!("{tracked:?}"));
            }
        }
    }
}

/// By the formula in the documentation of [`Dropout`], number by number; its gradient is itself.
fn numbers_are_dropped_by_their_keys<B: SequenceBackend>(backend: &str) {
    for (dim, rate) in [(1, 0.5), (7, 0.3), (64, 0.0), (50, 0.9)] {
        let key = StreamKey::root(84).at(dim as u64);
        let offsets = [0, 0, 3, 3, 40, 41, 300, 300];
        let keys: Vec<StreamKey> = (0..7).map(|sequence| key.at(sequence)).collect();
        let dropout = Dropout { offsets: offsets.into(), keys: keys.clone().into(), rate };
        let x: Vec<f64> = random(key.child("x"), 300 * dim);
        let mut expected = vec![0.0_f32; 300 * dim];
        for sequence in 0..7 {
            for row in offsets[sequence]..offsets[sequence + 1] {
                for column in 0..dim {
                    let position = (row - offsets[sequence]) as u32;
                    let word = keys[sequence].words(position, column as u32 / 4)[column % 4];
                    let at = row * dim + column;
                    expected[at] = if unit(word) < rate { 0.0 } else { x[at] as f32 * (1.0 / (1.0 - rate)) };
                }
            }
        }
        let leaf = tensor::<Autodiff<B>, 2>(&x, [300, dim]).require_grad();
        let out = wrap::<Autodiff<B>, 2>(Autodiff::<B>::drop_out(primitive(leaf.clone()), &dropout));
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        // 0 times a negative number is −0, which equals 0.
        assert_eq!(values(out.clone()), expected, "{backend}, {dim} columns");
        let grads = (out * leaf.clone().detach()).sum().backward();
        assert_eq!(values(leaf.grad(&grads).unwrap()), expected, "{backend}, {dim} columns: the gradient");
    }
}

fn bits_do_not_depend_on_threads<B: SequenceBackend>(_backend: &str) {
    let key = StreamKey::root(85);
    let (rows, dim) = (3000, 64);
    let run = || {
        let [x, grad] =
            ["x", "grad"].map(|name| tensor::<B, 2>(&random(key.child(name), rows * dim), [rows, dim]));
        let gamma = tensor::<B, 1>(&random(key.child("gamma"), dim), [dim]);
        let dropout = Dropout {
            offsets: (0..=300).map(|at| at * 10).collect(),
            keys: (0..300).map(|at| key.at(at)).collect(),
            rate: 0.2,
        };
        let dropped = B::drop_out(primitive(x.clone()), &dropout);
        let sum = B::sum_rows(primitive(x.clone()));
        let out = B::row_norm(primitive(x.clone()), primitive(gamma.clone()), primitive(gamma.clone()), 1e-5);
        let [of_x, of_gamma, of_beta] =
            B::row_norm_backward(primitive(x), primitive(gamma), 1e-5, primitive(grad));
        let mut all: Vec<Vec<u32>> = [dropped, out, of_x].map(|x| bits(wrap::<B, 2>(x))).into();
        all.extend([sum, of_gamma, of_beta].map(|x| bits(wrap::<B, 1>(x))));
        all
    };
    let alone = with_threads(1, run);
    for threads in [2, 4] {
        assert!(alone == with_threads(threads, run), "{threads} threads");
    }
}

on_each_backend!(
    normalised_rows_and_their_gradients,
    sums_over_rows,
    affine_layers_have_the_gradients_of_burns_own,
    numbers_are_dropped_by_their_keys,
    bits_do_not_depend_on_threads,
);

//! NT-Xent, alignment, uniformity and DirectAU: losses of two tables of rows.

use std::collections::BTreeMap;

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use cl_core::contrast::{self, Contrast, Keys, NtXentConfig, Pair, Reduction, Similarity, normalize_rows};
use cl_core::diagnostics::{self, Table};
use cl_core::kernels::ContrastBackend;
use cl_core::objective::{self, Objective, Triples};
use cl_core::{Schedule, StreamKey};
use serde::Deserialize;

use crate::TOLERANCE;
use crate::common::{Worst, on_each_backend, values};
use crate::read::{Matrix, file};

#[derive(Deserialize)]
struct Input {
    a: Matrix,
    b: Matrix,
}

#[derive(Deserialize)]
struct File<C> {
    inputs: BTreeMap<String, Input>,
    cases: Vec<C>,
}

fn in_batch<B: ContrastBackend>(a: Tensor<B, 2>, b: Tensor<B, 2>) -> Pair<B> {
    let ids = (0..a.dims()[0] as u32).collect();
    Pair { anchors: a, positives: b, ids, keys: Keys::Own }
}

/// Compares a loss of two tables and its gradients; `grad_b` is `None` where only `a` is read.
fn compare<B: ContrastBackend>(
    worst: &mut Worst,
    name: &str,
    input: &Input,
    loss: impl Fn(Tensor<Autodiff<B>, 2>, Tensor<Autodiff<B>, 2>) -> Tensor<Autodiff<B>, 1>,
    expected: f64,
    grads: (&Matrix, Option<&Matrix>),
) {
    let (a, b) = (input.a.tensor().require_grad(), input.b.tensor().require_grad());
    let loss = loss(a.clone(), b.clone());
    let found = loss.backward();
    worst.check(&values(loss), &[expected], name);
    worst.check(&values(a.grad(&found).unwrap()), &grads.0.data, &format!("{name}, gradient of a"));
    if let Some(grad) = grads.1 {
        worst.check(&values(b.grad(&found).unwrap()), &grad.data, &format!("{name}, gradient of b"));
    }
}

#[derive(Deserialize)]
struct NtXentCase {
    input: String,
    similarity: Similarity,
    temperature: f64,
    reduction: Reduction,
    loss: f64,
    row_losses: Vec<f64>,
    grad_a: Matrix,
    grad_b: Matrix,
}

fn nt_xent<B: ContrastBackend>(backend: &str) {
    let File::<NtXentCase> { inputs, cases } = file("nt_xent");
    assert_eq!(cases.len(), 16);
    let mut worst = Worst::new(format!("NT-Xent on {backend}, values and gradients"), TOLERANCE);
    for case in &cases {
        let NtXentCase { similarity, temperature, reduction, .. } = *case;
        let sum: f64 = case.row_losses.iter().sum();
        let rows = case.row_losses.len() as f64;
        let reduced = if reduction == Reduction::Mean { sum / rows } else { sum };
        assert!((reduced / case.loss - 1.0).abs() < 1e-9, "the reduction runs over 2N rows");
        let name = format!("{} {similarity:?} τ {temperature} {reduction:?}", case.input);
        let config = NtXentConfig {
            temperature: Schedule::Constant(temperature),
            similarity,
            reduction,
            ..NtXentConfig::default()
        };
        let input = &inputs[&case.input];
        let grads = (&case.grad_a, Some(&case.grad_b));
        compare::<B>(&mut worst, &name, input, |a, b| config.loss(in_batch(a, b), 0.0), case.loss, grads);
        let function = |a, b| contrast::nt_xent(a, b, similarity, temperature, reduction);
        compare::<B>(&mut worst, &name, input, function, case.loss, grads);
    }
}

#[derive(Deserialize)]
struct SphereCase {
    input: String,
    loss_name: String,
    gamma: Option<f64>,
    loss: f64,
    alignment: Option<f64>,
    uniformity_a: Option<f64>,
    uniformity_b: Option<f64>,
    grad_a: Matrix,
    grad_b: Option<Matrix>,
}

fn alignment_uniformity<B: ContrastBackend>(backend: &str) {
    let File::<SphereCase> { inputs, cases } = file("alignment_uniformity");
    assert_eq!(cases.len(), 8);
    let mut worst = Worst::new(format!("alignment, uniformity, DirectAU on {backend}"), TOLERANCE);
    for case in &cases {
        let (input, name) = (&inputs[&case.input], format!("{} {}", case.loss_name, case.input));
        let grads = (&case.grad_a, case.grad_b.as_ref());
        match (case.loss_name.as_str(), case.gamma) {
            ("alignment", _) => {
                let loss = |a, b| contrast::alignment(normalize_rows(a), normalize_rows(b));
                compare::<B>(&mut worst, &name, input, loss, case.loss, grads);
            }
            ("uniformity", _) => {
                let loss = |a, _| contrast::uniformity(normalize_rows(a));
                compare::<B>(&mut worst, &name, input, loss, case.loss, grads);
            }
            ("direct_au", Some(gamma)) => {
                let config = objective::AlignmentUniformityConfig {
                    uniformity_weight: gamma,
                    ..objective::AlignmentUniformityConfig::default()
                };
                let objective = |anchors: Tensor<Autodiff<B>, 2>, positives| {
                    let negatives = Tensor::zeros([1, 1], &anchors.device());
                    config.loss(Triples {
                        anchors,
                        positives,
                        negatives: negatives.into(),
                        catalogue: None,
                        log_q: None,
                        items: 9,
                    })
                };
                compare::<B>(&mut worst, &name, input, objective, case.loss, grads);
                let config = contrast::AlignmentUniformityConfig {
                    uniformity_weight: gamma,
                    ..contrast::AlignmentUniformityConfig::default()
                };
                let contrast = |a, b| config.loss(in_batch(a, b), 0.0);
                compare::<B>(&mut worst, &name, input, contrast, case.loss, grads);
            }
            other => panic!("unknown case {other:?}"),
        }
    }
}

on_each_backend!(nt_xent, alignment_uniformity);

/// The diagnostics on host slices compute in f64, so all stored digits must come out.
#[test]
fn diagnostics_agree_with_the_losses() {
    let File::<SphereCase> { inputs, cases } = file("alignment_uniformity");
    let mut worst = Worst::new("alignment and uniformity diagnostics", 1e-9);
    for case in cases.iter().filter(|case| case.loss_name == "direct_au") {
        let Input { a, b } = &inputs[&case.input];
        let narrow = |matrix: &Matrix| matrix.data.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let (a_data, b_data) = (narrow(a), narrow(b));
        let (of_a, of_b) = (Table::new(&a_data, a.shape[1]), Table::new(&b_data, b.shape[1]));
        let pairs = (0..a.shape[0] as u32).map(|row| (row, row));
        let alignment = diagnostics::alignment(of_a, of_b, pairs).unwrap();
        worst.check(&[alignment], &[case.alignment.unwrap()], "alignment");
        for (table, expected) in [(of_a, case.uniformity_a), (of_b, case.uniformity_b)] {
            let found = diagnostics::uniformity(table, usize::MAX, StreamKey::root(1)).unwrap();
            worst.check(&[found.value], &[expected.unwrap()], "uniformity");
        }
    }
}

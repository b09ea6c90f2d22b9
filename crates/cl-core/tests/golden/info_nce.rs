//! InfoNCE: in-batch and over a table, one direction and both, with and without the own-id mask.

use std::collections::BTreeMap;

use burn::backend::Autodiff;
use burn::tensor::{Int, Tensor};
use cl_core::contrast::{
    Contrast, InfoNceConfig, Keys, Pair, Reduction, Similarity, info_nce, info_nce_with_keys,
};
use cl_core::kernels::ContrastBackend;
use serde::Deserialize;

use crate::TOLERANCE;
use crate::common::{Worst, on_each_backend, values};
use crate::read::{Matrix, file};

#[derive(Deserialize)]
struct Input {
    a: Matrix,
    b: Matrix,
    anchor_ids: Vec<u32>,
    key_ids: Vec<u32>,
    positives: Vec<i32>,
}

#[derive(Debug, Deserialize)]
struct Case {
    input: String,
    negatives: String,
    similarity: Similarity,
    temperature: f64,
    reduction: Reduction,
    symmetric: bool,
    own_id_mask: bool,
    loss: f64,
    row_losses: Vec<f64>,
    grad_a: Matrix,
    grad_b: Matrix,
}

#[derive(Deserialize)]
struct File {
    inputs: BTreeMap<String, Input>,
    cases: Vec<Case>,
}

/// The pair that a step would make of the case.
fn pair<B: ContrastBackend>(case: &Case, input: &Input, a: Tensor<B, 2>, b: Tensor<B, 2>) -> Pair<B> {
    if case.negatives == "in_batch" {
        let keys_of_a = case.symmetric.then_some(Keys::Own);
        return Pair { a, b, ids: input.anchor_ids.clone().into(), keys_of_b: Keys::Own, keys_of_a };
    }
    let positives = Tensor::<B, 1, Int>::from_data(&input.positives[..], &a.device());
    let keys = Keys::Others { vectors: b.clone(), ids: input.key_ids.clone().into(), holds_positives: true };
    let b = b.select(0, positives); // [n, d]
    Pair { a, b, ids: input.anchor_ids.clone().into(), keys_of_b: keys, keys_of_a: None }
}

/// The rows of both directions through the function, averaged as the component does.
fn rows<B: ContrastBackend>(case: &Case, pair: Pair<B>) -> Tensor<B, 1> {
    let prepare = |rows| case.similarity.prepare(rows);
    let (a, b) = (prepare(pair.a), prepare(pair.b));
    let mask = case.own_id_mask.then(|| pair.ids.clone());
    let keys = match pair.keys_of_b {
        Keys::Own => Keys::Own,
        Keys::Others { vectors, ids, holds_positives } => {
            Keys::Others { vectors: prepare(vectors), ids, holds_positives }
        }
    };
    let forward = info_nce_with_keys(a.clone(), b.clone(), keys, mask.clone(), case.temperature);
    if !case.symmetric {
        return forward;
    }
    (forward + info_nce_with_keys(b, a, Keys::Own, mask, case.temperature)).div_scalar(2.0)
}

fn every_case<B: ContrastBackend>(backend: &str) {
    let File { inputs, cases } = file("info_nce");
    assert_eq!(cases.len(), 53);
    let mut worst = Worst::new(format!("InfoNCE on {backend}, values and gradients"), TOLERANCE);
    for case in &cases {
        let input = &inputs[&case.input];
        let name = format!(
            "{} {:?} τ {} {:?}, symmetric {}, mask {}",
            case.input, case.similarity, case.temperature, case.reduction, case.symmetric, case.own_id_mask
        );
        let leaves = || {
            (input.a.tensor::<Autodiff<B>>().require_grad(), input.b.tensor::<Autodiff<B>>().require_grad())
        };
        let config = InfoNceConfig {
            temperature: case.temperature.into(),
            similarity: case.similarity,
            symmetric: case.symmetric,
            reduction: case.reduction,
            unique: false,
            mask_own_id: case.own_id_mask,
            ..InfoNceConfig::default()
        };
        let mut compare = |loss: Tensor<Autodiff<B>, 1>, a: Tensor<_, 2>, b: Tensor<_, 2>, road: &str| {
            let grads = loss.backward();
            worst.check(&values(loss), &[case.loss], &format!("{name}, loss by {road}"));
            let of = |leaf: &Tensor<Autodiff<B>, 2>| values(leaf.grad(&grads).unwrap());
            worst.check(&of(&a), &case.grad_a.data, &format!("{name}, gradient of a by {road}"));
            worst.check(&of(&b), &case.grad_b.data, &format!("{name}, gradient of b by {road}"));
        };

        let (a, b) = leaves();
        let loss = config.loss(pair(case, input, a.clone(), b.clone()), 0.0);
        compare(loss, a, b, "the component");

        let (a, b) = leaves();
        let of_rows = rows(case, pair(case, input, a.clone(), b.clone()));
        compare(case.reduction.apply(of_rows.clone()), a, b, "info_nce_with_keys");

        if case.negatives == "in_batch" && !case.symmetric && !case.own_id_mask {
            let (a, b) = leaves();
            let loss = info_nce(a.clone(), b.clone(), case.similarity, case.temperature, case.reduction);
            compare(loss, a, b, "info_nce");
        }
        worst.check(&values(of_rows), &case.row_losses, &format!("{name}, rows"));
        // Without a tape the same numbers come out.
        let plain = config.loss(pair(case, input, input.a.tensor::<B>(), input.b.tensor::<B>()), 0.0);
        worst.check(&values(plain), &[case.loss], &format!("{name}, without a tape"));
    }
}

on_each_backend!(every_case);

//! InfoNCE: in-batch and over a table, one direction and both, with and without the own-id mask.

use std::collections::BTreeMap;

use burn::backend::Autodiff;
use burn::tensor::{Int, Tensor};
use cl_core::contrast::{
    Contrast, InfoNceConfig, Keys, Pair, Reduction, Similarity, info_nce, info_nce_with_keys,
};
use cl_core::kernels::{ContrastBackend, KeyMask, List};
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

/// The pairs that a step would make of the case: one, or one for each direction.
fn pairs<B: ContrastBackend>(case: &Case, input: &Input, a: Tensor<B, 2>, b: Tensor<B, 2>) -> Vec<Pair<B>> {
    let ids: List<u32> = input.anchor_ids.clone().into();
    if case.negatives == "in_batch" {
        let pair = |anchors, positives| Pair { anchors, positives, ids: ids.clone(), keys: Keys::Own };
        let forward = pair(a.clone(), b.clone());
        return if case.symmetric { vec![forward, pair(b, a)] } else { vec![forward] };
    }
    let places = Tensor::<B, 1, Int>::from_data(&input.positives[..], &a.device());
    let positives = b.clone().select(0, places); // [n, d]
    let places: List<u32> = input.positives.iter().map(|&place| place as u32).collect();
    let mask = match case.own_id_mask {
        true => KeyMask::Ids { anchors: ids.clone(), keys: input.key_ids.clone().into() },
        false => KeyMask::Places(places.into()),
    };
    let keys = Keys::Others { vectors: b, mask: Some(mask) };
    vec![Pair { anchors: a, positives, ids, keys }]
}

/// The mean over directions.
fn mean<B: ContrastBackend>(losses: Vec<Tensor<B, 1>>) -> Tensor<B, 1> {
    let count = losses.len() as f64;
    losses.into_iter().reduce(|sum, loss| sum + loss).unwrap().div_scalar(count)
}

/// The rows through the function, directions averaged as a step does.
fn rows<B: ContrastBackend>(case: &Case, pairs: Vec<Pair<B>>) -> Tensor<B, 1> {
    let prepare = |rows| case.similarity.prepare(rows);
    let of = |pair: Pair<B>| {
        let (anchors, positives) = (prepare(pair.anchors), prepare(pair.positives));
        let pair = Pair { anchors, positives, keys: pair.keys.map(prepare), ids: pair.ids };
        info_nce_with_keys(pair, case.own_id_mask, case.temperature)
    };
    mean(pairs.into_iter().map(of).collect())
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
        let by_component =
            |a, b| mean(pairs(case, input, a, b).into_iter().map(|pair| config.loss(pair, 0.0)).collect());
        let loss = by_component(a.clone(), b.clone());
        compare(loss, a, b, "the component");

        let (a, b) = leaves();
        let of_rows = rows(case, pairs(case, input, a.clone(), b.clone()));
        compare(case.reduction.apply(of_rows.clone()), a, b, "info_nce_with_keys");

        if case.negatives == "in_batch" && !case.symmetric && !case.own_id_mask {
            let (a, b) = leaves();
            let loss = info_nce(a.clone(), b.clone(), case.similarity, case.temperature, case.reduction);
            compare(loss, a, b, "info_nce");
        }
        worst.check(&values(of_rows), &case.row_losses, &format!("{name}, rows"));
        // Without a tape the same numbers come out.
        let plain = pairs(case, input, input.a.tensor::<B>(), input.b.tensor::<B>());
        let plain = mean(plain.into_iter().map(|pair| config.loss(pair, 0.0)).collect());
        worst.check(&values(plain), &[case.loss], &format!("{name}, without a tape"));
    }
}

on_each_backend!(every_case);

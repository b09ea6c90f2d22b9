//! BPR in both forms, and the L2 penalty.

use std::collections::BTreeMap;

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use cl_core::contrast::Reduction;
use cl_core::kernels::ContrastBackend;
use cl_core::objective::{BprConfig, BprForm, L2, L2Form, L2On, Objective, Triples, bpr};
use serde::Deserialize;

use crate::TOLERANCE;
use crate::common::{Worst, on_each_backend, values};
use crate::read::{Matrix, file};

#[derive(Deserialize)]
struct Input {
    user: Matrix,
    positive: Matrix,
    negative: Matrix,
}

impl Input {
    /// The three parts as leaves of a tape, negatives `[n · k, d]`.
    fn leaves<B: ContrastBackend>(&self) -> [Tensor<Autodiff<B>, 2>; 3] {
        [&self.user, &self.positive, &self.negative].map(|part| part.tensor().require_grad())
    }
}

#[derive(Deserialize)]
struct File<C> {
    inputs: BTreeMap<String, Input>,
    cases: Vec<C>,
}

#[derive(Deserialize)]
struct BprCase {
    input: String,
    form: String,
    reduction: Reduction,
    loss: f64,
    row_losses: Vec<f64>,
    grad_user: Matrix,
    grad_positive: Matrix,
    grad_negative: Matrix,
}

fn bpr_in_both_forms<B: ContrastBackend>(backend: &str) {
    let File::<BprCase> { inputs, cases } = file("bpr");
    assert_eq!(cases.len(), 12);
    let mut worst = Worst::new(format!("BPR on {backend}, values and gradients"), TOLERANCE);
    for case in &cases {
        let form = match case.form.as_str() {
            "softplus" => BprForm::Softplus,
            "selfrec" => BprForm::BoundedSigmoid,
            other => panic!("unknown form {other}"),
        };
        let name = format!("{} {} {:?}", case.input, case.form, case.reduction);
        let input = &inputs[&case.input];
        let config = BprConfig {
            negatives_per_positive: input.negative.shape[1],
            reduction: case.reduction,
            form,
            ..BprConfig::default()
        };
        let leaves = input.leaves::<B>();
        let [anchors, positives, negatives] = leaves.clone();
        let batch = Triples {
            anchors,
            positives,
            negatives: negatives.into(),
            catalogue: None,
            log_q: None,
            items: 9,
        };
        worst.check(&values(bpr(batch.clone(), form)), &case.row_losses, &format!("{name}, rows"));
        let loss = config.loss(batch);
        let grads = loss.backward();
        worst.check(&values(loss), &[case.loss], &name);
        let expected = [&case.grad_user, &case.grad_positive, &case.grad_negative];
        for (leaf, expected) in leaves.iter().zip(expected) {
            let found = values(leaf.grad(&grads).unwrap());
            worst.check(&found, &expected.data, &format!("{name}, gradient"));
        }
    }
}

#[derive(Deserialize)]
struct L2Case {
    input: String,
    form: L2Form,
    weight: f64,
    batch: usize,
    loss: f64,
    grad_user: Matrix,
    grad_positive: Matrix,
    grad_negative: Matrix,
}

fn l2_in_both_forms<B: ContrastBackend>(backend: &str) {
    let File::<L2Case> { inputs, cases } = file("l2");
    assert_eq!(cases.len(), 8);
    let mut worst = Worst::new(format!("L2 on {backend}, values and gradients"), TOLERANCE);
    for case in &cases {
        let name = format!("{} {:?} {}", case.input, case.form, case.weight);
        for (reduction, factor) in [(Reduction::Mean, 1.0), (Reduction::Sum, case.batch as f64)] {
            let penalty =
                L2 { weight: case.weight, on: L2On::LayerZero, form: case.form, negatives: true, reduction };
            let leaves = inputs[&case.input].leaves::<B>();
            let loss = penalty.loss(leaves.to_vec(), case.batch);
            let grads = loss.backward();
            worst.check(&values(loss), &[case.loss * factor], &name);
            let expected = [&case.grad_user, &case.grad_positive, &case.grad_negative];
            for (leaf, expected) in leaves.iter().zip(expected) {
                let expected: Vec<f64> = expected.data.iter().map(|x| x * factor).collect();
                let found = values(leaf.grad(&grads).unwrap());
                worst.check(&found, &expected, &format!("{name}, gradient"));
            }
        }
    }
}

on_each_backend!(bpr_in_both_forms, l2_in_both_forms);

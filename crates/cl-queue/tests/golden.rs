//! Queues beside an independent implementation: a linear encoder trained by plain descent, in PyTorch with Python lists
//! (`tests/golden/queues.py`). Partly filled queues, pieces that pass the end of the ring or are larger than it, keys too old.
#![allow(clippy::unwrap_used)]

use burn::backend::Autodiff;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use cl_core::contrast::{
    Contrast, DebiasedConfig, DecoupledConfig, HardNegativeConfig, InfoNceConfig, Keys, Pair,
};
use cl_core::kernels::{ContrastBackend, OptimizerBackend};
use cl_core::negatives::{Direction, Fresh, Negatives};
use cl_core::registry::Component;
use cl_core::source::Group;
use cl_queue::{CrossBatchMemoryConfig, Enqueue, MomentumEncoder, QueueConfig};
use serde::Deserialize;

#[derive(Deserialize)]
struct Matrix {
    shape: [usize; 2],
    data: Vec<f64>,
}

impl Matrix {
    fn tensor<B: Backend>(&self) -> Tensor<B, 2> {
        let values: Vec<f32> = self.data.iter().map(|&value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, self.shape), &Default::default())
    }
}

#[derive(Deserialize)]
struct Views {
    a: Matrix,
    b: Matrix,
}

#[derive(Deserialize)]
struct Step {
    ids: Vec<u32>,
    keys_seen: usize,
    loss: f64,
    gradient: Matrix,
}

#[derive(Deserialize)]
struct Case {
    kind: String,
    size: usize,
    momentum: f64,
    enqueue: Enqueue,
    mask_own_id: bool,
    with_batch: bool,
    max_age: Option<u64>,
    loss_name: String,
    steps: Vec<Step>,
    weight: Matrix,
    copy: Matrix,
}

#[derive(Deserialize)]
struct File {
    weight: Matrix,
    inputs: Vec<Views>,
    cases: Vec<Case>,
}

#[derive(Module, Debug)]
struct Encoder<B: Backend> {
    weight: Param<Tensor<B, 2>>,
}

impl<B: Backend> Encoder<B> {
    fn encode(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        rows.matmul(self.weight.val())
    }
}

fn contrast<B: ContrastBackend>(name: &str) -> Box<dyn Contrast<B>> {
    let temperature = 0.3.into();
    match name {
        "info_nce" => Box::new(InfoNceConfig { temperature, ..InfoNceConfig::default() }),
        "decoupled" => Box::new(DecoupledConfig { temperature, ..DecoupledConfig::default() }),
        "debiased" => Box::new(DebiasedConfig { temperature, ..DebiasedConfig::default() }),
        "hard_negative" => {
            Box::new(HardNegativeConfig { temperature, concentration: 0.5, ..HardNegativeConfig::default() })
        }
        other => panic!("{other}"),
    }
}

fn negatives<B: ContrastBackend>(case: &Case) -> Box<dyn Negatives<Autodiff<B>>> {
    let &Case { size, enqueue, max_age, mask_own_id, with_batch, .. } = case;
    let momentum = case.momentum.into();
    match &case.kind[..] {
        "queue" => QueueConfig { size, momentum, enqueue, max_age, mask_own_id, with_batch }.build(),
        _ => CrossBatchMemoryConfig { size, enqueue, max_age, mask_own_id, with_batch }.build(),
    }
}

/// `max |found − expected| / max |expected|`.
fn error<B: Backend>(found: Tensor<B, 2>, expected: &Matrix) -> f64 {
    let found: Vec<f64> = found.into_data().iter::<f64>().collect();
    assert_eq!(found.len(), expected.data.len());
    let scale = expected.data.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let gap = found.iter().zip(&expected.data).fold(0.0_f64, |most, (x, y)| most.max((x - y).abs()));
    if scale == 0.0 { gap } else { gap / scale }
}

fn every_case<B: ContrastBackend + OptimizerBackend>(backend: &str) {
    let path = format!("{}/../../tests/golden/queues.json", env!("CARGO_MANIFEST_DIR"));
    let File { weight, inputs, cases } =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(cases.len(), 19);
    let mut worst = 0.0_f64;
    for (at, case) in cases.iter().enumerate() {
        let mut model: Encoder<Autodiff<B>> = Encoder { weight: Param::from_tensor(weight.tensor()) };
        let mut negatives = negatives::<B>(case);
        let loss_of = contrast::<Autodiff<B>>(&case.loss_name);
        let mut copy = negatives.momentum().map(|_| MomentumEncoder::new(&model));
        for (time, (Views { a, b }, step)) in inputs.iter().zip(&case.steps).enumerate() {
            let anchors = model.encode(a.tensor());
            let positives = match &mut copy {
                Some(copy) => {
                    copy.update(&model, case.momentum);
                    Tensor::from_inner(copy.copy().encode(b.tensor()))
                }
                None => model.encode(b.tensor()),
            };
            let group = Group {
                name: "user",
                rows: step.ids.clone().into(),
                ids: step.ids.clone().into(),
                everyone: 0..11,
                origins: step.ids.clone().into(),
            };
            let fresh = Fresh { positives: positives.clone(), everyone: None };
            let keys = negatives.keys(&group, Direction::AToB, fresh);
            let Keys::Others { vectors, .. } = &keys else { panic!("keys of a queue are others") };
            assert_eq!(vectors.dims()[0], step.keys_seen, "case {at}, step {time}");
            let loss = loss_of.loss(Pair { anchors, positives, ids: group.ids, keys }, 0.0);
            let gradients = loss.backward();
            negatives.step_done();
            let gradient = model.weight.val().grad(&gradients).unwrap();
            let value: f64 = loss.into_data().iter::<f64>().next().unwrap();
            let of_loss = (value - step.loss).abs() / step.loss.abs().max(1e-3);
            let of_gradient = error(gradient.clone(), &step.gradient);
            assert!(
                of_loss <= 1e-5 && of_gradient <= 1e-5,
                "{backend}, case {at}, step {time}: {of_loss:e} {of_gradient:e}"
            );
            worst = worst.max(of_loss).max(of_gradient);
            let next = model.weight.val().inner() - gradient.mul_scalar(0.5);
            model = Encoder { weight: Param::from_tensor(Tensor::from_inner(next)) };
        }
        worst = worst.max(error(model.weight.val(), &case.weight));
        if let Some(copy) = copy {
            worst = worst.max(error(copy.copy().weight.val(), &case.copy));
        }
    }
    assert!(worst <= 1e-5, "{backend}: {worst:e}");
    println!("queues on {backend}: worst error {worst:.1e}");
}

#[cfg(feature = "flex")]
#[test]
fn flex() {
    every_case::<burn::backend::Flex>("flex");
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray() {
    every_case::<burn_ndarray::NdArray>("ndarray");
}

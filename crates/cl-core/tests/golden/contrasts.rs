//! Losses with any keys: the batch's own, a table that holds the positives, a queue without and with old keys of the anchors.

use std::collections::BTreeMap;

use burn::backend::Autodiff;
use burn::tensor::{Int, Tensor};
use cl_core::contrast::{
    Contrast, DebiasedConfig, DecoupledConfig, HardNegativeConfig, InfoNceConfig, Keys, Pair, Reduction,
    Similarity,
};
use cl_core::kernels::{ContrastBackend, KeyMask, Places};
use serde::Deserialize;

use crate::TOLERANCE;
use crate::common::{Worst, on_each_backend, values};
use crate::read::{Matrix, file};

#[derive(Deserialize)]
struct Input {
    anchors: Matrix,
    positives: Matrix,
    keys: Option<Matrix>,
    anchor_ids: Vec<u32>,
    key_ids: Vec<u32>,
    #[serde(rename = "where")]
    places: Vec<Option<i32>>,
}

#[derive(Deserialize)]
struct Case {
    input: String,
    loss_name: String,
    similarity: Similarity,
    temperature: f64,
    reduction: Reduction,
    mask_own_id: bool,
    positive_share: f64,
    concentration: f64,
    loss: f64,
    grad_anchors: Matrix,
    grad_positives: Option<Matrix>,
    grad_keys: Option<Matrix>,
}

#[derive(Deserialize)]
struct File {
    inputs: BTreeMap<String, Input>,
    cases: Vec<Case>,
}

fn contrast<B: ContrastBackend>(case: &Case) -> Box<dyn Contrast<B>> {
    let &Case { similarity, reduction, positive_share, concentration, .. } = case;
    let temperature = case.temperature.into();
    match &case.loss_name[..] {
        "info_nce" => {
            Box::new(InfoNceConfig { temperature, similarity, reduction, ..InfoNceConfig::default() })
        }
        "decoupled" => {
            Box::new(DecoupledConfig { temperature, similarity, reduction, ..DecoupledConfig::default() })
        }
        "debiased" => {
            Box::new(DebiasedConfig { temperature, reduction, positive_share, ..DebiasedConfig::default() })
        }
        "hard_negative" => Box::new(HardNegativeConfig {
            temperature,
            reduction,
            positive_share,
            concentration,
            ..HardNegativeConfig::default()
        }),
        other => panic!("{other}"),
    }
}

fn every_case<B: ContrastBackend>(backend: &str) {
    let File { inputs, cases } = file("contrasts");
    assert_eq!(cases.len(), 64);
    let mut worst = Worst::new(format!("losses with any keys on {backend}, values and gradients"), TOLERANCE);
    for case in &cases {
        let input = &inputs[&case.input];
        let name = format!(
            "{} of {}, {:?}, τ {}, mask {}",
            case.loss_name, case.input, case.similarity, case.temperature, case.mask_own_id
        );
        let leaf = |matrix: &Matrix| matrix.tensor::<Autodiff<B>>().require_grad();
        let (anchors, positives) = (leaf(&input.anchors), leaf(&input.positives));
        let vectors = input.keys.as_ref().map(leaf);
        let places: Vec<i32> = input.places.iter().copied().flatten().collect();
        let holds_positives = !places.is_empty();
        let keys = vectors.clone().map_or(Keys::Own, |vectors| Keys::Others {
            vectors,
            mask: if case.mask_own_id {
                let ids = [&input.anchor_ids, &input.key_ids].map(|ids| ids.clone().into());
                let [anchors, keys] = ids;
                Some(KeyMask::Ids { anchors, keys })
            } else {
                let numbers = || input.places.iter().map(|place| place.unwrap() as u32).collect();
                holds_positives.then(|| KeyMask::Places(Places { numbers: numbers(), first: 0 }))
            },
        });
        let places = Tensor::<Autodiff<B>, 1, Int>::from_data(&places[..], &anchors.device());
        let own = vectors.as_ref().filter(|_| holds_positives).map(|keys| keys.clone().select(0, places));
        let pair = Pair {
            anchors: anchors.clone(),
            positives: own.unwrap_or_else(|| positives.clone()),
            ids: input.anchor_ids.clone().into(),
            keys,
        };
        let loss = contrast(case).loss(pair, 0.0);
        let grads = loss.backward();
        worst.check(&values(loss), &[case.loss], &name);
        let leaves = [
            (Some(&anchors), Some(&case.grad_anchors), "anchors"),
            (Some(&positives), case.grad_positives.as_ref(), "positives"),
            (vectors.as_ref(), case.grad_keys.as_ref(), "keys"),
        ];
        for (leaf, expected, of) in leaves {
            let (Some(leaf), Some(expected)) = (leaf, expected) else { continue };
            // A loss that does not read a row has no gradient for it, which PyTorch writes as 0.
            let found = leaf.grad(&grads).map_or(vec![0.0; expected.data.len()], values);
            worst.check(&found, &expected.data, &format!("{name}, gradient of {of}"));
        }
    }
}

on_each_backend!(every_case);

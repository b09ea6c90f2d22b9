//! One step: what an article calls the method.

use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::Tensor;
use cl_core::contrast::Pair;
use cl_core::kernels::draw;
use cl_core::negatives::Fresh;
use cl_core::objective::{Objective, SampledNegatives, Triples};
use cl_core::projection::ProjectionHead;
use cl_core::{Encoder, Schedule};

use super::ask::{Answer, Asked, Contrasted, Triple};
use super::clock::Clock;
use super::losses::Losses;
use super::trainer::{Adaptor, KeyEncoder};
use crate::backend::TrainBackend;
use crate::config::Contrasting;

/// An encoder and the head before the contrast.
pub(super) type Model<B, E> = (E, ProjectionHead<B>);

/// What a step is made of, besides the model, the views and the data.
pub(super) struct Method<B: TrainBackend> {
    pub(super) objective: Box<dyn Objective<B>>,
    pub(super) contrast: Option<Contrasting<B>>,
    /// The learning rate.
    pub(super) rate: Schedule,
}

impl<B: TrainBackend> Method<B> {
    /// What the negatives remember, for a checkpoint.
    pub(super) fn remembered(&self) -> Option<Vec<u8>> {
        self.contrast.as_ref()?.negatives.save()
    }
}

/// Encodes once, adds up the losses, and takes the optimizer's step.
///
/// `epoch` counts fractions, for schedules. Also returned: the [`Losses`] on the device, and when the forward and the
/// backward pass were done; on a GPU, when they were asked for.
pub(super) fn step<B, E>(
    model: Model<B, E>,
    optimizer: &mut Adaptor<B, E>,
    key_encoder: Option<&mut KeyEncoder<B, E>>,
    method: &mut Method<B>,
    asked: &Asked<E::Input>,
    epoch: f64,
    clock: Clock,
) -> (Model<B, E>, Tensor<B::InnerBackend, 1>, [f64; 2])
where
    B: TrainBackend,
    E: Encoder<B> + AutodiffModule<B>,
    E::InnerModule: Encoder<B::InnerBackend, Input = E::Input>,
{
    let objective = &method.objective;
    let l2 = objective.l2();
    let answers = asked.of_model.answers(&model.0);
    let keys = match (key_encoder, &method.contrast) {
        (Some(copy), Some(contrasting)) => {
            let momentum = contrasting.negatives.momentum().map_or(1.0, |momentum| momentum.at(epoch));
            copy.update(&model, momentum);
            let (encoder, head) = copy.copy();
            let rows = asked.of_copy.answers(encoder).into_iter();
            rows.map(|rows| Tensor::from_inner(head.forward(rows))).collect()
        }
        _ => Vec::new(),
    };
    let device = answers.first().map(Tensor::device).unwrap_or_default();
    let zero = || Tensor::<B, 1>::zeros([1], &device);

    let of_objective = match &asked.triple {
        Some(triple) => objective.loss(triples(&**objective, triple, asked, &answers)),
        None => zero(),
    };
    let of_contrast = match &mut method.contrast {
        Some(contrasting) => contrast(contrasting, &model.1, &asked.contrasted, &answers, &keys, epoch),
        None => zero(),
    };
    let of_l2 = if l2.weight > 0.0 {
        let parts = asked.penalised.iter().map(|&part| answers[part].clone()).collect();
        l2.loss(parts, asked.batch.anchors.len())
    } else {
        zero()
    };
    let weight = method.contrast.as_ref().map_or(0.0, |contrasting| contrasting.contrast.weight().at(epoch));
    let total = of_objective.clone() + of_contrast.clone().mul_scalar(weight) + of_l2.clone();
    let losses =
        Losses::on_device([&total, &of_objective, &of_contrast, &of_l2].map(|loss| loss.clone().inner()));
    drop((answers, keys));

    let forward_done = clock.now();
    let gradients = GradientsParams::from_grads(total.backward(), &model);
    let backward_done = clock.now();
    if let Some(contrasting) = &mut method.contrast {
        contrasting.negatives.step_done();
    }
    let rate = method.rate.at(epoch);
    (optimizer.step(rate, model, gradients), losses, [forward_done, backward_done])
}

/// What the objective reads.
fn triples<B: TrainBackend, I>(
    objective: &dyn Objective<B>,
    triple: &Triple,
    asked: &Asked<I>,
    answers: &[Tensor<B, 2>],
) -> Triples<B> {
    let anchors = answers[triple.anchors].clone();
    let catalogue = asked.catalogue.map(|answer| &answers[answer]);
    let (draws, device) = (asked.batch.negatives.draw(), anchors.device());
    let ids = draws.filter(|_| triple.negatives.is_none()).map(|draws| draw::<B>(draws, &device));
    let log_q = draws.filter(|_| objective.wants_log_q()).map(|draws| draws.log_q(ids.clone(), &device));
    let negatives = match (triple.negatives, ids, catalogue) {
        (None, Some(ids), Some(table)) => SampledNegatives::Items { table: table.clone(), ids },
        (Some(rows), ..) => answers[rows].clone().into(),
        _ => unreachable!("what is scored by id was drawn, and the catalogue was asked for"),
    };
    Triples {
        anchors,
        positives: answers[triple.positives].clone(),
        negatives,
        catalogue: catalogue.filter(|_| objective.wants_catalogue()).cloned(),
        log_q,
        items: asked.items,
    }
}

/// The contrast: directions of a group averaged, groups added.
fn contrast<B: TrainBackend>(
    contrasting: &mut Contrasting<B>,
    head: &ProjectionHead<B>,
    contrasted: &[Contrasted],
    answers: &[Tensor<B, 2>],
    keys: &[Tensor<B, 2>],
    epoch: f64,
) -> Tensor<B, 1> {
    let Contrasting { contrast, negatives, .. } = contrasting;
    let rows = |answer: Answer| match answer {
        Answer::Model(at) => head.forward(answers[at].clone()),
        Answer::Copy(at) => keys[at].clone(),
    };
    let directions = if contrast.pairing().symmetric { 2.0 } else { 1.0 };
    let losses = contrasted.iter().map(|Contrasted { group, direction, anchors, positives, everyone }| {
        let fresh = Fresh { positives: rows(*positives), everyone: everyone.map(rows) };
        let pair = Pair {
            anchors: rows(Answer::Model(*anchors)),
            positives: fresh.positives.clone(),
            ids: group.ids.clone(),
            keys: negatives.keys(group, *direction, fresh),
        };
        contrast.loss(pair, epoch)
    });
    let sum = losses.reduce(|sum, loss| sum + loss);
    let sum = sum.unwrap_or_else(|| Tensor::zeros([1], &answers[0].device()));
    if directions == 1.0 { sum } else { sum.div_scalar(directions) }
}

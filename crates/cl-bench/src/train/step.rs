//! One step: what an article calls the method.

use std::sync::Arc;

use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::Tensor;
use cl_core::contrast::Pair;
use cl_core::kernels::draw;
use cl_core::negatives::{Direction, Fresh};
use cl_core::objective::{L2On, Objective, SampledNegatives, Triples};
use cl_core::projection::ProjectionHead;
use cl_core::source::{Batch, Group, Source};
use cl_core::views::{At, Drawn, Views};
use cl_core::{Encoder, Request, Rows, Schedule};

use super::clock::Clock;
use super::losses::Losses;
use super::trainer::{Adaptor, KeyEncoder};
use crate::backend::TrainBackend;
use crate::config::Contrasting;
use crate::device::answers_later;

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

/// The rows that a step asks the encoder for, and where each answer goes.
struct Asked<I> {
    requests: Vec<Request<I>>,
}

impl<I: Clone> Asked<I> {
    /// Adds a request and tells where its answer will be.
    fn ask(&mut self, input: &I, rows: Rows) -> usize {
        self.requests.push(Request { input: input.clone(), rows });
        self.requests.len() - 1
    }
}

/// Who answers, and where.
#[derive(Clone, Copy)]
enum Answer {
    /// The model.
    Model(usize),
    /// The copy of the model that encodes keys.
    Copy(usize),
}

/// Places of a group's answers in one direction.
struct Contrasted {
    group: Arc<Group>,
    direction: Direction,
    anchors: usize,
    positives: Answer,
    wanted: Option<Answer>,
}

/// Draws the views, encodes once, adds up the losses, and takes the optimizer's step.
///
/// `epoch` counts fractions, for schedules. Also returned: the [`Losses`] on the device, and when the forward and the
/// backward pass were done; on a GPU, when they were asked for.
#[allow(clippy::too_many_arguments)]
pub(super) fn step<B, E, S>(
    model: Model<B, E>,
    optimizer: &mut Adaptor<B, E>,
    key_encoder: Option<&mut KeyEncoder<B, E>>,
    method: &mut Method<B>,
    views: Option<&mut Box<dyn Views<S::Input>>>,
    source: &S,
    batch: &Batch,
    at: At,
    epoch: f64,
    clock: Clock,
) -> (Model<B, E>, Tensor<B::InnerBackend, 1>, [f64; 2])
where
    B: TrainBackend,
    E: Encoder<B, Input = S::Input> + AutodiffModule<B>,
    E::InnerModule: Encoder<B::InnerBackend, Input = S::Input>,
    S: Source,
{
    let clean = source.clean(batch);
    let drawn = match views {
        Some(views) => views.draw(&clean, At { key: at.key.child("views"), ..at }),
        None => Drawn { objective: clean.clone(), a: clean.clone(), b: clean.clone() },
    };
    let objective = &method.objective;
    let l2 = objective.l2();

    let mut asked = Asked { requests: Vec::new() };
    let by_id = scored_by_id(&**objective, source) && !batch.negatives.is_empty();
    let triple = objective.is_active().then(|| Triple::ask(&mut asked, &drawn.objective, batch, by_id));
    let catalogue = (by_id || objective.wants_catalogue())
        .then(|| asked.ask(&drawn.objective, Rows::Range(source.catalogue())));
    let penalised = (l2.weight > 0.0 && (l2.on == L2On::LayerZero || triple.is_none())).then(|| {
        let input =
            if l2.on == L2On::LayerZero { source.layer_zero(&clean) } else { drawn.objective.clone() };
        triple_of(&mut asked, &input, batch, l2.negatives)
    });
    let mut of_copy = Asked { requests: Vec::new() };
    let contrasted = match &method.contrast {
        Some(contrasting) => {
            let copy = key_encoder.is_some().then_some(&mut of_copy);
            ask_groups(&mut asked, copy, contrasting, &drawn, source, batch)
        }
        None => Vec::new(),
    };

    let answers = model.0.encode(&asked.requests);
    let keys = match (key_encoder, &method.contrast) {
        (Some(copy), Some(contrasting)) => {
            let momentum = contrasting.negatives.momentum().map_or(1.0, |momentum| momentum.at(epoch));
            copy.update(&model, momentum);
            let (encoder, head) = copy.copy();
            encoder
                .encode(&of_copy.requests)
                .into_iter()
                .map(|rows| Tensor::from_inner(head.forward(rows)))
                .collect()
        }
        _ => Vec::new(),
    };
    let device = answers.first().map(Tensor::device).unwrap_or_default();
    let zero = || Tensor::<B, 1>::zeros([1], &device);

    let of_objective = match &triple {
        Some(triple) => {
            let catalogue = catalogue.map(|answer| &answers[answer]);
            objective.loss(triple.answered(
                &**objective,
                batch,
                &answers,
                catalogue,
                source.catalogue().len(),
            ))
        }
        None => zero(),
    };
    let of_contrast = match &mut method.contrast {
        Some(contrasting) => contrast(contrasting, &model.1, &contrasted, &answers, &keys, epoch),
        None => zero(),
    };
    let of_l2 = if l2.weight > 0.0 {
        let parts = match (&penalised, &triple) {
            (Some(parts), _) => parts.clone(),
            (None, Some(triple)) => triple.rows(l2.negatives),
            (None, None) => Vec::new(),
        };
        l2.loss(parts.into_iter().map(|part| answers[part].clone()).collect(), batch.anchors.len())
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

/// Whether negatives are scored by their ids, without rows of their own: where items are a table, no penalty reads rows, and
/// it pays. One negative of each anchor is as quickly gathered, unless a GPU would need the host's list for it.
pub(super) fn scored_by_id<B: TrainBackend, S: Source>(objective: &dyn Objective<B>, source: &S) -> bool {
    let (l2, each) = (objective.l2(), objective.negatives_per_positive());
    let reads_rows = l2.weight > 0.0 && l2.negatives;
    source.items_are_a_table() && !reads_rows && (each > 1 || answers_later::<B>())
}

/// Where the answers for the objective are.
struct Triple {
    anchors: usize,
    positives: usize,
    /// None where negatives are items of the catalogue, scored by their ids.
    negatives: Option<usize>,
}

impl Triple {
    fn ask<I: Clone>(asked: &mut Asked<I>, input: &I, batch: &Batch, by_id: bool) -> Self {
        Self {
            anchors: asked.ask(input, batch.anchors.clone()),
            positives: asked.ask(input, batch.positives.clone()),
            negatives: (!by_id).then(|| asked.ask(input, batch.negatives.rows())),
        }
    }

    /// The answers that are rows, with or without those of negatives.
    fn rows(&self, negatives: bool) -> Vec<usize> {
        let negatives = self.negatives.filter(|_| negatives);
        [self.anchors, self.positives].into_iter().chain(negatives).collect()
    }

    fn answered<B: TrainBackend>(
        &self,
        objective: &dyn Objective<B>,
        batch: &Batch,
        answers: &[Tensor<B, 2>],
        catalogue: Option<&Tensor<B, 2>>,
        items: usize,
    ) -> Triples<B> {
        let anchors = answers[self.anchors].clone();
        let (draws, device) = (batch.negatives.draw(), anchors.device());
        let ids = draws.filter(|_| self.negatives.is_none()).map(|draws| draw::<B>(draws, &device));
        let log_q = draws.filter(|_| objective.wants_log_q()).map(|draws| draws.log_q(ids.clone(), &device));
        let negatives = match (self.negatives, ids, catalogue) {
            (None, Some(ids), Some(table)) => SampledNegatives::Items { table: table.clone(), ids },
            (Some(rows), ..) => answers[rows].clone().into(),
            _ => unreachable!("what is scored by id was drawn, and the catalogue was asked for"),
        };
        Triples {
            anchors,
            positives: answers[self.positives].clone(),
            negatives,
            catalogue: catalogue.filter(|_| objective.wants_catalogue()).cloned(),
            log_q,
            items,
        }
    }
}

/// Asks for the rows of a penalty, with or without negatives.
fn triple_of<I: Clone>(asked: &mut Asked<I>, input: &I, batch: &Batch, negatives: bool) -> Vec<usize> {
    let negatives = negatives.then(|| batch.negatives.rows());
    let parts = [batch.anchors.clone(), batch.positives.clone()].into_iter().chain(negatives);
    parts.map(|rows| asked.ask(input, rows)).collect()
}

/// Asks for both views of each group, and for what the negatives want besides; keys of `copy`, if there is one.
fn ask_groups<B: TrainBackend, S: Source>(
    asked: &mut Asked<S::Input>,
    mut copy: Option<&mut Asked<S::Input>>,
    contrasting: &Contrasting<B>,
    drawn: &Drawn<S::Input>,
    source: &S,
    batch: &Batch,
) -> Vec<Contrasted> {
    let pairing = contrasting.contrast.pairing();
    let (mut contrasted, of_model) = (Vec::new(), copy.is_none());
    for group in source.groups(batch, pairing).into_iter().map(Arc::new) {
        let rows = || Rows::List(group.rows.clone());
        let wanted = contrasting.negatives.wants(&group).map(Rows::Range);
        // Where the model encodes both views, each is asked for once, whether as anchors or as positives.
        let a = asked.ask(&drawn.a, rows());
        let b = (of_model || pairing.symmetric).then(|| asked.ask(&drawn.b, rows()));
        let mut directions = vec![(Direction::AToB, a, b, &drawn.b)];
        if pairing.symmetric {
            directions.push((Direction::BToA, b.unwrap_or(a), Some(a), &drawn.a));
        }
        for (direction, anchors, own, keys_of) in directions {
            let mut ask = |rows: Rows| match &mut copy {
                Some(copy) => Answer::Copy(copy.ask(keys_of, rows)),
                None => Answer::Model(asked.ask(keys_of, rows)),
            };
            let wanted = wanted.clone().map(&mut ask);
            let positives = own.filter(|_| of_model).map_or_else(|| ask(rows()), Answer::Model);
            contrasted.push(Contrasted { group: group.clone(), direction, anchors, positives, wanted });
        }
    }
    contrasted
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
    let losses = contrasted.iter().map(|Contrasted { group, direction, anchors, positives, wanted }| {
        let fresh = Fresh { positives: rows(*positives), wanted: wanted.map(rows) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Autodiff;
    use burn_flex::Flex;
    use cl_core::objective::BceConfig;
    use cl_core::sampling::Sampling;
    use cl_core::source::Targets;
    use cl_data::Sequences;
    use cl_seq::{Batching, Instances, SequenceSource};

    #[test]
    fn several_negatives_whose_rows_nobody_reads_are_scored_by_id() {
        let sequences = Arc::new(Sequences::from_rows([&[0, 1, 2][..], &[3, 4]]));
        let batching = Batching {
            batch_size: 2,
            max_length: 3,
            instances: Instances::Windows,
            targets: Targets::All,
            negatives: Some(Sampling::Uniform),
            similar_lengths: false,
        };
        let source = SequenceSource::new(sequences.clone(), sequences, 6, batching).unwrap();
        let by_id = |negatives_per_positive, l2, l2_negatives| {
            let objective = BceConfig { negatives_per_positive, l2, l2_negatives, ..BceConfig::default() };
            scored_by_id::<Autodiff<Flex>, _>(&objective, &source)
        };
        assert!(by_id(3, 0.0, true));
        assert!(by_id(3, 1e-4, false));
        assert!(!by_id(3, 1e-4, true), "the penalty reads rows");
        assert!(!by_id(1, 0.0, true), "one is gathered on a processor");
    }
}

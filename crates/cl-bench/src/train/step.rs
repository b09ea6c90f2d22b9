//! One step: what an article calls the method.

use burn::module::AutodiffModule;
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::{Tensor, TensorData};
use cl_core::contrast::Pair;
use cl_core::objective::{L2On, Objective, Triples};
use cl_core::projection::ProjectionHead;
use cl_core::source::{Batch, Group, Source};
use cl_core::views::{At, Drawn, Views};
use cl_core::{Encoder, Request, Rows, Schedule};

use super::clock::Clock;
use super::trainer::Adaptor;
use crate::backend::TrainBackend;
use crate::config::Contrasting;

/// The loss of a step in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Losses {
    /// The sum that is minimised.
    pub(super) total: f64,
    /// The recommendation objective.
    pub(super) objective: f64,
    /// The contrast, before its weight.
    pub(super) contrast: f64,
    /// The L2 penalty.
    pub(super) l2: f64,
}

/// An encoder and the head before the contrast.
pub(super) type Model<B, E> = (E, ProjectionHead<B>);

/// What a step is made of, besides the model, the views and the data.
pub(super) struct Method<B: TrainBackend> {
    pub(super) objective: Box<dyn Objective<B>>,
    pub(super) contrast: Option<Contrasting<B>>,
    /// The learning rate.
    pub(super) rate: Schedule,
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

/// Places of a group's answers.
struct Contrasted {
    group: Group,
    a: usize,
    b: usize,
    keys_of_a: Option<usize>,
    keys_of_b: Option<usize>,
}

/// Draws the views, encodes once, adds up the losses, and takes the optimizer's step.
///
/// `epoch` counts fractions, for schedules. Also returned: when the forward and the backward pass were done.
#[allow(clippy::too_many_arguments)]
pub(super) fn step<B, E, S>(
    model: Model<B, E>,
    optimizer: &mut Adaptor<B, E>,
    method: &Method<B>,
    views: Option<&mut Box<dyn Views<S::Input>>>,
    source: &S,
    batch: &Batch,
    at: At,
    epoch: f64,
    clock: Clock,
) -> (Model<B, E>, Losses, [f64; 2])
where
    B: TrainBackend,
    E: Encoder<B, Input = S::Input> + AutodiffModule<B>,
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
    let triple = objective.is_active().then(|| triple(&mut asked, &drawn.objective, batch));
    let catalogue =
        objective.wants_catalogue().then(|| asked.ask(&drawn.objective, Rows::Range(source.catalogue())));
    let penalised = (l2.weight > 0.0 && (l2.on == L2On::LayerZero || triple.is_none())).then(|| {
        let input =
            if l2.on == L2On::LayerZero { source.layer_zero(&clean) } else { drawn.objective.clone() };
        triple_of(&mut asked, &input, batch, l2.negatives)
    });
    let contrasted = match &method.contrast {
        Some(contrasting) => ask_groups(&mut asked, contrasting, &drawn, source, batch),
        None => Vec::new(),
    };

    let answers = model.0.encode(&asked.requests);
    let n = batch.anchors.len();
    let device = answers.first().map(Tensor::device).unwrap_or_default();
    let zero = || Tensor::<B, 1>::zeros([1], &device);

    let of_objective = match &triple {
        Some([anchors, positives, negatives]) => objective.loss(Triples {
            anchors: answers[*anchors].clone(),
            positives: answers[*positives].clone(),
            negatives: answers[*negatives].clone(),
            catalogue: catalogue.map(|answer| answers[answer].clone()),
            log_q: objective.wants_log_q().then(|| log_q(source, batch, n, &device)),
            items: source.catalogue().len(),
        }),
        None => zero(),
    };
    let of_contrast = match &method.contrast {
        Some(contrasting) => contrast(contrasting, &model.1, &contrasted, &answers, epoch),
        None => zero(),
    };
    let of_l2 = if l2.weight > 0.0 {
        let parts = match (&penalised, &triple) {
            (Some(parts), _) => parts.clone(),
            (None, Some(triple)) => triple[..if l2.negatives { 3 } else { 2 }].to_vec(),
            (None, None) => Vec::new(),
        };
        l2.loss(parts.into_iter().map(|part| answers[part].clone()).collect(), n)
    } else {
        zero()
    };
    let weight = method.contrast.as_ref().map_or(0.0, |contrasting| contrasting.contrast.weight().at(epoch));
    let total = of_objective.clone() + of_contrast.clone().mul_scalar(weight) + of_l2.clone();
    let losses = Losses {
        total: number(total.clone()),
        objective: number(of_objective),
        contrast: number(of_contrast),
        l2: number(of_l2),
    };
    drop(answers);

    let forward_done = clock.now();
    let gradients = GradientsParams::from_grads(total.backward(), &model);
    let backward_done = clock.now();
    let rate = method.rate.at(epoch);
    (optimizer.step(rate, model, gradients), losses, [forward_done, backward_done])
}

/// How likely each negative was drawn, `[n, k]`.
fn log_q<B: TrainBackend, S: Source>(
    source: &S,
    batch: &Batch,
    n: usize,
    device: &B::Device,
) -> Tensor<B, 2> {
    let values = source.log_q(batch);
    let k = values.len() / n.max(1);
    Tensor::from_data(TensorData::new(values, [n, k]), device)
}

/// The number in a loss.
fn number<B: TrainBackend>(loss: Tensor<B, 1>) -> f64 {
    let data = loss.into_data().convert::<f32>();
    data.as_slice::<f32>().map_or(f64::NAN, |values| f64::from(values[0]))
}

/// Asks for users, positives and sampled negatives.
fn triple<I: Clone>(asked: &mut Asked<I>, input: &I, batch: &Batch) -> [usize; 3] {
    [&batch.anchors, &batch.positives, &batch.negatives].map(|rows| asked.ask(input, rows.clone()))
}

/// The same for a penalty, with or without negatives.
fn triple_of<I: Clone>(asked: &mut Asked<I>, input: &I, batch: &Batch, negatives: bool) -> Vec<usize> {
    let parts = [Some(&batch.anchors), Some(&batch.positives), negatives.then_some(&batch.negatives)];
    parts.into_iter().flatten().map(|rows| asked.ask(input, rows.clone())).collect()
}

/// Asks for both views of each group, and for the keys that the negatives want.
fn ask_groups<B: TrainBackend, S: Source>(
    asked: &mut Asked<S::Input>,
    contrasting: &Contrasting<B>,
    drawn: &Drawn<S::Input>,
    source: &S,
    batch: &Batch,
) -> Vec<Contrasted> {
    let pairing = contrasting.contrast.pairing();
    source
        .groups(batch, pairing)
        .into_iter()
        .map(|group| {
            let rows = || Rows::List(group.rows.clone());
            let (a, b) = (asked.ask(&drawn.a, rows()), asked.ask(&drawn.b, rows()));
            let wanted = contrasting.negatives.wants(&group).map(Rows::Range);
            let keys_of_b = wanted.clone().map(|rows| asked.ask(&drawn.b, rows));
            let keys_of_a = wanted.filter(|_| pairing.symmetric).map(|rows| asked.ask(&drawn.a, rows));
            Contrasted { group, a, b, keys_of_a, keys_of_b }
        })
        .collect()
}

/// The contrast, summed over groups.
fn contrast<B: TrainBackend>(
    contrasting: &Contrasting<B>,
    head: &ProjectionHead<B>,
    contrasted: &[Contrasted],
    answers: &[Tensor<B, 2>],
    epoch: f64,
) -> Tensor<B, 1> {
    let project = |answer: usize| head.forward(answers[answer].clone());
    let symmetric = contrasting.contrast.pairing().symmetric;
    let losses = contrasted.iter().map(|Contrasted { group, a, b, keys_of_a, keys_of_b }| {
        let keys = |answer: &Option<usize>| contrasting.negatives.keys(group, answer.map(project));
        let pair = Pair {
            a: project(*a),
            b: project(*b),
            ids: group.ids.clone(),
            keys_of_b: keys(keys_of_b),
            keys_of_a: symmetric.then(|| keys(keys_of_a)),
        };
        contrasting.contrast.loss(pair, epoch)
    });
    losses.reduce(|sum, loss| sum + loss).unwrap_or_else(|| Tensor::zeros([1], &answers[0].device()))
}

//! What a step asks: its batch, the views of it, and the rows of each that are to be encoded. No parameter decides any of it,
//! so that it is made ahead of its step.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use cl_core::encoder::{Planned, Planner};
use cl_core::kernels::Copier;
use cl_core::negatives::Direction;
use cl_core::objective::{L2, L2On, Objective};
use cl_core::sampling::Draw;
use cl_core::source::{Batch, Group, Pairing, Source};
use cl_core::views::{At, Drawn, Views};
use cl_core::{Encoder, Request, Rows, StreamKey};

use super::step::Method;
use crate::backend::TrainBackend;
use crate::device::answers_later;

/// Views that the loop looks at too.
pub(super) type SharedViews<I> = Arc<Mutex<Box<dyn Views<I>>>>;

/// What the slots of a method want of every step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wants {
    /// Whether the objective reads embeddings.
    objective: bool,
    /// Whether it reads all items.
    catalogue: bool,
    /// Negatives of a positive.
    negatives: usize,
    /// Whether they are scored by their ids, see [`scored_by_id`].
    by_id: bool,
    /// Whether they are listed; if not, the device draws them.
    listed: bool,
    l2: L2,
    contrast: Option<Contrasts>,
}

/// What a contrast wants.
#[derive(Debug, Clone, Copy)]
struct Contrasts {
    pairing: Pairing,
    /// Whether all rows of a group's kind are keys.
    everyone: bool,
    /// Whether a copy of the model encodes keys.
    copy: bool,
    /// Whether ids are read, of anchors or of keys.
    ids: bool,
}

impl Wants {
    pub(super) fn of<B: TrainBackend, S: Source>(method: &Method<B>, source: &S) -> Self {
        let objective = &*method.objective;
        let by_id = scored_by_id(objective, source);
        Self {
            objective: objective.is_active(),
            catalogue: objective.wants_catalogue(),
            negatives: objective.negatives_per_positive(),
            by_id,
            listed: !(by_id && answers_later::<B>()),
            l2: objective.l2(),
            contrast: method.contrast.as_ref().map(|contrasting| Contrasts {
                pairing: contrasting.contrast.pairing(),
                everyone: contrasting.negatives.wants_everyone(),
                copy: contrasting.negatives.momentum().is_some(),
                ids: contrasting.contrast.reads_ids(contrasting.negatives.kind()),
            }),
        }
    }
}

/// Requests, and what the encoder's planner made of them.
pub(super) struct Requests<I> {
    list: Vec<Request<I>>,
    planned: Option<Planned>,
}

impl<I: Clone> Requests<I> {
    fn new() -> Self {
        Self { list: Vec::new(), planned: None }
    }

    /// Adds a request and tells where its answer will be.
    fn ask(&mut self, input: &I, rows: Rows) -> usize {
        self.list.push(Request { input: input.clone(), rows });
        self.list.len() - 1
    }

    fn plan(&mut self, planner: Option<&Planner<I>>) {
        self.planned = planner.filter(|_| !self.list.is_empty()).map(|planner| planner(&self.list));
    }

    pub(super) fn answers<B: Backend>(&self, encoder: &impl Encoder<B, Input = I>) -> Vec<Tensor<B, 2>> {
        match &self.planned {
            Some(planned) => encoder.encode_planned(&self.list, planned),
            None => encoder.encode(&self.list),
        }
    }
}

/// All that a step asks, and where each answer is for.
pub(super) struct Asked<I> {
    pub(super) batch: Batch,
    /// Of the model.
    pub(super) of_model: Requests<I>,
    /// Of the copy that encodes keys.
    pub(super) of_copy: Requests<I>,
    pub(super) triple: Option<Triple>,
    /// The answer that is all items.
    pub(super) catalogue: Option<usize>,
    /// Number of items.
    pub(super) items: usize,
    /// The answers that the L2 penalty reads.
    pub(super) penalised: Vec<usize>,
    pub(super) contrasted: Vec<Contrasted>,
}

/// Makes what steps ask.
pub(super) struct Asker<S: Source> {
    pub(super) source: S,
    pub(super) views: Option<SharedViews<S::Input>>,
    pub(super) wants: Wants,
    /// The stream above all random choices of steps.
    pub(super) key: StreamKey,
    /// Of the model's requests, and of those of its copy.
    pub(super) planners: [Option<Planner<S::Input>>; 2],
    /// Of what else kernels read.
    pub(super) copier: Option<Copier>,
}

impl<S: Source> Asker<S> {
    /// Steps of an epoch.
    pub(super) fn steps(&self) -> u64 {
        self.source.steps() as u64
    }

    /// What the step at this position asks, a function of the position alone.
    pub(super) fn asked(&mut self, epoch: u64, step: u64) -> Asked<S::Input> {
        let at = |name| At { key: self.key.child(name), epoch, step };
        let (wants, l2) = (self.wants, self.wants.l2);
        let batch = self.source.batch(at("batches"), wants.negatives);
        if wants.listed {
            let _ = batch.negatives.items();
        }
        let clean = self.source.clean(&batch);
        let drawn = match &self.views {
            // A panic while they were drawn ended the run.
            Some(views) => views.lock().unwrap_or_else(PoisonError::into_inner).draw(&clean, at("views")),
            None => Drawn { objective: clean.clone(), a: clean.clone(), b: clean.clone() },
        };

        let source = &self.source;
        let (mut of_model, mut of_copy) = (Requests::new(), Requests::new());
        let by_id = wants.by_id && !batch.negatives.is_empty();
        let triple = wants.objective.then(|| Triple::ask(&mut of_model, &drawn.objective, &batch, by_id));
        let catalogue = (by_id || wants.catalogue)
            .then(|| of_model.ask(&drawn.objective, Rows::Range(source.catalogue())));
        let penalised = match &triple {
            _ if l2.weight <= 0.0 => Vec::new(),
            Some(triple) if l2.on == L2On::Propagated => triple.rows(l2.negatives),
            _ => {
                let layer_zero = (l2.on == L2On::LayerZero).then(|| source.layer_zero(&clean));
                let input = layer_zero.as_ref().unwrap_or(&drawn.objective);
                triple_of(&mut of_model, input, &batch, l2.negatives)
            }
        };
        let contrasted = match wants.contrast {
            Some(contrast) => ask_groups(&mut of_model, &mut of_copy, contrast, &drawn, source, &batch),
            None => Vec::new(),
        };
        for (requests, planner) in [&mut of_model, &mut of_copy].into_iter().zip(&self.planners) {
            requests.plan(planner.as_ref());
        }
        if let Some(copy) = &self.copier {
            let drawn = batch.negatives.draw().filter(|_| by_id).map(Draw::owners);
            let ids = contrasted.iter().filter(|_| wants.contrast.is_some_and(|contrast| contrast.ids));
            drawn.into_iter().chain(ids.map(|contrasted| &contrasted.group.ids)).for_each(copy);
        }
        let items = source.catalogue().len();
        Asked { batch, of_model, of_copy, triple, catalogue, items, penalised, contrasted }
    }
}

/// Who answers, and where.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// The model.
    Model(usize),
    /// The copy of the model that encodes keys.
    Copy(usize),
}

/// Places of a group's answers in one direction.
pub(super) struct Contrasted {
    pub(super) group: Arc<Group>,
    pub(super) direction: Direction,
    pub(super) anchors: usize,
    pub(super) positives: Answer,
    pub(super) everyone: Option<Answer>,
}

/// Whether negatives are scored by their ids, without rows of their own: where items are a table, no penalty reads rows, and
/// it pays. One negative of each anchor is as quickly gathered, unless a GPU would need the host's list for it.
fn scored_by_id<B: TrainBackend, S: Source>(objective: &dyn Objective<B>, source: &S) -> bool {
    let (l2, each) = (objective.l2(), objective.negatives_per_positive());
    let reads_rows = l2.weight > 0.0 && l2.negatives;
    source.items_are_a_table() && !reads_rows && (each > 1 || answers_later::<B>())
}

/// Where the answers for the objective are.
pub(super) struct Triple {
    pub(super) anchors: usize,
    pub(super) positives: usize,
    /// None where negatives are items of the catalogue, scored by their ids.
    pub(super) negatives: Option<usize>,
}

impl Triple {
    fn ask<I: Clone>(asked: &mut Requests<I>, input: &I, batch: &Batch, by_id: bool) -> Self {
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
}

/// Asks for the rows of a penalty, with or without negatives.
fn triple_of<I: Clone>(asked: &mut Requests<I>, input: &I, batch: &Batch, negatives: bool) -> Vec<usize> {
    let negatives = negatives.then(|| batch.negatives.rows());
    let parts = [batch.anchors.clone(), batch.positives.clone()].into_iter().chain(negatives);
    parts.map(|rows| asked.ask(input, rows)).collect()
}

/// Asks for both views of each group, and for what the negatives want besides; keys of `copy`, if there is one.
fn ask_groups<S: Source>(
    asked: &mut Requests<S::Input>,
    of_copy: &mut Requests<S::Input>,
    contrast: Contrasts,
    drawn: &Drawn<S::Input>,
    source: &S,
    batch: &Batch,
) -> Vec<Contrasted> {
    let Contrasts { pairing, everyone, copy, .. } = contrast;
    let mut contrasted = Vec::new();
    for group in source.groups(batch, pairing).into_iter().map(Arc::new) {
        let rows = || Rows::List(group.rows.clone());
        let everyone = everyone.then(|| Rows::Range(group.everyone.clone()));
        // Where the model encodes both views, each is asked for once, whether as anchors or as positives.
        let a = asked.ask(&drawn.a, rows());
        let b = (!copy || pairing.symmetric).then(|| asked.ask(&drawn.b, rows()));
        let mut directions = vec![(Direction::AToB, a, b, &drawn.b)];
        if pairing.symmetric {
            directions.push((Direction::BToA, b.unwrap_or(a), Some(a), &drawn.a));
        }
        for (direction, anchors, own, keys_of) in directions {
            let mut ask = |rows: Rows| match copy {
                true => Answer::Copy(of_copy.ask(keys_of, rows)),
                false => Answer::Model(asked.ask(keys_of, rows)),
            };
            let everyone = everyone.clone().map(&mut ask);
            let positives = own.filter(|_| !copy).map_or_else(|| ask(rows()), Answer::Model);
            contrasted.push(Contrasted { group: group.clone(), direction, anchors, positives, everyone });
        }
    }
    contrasted
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

//! Epochs: steps, evaluation, selection, checkpoints.

use std::sync::{Arc, Mutex};

use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::tensor::Tensor;
use cl_core::Encoder;
use cl_core::optimizer::Rule;
use cl_core::projection::ProjectionHead;
use cl_core::source::{Past, Source, Tables};
use cl_core::views::Views;
use cl_queue::MomentumEncoder;

use super::ask::{Asker, Wants};
use super::checkpoint::{Checkpoints, Standing, State, stable_ids};
use super::feed::Feed;
use super::losses::{Losses, Unread};
use super::remembered::look;
use super::step::{Method, Model, step};
use super::{Session, Timing, Trained};
use crate::backend::TrainBackend;
use crate::config::{Select, Training};
use crate::device::answers_later;
use crate::error::Error;
use crate::evaluate::{check_spread, selection_metrics};
use crate::ranker::ByEmbeddings;

/// Burn's optimizer around a rule that the file chose.
pub(super) type Adaptor<B, E> =
    OptimizerAdaptor<Rule<<B as burn::tensor::backend::AutodiffBackend>::InnerBackend>, Model<B, E>, B>;

/// The copy of encoder and head that encodes keys.
pub(super) type KeyEncoder<B, E> = MomentumEncoder<B, Model<B, E>>;

/// Trains an encoder on a source.
///
/// # Errors
///
/// A loss that is not a finite number, a collapsed representation, files that cannot be read or written.
pub fn train<B, E, S>(
    session: Session<'_, B>,
    mut views: Option<Box<dyn Views<S::Input>>>,
    encoder: E,
    dim: usize,
    source: S,
) -> Result<Trained, Error>
where
    B: TrainBackend,
    E: Encoder<B, Input = S::Input> + AutodiffModule<B> + 'static,
    E::InnerModule: Encoder<B::InnerBackend, Input = S::Input>,
    S: Source<Input: Send + 'static> + Clone + 'static,
{
    let Session {
        device,
        key,
        part,
        selection,
        training,
        evaluate,
        among,
        folder,
        suffix,
        max_steps,
        clock,
        mut progress,
        ..
    } = session;
    let Training { objective, contrast, optimizer: rule, train: config, .. } = training;
    let head = match &contrast {
        Some(contrasting) => ProjectionHead::new(&*contrasting.projection, dim, key.child("init"), &device),
        None => ProjectionHead::identity(),
    };
    let mut method = Method { objective, contrast, rate: rule.rate() };
    let model: Model<B, E> = stable_ids((encoder, head));
    let momentum = method.contrast.as_ref().and_then(|contrasting| contrasting.negatives.momentum());
    let mut standing = Standing {
        key_encoder: momentum.map(|_| KeyEncoder::new(&model)),
        model,
        optimizer: OptimizerAdaptor::from(Rule::new(rule)),
        best: None,
    };
    let mut state = State::default();
    let checkpoints = folder.map(|folder| Checkpoints::new(folder, suffix));
    if let Some(checkpoints) = &checkpoints {
        let negatives = method.contrast.as_mut().map(|contrasting| &mut contrasting.negatives);
        state = checkpoints.load(&mut standing, negatives, &device)?.unwrap_or_default();
        checkpoints.cut_log(&state)?;
    }

    if let Some(views) = &mut views {
        views.prepare(&source.everything());
    }
    let views = views.map(|views| Arc::new(Mutex::new(views)));
    let steps = source.steps() as u64;
    let asker = Asker {
        source: source.clone(),
        views: views.clone(),
        wants: Wants::of(&method, &source),
        key,
        planners: [
            standing.model.0.planner(),
            standing.key_encoder.as_ref().and_then(|copy| copy.copy().0.planner()),
        ],
        copier: B::copier(&device),
    };
    // CubeCL has a thread for the device, and that and who waits for it spin: a third thread on two cores made steps three times
    // as long.
    let busy = if answers_later::<B>() { 2 } else { 1 };
    let mut feed = Feed::new(asker, state.epoch, state.step, busy);
    let limit = max_steps.unwrap_or(u64::MAX);
    let mut timing = Timing::default();
    progress.start(config.epochs as u64, steps, &state);
    // The metrics of the present model; the best so far is remembered.
    let measured = |model: &Model<B, E>, state: &mut State, best: &mut Option<E::InnerModule>| {
        let past = selection.past();
        let [users, items] = encode_tables::<B, _, S>(&model.0.valid(), &source, past);
        let ranker = ByEmbeddings { users, items, tested: None };
        check_spread(&ranker, state.epochs_begun())?;
        let metrics = selection_metrics(&ranker, part, selection, evaluate, among.as_ref());
        let by = |(name, _): &&(String, f64)| Some(name) == config.select_by.as_ref();
        let value = metrics.iter().find(by).map(|(_, value)| *value);
        if let (Some(value), true) = (value, config.select != Select::Last)
            && state.offer(value)
        {
            *best = Some(model.0.valid());
        }
        Ok::<_, Error>(metrics)
    };
    let due = |epoch: u64| {
        epoch as usize == config.epochs || (epoch as usize).is_multiple_of(config.evaluate_every)
    };
    let name = if config.select == Select::Test { "test" } else { "valid" };
    let watermark = evaluate.watermark(Some(config.select));
    let mut epoch_seconds = 0.0;
    // Of the steps whose losses are not read yet.
    let (mut unread, mut spent) = (Unread::<B::InnerBackend>::new(), 0.0);
    while !state.stopped && (state.epoch as usize) < config.epochs && state.steps < limit {
        epoch_seconds = 0.0;
        while state.step < steps && state.steps < limit {
            let started = clock.now();
            let asked = feed.next(state.epoch, state.step);
            let sampled = clock.now();
            let epoch = state.epoch as f64 + state.step as f64 / steps as f64;
            let (next, losses, [forward, backward]) = step(
                standing.model,
                &mut standing.optimizer,
                standing.key_encoder.as_mut(),
                &mut method,
                &asked,
                epoch,
                clock,
            );
            standing.model = next;
            let done = clock.now();
            let phases = [sampled - started, forward - sampled, backward - forward, done - backward];
            for (all, phase) in timing.phases.iter_mut().zip(phases) {
                all.push(phase);
            }
            state.advance();
            unread.push(losses);
            spent += done - started;
            let save =
                checkpoints.as_ref().filter(|_| state.steps.is_multiple_of(config.checkpoint_every as u64));
            let last = state.step == steps || state.steps == limit;
            if !unread.is_due() && save.is_none() && !last {
                continue;
            }
            let read = unread.read();
            spent += clock.now() - done;
            timing.steps.extend(read.iter().map(|_| spent / read.len() as f64));
            epoch_seconds += std::mem::take(&mut spent);
            for (losses, ago) in read.iter().zip((0..read.len() as u64).rev()) {
                check_loss(losses, &state, ago)?;
                state.add(losses);
            }
            if let Some(losses) = read.last() {
                progress.step(&state, losses);
            }
            if let Some(checkpoints) = save {
                checkpoints.save(&standing, method.remembered(), &state)?;
            }
        }
        if state.step < steps {
            break;
        }
        timing.epochs.push(epoch_seconds);
        state.epoch += 1;
        state.step = 0;
        let mut metrics = Vec::new();
        if due(state.epoch) {
            metrics = measured(&standing.model, &mut state, &mut standing.best)?;
            state.stopped = config.patience > 0 && state.without_better >= config.patience as u64;
        }
        let remembered = look(&standing, &method, views.as_ref(), &source, state.epoch as f64);
        let line = state.log_line(name, &metrics, epoch_seconds, remembered, watermark.as_deref());
        progress.epoch(&state, &metrics);
        if let Some(checkpoints) = &checkpoints {
            checkpoints.log(&line, &mut state)?;
        }
        state.sums = Losses::default();
        state.in_sums = 0;
    }
    progress.finish();
    if let Some(checkpoints) = &checkpoints {
        checkpoints.save(&standing, method.remembered(), &state)?;
    }

    let cut_short = !state.stopped && (state.epoch as usize) < config.epochs;
    if cut_short && (state.step > 0 || !due(state.epoch)) {
        // `max_steps` ended the training where it would not have been evaluated. What follows belongs to this end of it
        // alone and stands in no checkpoint: a run that goes on does as if there had been no end.
        let metrics = measured(&standing.model, &mut state, &mut standing.best)?;
        if let (true, Some(checkpoints)) = (state.step > 0, &checkpoints) {
            let remembered = look(&standing, &method, views.as_ref(), &source, state.epoch as f64);
            let line = state.log_line(name, &metrics, epoch_seconds, remembered, watermark.as_deref());
            checkpoints.log(&line, &mut state)?;
        }
    }
    let Standing { model, best, .. } = standing;
    let selected = match best {
        Some(best) => best,
        None => {
            state.selected_epoch = state.epochs_begun();
            model.0.valid()
        }
    };
    let [users, items] = encode_tables::<B, _, S>(&selected, &source, Past::Train);
    let tested = source.past_matters().then(|| {
        let [users, _] = encode_tables::<B, _, S>(&selected, &source, Past::TrainAndValidation);
        users
    });
    Ok(Trained {
        ranker: Box::new(ByEmbeddings { users, items, tested }),
        best_epoch: state.selected_epoch as usize,
        steps: state.steps,
        steps_per_epoch: steps as usize,
        last_loss: state.last_loss,
        cut_short,
        timing,
    })
}

/// The tables of users and items, as they are ranked.
fn encode_tables<B, M, S>(encoder: &M, source: &S, past: Past) -> [Tensor<B::InnerBackend, 2>; 2]
where
    B: TrainBackend,
    M: Encoder<B::InnerBackend, Input = S::Input>,
    S: Source,
{
    let Tables { users, items } = source.tables(past);
    let counts = [users.len(), items.len()];
    let requests = [users, items].concat();
    let answers = match counts {
        // One pass may serve both.
        [1, 1] => encoder.encode(&requests),
        _ => requests.chunks(1).flat_map(|request| encoder.encode(request)).collect(),
    };
    let (users, items) = answers.split_at(counts[0]);
    [users, items].map(|answers| match answers {
        [one] => one.clone(),
        several => Tensor::cat(several.to_vec(), 0),
    })
}

/// A loss that is not finite stops the run before it spoils anything. `ago`: steps since it was computed.
fn check_loss(losses: &Losses, state: &State, ago: u64) -> Result<(), Error> {
    if losses.total.is_finite() {
        return Ok(());
    }
    let Losses { objective, contrast, l2, .. } = losses;
    Err(Error::with_help(
        format!(
            "the loss is not a finite number at epoch {}, step {}: objective {objective}, contrast {contrast}, L2 {l2}",
            state.epoch + 1,
            state.step - ago
        ),
        "a lower optimizer.lr, a higher contrast.temperature or a smaller encoder.init_scale usually help; the last \
         checkpoint is untouched",
    ))
}

//! What goes together, and what does not.

use cl_core::contrast::Contrast;
use cl_core::negatives::Negatives;
use cl_core::objective::Objective;
use cl_core::registry::{Built, Problem, Spans, nearest};
use cl_core::source::{Sides, Targets};

use super::split::Splitter;
use super::tables::{EvaluateConfig, Sampler, Select, TrainConfig};
use crate::backend::TrainBackend;

/// `objective.positions` is of sequence encoders, and all where nothing is said.
pub(super) fn complete_positions<B: TrainBackend>(
    objective: &mut Built<dyn Objective<B>>,
    encoder: &str,
    sequences: bool,
) -> Result<(), Problem> {
    match objective.component.targets() {
        Some(_) if !sequences => {
            let message = format!(
                "objective `{}` with `positions` and encoder `{encoder}` do not go together: the encoder reads a graph",
                objective.name
            );
            Err(Problem::new(objective.spans.at("positions"), message).with_help("remove `positions`"))
        }
        None if sequences && objective.component.has_positions() => {
            objective.resolved.insert("positions".into(), "all".into());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The sampler is one of those that the encoder can be trained with, the first where nothing is said; masks are of `masked`.
pub(super) fn complete_sampler(
    train: &mut TrainConfig,
    spans: &Spans,
    encoder: &str,
    samplers: &[Sampler],
) -> Result<(), Problem> {
    let sampler = *train.sampler.get_or_insert(samplers[0]);
    if !samplers.contains(&sampler) {
        let names: Vec<String> = samplers.iter().map(|sampler| format!("\"{}\"", sampler.name())).collect();
        let message = format!(
            "train.sampler \"{}\" and encoder `{encoder}` do not go together: the encoder is trained with {}",
            sampler.name(),
            names.join(" or ")
        );
        return Err(
            Problem::new(spans.at("sampler"), message).with_help(format!("set train.sampler = {}", names[0]))
        );
    }
    if sampler == Sampler::Masked {
        train.mask_rate.get_or_insert(0.2);
        train.mask_last.get_or_insert(0.0);
        return Ok(());
    }
    let masks = [("mask_rate", train.mask_rate), ("mask_last", train.mask_last)];
    if let Some((key, _)) = masks.into_iter().find(|(_, value)| value.is_some()) {
        let message = format!(
            "train.{key} and train.sampler \"{}\" do not go together: nothing is masked to be foretold",
            sampler.name()
        );
        return Err(Problem::new(spans.at(key), message).with_help(format!("remove `{key}`")));
    }
    Ok(())
}

/// Only sequences have a length that batches could share.
pub(super) fn complete_similar_lengths(
    train: &mut TrainConfig,
    spans: &Spans,
    encoder: &str,
    sequences: bool,
) -> Result<(), Problem> {
    if sequences {
        train.similar_lengths.get_or_insert(false);
    } else if train.similar_lengths.is_some() {
        let message = format!(
            "train.similar_lengths and encoder `{encoder}` do not go together: the encoder reads a graph, in whose batches \
             nothing has a length"
        );
        return Err(Problem::new(spans.at("similar_lengths"), message).with_help("remove `similar_lengths`"));
    }
    Ok(())
}

/// With masked events there is no last position that would foretell another.
pub(super) fn check_masked_positions<B: TrainBackend>(
    train: &TrainConfig,
    objective: &Built<dyn Objective<B>>,
) -> Result<(), Problem> {
    if train.sampler != Some(Sampler::Masked) || objective.component.targets() != Some(Targets::Last) {
        return Ok(());
    }
    let message = format!(
        "objective `{}` with positions = \"last\" and train.sampler \"masked\" do not go together: masked events are foretold",
        objective.name
    );
    Err(Problem::new(objective.spans.at("positions"), message)
        .with_help("remove `positions`; train.mask_last = 1 masks the newest event alone"))
}

/// A batch of sequences holds sequences and nothing else that could be contrasted.
pub(super) fn check_sequence_contrast<B: TrainBackend>(
    contrast: &Built<dyn Contrast<B>>,
    negatives: &Built<dyn Negatives<B>>,
    encoder: &str,
) -> Result<(), Problem> {
    if contrast.component.pairing().sides == Sides::Item {
        let message = format!(
            "contrast `{}` with sides = \"item\" and encoder `{encoder}` do not go together: sequences are contrasted, not \
             items",
            contrast.name
        );
        return Err(Problem::new(contrast.spans.at("sides"), message).with_help("remove `sides`"));
    }
    if negatives.component.wants_everyone() {
        let message = format!(
            "negatives `{}` and encoder `{encoder}` do not go together: a batch has no sequences but its own",
            negatives.name
        );
        return Err(Problem::new(negatives.spans.whole.clone(), message)
            .with_help("set negatives.type = \"in_batch\""));
    }
    Ok(())
}

/// A sequence encoder reads the order of events.
pub(super) fn check_order(split: &Built<dyn Splitter>, encoder: &str) -> Result<(), Problem> {
    if split.component.keeps_order() {
        return Ok(());
    }
    let message = format!(
        "split `{}` and encoder `{encoder}` do not go together: the encoder reads the order of events, and the split does \
         not keep it",
        split.name
    );
    Err(Problem::new(split.spans.whole.clone(), message)
        .with_help("set split.type = \"leave_one_out\" or \"global_time\""))
}

/// Selection needs a part to select on, and a metric that is computed.
pub(super) fn check_selection(
    train: &TrainConfig,
    spans: &Spans,
    split: &Built<dyn Splitter>,
    evaluate: &EvaluateConfig,
) -> Result<(), Problem> {
    if train.select == Select::Test && split.component.asks_for_validation() {
        return Err(Problem::new(
            spans.at("select"),
            "select = \"test\" needs a split without a validation part",
        )
        .with_help("set split.validation = 0, or select = \"validation\""));
    }
    let names = evaluate.names();
    if let Some(select_by) = &train.select_by
        && !names.contains(select_by)
    {
        let mut problem = Problem::new(
            spans.at("select_by"),
            format!("`select_by` must be a metric of [evaluate] at one of its cutoffs, got \"{select_by}\"",),
        );
        if let Some(near) =
            nearest(select_by, names.iter().map(String::as_str)).or(names.last().map(String::as_str))
        {
            problem = problem.with_help(format!("for example \"{near}\""));
        }
        return Err(problem);
    }
    Ok(())
}

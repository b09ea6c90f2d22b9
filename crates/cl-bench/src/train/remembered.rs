//! A look at the keys that negatives remember, for the log: how old they are, and how far from what would be encoded now.

use std::sync::PoisonError;

use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use cl_core::negatives::{Direction, Kept};
use cl_core::projection::ProjectionHead;
use cl_core::source::Source;
use cl_core::{Encoder, Request};
use cl_queue::{Shares, Staleness, thin};

use super::ask::SharedViews;
use super::checkpoint::Standing;
use super::step::Method;
use crate::backend::TrainBackend;

/// Keys that are encoded again; more would tell the same.
const LOOKED_AT: usize = 2048;

/// Staleness by queue, and the momentum where there is one; `None` if the negatives remember nothing.
pub(super) fn look<B, E, S>(
    standing: &Standing<B, E>,
    method: &Method<B>,
    views: Option<&SharedViews<S::Input>>,
    source: &S,
    epoch: f64,
) -> Option<serde_json::Value>
where
    B: TrainBackend,
    E: Encoder<B, Input = S::Input> + AutodiffModule<B>,
    E::InnerModule: Encoder<B::InnerBackend, Input = S::Input>,
    S: Source,
{
    let negatives = &method.contrast.as_ref()?.negatives;
    let model = standing.model.valid();
    let copy = standing.key_encoder.as_ref().map(|copy| copy.copy());
    let mut lines = serde_json::Map::new();
    for kept in negatives.kept() {
        let all = kept.ids.len();
        let shares = Shares::of(&kept, |anchor, key| source.related(anchor, key));
        let Kept { name, direction, vectors, ids, origins, ages } = thin(&kept, LOOKED_AT);
        let mut request = source.again(&origins);
        if let (Some(views), Direction::AToB) = (views, direction) {
            let views = views.lock().unwrap_or_else(PoisonError::into_inner);
            request.input = views.unperturbed(&request.input);
        }
        let kept = Kept { name: name.clone(), direction, vectors: vectors.inner(), ids, origins, ages };
        let by_model = encoded(&model, &request);
        let (now, model) = match copy {
            Some(copy) => (encoded(copy, &request), Some(by_model)),
            None => (by_model, None),
        };
        let found = Staleness::of(&kept, now, model, shares).map(|found| Staleness { keys: all, ..found });
        if let Some(line) = found.and_then(|found| serde_json::to_value(found).ok()) {
            lines.insert(name, line);
        }
    }
    if lines.is_empty() {
        return None;
    }
    if let Some(momentum) = negatives.momentum() {
        lines.insert("momentum".into(), momentum.at(epoch).into());
    }
    Some(lines.into())
}

/// What an encoder and its head make of a request.
fn encoded<B, E, I>((encoder, head): &(E, ProjectionHead<B>), request: &Request<I>) -> Tensor<B, 2>
where
    B: burn::tensor::backend::Backend,
    E: Encoder<B, Input = I>,
    I: Clone,
{
    let answers = encoder.encode(std::slice::from_ref(request));
    head.forward(answers[0].clone())
}

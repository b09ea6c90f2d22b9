//! From a model to numbers.

use cl_core::StreamKey;
use cl_core::diagnostics::{Table, Uniformity, alignment, effective_rank, uniformity};
use cl_core::source::Past;
use cl_data::{Split, Train, UserItems};
use cl_eval::{
    GroupMetrics, ItemGroups, PerUser, Rankings, UserGroups, by_item_group, by_user_group, catalogue,
    evaluate,
};

use crate::candidates::Candidates;
use crate::config::{EvaluateConfig, Slice};
use crate::error::Error;
use crate::ranker::{Embeddings, Ranker};
use crate::train::Selection;

/// All that is computed on the test part.
pub(crate) struct Evaluation {
    /// The ranking to the largest cut-off.
    pub(crate) rankings: Rankings,
    /// Every metric of every user.
    pub(crate) per_user: PerUser,
    /// Means over users.
    pub(crate) metrics: Vec<(String, f64)>,
    /// Slices, by name.
    pub(crate) slices: Vec<(&'static str, Vec<GroupMetrics>)>,
    /// Coverage, tail share, Gini, average popularity.
    pub(crate) catalogue: Vec<(String, f64)>,
}

/// Users with an item in a part.
fn users_of(part: &UserItems) -> Vec<u32> {
    (0..part.users() as u32).filter(|&user| !part.of(user as usize).is_empty()).collect()
}

/// The lists of the users of a part: of all items, those of earlier parts masked if the file says so, or of candidates.
fn ranked(
    ranker: &dyn Ranker,
    past: Past,
    part: &UserItems,
    earlier: &[&UserItems],
    config: &EvaluateConfig,
    among: Option<&Candidates>,
) -> Rankings {
    let (users, depth) = (users_of(part), config.depth());
    match among {
        Some(candidates) => ranker.rank_among(past, &users, &candidates.with(part), depth, config.score),
        None => {
            let masks = if config.mask_history { earlier } else { &[] };
            ranker.rank(past, &users, masks, depth, config.score)
        }
    }
}

/// Ranks and measures the test part; training and validation items of a user are masked.
#[must_use]
pub(crate) fn on_test(
    ranker: &dyn Ranker,
    split: &Split,
    config: &EvaluateConfig,
    among: Option<&Candidates>,
) -> Evaluation {
    let past = Past::TrainAndValidation;
    let rankings = ranked(ranker, past, &split.test, &[&split.train, &split.validation], config, among);
    let per_user = evaluate(&rankings, &split.test, &config.metrics, &config.cutoffs);
    let counts = split.train_counts();
    let slices = config.slices.iter().map(|slice| {
        let by_items = |groups: &ItemGroups| {
            by_item_group(&rankings, &split.test, groups, &config.metrics, &config.cutoffs)
        };
        match slice {
            Slice::UserDegree => {
                let groups = UserGroups::degree_quartiles(&split.train, &per_user.users);
                ("user_degree", by_user_group(&per_user, &split.test, &groups))
            }
            Slice::ItemPopularity => ("item_popularity", by_items(&ItemGroups::popularity(&counts))),
            Slice::HistoryLength => {
                let groups = UserGroups::by_length(&per_user.users, |user| split.history_length(user));
                ("history_length", by_user_group(&per_user, &split.test, &groups))
            }
            Slice::ItemDeciles => ("item_deciles", by_items(&ItemGroups::deciles(&counts))),
        }
    });
    Evaluation {
        slices: slices.collect(),
        // What few sampled items do to a catalogue says nothing about the model.
        catalogue: match among {
            None => catalogue(&rankings, &counts, &config.cutoffs),
            Some(_) => Vec::new(),
        },
        metrics: per_user.mean(),
        per_user,
        rankings,
    }
}

/// The metrics on the part that epochs are compared on. Empty if that part is.
#[must_use]
pub(crate) fn selection_metrics(
    ranker: &dyn Ranker,
    train: &Train,
    selection: Selection<'_>,
    config: &EvaluateConfig,
    among: Option<&Candidates>,
) -> Vec<(String, f64)> {
    let part: &UserItems = match selection {
        Selection::Validation(part) => part,
        Selection::Test(part) => part,
    };
    if part.is_empty() {
        return Vec::new();
    }
    let rankings = ranked(ranker, selection.past(), part, &[train], config, among);
    evaluate(&rankings, part, &config.metrics, &config.cutoffs).mean()
}

/// What the embeddings look like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Representation {
    /// Over the training pairs.
    pub(crate) alignment: Option<f64>,
    /// Of the users.
    pub(crate) uniformity_user: Option<Uniformity>,
    /// Of the items.
    pub(crate) uniformity_item: Option<Uniformity>,
    /// Of the user table.
    pub(crate) effective_rank_user: Option<f64>,
    /// Of the item table.
    pub(crate) effective_rank_item: Option<f64>,
}

/// Rows among which all pairs are taken for uniformity; more are sampled.
const UNIFORMITY_ROWS: usize = 5000;

/// Looks at embeddings.
#[must_use]
pub(crate) fn representation(embeddings: &Embeddings, split: &Split, key: StreamKey) -> Representation {
    let users = Table::new(&embeddings.users, embeddings.dim);
    let items = Table::new(&embeddings.items, embeddings.dim);
    let key = key.child("uniformity");
    Representation {
        alignment: alignment(users, items, split.train.pairs()),
        uniformity_user: uniformity(users, UNIFORMITY_ROWS, key.child("users")),
        uniformity_item: uniformity(items, UNIFORMITY_ROWS, key.child("items")),
        effective_rank_user: effective_rank(users),
        effective_rank_item: effective_rank(items),
    }
}

/// A representation in which everything is the same is not worth more training.
///
/// # Errors
///
/// Embeddings that are not finite, or all point in one direction.
pub(crate) fn check_spread(ranker: &dyn Ranker, epoch: u64) -> Result<(), Error> {
    let Some(embeddings) = ranker.embeddings() else { return Ok(()) };
    for (name, table) in [("user", &embeddings.users), ("item", &embeddings.items)] {
        if table.iter().any(|x| !x.is_finite()) {
            return Err(Error::with_help(
                format!("{name} embeddings are not finite numbers after epoch {epoch}"),
                "a lower optimizer.lr or a smaller encoder.init_scale usually help",
            ));
        }
        // 500 rows are enough to see that all are alike.
        let spread = uniformity(Table::new(table, embeddings.dim), 500, StreamKey::root(0));
        if embeddings.dim > 1 && spread.is_some_and(|spread| spread.value > -1e-6) {
            return Err(Error::with_help(
                format!(
                    "all {name} embeddings point in one direction after epoch {epoch}: the representation collapsed"
                ),
                "look at contrast.weight (0 leaves nothing that pushes apart), objective.l2 and the number of layers",
            ));
        }
    }
    Ok(())
}

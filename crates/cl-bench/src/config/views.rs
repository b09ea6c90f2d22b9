//! `[views]` of whichever family the encoder is.

use cl_core::encoder::Perturbs;
use cl_core::registry::{Built, Problem, Registry};
use cl_core::views::Views;
use cl_graph::GraphInput;
use cl_seq::SequenceInput;

/// The views of an experiment.
pub enum AnyViews {
    /// Of a graph encoder.
    Graph(Box<dyn Views<GraphInput>>),
    /// Of a sequence encoder.
    Sequence(Box<dyn Views<SequenceInput>>),
}

impl AnyViews {
    /// What is perturbed.
    pub(crate) fn perturbs(&self) -> Perturbs {
        match self {
            Self::Graph(views) => views.perturbs(),
            Self::Sequence(views) => views.perturbs(),
        }
    }

    /// The views of a graph.
    ///
    /// # Panics
    ///
    /// If they are of sequences; an experiment is not read with such an encoder.
    #[must_use]
    pub fn graph(self) -> Box<dyn Views<GraphInput>> {
        match self {
            Self::Graph(views) => views,
            Self::Sequence(_) => panic!("these are views of sequences"),
        }
    }

    /// The views of sequences.
    ///
    /// # Panics
    ///
    /// If they are of a graph.
    #[must_use]
    pub fn sequence(self) -> Box<dyn Views<SequenceInput>> {
        match self {
            Self::Sequence(views) => views,
            Self::Graph(_) => panic!("these are views of a graph"),
        }
    }
}

/// Views with what is known of where they stand.
pub(super) struct BuiltViews {
    pub(super) name: &'static str,
    pub(super) whole: std::ops::Range<usize>,
    pub(super) resolved: toml::Table,
    pub(super) views: AnyViews,
}

impl BuiltViews {
    pub(super) fn new<T: ?Sized>(built: Built<T>, wrap: impl FnOnce(Box<T>) -> AnyViews) -> Self {
        let Built { name, spans, resolved, component, .. } = built;
        Self { name, whole: spans.whole, resolved, views: wrap(component) }
    }
}

/// Views of the other family are known, and do not go with the encoder.
pub(super) fn not_of_the_other_family<T: ?Sized>(
    found: Option<&str>,
    span: std::ops::Range<usize>,
    other: &Registry<T>,
    encoder: &str,
    sequences: bool,
) -> Result<(), Problem> {
    let Some(found) = found.filter(|found| other.list().any(|(name, _)| name == *found)) else {
        return Ok(());
    };
    let (views, reads) = if sequences { ("a graph", "sequences") } else { ("sequences", "a graph") };
    let message = format!(
        "views `{found}` and encoder `{encoder}` do not go together: the views are of {views}, and the encoder reads {reads}"
    );
    Err(Problem::new(span, message)
        .with_help("choose another of the two: `cl-bench list views`, `cl-bench list encoder`"))
}

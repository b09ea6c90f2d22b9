//! The training loop.

mod ask;
mod checkpoint;
mod clock;
mod feed;
mod losses;
mod progress;
mod remembered;
mod step;
mod trainer;

use std::sync::Arc;

use cl_core::StreamKey;
use cl_core::source::Past;
use cl_data::{Order, Sequences, Split, Test, Train, Validation};

pub use clock::Clock;
pub use progress::Progress;
pub use trainer::train;

use crate::backend::TrainBackend;
use crate::candidates::Candidates;
use crate::config::{EvaluateConfig, Training};
use crate::folder::RunFolder;
use crate::ranker::Ranker;

/// The part that epochs are compared on.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'a> {
    /// The validation part, for selection or, with `select = "last"`, for the log alone.
    Validation(&'a Validation),
    /// The test part: `select = "test"`, the habit of published graph results. Outputs are watermarked.
    Test(&'a Test),
}

impl Selection<'_> {
    /// What is known of users when the part is ranked.
    pub(crate) fn past(self) -> Past {
        match self {
            Self::Validation(_) => Past::Train,
            Self::Test(_) => Past::TrainAndValidation,
        }
    }
}

/// What users did, oldest first, where the split looks at the order.
#[derive(Debug, Clone)]
pub struct History {
    /// In the part that is trained on.
    pub train: Arc<Sequences>,
    /// In all parts before the test: what is known of users when the test part is ranked.
    pub whole: Arc<Sequences>,
}

impl History {
    /// That of a split.
    #[must_use]
    pub fn of(split: &Split) -> Option<Self> {
        let Order { train, validation } = split.order.as_ref()?;
        let whole = (0..train.users()).map(|user| [train.of(user), validation.of(user)].concat());
        Some(Self { train: Arc::new(train.clone()), whole: Arc::new(Sequences::from_rows(whole)) })
    }
}

/// All that a training needs besides the encoder.
pub struct Session<'a, B: TrainBackend> {
    /// The device.
    pub device: B::Device,
    /// The stream above all random numbers of the run.
    pub key: StreamKey,
    /// The training part.
    pub part: &'a Train,
    /// The same in order, if the split looks at it.
    pub order: Option<History>,
    /// Number of items in the catalogue.
    pub items: usize,
    /// What epochs are compared on; the loop sees nothing else of the held-out parts.
    pub selection: Selection<'a>,
    /// The slots.
    pub training: Training<B>,
    /// How epochs are evaluated.
    pub evaluate: &'a EvaluateConfig,
    /// What held-out items are ranked among, if that is not the whole catalogue.
    pub among: Option<Candidates>,
    /// Where checkpoints and the log go; `None` leaves no trace.
    pub folder: Option<&'a RunFolder>,
    /// Goes into the names of checkpoints and log: "" or, for the second training of a refit, "-refit".
    pub suffix: &'static str,
    /// Stop after so many steps.
    pub max_steps: Option<u64>,
    /// The clock of the timings.
    pub clock: Clock,
    /// Tells how it goes.
    pub progress: Progress,
}

/// A trained model and how it came about.
pub struct Trained {
    /// Ranks with the selected parameters.
    pub ranker: Box<dyn Ranker>,
    /// The selected epoch, from 1; 0 if no epoch was finished.
    pub best_epoch: usize,
    /// Steps taken, those before a resume included.
    pub steps: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: usize,
    /// Loss of the last step.
    pub last_loss: f64,
    /// Whether `max_steps` ended the training before its epochs or its patience did.
    pub cut_short: bool,
    /// How long it took.
    pub timing: Timing,
}

/// What this process took; what came before a resume does not count.
#[derive(Debug, Clone, Default)]
pub struct Timing {
    /// Seconds of each step.
    pub steps: Vec<f64>,
    /// Seconds of each whole epoch, evaluation left out.
    pub epochs: Vec<f64>,
    /// Seconds of the parts of each step: sample, forward, backward, optimizer.
    pub phases: [Vec<f64>; 4],
}

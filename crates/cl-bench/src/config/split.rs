//! `[split]`: the splits of cl-data as components.

use cl_core::registry::{Check, Component, Registry};
use cl_data::{DataError, FilesSplit, GlobalTime, LeaveOneOut, RatioSplit, Source, Split};

/// Divides data into parts.
pub trait Splitter {
    /// The parts.
    ///
    /// # Errors
    ///
    /// Data that this split cannot divide.
    fn split(&self, source: &Source, seed: u64) -> Result<Split, DataError>;

    /// Whether a validation part is asked for. (A published one is found with the files.)
    fn asks_for_validation(&self) -> bool;

    /// Whether its parts keep the order of events, which sequence encoders read.
    fn keeps_order(&self) -> bool {
        false
    }
}

/// The splits of this workspace.
#[must_use]
pub fn splits() -> Registry<dyn Splitter> {
    Registry::new("split")
        .with::<FilesSplit>()
        .with::<RatioSplit>()
        .with::<LeaveOneOut>()
        .with::<GlobalTime>()
}

macro_rules! splitter {
    ($config:ty, $name:literal, $summary:literal, order = $order:literal, |$self:ident| $asks:expr) => {
        impl Component<dyn Splitter> for $config {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;

            fn validate(&self) -> Check {
                self.validate()
            }

            fn build(self) -> Box<dyn Splitter> {
                Box::new(self)
            }
        }

        impl Splitter for $config {
            fn split(&self, source: &Source, seed: u64) -> Result<Split, DataError> {
                self.split(source, seed)
            }

            fn asks_for_validation(&self) -> bool {
                let $self = self;
                $asks
            }

            fn keeps_order(&self) -> bool {
                $order
            }
        }
    };
}

splitter!(
    FilesSplit,
    "files",
    "the published train and test files, a validation part cut from train",
    order = false,
    |split| split.validation > 0.0
);
splitter!(
    RatioSplit,
    "ratio",
    "random shares, of each user or of all interactions",
    order = false,
    |split| split.validation > 0.0
);
splitter!(
    LeaveOneOut,
    "leave_one_out",
    "each user's last item is the test, the one before the validation",
    order = true,
    |split| split.validation
);
splitter!(
    GlobalTime,
    "global_time",
    "the newest share of all interactions is the test",
    order = true,
    |split| split.validation > 0.0
);

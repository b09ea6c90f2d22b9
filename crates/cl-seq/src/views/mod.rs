//! Two views of a batch of sequences. Stored sequences are never touched: a view lays out new ones.

mod crop;
mod followed_by;
mod insert;
mod mask;
mod menu;
mod model_dropout;
mod one_of;
mod operation;
mod reorder;
mod same_target;
mod similar;
mod substitute;

use cl_core::registry::{Check, Registry, ensure};
use cl_core::views::Views;

pub use crop::CropConfig;
pub use insert::{Insert, InsertConfig};
pub use mask::MaskConfig;
pub use menu::OperationTable;
pub use model_dropout::ModelDropoutConfig;
pub use one_of::OneOfConfig;
use operation::{Both, applied};
pub use operation::{Operation, Training};
pub use reorder::ReorderConfig;
pub use same_target::{Against, SameTargetConfig};
pub use similar::Similar;
pub use substitute::{Substitute, SubstituteConfig};

use crate::input::SequenceInput;

/// The sequence views of this crate.
#[must_use]
pub fn views() -> Registry<dyn Views<SequenceInput>> {
    Registry::new("views")
        .with::<CropConfig>()
        .with::<MaskConfig>()
        .with::<ReorderConfig>()
        .with::<SubstituteConfig>()
        .with::<InsertConfig>()
        .with::<OneOfConfig>()
        .with::<ModelDropoutConfig>()
        .with::<SameTargetConfig>()
}

/// ⌊share · length⌋, as all codes round but SELFRec's, whose crop has one event more.
fn part(share: f64, length: usize) -> usize {
    (share * length as f64).floor() as usize
}

/// A share of a sequence is in [0, 1].
fn check_share(name: &'static str, share: f64) -> Check {
    ensure((0.0..=1.0).contains(&share), name, || format!("must be in [0, 1], got {share}"))
}

//! A memory of keys that the model itself encoded.

use burn::tensor::backend::AutodiffBackend;
use cl_core::negatives::Negatives;
use cl_core::registry::{Check, Component};
use serde::{Deserialize, Serialize};

use crate::remembering::{Enqueue, Remembering, Settings};

/// `type = "cross_batch_memory"`.
///
/// As a queue, without a second encoder: a batch's rows are encoded once, by the model, and their positives keep their
/// gradient; remembered keys have none.
///
/// # Source
/// Wang, Zhang, Huang & Scott 2020 (arXiv 1912.06798), who observe that embeddings drift slowly after the first epochs; keys are
/// enqueued before the loss there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossBatchMemoryConfig {
    /// Keys that are remembered of each group, 1 to 2^26.
    pub size: usize,
    /// Whether the keys of a batch join the memory before the loss or after it.
    pub enqueue: Enqueue,
    /// Keys older than so many steps are dropped, 1 or more; left out, they stay as long as there is room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// Keys with an anchor's own id stand in no denominator of it, save the positive.
    pub mask_own_id: bool,
    /// The rows of the batch stand in the denominator beside the memory, with their gradient.
    pub with_batch: bool,
}

impl Default for CrossBatchMemoryConfig {
    fn default() -> Self {
        Self { size: 8192, enqueue: Enqueue::Before, max_age: None, mask_own_id: true, with_batch: false }
    }
}

impl CrossBatchMemoryConfig {
    fn settings(&self) -> Settings {
        let &Self { size, enqueue, max_age, mask_own_id, with_batch } = self;
        Settings { size, enqueue, max_age, mask_own_id, with_batch }
    }
}

impl<B: AutodiffBackend> Component<dyn Negatives<B>> for CrossBatchMemoryConfig {
    const NAME: &'static str = "cross_batch_memory";
    const SUMMARY: &'static str =
        "the last K keys of the model itself, without gradient (XBM, Wang et al. 2020)";

    fn validate(&self) -> Check {
        self.settings().validate()
    }

    fn build(self) -> Box<dyn Negatives<B>> {
        Box::new(Remembering::new(self.settings(), None))
    }
}

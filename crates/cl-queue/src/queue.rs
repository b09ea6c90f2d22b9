//! MoCo's queue of keys from a momentum copy of the model.

use burn::tensor::backend::AutodiffBackend;
use cl_core::Schedule;
use cl_core::negatives::Negatives;
use cl_core::registry::{Check, Component, ensure};
use serde::{Deserialize, Serialize};

use crate::remembering::{Enqueue, Remembering, Settings};

/// `type = "queue"`.
///
/// The keys, the positives among them, come from a copy of the model (encoder and head) that follows it as
/// ξ ← m ξ + (1 − m) θ and gets no gradient. The copy is updated at the beginning of a step, before the keys are encoded.
///
/// # Source
/// He, Fan, Wu, Xie & Girshick 2020 (arXiv 1911.05722): K = 65 536, m = 0.999, keys enqueued after the loss. Their queue starts
/// full of random unit vectors; here it starts empty, and only keys that were encoded stand in a denominator. They do not hide
/// keys with the anchor's own id; here `mask_own_id` does, unless it is false, for a catalogue is small beside K.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// K, keys that are remembered of each group, 1 to 2^26.
    pub size: usize,
    /// m, from 0 (the model itself, without gradient) to 1 (the model as it was at first); a number or a schedule.
    pub momentum: Schedule,
    /// Whether the keys of a batch join the queue before the loss or after it.
    pub enqueue: Enqueue,
    /// Keys older than so many steps are dropped, 1 or more; left out, they stay as long as there is room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// Keys with an anchor's own id stand in no denominator of it, save the positive.
    pub mask_own_id: bool,
    /// The rows of the batch stand in the denominator beside the queue.
    pub with_batch: bool,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            size: 65_536,
            momentum: 0.999.into(),
            enqueue: Enqueue::After,
            max_age: None,
            mask_own_id: true,
            with_batch: false,
        }
    }
}

impl QueueConfig {
    fn settings(&self) -> Settings {
        let &Self { size, enqueue, max_age, mask_own_id, with_batch, .. } = self;
        Settings { size, enqueue, max_age, mask_own_id, with_batch }
    }
}

impl<B: AutodiffBackend> Component<dyn Negatives<B>> for QueueConfig {
    const NAME: &'static str = "queue";
    const SUMMARY: &'static str = "the last K keys of a momentum copy of the model (MoCo, He et al. 2020)";

    fn validate(&self) -> Check {
        self.settings().validate()?;
        ensure(self.momentum.all(|value| (0.0..=1.0).contains(&value)), "momentum", || {
            format!("must be from 0 to 1, got {}", self.momentum)
        })
    }

    fn build(self) -> Box<dyn Negatives<B>> {
        Box::new(Remembering::new(self.settings(), Some(self.momentum)))
    }
}

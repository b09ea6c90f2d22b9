//! Losses of steps, and when they are read: on a GPU each reading waits for all that was asked of it so far.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use crate::device::answers_later;

/// The loss of a step in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Losses {
    /// The sum that is minimised.
    pub(super) total: f64,
    /// The recommendation objective.
    pub(super) objective: f64,
    /// The contrast, before its weight.
    pub(super) contrast: f64,
    /// The L2 penalty.
    pub(super) l2: f64,
}

impl Losses {
    /// The parts on the device, in the order of the fields, `[4]`.
    pub(super) fn on_device<B: Backend>([total, objective, contrast, l2]: [Tensor<B, 1>; 4]) -> Tensor<B, 1> {
        Tensor::cat(vec![total, objective, contrast, l2], 0) // [4]
    }
}

/// Steps whose losses are read together on a GPU.
const TOGETHER: usize = 50;

/// Losses that are still on the device.
pub(super) struct Unread<B: Backend> {
    losses: Vec<Tensor<B, 1>>,
    together: usize,
}

impl<B: Backend> Unread<B> {
    /// On a CPU every step's losses are read at once, so that a run stops at the step whose loss is not finite.
    pub(super) fn new() -> Self {
        Self { losses: Vec::new(), together: if answers_later::<B>() { TOGETHER } else { 1 } }
    }

    /// Takes the losses of a step, `[4]`.
    pub(super) fn push(&mut self, losses: Tensor<B, 1>) {
        self.losses.push(losses);
    }

    /// Whether they should be read now.
    pub(super) fn is_due(&self) -> bool {
        self.losses.len() >= self.together
    }

    /// The losses of the steps since the last reading, oldest first.
    pub(super) fn read(&mut self) -> Vec<Losses> {
        if self.losses.is_empty() {
            return Vec::new();
        }
        let data = Tensor::cat(std::mem::take(&mut self.losses), 0).into_data().convert::<f32>(); // [steps · 4]
        let Ok(values) = data.as_slice::<f32>() else { unreachable!("converted to f32 just before") };
        let of = |parts: &[f32]| {
            let [total, objective, contrast, l2] = [0, 1, 2, 3].map(|part| f64::from(parts[part]));
            Losses { total, objective, contrast, l2 }
        };
        values.chunks_exact(4).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    #[test]
    fn losses_are_read_in_their_order() {
        let mut unread = Unread::<Flex> { losses: Vec::new(), together: 2 };
        let step = |first: f32| {
            let part = |add: f32| Tensor::<Flex, 1>::from_floats([first + add], &Default::default());
            Losses::on_device([part(0.0), part(1.0), part(2.0), part(3.0)])
        };
        assert_eq!(unread.read(), []);
        unread.push(step(10.0));
        assert!(!unread.is_due());
        unread.push(step(20.0));
        assert!(unread.is_due());
        let of = |total| Losses { total, objective: total + 1.0, contrast: total + 2.0, l2: total + 3.0 };
        assert_eq!(unread.read(), [of(10.0), of(20.0)]);
        assert_eq!(unread.read(), []);
    }
}

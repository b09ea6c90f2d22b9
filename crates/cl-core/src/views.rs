//! Two things that should look alike: what a view does to an input.

use crate::encoder::Perturbs;
use crate::rng::StreamKey;

/// Where training stands; all that a random choice may depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The stream of the one who draws.
    pub key: StreamKey,
    /// Epochs finished.
    pub epoch: u64,
    /// Steps finished in this epoch.
    pub step: u64,
}

impl At {
    /// The key of this epoch.
    #[must_use]
    pub fn epoch_key(&self) -> StreamKey {
        self.key.child("epoch").at(self.epoch)
    }

    /// The key of this step.
    #[must_use]
    pub fn step_key(&self) -> StreamKey {
        self.key.child("step").at(self.epoch).at(self.step)
    }
}

/// What a view makes of a clean input.
#[derive(Debug, Clone)]
pub struct Drawn<I> {
    /// What the recommendation objective sees (SGL: the clean input; XSimGCL: the noisy pass).
    pub objective: I,
    /// The first view.
    pub a: I,
    /// The second view.
    pub b: I,
}

/// Makes the two views of a step. It perturbs an encoder's input and does not know the encoder.
pub trait Views<I>: Send {
    /// What is perturbed, so that a combination in which nothing would happen is refused before training.
    fn perturbs(&self) -> Perturbs;

    /// Looks at the whole training data, once, before the first step. Whatever is learned here is a function of the data, so
    /// that a training that is resumed learns the same. Views that need nothing do nothing.
    fn prepare(&mut self, _train: &I) {}

    /// What view b encodes, without what is random in it: what keys of it are compared with to see how stale they are.
    fn unperturbed(&self, clean: &I) -> I
    where
        I: Clone,
    {
        clean.clone()
    }

    /// The views of this step, a function of the clean input and of the position alone. They may be drawn by another thread than
    /// the training's, ahead of their step, and for a step or two behind the last.
    fn draw(&mut self, clean: &I, at: At) -> Drawn<I>;
}

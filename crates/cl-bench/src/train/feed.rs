//! Where the steps get their batches: made in place by one thread, a step ahead where there are more.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use cl_core::StreamKey;
use cl_core::source::{Batch, Source};
use cl_core::views::At;

/// What a batch is made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Sampled for each positive.
    pub(super) negatives: usize,
    /// Whether they are listed here; if not, the device draws them.
    pub(super) listed: bool,
}

impl Wanted {
    fn batch(self, source: &mut impl Source, at: At) -> Batch {
        let batch = source.batch(at, self.negatives);
        if self.listed {
            let _ = batch.negatives.items();
        }
        batch
    }
}

/// The batches of a training, one step after another.
///
/// A batch is a function of its position alone, so that where it is made changes no bit.
pub(super) enum Feed<S> {
    /// Made when it is asked for.
    InPlace { source: S, key: StreamKey, wanted: Wanted },
    /// Made by another thread while the step before computes. It ends when nobody receives any more.
    Ahead { batches: Receiver<(At, Batch)>, _maker: JoinHandle<()> },
}

impl<S: Source + 'static> Feed<S> {
    /// Batches from step `step` of epoch `epoch` on, epoch after epoch.
    pub(super) fn new(mut source: S, key: StreamKey, epoch: u64, step: u64, wanted: Wanted) -> Self {
        if rayon::current_num_threads() == 1 {
            return Self::InPlace { source, key, wanted };
        }
        // One waits while the next is made.
        let (send, batches) = sync_channel(1);
        let maker = std::thread::spawn(move || {
            let steps = source.steps() as u64;
            let mut at = At { key, epoch, step };
            loop {
                if at.step >= steps {
                    at = At { key, epoch: at.epoch + 1, step: 0 };
                }
                let batch = wanted.batch(&mut source, at);
                if send.send((at, batch)).is_err() {
                    return;
                }
                at.step += 1;
            }
        });
        Self::Ahead { batches, _maker: maker }
    }

    /// The batch of the next step, which is that of this position.
    pub(super) fn next(&mut self, epoch: u64, step: u64) -> Batch {
        match self {
            Self::InPlace { source, key, wanted } => wanted.batch(source, At { key: *key, epoch, step }),
            Self::Ahead { batches, .. } => match batches.recv() {
                Ok((at, batch)) => {
                    assert_eq!((at.epoch, at.step), (epoch, step), "batches come one step after another");
                    batch
                }
                Err(_) => panic!("the thread that makes batches has panicked"),
            },
        }
    }
}

//! Where the steps get their batches: made in place by one thread, a step ahead where there are more.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use cl_core::StreamKey;
use cl_core::source::{Batch, Source};
use cl_core::views::At;

/// The batches of a training, one step after another.
///
/// A batch is a function of its position alone, so that where it is made changes no bit.
pub(super) enum Feed<S> {
    /// Made when it is asked for.
    InPlace { source: S, key: StreamKey, negatives: usize },
    /// Made by another thread while the step before computes. It ends when nobody receives any more.
    Ahead { batches: Receiver<(At, Batch)>, _maker: JoinHandle<()> },
}

impl<S: Source + 'static> Feed<S> {
    /// Batches from step `step` of epoch `epoch` on, epoch after epoch.
    pub(super) fn new(mut source: S, key: StreamKey, epoch: u64, step: u64, negatives: usize) -> Self {
        if rayon::current_num_threads() == 1 {
            return Self::InPlace { source, key, negatives };
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
                let batch = source.batch(at, negatives);
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
            Self::InPlace { source, key, negatives } => {
                source.batch(At { key: *key, epoch, step }, *negatives)
            }
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

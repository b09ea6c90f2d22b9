//! Where steps get what they ask: made in place by one thread, up to two steps ahead where there are more.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use cl_core::source::Source;

use super::ask::{Asked, Asker};

/// Where a step stands: epoch, and step of the epoch.
type Position = (u64, u64);

/// What the steps of a training ask, one after another, made in place where no thread is left for it.
///
/// It is a function of its position alone, so that where it is made changes no bit.
pub(super) enum Feed<S: Source> {
    /// Made when it is asked for.
    InPlace(Asker<S>),
    /// Made by another thread while the step before computes.
    Ahead(Ahead<S::Input>),
}

/// A thread that makes what steps ask; it ends with this.
pub(super) struct Ahead<I> {
    asked: Option<Receiver<(Position, Asked<I>)>>,
    maker: Option<JoinHandle<()>>,
}

impl<I> Drop for Ahead<I> {
    /// Waits for the thread, as it may be copying to a device that the end of the program takes away.
    fn drop(&mut self) {
        // It sees that nobody receives any more.
        self.asked = None;
        // Its panic was told when it happened.
        let _ = self.maker.take().map(JoinHandle::join);
    }
}

impl<S> Feed<S>
where
    S: Source<Input: Send> + 'static,
{
    /// From step `step` of epoch `epoch` on, epoch after epoch. `busy` threads compute or wait in a loop all the time.
    pub(super) fn new(mut asker: Asker<S>, mut epoch: u64, mut step: u64, busy: usize) -> Self {
        if rayon::current_num_threads() <= busy {
            return Self::InPlace(asker);
        }
        // One waits while the next is made.
        let (send, asked) = sync_channel(1);
        let maker = std::thread::spawn(move || {
            let steps = asker.steps();
            loop {
                if step >= steps {
                    (epoch, step) = (epoch + 1, 0);
                }
                if send.send(((epoch, step), asker.asked(epoch, step))).is_err() {
                    return;
                }
                step += 1;
            }
        });
        Self::Ahead(Ahead { asked: Some(asked), maker: Some(maker) })
    }

    /// What the next step asks, which is that of this position.
    pub(super) fn next(&mut self, epoch: u64, step: u64) -> Asked<S::Input> {
        match self {
            Self::InPlace(asker) => asker.asked(epoch, step),
            Self::Ahead(Ahead { asked, .. }) => match asked.as_ref().map(Receiver::recv) {
                Some(Ok((at, asked))) => {
                    assert_eq!(at, (epoch, step), "steps come one after another");
                    asked
                }
                _ => panic!("the thread that makes batches and views has panicked"),
            },
        }
    }
}

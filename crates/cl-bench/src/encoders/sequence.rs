//! Encoders of sequences.

use cl_core::encoder::Senses;
use cl_core::registry::{Check, Component};
use cl_seq::{Batching, Instances, SasRecConfig, SequenceSource};

use super::{EncoderSlot, Kind, Trainable};
use crate::backend::TrainBackend;
use crate::config::{AnyViews, Sampler};
use crate::error::Error;
use crate::train::{Session, Trained, train};

impl<B: TrainBackend> Component<dyn EncoderSlot<B>> for SasRecConfig {
    const NAME: &'static str = "sas_rec";
    const SUMMARY: &'static str = SasRecConfig::SUMMARY;

    fn complete(&mut self) {
        self.complete();
    }

    fn validate(&self) -> Check {
        self.validate()
    }

    fn build(self) -> Box<dyn EncoderSlot<B>> {
        Box::new(self)
    }
}

impl<B: TrainBackend> EncoderSlot<B> for SasRecConfig {
    fn kind(&self) -> Kind<'_, B> {
        Kind::Sequence(self)
    }
}

impl<B: TrainBackend> Trainable<B> for SasRecConfig {
    fn senses(&self) -> Senses {
        self.senses()
    }

    fn train(&self, mut session: Session<'_, B>) -> Result<Trained, Error> {
        let Some(order) = &session.order else {
            return Err(Error::other("a sequence encoder is trained without the order of events"));
        };
        let training = &session.training;
        let instances = match training.train.sampler {
            Some(Sampler::Prefixes) => Instances::Prefixes,
            _ => Instances::Windows,
        };
        let batching = Batching {
            batch_size: training.train.batch_size,
            max_length: self.max_length,
            instances,
            targets: training.objective.targets().unwrap_or_default(),
            negatives: training.objective.negatives_per_positive() > 0,
        };
        let source = SequenceSource::new(order.train.clone(), order.whole.clone(), session.items, batching)
            .map_err(|error| Error::other(error.to_string()))?;
        let encoder = self.init::<B>(session.items, session.key.child("init"), &session.device);
        let views = session.training.views.take().map(AnyViews::sequence);
        train(session, views, encoder, self.dim, source)
    }
}

//! Encoders of sequences.

use burn::module::AutodiffModule;
use cl_core::Encoder;
use cl_core::encoder::Senses;
use cl_core::registry::{Check, Component};
use cl_seq::{
    Batching, Bert4RecConfig, Gru4RecConfig, Instances, Masking, SasRecConfig, SequenceEncoder,
    SequenceInput, SequenceSource,
};
use serde::{Deserialize, Serialize};

use super::{EncoderSlot, Kind, Trainable};
use crate::backend::TrainBackend;
use crate::config::{AnyViews, Sampler, TrainConfig};
use crate::error::Error;
use crate::train::{Session, Trained, train};

/// A sequence encoder's configuration as a component of the encoder slot.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence<C>(pub C);

impl<B, C> EncoderSlot<B> for Sequence<C>
where
    B: TrainBackend,
    C: SequenceEncoder,
    C::Encoder<B>: AutodiffModule<B, InnerModule: Encoder<B::InnerBackend, Input = SequenceInput>> + 'static,
{
    fn kind(&self) -> Kind<'_, B> {
        Kind::Sequence(self)
    }
}

/// What an instance is.
fn instances(train: &TrainConfig) -> Instances {
    match train.sampler {
        Some(Sampler::Prefixes) => Instances::Prefixes,
        Some(Sampler::Masked) => Instances::Masked(Masking {
            rate: train.mask_rate.unwrap_or_default(),
            last: train.mask_last.unwrap_or_default(),
        }),
        _ => Instances::Windows,
    }
}

impl<B, C> Trainable<B> for Sequence<C>
where
    B: TrainBackend,
    C: SequenceEncoder,
    C::Encoder<B>: AutodiffModule<B, InnerModule: Encoder<B::InnerBackend, Input = SequenceInput>> + 'static,
{
    fn senses(&self) -> Senses {
        self.0.senses()
    }

    fn samplers(&self) -> &'static [Sampler] {
        if C::CAUSAL { &[Sampler::Windows, Sampler::Prefixes] } else { &[Sampler::Masked] }
    }

    fn train(&self, mut session: Session<'_, B>) -> Result<Trained, Error> {
        let Some(order) = &session.order else {
            return Err(Error::other("a sequence encoder is trained without the order of events"));
        };
        let training = &session.training;
        let batching = Batching {
            batch_size: training.train.batch_size,
            max_length: self.0.max_length(),
            instances: instances(&training.train),
            targets: training.objective.targets().unwrap_or_default(),
            negatives: training.objective.negatives(),
            similar_lengths: training.train.similar_lengths.unwrap_or_default(),
        };
        let source = SequenceSource::new(order.train.clone(), order.whole.clone(), session.items, batching)
            .map_err(|error| Error::other(error.to_string()))?;
        let encoder: C::Encoder<B> = self.0.init(session.items, session.key.child("init"), &session.device);
        let views = session.training.views.take().map(AnyViews::sequence);
        train(session, views, encoder, self.0.whole_width(), source)
    }
}

macro_rules! sequence_encoder {
    ($config:ty, $name:literal) => {
        impl<B: TrainBackend> Component<dyn EncoderSlot<B>> for Sequence<$config> {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = <$config>::SUMMARY;

            fn complete(&mut self) {
                self.0.complete();
            }

            fn validate(&self) -> Check {
                self.0.validate()
            }

            fn build(self) -> Box<dyn EncoderSlot<B>> {
                Box::new(self)
            }
        }
    };
}

sequence_encoder!(SasRecConfig, "sas_rec");
sequence_encoder!(Gru4RecConfig, "gru4rec");
sequence_encoder!(Bert4RecConfig, "bert4rec");

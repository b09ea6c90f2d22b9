//! Opponents that need no training loop.

use cl_core::registry::{Check, Component};
use cl_data::Split;
use cl_eval::Scorer;
use cl_eval::baseline::{BaselineError, EaseConfig, ItemKnnConfig, PopularityConfig};

use super::{EncoderSlot, Fit, Kind};
use crate::backend::TrainBackend;
use crate::error::Error;

macro_rules! baseline {
    ($config:ty, $name:literal, $summary:literal, $fit:expr) => {
        impl<B: TrainBackend> Component<dyn EncoderSlot<B>> for $config {
            const NAME: &'static str = $name;
            const SUMMARY: &'static str = $summary;

            fn validate(&self) -> Check {
                self.validate()
            }

            fn build(self) -> Box<dyn EncoderSlot<B>> {
                Box::new(self)
            }
        }

        impl<B: TrainBackend> EncoderSlot<B> for $config {
            fn kind(&self) -> Kind<'_, B> {
                Kind::Untrained(self)
            }
        }

        impl Fit for $config {
            fn fit(&self, split: &Split) -> Result<Box<dyn Scorer>, Error> {
                match $fit(self, split) {
                    Ok(scorer) => Ok(Box::new(scorer)),
                    Err(error) => Err(Error::other(format!("encoder `{}`: {error}", $name))),
                }
            }
        }
    };
}

baseline!(
    PopularityConfig,
    "popularity",
    "by number of training interactions, the same for everybody",
    // Where the split looks at the order of events, each counts, also repeats.
    |config: &PopularityConfig, split: &Split| Ok::<_, BaselineError>(
        config.by_counts(&split.train_counts())
    )
);
baseline!(
    ItemKnnConfig,
    "item_knn",
    "items similar to the user's items (Sarwar et al. 2001)",
    |config: &ItemKnnConfig, split: &Split| config.fit(&split.train, split.items.len())
);
baseline!(
    EaseConfig,
    "ease",
    "linear autoencoder in closed form (Steck 2019)",
    |config: &EaseConfig, split: &Split| config.fit(&split.train, split.items.len())
);

//! Encoders of user-item graphs.

use std::sync::Arc;

use burn::module::AutodiffModule;
use cl_core::Encoder;
use cl_core::encoder::Senses;
use cl_core::registry::{Check, Component};
use cl_graph::{
    BipartiteGraph, GraphEncoder, GraphInput, GraphSource, LightGcnConfig, MatrixFactorizationConfig,
};
use serde::{Deserialize, Serialize};

use super::{EncoderSlot, Kind, Trainable};
use crate::backend::TrainBackend;
use crate::config::{AnyViews, Sampler};
use crate::error::Error;
use crate::train::{Session, Trained, train};

/// A graph encoder's configuration as a component of the encoder slot.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Graph<C>(pub C);

impl<B, C> EncoderSlot<B> for Graph<C>
where
    B: TrainBackend,
    C: GraphEncoder,
    C::Encoder<B>: AutodiffModule<B, InnerModule: Encoder<B::InnerBackend, Input = GraphInput>> + 'static,
{
    fn kind(&self) -> Kind<'_, B> {
        Kind::Graph(self)
    }
}

impl<B, C> Trainable<B> for Graph<C>
where
    B: TrainBackend,
    C: GraphEncoder,
    C::Encoder<B>: AutodiffModule<B, InnerModule: Encoder<B::InnerBackend, Input = GraphInput>> + 'static,
{
    fn senses(&self) -> Senses {
        self.0.senses()
    }

    fn samplers(&self) -> &'static [Sampler] {
        &[Sampler::Edges, Sampler::Users]
    }

    fn train(&self, mut session: Session<'_, B>) -> Result<Trained, Error> {
        let pairs = session.part;
        let graph = Arc::new(BipartiteGraph::new(pairs.offsets(), pairs.items(), session.items));
        let source = GraphSource::new(
            graph.clone(),
            self.0.weighting(),
            match session.training.train.sampler {
                Some(Sampler::Users) => cl_graph::Sampler::Users,
                _ => cl_graph::Sampler::Edges,
            },
            session.training.train.batch_size,
            session.training.objective.negatives(),
        )
        .map_err(|error| Error::other(error.to_string()))?;
        let encoder: C::Encoder<B> = self.0.init(&graph, session.key.child("init"), &session.device);
        let views = session.training.views.take().map(AnyViews::graph);
        train(session, views, encoder, self.0.dim(), source)
    }
}

macro_rules! graph_encoder {
    ($config:ty, $name:literal) => {
        impl<B: TrainBackend> Component<dyn EncoderSlot<B>> for Graph<$config> {
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

graph_encoder!(LightGcnConfig, "light_gcn");
graph_encoder!(MatrixFactorizationConfig, "matrix_factorization");

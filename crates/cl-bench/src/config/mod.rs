//! The experiment file: from text to slots.

mod experiment;
mod resolved;
pub mod split;
mod tables;
mod text;
mod together;
mod views;

pub use experiment::{Contrasting, Experiment, Training};
pub use resolved::hash;
pub use tables::{DeviceConfig, EvaluateConfig, SampledConfig, Sampler, Select, Slice, TrainConfig};
pub use text::Text;
pub use views::AnyViews;

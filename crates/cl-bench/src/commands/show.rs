//! `cl-bench show`

use crate::backend::{OnBackend, TrainBackend, on_backend};
use crate::cli::ExperimentArgs;
use crate::components::Catalogue;
use crate::config::{Experiment, Text};
use crate::error::Error;
use crate::out;

/// Prints the resolved experiment.
pub(crate) fn show(args: &ExperimentArgs, catalogue: &impl Catalogue) -> Result<(), Error> {
    let text = Text::read(&args.file, &args.overrides)?;
    let backend = super::device(&text)?.backend;
    struct Resolve<'a, C>(&'a Text, &'a C);
    impl<C: Catalogue> OnBackend for Resolve<'_, C> {
        type Output = Result<(String, String), Error>;
        fn run<B: TrainBackend>(self, _device: B::Device) -> Self::Output {
            let experiment = Experiment::<B>::read(self.0, &self.1.components())?;
            Ok((experiment.resolved, experiment.hash))
        }
    }
    let resolved = on_backend(&backend, Resolve(&text, catalogue));
    let (resolved, hash) = resolved.unwrap_or_else(|| unreachable!("the backend was checked"))?;
    out::line(format_args!("# hash {hash}\n{}", resolved.trim_end()))
}

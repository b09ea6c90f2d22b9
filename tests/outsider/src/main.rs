//! The program `cl-bench` with a view and a loss of this crate.

mod popularity_dropout;
mod triplet;

use std::process::ExitCode;

use cl_bench::{Catalogue, Components, TrainBackend};

struct Mine;

impl Catalogue for Mine {
    fn components<B: TrainBackend>(&self) -> Components<B> {
        let mut components = Components::builtin();
        components.views = components.views.with::<popularity_dropout::PopularityDropoutConfig>();
        components.contrast = components.contrast.with::<triplet::TripletConfig>();
        components
    }
}

fn main() -> ExitCode {
    cl_bench::main(&Mine)
}

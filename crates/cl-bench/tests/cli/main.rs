//! The program as other programs and people meet it: commands, exit codes, and the files of a run folder.
#![allow(clippy::unwrap_used)]

mod commands;
#[path = "../common/mod.rs"]
mod common;
mod endings;
mod folder;
mod metrics;
mod remembered;

use std::path::{Path, PathBuf};

use common::{Place, succeed};

/// A small experiment in which nothing is left out: 1,050 training pairs are 5 steps of 256.
const XSIMGCL: &str = "name = 'small'\n[data]\nsynthetic = { users = 120, items = 90, interactions = 1500 }\n\
    [split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\nlayers = 2\ninclude_layer_zero = false\n\
    [views]\ntype = 'cross_layer'\n[contrast]\ntype = 'info_nce'\n[projection]\ntype = 'mlp'\ndim = 8\n\
    [train]\nepochs = 3\nbatch_size = 256\n[evaluate]\ncutoffs = [5, 20]\n";

/// The same data and an opponent that is not trained.
const ITEM_KNN: &str = "name = 'neighbours'\nseed = 7\n[data]\n\
    synthetic = { users = 120, items = 90, interactions = 1500 }\n[split]\ntype = 'ratio'\n\
    [encoder]\ntype = 'item_knn'\n";

/// A place with a finished run of an experiment in `out`, and its file.
fn finished(experiment: &str) -> (Place, PathBuf) {
    let place = Place::new();
    let file = place.file("my.toml", experiment);
    succeed(place.run(&file, "out").arg("--quiet"));
    (place, file)
}

/// Rows of a file without a header, split at tabs.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| line.split('\t').map(String::from).collect()).collect()
}

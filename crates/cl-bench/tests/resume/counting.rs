//! The program with a view that counts the steps of all processes, independent of what the program says of itself.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};

use cl_bench::{Catalogue, Components, TrainBackend};
use cl_core::encoder::Perturbs;
use cl_core::registry::Component;
use cl_core::views::{At, Drawn, Views};
use cl_graph::GraphInput;
use cl_graph::views::EmbeddingNoiseConfig;
use serde::{Deserialize, Serialize};

const ARGUMENTS: &str = "CL_TEST_ARGUMENTS";
const STEPS: &str = "CL_TEST_STEPS";

/// `embedding_noise`, and a byte in a file for every step: views are drawn once a step.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CountedNoise {}

impl Component<dyn Views<GraphInput>> for CountedNoise {
    const NAME: &'static str = "counted_noise";
    const SUMMARY: &'static str = "embedding_noise that counts steps";

    fn build(self) -> Box<dyn Views<GraphInput>> {
        Box::new(self)
    }
}

impl Views<GraphInput> for CountedNoise {
    fn perturbs(&self) -> Perturbs {
        EmbeddingNoiseConfig::default().perturbs()
    }

    fn draw(&mut self, clean: &GraphInput, at: At) -> Drawn<GraphInput> {
        let file = std::env::var_os(STEPS).unwrap();
        OpenOptions::new().create(true).append(true).open(file).unwrap().write_all(b".").unwrap();
        EmbeddingNoiseConfig::default().draw(clean, at)
    }
}

struct Counting;

impl Catalogue for Counting {
    fn components<B: TrainBackend>(&self) -> Components<B> {
        let mut components = Components::builtin();
        components.views = components.views.with::<CountedNoise>();
        components
    }
}

#[test]
#[ignore = "the program that another test runs, in a process of its own"]
fn counting_program() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let arguments = arguments.lines().map(OsString::from);
    assert_eq!(cl_bench::main_with(arguments, &Counting), ExitCode::SUCCESS);
}

/// `cl-bench run …`, its steps counted in a file.
pub(crate) fn counting(steps: &Path, file: &Path, out: &Path, more: &[String]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "counting::counting_program", "--ignored", "--nocapture"]);
    let (file, out) = (file.display().to_string(), out.display().to_string());
    let arguments = ["cl-bench", "run", &file, "--out", &out, "--threads", "1"].map(String::from);
    command.env(ARGUMENTS, [&arguments, more].concat().join("\n")).env(STEPS, steps);
    command
}

/// Bytes of a file, 0 without it: the steps so far.
pub(crate) fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |file| file.len())
}

//! `cl-bench bench`: seconds a step, as one JSON line.

use cl_core::StreamKey;
use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::run::{LoadedSplit, load_split, selection};
use crate::backend::{OnBackend, TrainBackend, on_backend};
use crate::cli::{DataRoot, ExperimentArgs};
use crate::components::Catalogue;
use crate::config::{Experiment, Text};
use crate::error::Error;
use crate::evaluate::on_test;
use crate::out;
use crate::result::{median, peak_rss_bytes};
use crate::train::{Clock, History, Progress, Session};

/// Arguments of `bench`.
#[derive(Args, Debug, Clone)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    data: DataRoot,
    /// Steps to take
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Threads [default: device.threads, else one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Wall-clock seconds, or processor seconds of this process (with --threads 1 steady on a busy machine)
    #[arg(long, value_enum, default_value = "wall")]
    clock: Clock,
}

/// Times an experiment.
pub(crate) fn bench(args: &BenchArgs, catalogue: &impl Catalogue) -> Result<(), Error> {
    let text = Text::read(&args.experiment.file, &args.experiment.overrides)?;
    let device = super::device(&text)?;
    super::use_threads(args.threads.unwrap_or(device.threads))?;
    on_backend(&device.backend, Bench { args, text: &text, catalogue })
        .unwrap_or_else(|| unreachable!("the backend was checked"))
}

struct Bench<'a, C> {
    args: &'a BenchArgs,
    text: &'a Text,
    catalogue: &'a C,
}

impl<C: Catalogue> OnBackend for Bench<'_, C> {
    type Output = Result<(), Error>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<(), Error> {
        let Self { args, text, catalogue } = self;
        crate::device::check::<B::InnerBackend>(&device)?;
        let experiment = Experiment::<B>::read(text, &catalogue.components())?;
        let LoadedSplit { split, among, seconds: load, .. } = load_split(&experiment, &args.data.path())?;
        let Experiment { encoder, training, evaluate, seed, .. } = experiment;
        let (Some(model), Some(training)) = (encoder.kind().trained(), training) else {
            return Err(Error::other("this encoder is not trained, so there is no step to time"));
        };
        let trained = model.train(Session {
            device,
            key: StreamKey::root(seed),
            part: &split.train,
            order: History::of(&split),
            items: split.items.len(),
            selection: selection(&training, &split),
            training,
            evaluate: &evaluate,
            among: among.clone(),
            folder: None,
            suffix: "",
            max_steps: Some(args.steps),
            clock: args.clock,
            progress: Progress::new(true),
        })?;
        let evaluating = args.clock.now();
        let evaluation = on_test(&*trained.ranker, &split, &evaluate, among.as_ref());
        let eval = args.clock.now() - evaluating;
        let (timing, steps_per_epoch) = (&trained.timing, trained.steps_per_epoch);
        // The first step of an epoch also makes what is made once an epoch: its order, graphs of views.
        let (firsts, others): (Vec<_>, Vec<_>) =
            timing.steps.iter().enumerate().partition(|(at, _)| at.is_multiple_of(steps_per_epoch));
        let of = |steps: Vec<(usize, &f64)>| median(&steps.into_iter().map(|(_, s)| *s).collect::<Vec<_>>());
        let first = of(firsts);
        let step = if others.is_empty() { first } else { of(others) };
        let phases = ["sample", "forward", "backward", "optimizer"].into_iter().zip(&timing.phases);
        let phases: serde_json::Map<_, _> =
            phases.map(|(name, of)| (name.to_string(), json!(median(of)))).collect();
        // Where the run went through whole epochs, what they took: batches of sequences differ in how long they are.
        let epochs: Vec<f64> =
            timing.steps.chunks_exact(steps_per_epoch).map(|steps| steps.iter().sum()).collect();
        let epoch = match &epochs[..] {
            [] => first + step * (steps_per_epoch - 1) as f64,
            epochs => median(epochs),
        };
        let line = json!({
            "step_s": step,
            "step_min_s": timing.steps.iter().copied().fold(f64::INFINITY, f64::min),
            "steps_per_epoch": steps_per_epoch,
            "first_step_s": first,
            "epoch_s": epoch,
            "phase_s": phases,
            "eval_s": eval,
            "load_s": load,
            "peak_rss_mib": peak_rss_bytes().map(|bytes| bytes / (1 << 20)),
            "threads": rayon::current_num_threads(),
            "steps": trained.steps,
            "last_loss": trained.last_loss,
            "embeddings_sha256": trained.ranker.embeddings().map(|tables| {
                let mut hasher = Sha256::new();
                for table in [&tables.users, &tables.items] {
                    for x in table {
                        hasher.update(x.to_le_bytes());
                    }
                }
                hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            }),
            "metrics": evaluation.metrics.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>(),
        });
        out::line(line)
    }
}

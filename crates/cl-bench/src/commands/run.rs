//! `cl-bench run`: load, split, train, evaluate, report.

use std::path::PathBuf;
use std::time::Instant;

use cl_core::StreamKey;
use cl_data::{FilterReport, Split, Train, UserItems, Validation};
use clap::Args;

use crate::backend::{OnBackend, TrainBackend, on_backend};
use crate::candidates::Candidates;
use crate::cli::{DataRoot, ExperimentArgs};
use crate::components::Catalogue;
use crate::config::{EvaluateConfig, Experiment, Select, Text, Training};
use crate::encoders::{Kind, Trainable};
use crate::error::Error;
use crate::evaluate::{on_test, selection_metrics};
use crate::folder::{IfThere, RunFolder};
use crate::ranker::{ByScores, Ranker};
use crate::result::{Outcome, Seconds};
use crate::train::{Clock, History, Progress, Selection, Session, Timing, Trained};
use crate::{out, report, result};

/// Arguments of `run`.
#[derive(Args, Debug, Clone)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    data: DataRoot,
    /// The run folder [default: runs/<name>-<seed>-<hash>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Start anew where a run is
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Go on with an unfinished run
    #[arg(long)]
    resume: bool,
    /// Threads [default: device.threads, else one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Stop training after N steps, and still evaluate
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_steps: Option<u64>,
    /// Say nothing but errors
    #[arg(long)]
    quiet: bool,
}

/// Runs an experiment.
pub(crate) fn run(args: &RunArgs, catalogue: &impl Catalogue) -> Result<(), Error> {
    let text = Text::read(&args.experiment.file, &args.experiment.overrides)?;
    let device = super::device(&text)?;
    super::use_threads(args.threads.unwrap_or(device.threads))?;
    on_backend(&device.backend, Run { args, text: &text, catalogue })
        .unwrap_or_else(|| unreachable!("the backend was checked"))
}

struct Run<'a, C> {
    args: &'a RunArgs,
    text: &'a Text,
    catalogue: &'a C,
}

impl<C: Catalogue> OnBackend for Run<'_, C> {
    type Output = Result<(), Error>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<(), Error> {
        let Self { args, text, catalogue } = self;
        let started = Instant::now();
        crate::device::check::<B::InnerBackend>(&device)?;
        let experiment = Experiment::<B>::read(text, &catalogue.components())?;
        let loaded = load(&experiment, args)?;
        let split = &loaded.split;
        let folder = open_folder(&experiment, text, args)?;
        if args.resume && folder.is_finished() && !folder.is_cut_short() {
            say(args, &format!("{} is finished", folder.path().display()));
            return Ok(());
        }
        say(args, &report::data_line(split));

        let facts = result::Facts::of(&experiment);
        let evaluate = experiment.evaluate.clone();
        let key = StreamKey::root(experiment.seed);
        let bed = Bed { split, among: loaded.among.as_ref(), device, folder: &folder, args, key };
        let Model { ranker, valid, training } =
            bed.model(experiment, || Experiment::read(text, &catalogue.components()))?;

        let evaluating = Instant::now();
        let evaluation = on_test(&*ranker, split, &evaluate, loaded.among.as_ref());
        let evaluate_seconds = evaluating.elapsed().as_secs_f64();
        let seconds = Seconds {
            load: loaded.seconds,
            evaluate: evaluate_seconds,
            total: started.elapsed().as_secs_f64(),
        };
        let outcome =
            Outcome { facts, loaded: &loaded, ranker: &*ranker, valid, evaluation, training, seconds, key };
        result::write(&folder, &outcome)?;
        if !args.quiet {
            out::line(report::table(&outcome, &evaluate))?;
            out::line(folder.path().display())?;
        }
        Ok(())
    }
}

fn say(args: &RunArgs, line: &str) {
    if !args.quiet {
        out::note(line);
    }
}

/// The data of an experiment, divided.
pub(crate) struct LoadedSplit {
    pub(crate) split: Split,
    /// What held-out items are ranked among, if not all.
    pub(crate) among: Option<Candidates>,
    /// What the filters did.
    pub(crate) filters: FilterReport,
    /// What a person should know of both.
    pub(crate) notes: Vec<String>,
    /// Seconds that it took.
    pub(crate) seconds: f64,
}

/// Loads and divides the data of an experiment.
pub(crate) fn load_split<B: TrainBackend>(
    experiment: &Experiment<B>,
    root: &std::path::Path,
) -> Result<LoadedSplit, Error> {
    let started = Instant::now();
    let loaded = cl_data::load(&experiment.data, root, experiment.seed)?;
    let split = experiment.split.split(&loaded.source, experiment.seed)?;
    if let Some(training) = &experiment.training {
        let select = training.train.select;
        if select == Select::Validation && split.validation.is_empty() {
            return Err(Error::with_help(
                "train.select = \"validation\" and the validation part is empty",
                "ask for one in [split], or set train.select = \"last\"",
            ));
        }
        if select == Select::Test && !split.validation.is_empty() {
            return Err(Error::with_help(
                "train.select = \"test\" and the data has a validation part",
                "set train.select = \"validation\"",
            ));
        }
        if training.objective.negatives_per_positive() > 0 {
            check_negatives(&split, training.train.refit)?;
        }
    }
    if split.test.is_empty() {
        return Err(Error::with_help("the test part is empty", "look at [split]: nothing could be measured"));
    }
    let key = StreamKey::root(experiment.seed);
    let among = Candidates::of(&experiment.evaluate, &split, root, key)?;
    let mut notes = split.notes.clone();
    let filters = loaded.report;
    if filters.kept != filters.read {
        notes.insert(0, filters.to_string());
    }
    Ok(LoadedSplit { split, among, filters, notes, seconds: started.elapsed().as_secs_f64() })
}

/// A user who took everything has no negative item, and would be searched for one for ever.
fn check_negatives(split: &Split, refit: bool) -> Result<(), Error> {
    let items = split.items.len();
    let of_validation = |user| if refit { split.validation.of(user).len() } else { 0 };
    let taken = |user: usize| split.train.of(user).len() + of_validation(user);
    match (0..split.users.len()).find(|&user| taken(user) >= items) {
        None => Ok(()),
        Some(user) => Err(Error::with_help(
            format!(
                "user `{}` took all {items} items in what is trained on, so that no negative can be sampled",
                split.users.external(user)
            ),
            "remove the user, or choose an objective without negatives",
        )),
    }
}

fn load<B: TrainBackend>(experiment: &Experiment<B>, args: &RunArgs) -> Result<LoadedSplit, Error> {
    let loaded = load_split(experiment, &args.data.path())?;
    for note in &loaded.notes {
        say(args, &format!("note: {note}"));
    }
    Ok(loaded)
}

fn open_folder<B: TrainBackend>(
    experiment: &Experiment<B>,
    text: &Text,
    args: &RunArgs,
) -> Result<RunFolder, Error> {
    let default = || format!("runs/{}-{}-{}", experiment.name, experiment.seed, &experiment.hash[..8]).into();
    let path = args.out.clone().unwrap_or_else(default);
    let policy = match (args.overwrite, args.resume) {
        (true, _) => IfThere::Overwrite,
        (_, true) => IfThere::Resume,
        _ => IfThere::Refuse,
    };
    let folder = RunFolder::open(&path, &experiment.resolved, &experiment.hash, policy)?;
    if folder.is_finished() {
        return Ok(folder);
    }
    let mut typed = text.file().to_string();
    for line in text.overrides() {
        typed.push_str(&format!("\n# --set {line}"));
    }
    folder.write("experiment.toml", typed.as_bytes())?;
    Ok(folder)
}

/// What epochs are compared on: the test part for `select = "test"` alone.
pub(crate) fn selection<'a, B: TrainBackend>(training: &Training<B>, split: &'a Split) -> Selection<'a> {
    match training.train.select {
        Select::Validation | Select::Last => Selection::Validation(&split.validation),
        Select::Test => Selection::Test(&split.test),
    }
}

/// What is known of a training, for the result.
pub(crate) struct TrainingFacts {
    pub(crate) best_epoch: usize,
    pub(crate) steps: u64,
    pub(crate) last_loss: f64,
    pub(crate) timing: Timing,
    /// Whether `--max-steps` ended it before its epochs or its patience did.
    pub(crate) cut_short: bool,
    /// The second training, on training and validation part.
    pub(crate) refit: Option<RefitFacts>,
}

/// What is known of a second training.
pub(crate) struct RefitFacts {
    pub(crate) epochs: usize,
    pub(crate) steps: u64,
    pub(crate) last_loss: f64,
}

impl From<Trained> for (Box<dyn Ranker>, TrainingFacts) {
    fn from(trained: Trained) -> Self {
        let Trained { ranker, best_epoch, steps, last_loss, cut_short, timing, .. } = trained;
        (ranker, TrainingFacts { best_epoch, steps, last_loss, timing, cut_short, refit: None })
    }
}

/// A model, its metrics on the validation part, and how it was trained, if it was.
struct Model {
    ranker: Box<dyn Ranker>,
    valid: Vec<(String, f64)>,
    training: Option<TrainingFacts>,
}

/// The data, the machine and the wishes of a run, for one training or two.
struct Bed<'a, B: TrainBackend> {
    split: &'a Split,
    among: Option<&'a Candidates>,
    device: B::Device,
    folder: &'a RunFolder,
    args: &'a RunArgs,
    key: StreamKey,
}

impl<B: TrainBackend> Bed<'_, B> {
    /// Trains the model, or computes it. `again` reads the experiment anew, for a second training.
    fn model(
        &self,
        experiment: Experiment<B>,
        again: impl FnOnce() -> Result<Experiment<B>, Error>,
    ) -> Result<Model, Error> {
        let Experiment { encoder, training, evaluate, .. } = experiment;
        match (encoder.kind(), training) {
            (Kind::Untrained(model), _) => {
                say(self.args, "computing the model");
                let ranker = ByScores(model.fit(self.split)?);
                Ok(Model { valid: self.valid(&ranker, &evaluate), ranker: Box::new(ranker), training: None })
            }
            (Kind::Graph(model) | Kind::Sequence(model), Some(training)) => {
                let refit = training.train.refit;
                let selection = selection(&training, self.split);
                let order = History::of(self.split);
                let trained =
                    self.train(model, training, &evaluate, &self.split.train, order, selection, "")?;
                let (ranker, mut facts) = trained.into();
                let valid = self.valid(&*ranker, &evaluate);
                // A training that goes on may find another best epoch.
                let refit = refit && !facts.cut_short;
                let Some(mut training) = again()?.training.filter(|_| refit) else {
                    return Ok(Model { ranker, valid, training: Some(facts) });
                };
                // What selection found out is used on all the data that may be trained on.
                say(
                    self.args,
                    &format!("training anew on train and validation for {} epochs", facts.best_epoch),
                );
                let epochs = facts.best_epoch.max(1);
                training.train.epochs = epochs;
                training.train.select = Select::Last;
                training.train.patience = 0;
                let pairs = self.split.train.pairs().chain(self.split.validation.pairs());
                let whole = Train(UserItems::from_pairs(self.split.train.users(), pairs));
                let nothing = Validation(UserItems::from_pairs(whole.users(), std::iter::empty()));
                let selection = Selection::Validation(&nothing);
                let order = History::of(self.split)
                    .map(|History { whole, .. }| History { train: whole.clone(), whole });
                let trained = self.train(model, training, &evaluate, &whole, order, selection, "-refit")?;
                facts.cut_short |= trained.cut_short;
                facts.refit = Some(RefitFacts { epochs, steps: trained.steps, last_loss: trained.last_loss });
                Ok(Model { ranker: trained.ranker, valid, training: Some(facts) })
            }
            (_, None) => unreachable!("an encoder that is trained was read with its training"),
        }
    }

    /// Metrics on the validation part; empty without one.
    fn valid(&self, ranker: &dyn Ranker, evaluate: &EvaluateConfig) -> Vec<(String, f64)> {
        let selection = Selection::Validation(&self.split.validation);
        selection_metrics(ranker, &self.split.train, selection, evaluate, self.among)
    }

    #[allow(clippy::too_many_arguments)]
    fn train(
        &self,
        model: &dyn Trainable<B>,
        training: Training<B>,
        evaluate: &EvaluateConfig,
        part: &Train,
        order: Option<History>,
        selection: Selection<'_>,
        suffix: &'static str,
    ) -> Result<Trained, Error> {
        model.train(Session {
            device: self.device.clone(),
            key: self.key,
            part,
            order,
            items: self.split.items.len(),
            selection,
            training,
            evaluate,
            among: self.among.cloned(),
            folder: Some(self.folder),
            suffix,
            max_steps: self.args.max_steps,
            clock: Clock::Wall,
            progress: Progress::new(self.args.quiet),
        })
    }
}

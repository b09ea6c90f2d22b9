//! Tables without a `type`.

use cl_core::registry::{Check, Problem, ensure, nearest, read};
use cl_core::sampling::Sampling;
use cl_eval::{Metric, Score};
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::DeTable;

use crate::backend::{BACKENDS, is_compiled};

/// What decides which epoch's parameters are evaluated at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// The best epoch on the validation part.
    #[default]
    Validation,
    /// The last epoch.
    Last,
    /// The best epoch on the test part: the habit of published graph results. It needs `validation = 0`, and every
    /// output is watermarked.
    Test,
}

impl Select {
    /// The word in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Last => "last",
            Self::Test => "test",
        }
    }

    /// The sentence that outputs of a run selected on the test part carry.
    pub(crate) fn watermark(self) -> Option<&'static str> {
        (self == Self::Test).then_some(
            "the epoch was selected on the test part: these numbers are optimistic and compare only with others \
             selected so",
        )
    }
}

/// What an epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Graphs: every interaction once, shuffled; the last batch may be smaller (SELFRec, SGL, RecBole).
    Edges,
    /// Graphs: as many draws as there are interactions: a user uniformly with replacement, one of its items uniformly
    /// (LightGCN-PyTorch).
    Users,
    /// Sequences: the newest events of each user once (SASRec, S3-Rec).
    Windows,
    /// Sequences: every beginning of each user's events once (RecBole, DuoRec).
    Prefixes,
    /// Sequences: the newest events of each user once, some of them masked; these are foretold (BERT4Rec).
    Masked,
}

impl Sampler {
    /// The word in files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edges => "edges",
            Self::Users => "users",
            Self::Windows => "windows",
            Self::Prefixes => "prefixes",
            Self::Masked => "masked",
        }
    }
}

/// `[train]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Most epochs, 1 or more.
    pub epochs: usize,
    /// Interactions (or sequences) in a batch, 1 to 2^20.
    pub batch_size: usize,
    /// What an epoch is; by default `edges` for graph encoders, `windows` for those that foretell the next item, `masked` for
    /// BERT4Rec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<Sampler>,
    /// ρ, in (0, 1], the share of a sequence's events that are masked, with `sampler = "masked"`; BERT4Rec's code masks 0.2
    /// on MovieLens and 0.6 on Beauty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_rate: Option<f64>,
    /// The share of sequences whose newest event alone is masked instead, in [0, 1], with `sampler = "masked"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_last: Option<f64>,
    /// Whether sequences of similar length share a batch, batches in random order; by default any do. Of sequence encoders
    /// alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similar_lengths: Option<bool>,
    /// Which epoch counts.
    pub select: Select,
    /// The metric that selection maximises, one of `evaluate.metrics` at one of `evaluate.cutoffs`; by default recall@20,
    /// or what comes nearest to it among those; none with `select = "last"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_by: Option<String>,
    /// Evaluations without a better one after which training stops; 0 = never.
    pub patience: usize,
    /// After selection on the validation part, train anew on training and validation part together for as many epochs
    /// as were best, and evaluate that.
    pub refit: bool,
    /// Epochs between evaluations, 1 or more; the last epoch is always evaluated.
    pub evaluate_every: usize,
    /// Steps between checkpoints, 1 or more.
    pub checkpoint_every: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch_size: 2048,
            sampler: None,
            mask_rate: None,
            mask_last: None,
            similar_lengths: None,
            select: Select::Validation,
            select_by: None,
            patience: 0,
            refit: false,
            evaluate_every: 1,
            checkpoint_every: 1000,
        }
    }
}

impl TrainConfig {
    /// Writes the default metric of a selection down: recall, or else the first metric, at 20, or else at the largest
    /// cut-off.
    pub(crate) fn complete(&mut self, evaluate: &EvaluateConfig) {
        if self.select != Select::Last {
            let EvaluateConfig { metrics, cutoffs, .. } = evaluate;
            let metric = metrics.iter().find(|metric| **metric == Metric::Recall).or(metrics.first());
            let cutoff = if cutoffs.contains(&20) { 20 } else { evaluate.depth() };
            self.select_by.get_or_insert_with(|| {
                format!("{}@{cutoff}", metric.map_or("recall", |metric| metric.name()))
            });
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// The first key whose value is out of range.
    pub fn validate(&self) -> Check {
        let positive = |key, value: usize| ensure(value > 0, key, || "must be 1 or more, got 0".into());
        positive("epochs", self.epochs)?;
        ensure((1..=1 << 20).contains(&self.batch_size), "batch_size", || {
            format!("must be from 1 to 1048576, got {}", self.batch_size)
        })?;
        let rate = self.mask_rate.unwrap_or(1.0);
        ensure(rate > 0.0 && rate <= 1.0, "mask_rate", || {
            format!("must be above 0 and at most 1, got {rate}")
        })?;
        let last = self.mask_last.unwrap_or(0.0);
        ensure((0.0..=1.0).contains(&last), "mask_last", || format!("must be in [0, 1], got {last}"))?;
        positive("evaluate_every", self.evaluate_every)?;
        positive("checkpoint_every", self.checkpoint_every)?;
        ensure(!self.refit || self.select == Select::Validation, "refit", || {
            format!("needs select = \"validation\", got select = \"{}\"", self.select.name())
        })?;
        ensure(self.select_by.is_none() || self.select != Select::Last, "select_by", || {
            "chooses among epochs, and with select = \"last\" there is no choice".into()
        })?;
        ensure(self.patience == 0 || self.select != Select::Last, "patience", || {
            "waits for the selecting metric to rise, and with select = \"last\" there is none; remove it, or select \
             = \"validation\""
                .into()
        })
    }
}

/// A slice of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slice {
    /// Quartiles of users by training degree.
    UserDegree,
    /// Items by training count: 80 % least popular, next 15 %, top 5 % (SimGCL).
    ItemPopularity,
    /// Items by training count: ten groups with equal numbers of interactions (SGL).
    ItemDeciles,
    /// Users by the events that they have in all parts: up to 5, 6 to 8, 9 to 20, more (MCLRec's up to 8).
    HistoryLength,
}

/// `[evaluate]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateConfig {
    /// Cut-offs K, 1 to 10 000.
    pub cutoffs: Vec<usize>,
    /// Metrics.
    pub metrics: Vec<Metric>,
    /// Slices of the test results.
    pub slices: Vec<Slice>,
    /// Whether items that the user took before are left out of the ranking.
    pub mask_history: bool,
    /// What becomes of a score before it is ranked.
    pub score: Score,
    /// Ranks a few items of each user instead of all, for comparison with old papers; every output is then watermarked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled: Option<SampledConfig>,
}

/// `sampled` of `[evaluate]`: what the held-out items of a user are ranked among.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampledConfig {
    /// A file of `user item item …`, relative to the data root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<std::path::PathBuf>,
    /// So many sampled items of each user, 1 to 10 000, that the user has in no part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negatives: Option<usize>,
    /// The law that they are drawn by; uniform if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Sampling>,
}

impl SampledConfig {
    /// The sentence that outputs carry.
    fn watermark(&self) -> String {
        let items = match (&self.file, self.by.unwrap_or_default()) {
            (Some(file), _) => format!("the items of {}", file.display()),
            (None, by) => {
                let by = if by == Sampling::Uniform { "uniformly" } else { "by popularity" };
                format!("{} items drawn {by}", self.negatives.unwrap_or_default())
            }
        };
        format!(
            "held-out items were ranked among {items}, not among all: these numbers are higher than those of a full \
             ranking, order models otherwise, and compare only with others sampled so"
        )
    }

    fn validate(&self) -> Check {
        ensure(self.file.is_some() != self.negatives.is_some(), "sampled", || {
            "needs either `file` or `negatives`: sampled = { negatives = 99, by = \"uniform\" }".into()
        })?;
        let negatives = self.negatives.unwrap_or(1);
        ensure((1..=10_000).contains(&negatives), "sampled", || {
            format!("`negatives` must be from 1 to 10000, got {negatives}")
        })?;
        ensure(self.by.is_none() || self.file.is_none(), "sampled", || {
            "`by` says how `negatives` are drawn, and those of a `file` are not drawn".into()
        })
    }
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self {
            cutoffs: vec![10, 20],
            metrics: Metric::ALL.to_vec(),
            slices: vec![Slice::UserDegree, Slice::ItemPopularity],
            mask_history: true,
            score: Score::Raw,
            sampled: None,
        }
    }
}

impl EvaluateConfig {
    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// The first key whose value is out of range.
    pub fn validate(&self) -> Check {
        let ok = !self.cutoffs.is_empty() && self.cutoffs.iter().all(|cutoff| (1..=10_000).contains(cutoff));
        ensure(ok, "cutoffs", || {
            format!("must be numbers from 1 to 10000, at least one, got {:?}", self.cutoffs)
        })?;
        ensure(!self.metrics.is_empty(), "metrics", || "must name at least one metric".into())?;
        let twice =
            |n: usize, same: &dyn Fn(usize, usize) -> bool| (0..n).any(|i| (0..i).any(|j| same(i, j)));
        ensure(!twice(self.cutoffs.len(), &|i, j| self.cutoffs[i] == self.cutoffs[j]), "cutoffs", || {
            format!("must not repeat, got {:?}", self.cutoffs)
        })?;
        ensure(!twice(self.metrics.len(), &|i, j| self.metrics[i] == self.metrics[j]), "metrics", || {
            "must not repeat".into()
        })?;
        ensure(!twice(self.slices.len(), &|i, j| self.slices[i] == self.slices[j]), "slices", || {
            "must not repeat".into()
        })?;
        let Some(sampled) = &self.sampled else { return Ok(()) };
        sampled.validate()?;
        ensure(self.mask_history, "mask_history", || {
            "false means nothing with `sampled`, which never ranks a user's own items; remove it".into()
        })
    }

    /// Writes down the defaults that depend on other keys.
    pub(crate) fn complete(&mut self) {
        if let Some(SampledConfig { negatives: Some(_), by, .. }) = &mut self.sampled {
            by.get_or_insert_default();
        }
    }

    /// What every output of a run must say: that its epoch was selected on the test part, that few items were ranked.
    pub(crate) fn watermark(&self, select: Option<Select>) -> Option<String> {
        let selected = select.and_then(Select::watermark).map(str::to_string);
        let sampled = self.sampled.as_ref().map(SampledConfig::watermark);
        let both: Vec<String> = selected.into_iter().chain(sampled).collect();
        (!both.is_empty()).then(|| both.join("; "))
    }

    /// The largest cut-off.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.cutoffs.iter().copied().max().unwrap_or(1)
    }

    /// All metric names at all cut-offs, as in results.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self
            .metrics
            .iter()
            .flat_map(|metric| self.cutoffs.iter().map(move |cutoff| (metric.name(), cutoff)));
        names.map(|(name, cutoff)| format!("{name}@{cutoff}")).collect()
    }
}

/// `[device]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceConfig {
    /// The backend.
    pub backend: String,
    /// Threads on a CPU; 0 = one for each core. The results do not depend on it.
    pub threads: usize,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self { backend: "flex".into(), threads: 0 }
    }
}

impl DeviceConfig {
    /// Reads the table. Several devices are a fair wish, and are told why not.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn read(table: Spanned<DeTable<'_>>) -> Result<Self, Problem> {
        if let Some((key, _)) = table.get_ref().iter().find(|(key, _)| key.get_ref() == "devices") {
            let help = "the replicas of a graph encoder would each propagate over the whole graph, and gain nothing; those \
                        of a sequence encoder would see the negatives of their own part of the batch alone";
            return Err(Problem::new(key.span(), "training uses one device, the first").with_help(help));
        }
        read(table, Self::validate).map(|(config, _)| config)
    }

    /// Checks that the backend is compiled in.
    ///
    /// # Errors
    ///
    /// The key and what to do.
    pub fn validate(&self) -> Check {
        let known = BACKENDS.iter().find(|(name, _)| *name == self.backend);
        let names = BACKENDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let Some((name, feature)) = known else {
            let near = nearest(&self.backend, BACKENDS.iter().map(|(name, _)| *name));
            let near = near.map_or(String::new(), |near| format!(" (did you mean \"{near}\"?)"));
            return Err(("backend", format!("must be one of {names}, got \"{}\"{near}", self.backend)));
        };
        ensure(is_compiled(name), "backend", || {
            let feature = feature.unwrap_or_default();
            format!(
                "\"{name}\" is not in this build: build with `cargo build --release --features {feature}`"
            )
        })?;
        ensure(self.threads <= 1024, "threads", || format!("must be at most 1024, got {}", self.threads))
    }
}

//! Where training stands, on disk: a killed run goes on to the same bits.
//!
//! A checkpoint is a folder of its own, `checkpoint/<steps>/`; the file `checkpoint/current` names the one that counts and
//! is replaced in one rename. Parameters and optimizer states are stored under ids that are functions of the module
//! path, because Burn's own ids are random in each process.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::Optimizer;
use burn::record::{FullPrecisionSettings, NamedMpkFileRecorder, Record, Recorder, RecorderError};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use cl_core::StreamKey;
use cl_core::negatives::Negatives;
use serde::{Deserialize, Serialize};

use super::losses::Losses;
use super::step::Model;
use super::trainer::{Adaptor, KeyEncoder};
use crate::backend::TrainBackend;
use crate::error::Error;
use crate::folder::{RunFolder, write_whole};

/// Where training stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Whole epochs done.
    pub(super) epoch: u64,
    /// Steps done in the epoch begun.
    pub(super) step: u64,
    /// Steps done in all.
    pub(super) steps: u64,
    /// Whether patience ran out.
    pub(super) stopped: bool,
    /// Evaluations since the best one.
    pub(super) without_better: u64,
    /// The best epoch, from 1.
    pub(super) selected_epoch: u64,
    /// The best value of the selecting metric.
    pub(super) selected_value: Option<f64>,
    /// Losses of the epoch begun, summed.
    pub(super) sums: Losses,
    /// Number of steps in the sums.
    pub(super) in_sums: u64,
    /// Loss of the last step.
    pub(super) last_loss: f64,
    /// Bytes of `metrics.jsonl` that belong to this state.
    pub(super) log_length: u64,
}

impl State {
    /// Counts a step.
    pub(super) fn advance(&mut self) {
        self.step += 1;
        self.steps += 1;
    }

    /// Takes the losses of a step.
    pub(super) fn add(&mut self, losses: &Losses) {
        self.in_sums += 1;
        self.last_loss = losses.total;
        self.sums.total += losses.total;
        self.sums.objective += losses.objective;
        self.sums.contrast += losses.contrast;
        self.sums.l2 += losses.l2;
    }

    /// Epochs begun, from 1: the number of the epoch that was worked on last.
    pub(super) fn epochs_begun(&self) -> u64 {
        self.epoch + u64::from(self.step > 0)
    }

    /// Takes an evaluation for the best if it is; ties go to the earlier epoch.
    pub(super) fn offer(&mut self, value: f64) -> bool {
        let better = self.selected_value.is_none_or(|best| value > best);
        if better {
            self.selected_epoch = self.epochs_begun();
            self.selected_value = Some(value);
            self.without_better = 0;
        } else {
            self.without_better += 1;
        }
        better
    }

    /// The means of the losses of the epoch.
    pub(super) fn means(&self) -> Losses {
        let n = self.in_sums.max(1) as f64;
        let Losses { total, objective, contrast, l2 } = self.sums;
        Losses { total: total / n, objective: objective / n, contrast: contrast / n, l2: l2 / n }
    }

    /// A line of `metrics.jsonl`. `remembered` tells of keys of earlier steps, `watermark` marks a run selected on the test part.
    pub(super) fn log_line(
        &self,
        part: &str,
        metrics: &[(String, f64)],
        seconds: f64,
        remembered: Option<serde_json::Value>,
        watermark: Option<&str>,
    ) -> String {
        let metrics: serde_json::Map<_, _> =
            metrics.iter().map(|(name, value)| (name.clone(), serde_json::json!(value))).collect();
        let mut line = serde_json::json!({
            "epoch": self.epochs_begun(),
            "steps": self.steps,
            "loss": self.means(),
            part: metrics,
            "seconds": seconds,
        });
        if let Some(remembered) = remembered {
            line["negatives"] = remembered;
        }
        if let Some(watermark) = watermark {
            line["watermark"] = serde_json::json!(watermark);
        }
        format!("{line}\n")
    }
}

type Recorded = NamedMpkFileRecorder<FullPrecisionSettings>;

/// A model without a tape.
type Inner<B, E> = <Model<B, E> as AutodiffModule<B>>::InnerModule;

/// What training changes, besides its [`State`] and what the negatives remember.
pub(super) struct Standing<B: TrainBackend, E: AutodiffModule<B>> {
    pub(super) model: Model<B, E>,
    pub(super) optimizer: Adaptor<B, E>,
    /// The parameters of the best epoch so far.
    pub(super) best: Option<E::InnerModule>,
    /// The copy that encodes keys, if the negatives want one.
    pub(super) key_encoder: Option<KeyEncoder<B, E>>,
}

/// The file of what the negatives remember.
const NEGATIVES: &str = "negatives.safetensors";

/// The checkpoints of a run.
pub(super) struct Checkpoints {
    folder: PathBuf,
    log: PathBuf,
}

impl Checkpoints {
    pub(super) fn new(run: &RunFolder, suffix: &str) -> Self {
        Self {
            folder: run.file(&format!("checkpoint{suffix}")),
            log: run.file(&format!("metrics{suffix}.jsonl")),
        }
    }

    /// Saves where training stands, and removes what came before.
    pub(super) fn save<B, E>(
        &self,
        standing: &Standing<B, E>,
        negatives: Option<Vec<u8>>,
        state: &State,
    ) -> Result<(), Error>
    where
        B: TrainBackend,
        E: AutodiffModule<B>,
    {
        let mut name = format!("{:012}", state.steps);
        // The checkpoint that counts is never written over: killed half-way, there would be none.
        if fs::read_to_string(self.folder.join("current")).is_ok_and(|current| current.trim() == name) {
            name.push_str("-again");
        }
        let folder = self.folder.join(&name);
        // A killed process may have left half of it.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Error::io("cannot remove", &folder))?;
        }
        fs::create_dir_all(&folder).map_err(Error::io("cannot make the folder", &folder))?;
        // The state counts its bytes, so they come first.
        let synced = fs::File::open(&self.log).and_then(|log| log.sync_all());
        synced.map_err(Error::io("cannot write", &self.log))?;
        record::<B, _>(standing.model.clone().into_record(), folder.join("model"))?;
        record::<B, _>(standing.optimizer.to_record(), folder.join("optimizer"))?;
        if let Some(best) = &standing.best {
            record::<B::InnerBackend, _>(best.clone().into_record(), folder.join("best"))?;
        }
        if let Some(key_encoder) = &standing.key_encoder {
            record::<B::InnerBackend, _>(
                key_encoder.copy().clone().into_record(),
                folder.join("key_encoder"),
            )?;
        }
        if let Some(negatives) = negatives {
            write_whole(&folder.join(NEGATIVES), &negatives)?;
        }
        let text = serde_json::to_string_pretty(state).map_err(|error| Error::other(error.to_string()))?;
        write_whole(&folder.join("state.json"), text.as_bytes())?;
        write_whole(&self.folder.join("current"), name.as_bytes())?;
        for entry in fs::read_dir(&self.folder).map_err(Error::io("cannot read", &self.folder))?.flatten() {
            if entry.path().is_dir() && entry.file_name() != name.as_str() {
                fs::remove_dir_all(entry.path()).map_err(Error::io("cannot remove", entry.path()))?;
            }
        }
        Ok(())
    }

    /// Takes over the last checkpoint, if there is one; `negatives` takes what the negatives remembered.
    pub(super) fn load<B, E>(
        &self,
        standing: &mut Standing<B, E>,
        negatives: Option<&mut Box<dyn Negatives<B>>>,
        device: &B::Device,
    ) -> Result<Option<State>, Error>
    where
        B: TrainBackend,
        E: AutodiffModule<B>,
    {
        let current = self.folder.join("current");
        if !current.exists() {
            return Ok(None);
        }
        let name = fs::read_to_string(&current).map_err(Error::io("cannot read", &current))?;
        let folder = self.folder.join(name.trim());
        let path = folder.join("state.json");
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
        let state: State = serde_json::from_str(&text).map_err(|error| broken(&path, &error.to_string()))?;
        let record = load::<B, <Model<B, E> as Module<B>>::Record>(folder.join("model"), device)?;
        let restored = standing.model.clone().load_record(record);
        check_same_shapes::<B, _>(&standing.model, &restored, &folder)?;
        standing.optimizer = {
            let record = load::<B, <Adaptor<B, E> as Optimizer<Model<B, E>, B>>::Record>(
                folder.join("optimizer"),
                device,
            )?;
            let missing = ids::<B, _>(&standing.model).into_iter().find(|(_, id)| !record.contains_key(id));
            // Every parameter has taken part in the loss since the first step, so every one has a state.
            if let (Some((path, _)), true) = (missing, state.steps > 0) {
                return Err(broken(&folder, &format!("the optimizer state of `{path}` is missing")));
            }
            standing.optimizer.clone().load_record(record)
        };
        standing.best = match state.selected_value {
            Some(_) => {
                let valid = restored.0.valid();
                let record = load::<B::InnerBackend, <E::InnerModule as Module<B::InnerBackend>>::Record>(
                    folder.join("best"),
                    device,
                )?;
                Some(valid.load_record(record))
            }
            None => None,
        };
        if standing.key_encoder.is_some() {
            let record = load::<B::InnerBackend, <Inner<B, E> as Module<B::InnerBackend>>::Record>(
                folder.join("key_encoder"),
                device,
            )?;
            standing.key_encoder = Some(KeyEncoder::from_copy(restored.valid().load_record(record)));
        }
        if let Some(negatives) = negatives.filter(|negatives| negatives.save().is_some()) {
            let path = folder.join(NEGATIVES);
            let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
            negatives.load(&bytes, device).map_err(|why| broken(&path, &why))?;
        }
        standing.model = restored;
        Ok(Some(state))
    }

    /// Cuts the log to what belongs to the state: a killed process may have written more.
    pub(super) fn cut_log(&self, state: &State) -> Result<(), Error> {
        let open = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&self.log);
        let file = open.map_err(Error::io("cannot open", &self.log))?;
        let length = file.metadata().map_err(Error::io("cannot read", &self.log))?.len();
        if length < state.log_length {
            return Err(Error::with_help(
                format!(
                    "`{}` has {length} bytes, and the checkpoint knows of {}: lines are missing",
                    self.log.display(),
                    state.log_length
                ),
                "put the file back, or start anew with --overwrite",
            ));
        }
        file.set_len(state.log_length).map_err(Error::io("cannot cut", &self.log))
    }

    /// Adds a line to the log.
    pub(super) fn log(&self, line: &str, state: &mut State) -> Result<(), Error> {
        let write = || -> std::io::Result<()> {
            fs::OpenOptions::new().append(true).open(&self.log)?.write_all(line.as_bytes())
        };
        write().map_err(Error::io("cannot write", &self.log))?;
        state.log_length += line.len() as u64;
        Ok(())
    }
}

fn record<B: Backend, R: Record<B>>(item: R, path: PathBuf) -> Result<(), Error> {
    let shown = path.display().to_string();
    let file = path.with_extension("mpk");
    <Recorded as Recorder<B>>::record(&Recorded::new(), item, path)
        .map_err(|error| Error::other(format!("cannot write the checkpoint `{shown}`: {}", reason(error))))?;
    // It must be on the disk before it is named as the one that counts.
    let synced = fs::File::open(&file).and_then(|file| file.sync_all());
    synced.map_err(Error::io("cannot write", file))
}

fn load<B: Backend, R: Record<B>>(path: PathBuf, device: &B::Device) -> Result<R, Error> {
    let shown = path.with_extension("mpk");
    <Recorded as Recorder<B>>::load(&Recorded::new(), path, device)
        .map_err(|error| unreadable(&shown, &reason(error)))
}

/// The sentence in what Burn's recorder says.
fn reason(error: RecorderError) -> String {
    match error {
        RecorderError::FileNotFound(_) => "there is no such file".into(),
        RecorderError::DeserializeError(why) | RecorderError::Unknown(why) => why,
    }
}

fn unreadable(path: &std::path::Path, why: &str) -> Error {
    Error::with_help(
        format!("cannot read the checkpoint `{}`: {why}", path.display()),
        "--overwrite starts the run anew",
    )
}

fn broken(path: &std::path::Path, why: &str) -> Error {
    Error::with_help(
        format!("the checkpoint `{}` does not fit: {why}", path.display()),
        "--overwrite starts the run anew",
    )
}

/// Gives every parameter an id that is a function of its path in the module.
pub(super) fn stable_ids<B: Backend, M: Module<B>>(module: M) -> M {
    module.map(&mut StableIds { path: Vec::new() })
}

struct StableIds {
    path: Vec<String>,
}

impl<B: Backend> ModuleMapper<B> for StableIds {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (_, tensor, mapper) = param.consume();
        Param::from_mapped_value(id_of(&self.path.join(".")), tensor, mapper)
    }
}

fn id_of(path: &str) -> ParamId {
    let [low, high] = StreamKey::root(0).child(path).halves();
    ParamId::from(u64::from(high) << 32 | u64::from(low))
}

/// Path and id of every float parameter.
fn ids<B: Backend, M: Module<B>>(module: &M) -> Vec<(String, ParamId)> {
    let mut shapes = Shapes { path: Vec::new(), found: Vec::new() };
    module.visit(&mut shapes);
    shapes.found.into_iter().map(|(path, id, _)| (path, id)).collect()
}

struct Shapes {
    path: Vec<String>,
    found: Vec<(String, ParamId, Vec<usize>)>,
}

impl<B: Backend> ModuleVisitor<B> for Shapes {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.found.push((self.path.join("."), param.id, param.val().dims().to_vec()));
    }
}

/// A checkpoint of other data has tables of other sizes.
fn check_same_shapes<B: Backend, M: Module<B>>(a: &M, b: &M, folder: &std::path::Path) -> Result<(), Error> {
    let shapes = |module: &M| {
        let mut shapes = Shapes { path: Vec::new(), found: Vec::new() };
        module.visit(&mut shapes);
        shapes.found
    };
    for ((path, id, expected), (_, found_id, found)) in shapes(a).into_iter().zip(shapes(b)) {
        if expected != found || id != found_id {
            return Err(broken(
                folder,
                &format!("`{path}` is {found:?} there and {expected:?} here; the data may have changed"),
            ));
        }
    }
    Ok(())
}

//! An experiment: the slots of a file, filled and checked against one another.

use cl_core::contrast::Contrast;
use cl_core::negatives::Negatives;
use cl_core::objective::Objective;
use cl_core::optimizer::UpdateRule;
use cl_core::projection::Projection;
use cl_core::registry::{Built, Problem, Registry, nearest, read, to_table};
use cl_data::DataConfig;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::resolved::hash;
use super::split::Splitter;
use super::tables::{DeviceConfig, EvaluateConfig, TrainConfig};
use super::text::Text;
use super::together::{
    check_masked_positions, check_order, check_selection, check_sequence_contrast, complete_positions,
    complete_sampler, complete_similar_lengths,
};
use super::views::{AnyViews, BuiltViews, not_of_the_other_family};
use crate::backend::TrainBackend;
use crate::components::Components;
use crate::encoders::{EncoderSlot, Kind};
use crate::error::Error;

/// A file in which everything is known, of its type, in its range, and goes together.
pub struct Experiment<B: TrainBackend> {
    /// `name`
    pub name: String,
    /// `seed`
    pub seed: u64,
    /// `[data]`
    pub data: DataConfig,
    /// `[split]`
    pub split: Box<dyn Splitter>,
    /// `[encoder]`
    pub encoder: Box<dyn EncoderSlot<B>>,
    /// What a trained encoder needs besides.
    pub training: Option<Training<B>>,
    /// `[evaluate]`
    pub evaluate: EvaluateConfig,
    /// `[device]`
    pub device: DeviceConfig,
    /// The file with every default written out.
    pub resolved: String,
    /// Hash of all that can change the results.
    pub hash: String,
    /// Hash of data, split and evaluation: runs with equal ones can be compared.
    pub protocol_hash: String,
}

/// The slots of a training loop.
pub struct Training<B: TrainBackend> {
    /// `[objective]`
    pub objective: Box<dyn Objective<B>>,
    /// `[views]`
    pub views: Option<AnyViews>,
    /// `[contrast]`, `[negatives]` and `[projection]`.
    pub contrast: Option<Contrasting<B>>,
    /// `[optimizer]`
    pub optimizer: Box<dyn UpdateRule<B::InnerBackend>>,
    /// `[train]`
    pub train: TrainConfig,
}

/// The slots of a contrast.
pub struct Contrasting<B: TrainBackend> {
    /// `[contrast]`
    pub contrast: Box<dyn Contrast<B>>,
    /// `[negatives]`
    pub negatives: Box<dyn Negatives<B>>,
    /// `[projection]`
    pub projection: Box<dyn Projection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    #[serde(default = "default_seed")]
    seed: u64,
}

fn default_seed() -> u64 {
    2024
}

const TABLES: [&str; 11] = [
    "data",
    "split",
    "encoder",
    "objective",
    "views",
    "contrast",
    "negatives",
    "projection",
    "optimizer",
    "train",
    "evaluate",
];

/// The tables of a file, taken out one by one.
struct Tables<'a> {
    root: DeTable<'a>,
    end: usize,
}

impl<'a> Tables<'a> {
    /// A table, if it is there.
    fn take(&mut self, name: &str) -> Result<Option<Spanned<DeTable<'a>>>, Problem> {
        let Some(value) = self.root.remove(name) else { return Ok(None) };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Ok(Some(Spanned::new(span, table))),
            other => {
                let found = cl_core::registry::kind(&other);
                Err(Problem::new(span, format!("`{name}` must be a table, found {found}"))
                    .with_help(format!("write [{name}]")))
            }
        }
    }

    /// A table, or an empty one at the end of the file.
    fn take_or_empty(&mut self, name: &str) -> Result<Spanned<DeTable<'a>>, Problem> {
        Ok(self.take(name)?.unwrap_or_else(|| Spanned::new(self.end..self.end, DeTable::new())))
    }

    /// A component: its `type` may be left out if `default` names one.
    fn slot<T: ?Sized>(
        &mut self,
        registry: &Registry<T>,
        default: Option<&str>,
    ) -> Result<Built<T>, Problem> {
        match self.take(registry.slot())? {
            None if default.is_none() => {
                let names: Vec<_> = registry.list().map(|(name, _)| name).collect();
                let message = format!("[{}] is missing", registry.slot());
                Err(Problem::new(self.end..self.end, message).with_help(format!(
                    "write [{}] with a type: {}",
                    registry.slot(),
                    names.join(", ")
                )))
            }
            table => {
                let empty = Spanned::new(self.end..self.end, DeTable::new());
                registry.build(table.unwrap_or(empty), default)
            }
        }
    }
}

impl<B: TrainBackend> Experiment<B> {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// The first mistake, at its place.
    pub fn read(text: &Text, components: &Components<B>) -> Result<Self, Error> {
        let root = text.parse().map_err(|problem| Error::in_file(text, problem))?;
        let tables = Tables { root: root.into_inner(), end: text.file().len() };
        Self::from_tables(tables, components).map_err(|problem| Error::in_file(text, problem))
    }

    fn from_tables(mut tables: Tables<'_>, components: &Components<B>) -> Result<Self, Problem> {
        unknown_tables(&tables)?;
        let mut resolved = toml::Table::new();
        let mut keep =
            |name: &str, table: toml::Table| resolved.insert(name.into(), toml::Value::Table(table));

        let (data, _) = match tables.take("data")? {
            Some(table) => read(table, DataConfig::validate)?,
            None => {
                return Err(Problem::new(tables.end..tables.end, "[data] is missing")
                    .with_help("write [data] with a path, or with synthetic = {}"));
            }
        };
        keep("data", to_table(&data));
        let split = tables.slot(&components.split, None)?;
        keep("split", split.resolved.clone());
        let encoder = tables.slot(&components.encoder, None)?;
        keep("encoder", encoder.resolved.clone());
        let (mut evaluate, _) = read(tables.take_or_empty("evaluate")?, EvaluateConfig::validate)?;
        evaluate.complete();
        keep("evaluate", to_table(&evaluate));
        let device = DeviceConfig::read(tables.take_or_empty("device")?)?;
        keep("device", to_table(&device));

        let training = match encoder.component.kind() {
            Kind::Untrained(_) => {
                for name in
                    ["objective", "views", "contrast", "negatives", "projection", "optimizer", "train"]
                {
                    if let Some(table) = tables.take(name)? {
                        let message = format!(
                            "[{name}] and encoder `{}` do not go together: the encoder is not trained",
                            encoder.name
                        );
                        return Err(Problem::new(table.span(), message).with_help(format!("remove [{name}]")));
                    }
                }
                None
            }
            Kind::Graph(_) | Kind::Sequence(_) => {
                Some(Training::read(&mut tables, components, &encoder, &split, &evaluate, &mut keep)?)
            }
        };

        let (head, _) = read(Spanned::new(0..0, tables.root), check_head)?;
        let protocol = ["data", "split", "evaluate"].map(|name| resolved[name].to_string()).concat();
        let select = training.as_ref().map_or("", |training| training.train.select.name());
        let protocol_hash = hash(&format!("{protocol}{select}"));
        let mut file = toml::Table::new();
        file.insert("name".into(), head.name.clone().into());
        // TOML integers are signed; the check of the head keeps seeds below 2^63.
        file.insert("seed".into(), toml::Value::Integer(head.seed as i64));
        file.extend(resolved);
        let resolved = order(&file);
        let hash = hash(&without_indifferent(&file));
        Ok(Self {
            name: head.name,
            seed: head.seed,
            data,
            split: split.component,
            encoder: encoder.component,
            training,
            evaluate,
            device,
            resolved,
            hash,
            protocol_hash,
        })
    }
}

impl<B: TrainBackend> Training<B> {
    fn read(
        tables: &mut Tables<'_>,
        components: &Components<B>,
        encoder: &Built<dyn EncoderSlot<B>>,
        split: &Built<dyn Splitter>,
        evaluate: &EvaluateConfig,
        keep: &mut impl FnMut(&str, toml::Table) -> Option<toml::Value>,
    ) -> Result<Self, Problem> {
        let sequences = matches!(encoder.component.kind(), Kind::Sequence(_));
        if sequences {
            check_order(split, encoder.name)?;
        }
        let samplers = encoder.component.kind().trained().map_or(&[][..], |encoder| encoder.samplers());
        let mut objective = tables.slot(&components.objective, Some("bpr"))?;
        complete_positions(&mut objective, encoder.name, sequences)?;
        keep("objective", objective.resolved.clone());
        let optimizer = tables.slot(&components.optimizer, Some("adam"))?;
        keep("optimizer", optimizer.resolved.clone());
        let (mut train, spans) = read(tables.take_or_empty("train")?, TrainConfig::validate)?;
        train.complete(evaluate);
        complete_sampler(&mut train, &spans, encoder.name, samplers)?;
        complete_similar_lengths(&mut train, &spans, encoder.name, sequences)?;
        check_masked_positions(&train, &objective)?;
        keep("train", to_table(&train));
        check_selection(&train, &spans, split, evaluate)?;
        let (views, contrast) = Contrasting::read(tables, components, encoder, keep)?.unzip();
        if contrast.is_none() && !objective.component.is_active() {
            let message =
                format!("objective `{}` without [contrast] leaves nothing to learn", objective.name);
            return Err(Problem::new(objective.spans.whole, message).with_help("add [views] and [contrast]"));
        }
        Ok(Self { objective: objective.component, views, contrast, optimizer: optimizer.component, train })
    }
}

/// A contrast and the views that it compares.
type WithViews<B> = (AnyViews, Contrasting<B>);

impl<B: TrainBackend> Contrasting<B> {
    fn read(
        tables: &mut Tables<'_>,
        components: &Components<B>,
        encoder: &Built<dyn EncoderSlot<B>>,
        keep: &mut impl FnMut(&str, toml::Table) -> Option<toml::Value>,
    ) -> Result<Option<WithViews<B>>, Problem> {
        let (has_views, has_contrast) =
            (tables.root.contains_key("views"), tables.root.contains_key("contrast"));
        if !has_contrast {
            for name in ["views", "negatives", "projection"] {
                if let Some(table) = tables.take(name)? {
                    let message = format!("[{name}] without [contrast] would change nothing");
                    return Err(Problem::new(table.span(), message)
                        .with_help(format!("add [contrast], or remove [{name}]")));
                }
            }
            return Ok(None);
        }
        if !has_views {
            let contrast = tables.slot(&components.contrast, None)?;
            return Err(Problem::new(
                contrast.spans.whole,
                "[contrast] needs [views]: two things that should look alike",
            )
            .with_help("add [views] with a type"));
        }
        let sequences = matches!(encoder.component.kind(), Kind::Sequence(_));
        let views = read_views(tables, components, encoder.name, sequences)?;
        keep("views", views.resolved.clone());
        let contrast = tables.slot(&components.contrast, None)?;
        keep("contrast", contrast.resolved.clone());
        let negatives = tables.slot(&components.negatives, Some("in_batch"))?;
        keep("negatives", negatives.resolved.clone());
        let projection = tables.slot(&components.projection, Some("none"))?;
        keep("projection", projection.resolved.clone());

        if let Some(model) = encoder.component.kind().trained() {
            model.senses().notice(views.views.perturbs()).map_err(|why| {
                let message = format!(
                    "views `{}` and encoder `{}` do not go together: {why}",
                    views.name, encoder.name
                );
                Problem::new(views.whole.clone(), message)
                    .with_help("choose another of the two: `cl-bench list views`, `cl-bench list encoder`")
            })?;
        }
        if sequences {
            check_sequence_contrast(&contrast, &negatives, encoder.name)?;
        }
        contrast.component.accepts(negatives.component.kind()).map_err(|why| {
            let (contrast, name) = (contrast.name, negatives.name);
            let message = format!("negatives `{name}` and contrast `{contrast}` do not go together: {why}");
            Problem::new(negatives.spans.whole.clone(), message)
                .with_help("choose another of the two: `cl-bench list negatives`, `cl-bench list contrast`")
        })?;
        let contrast = Self {
            contrast: contrast.component,
            negatives: negatives.component,
            projection: projection.component,
        };
        Ok(Some((views.views, contrast)))
    }
}

/// The views of the encoder's family.
fn read_views<B: TrainBackend>(
    tables: &mut Tables<'_>,
    components: &Components<B>,
    encoder: &str,
    sequences: bool,
) -> Result<BuiltViews, Problem> {
    let table = tables.root.get("views").and_then(|views| views.get_ref().as_table());
    let named = table.and_then(|table| table.get("type"));
    let found = named.and_then(|name| name.get_ref().as_str());
    let span = named.map_or(0..0, Spanned::span);
    if sequences {
        not_of_the_other_family(found, span, &components.views, encoder, sequences)?;
        Ok(BuiltViews::new(tables.slot(&components.sequence_views, None)?, AnyViews::Sequence))
    } else {
        not_of_the_other_family(found, span, &components.sequence_views, encoder, sequences)?;
        Ok(BuiltViews::new(tables.slot(&components.views, None)?, AnyViews::Graph))
    }
}

fn check_head(head: &Head) -> cl_core::registry::Check {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ok = !head.name.is_empty() && head.name.chars().all(plain) && !head.name.starts_with('.');
    cl_core::registry::ensure(ok, "name", || {
        format!("must be letters, digits, `-`, `_` and `.`, as it names a folder, got \"{}\"", head.name)
    })?;
    cl_core::registry::ensure(head.seed < 1 << 63, "seed", || {
        format!("must be below 2^63, got {}", head.seed)
    })
}

/// Every key of the file is a table or a value that is known.
fn unknown_tables(tables: &Tables<'_>) -> Result<(), Problem> {
    let known = || TABLES.into_iter().chain(["device", "name", "seed"]);
    let Some((key, _)) =
        tables.root.iter().find(|(key, _)| known().all(|name| name != key.get_ref().as_ref()))
    else {
        return Ok(());
    };
    let help = match nearest(key.get_ref(), known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
    };
    Err(Problem::new(key.span(), format!("unknown key `{}`", key.get_ref())).with_help(help))
}

/// The file as text, tables in the order in which a paper would tell them.
fn order(file: &toml::Table) -> String {
    let mut text = String::new();
    for (key, value) in file {
        if !value.is_table() {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    for name in TABLES.into_iter().chain(["device"]) {
        if let Some(toml::Value::Table(table)) = file.get(name) {
            text.push_str(&format!("\n[{name}]\n"));
            // Inner tables are written inline, so that a table stays one block.
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(key, _)| *key != "type");
            for (key, value) in entries {
                text.push_str(&format!("{key} = {}\n", inline(value)));
            }
        }
    }
    text
}

fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(table) => {
            let entries: Vec<_> =
                table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// The text that is hashed: without what cannot change a result.
fn without_indifferent(file: &toml::Table) -> String {
    let mut file = file.clone();
    if let Some(toml::Value::Table(device)) = file.get_mut("device") {
        device.remove("threads");
    }
    if let Some(toml::Value::Table(train)) = file.get_mut("train") {
        train.remove("checkpoint_every");
    }
    order(&file)
}

//! Components that a TOML table chooses by name, with errors that know their place in the file.
//!
//! A slot (`views`, `contrast`, …) has a [`Registry`]; a component is a configuration struct that implements
//! [`Component`] for the slot's trait. A table is read in two stages: what was typed ([`Component`], checked to the
//! character), then what it means (the slot's trait object).

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A mistake in a file, at a place: bytes `span` of the text that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is, in bytes.
    pub span: Range<usize>,
    /// What was found and what was expected.
    pub message: String,
    /// What to do about it, if that can be said.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The verdict of a configuration on itself: the name of the offending key, and why.
pub type Check = Result<(), (&'static str, String)>;

/// `Ok` if the value is as it must be, else the key and the reason.
///
/// # Errors
///
/// `(key, message())` if `ok` is false.
pub fn ensure(ok: bool, key: &'static str, message: impl FnOnce() -> String) -> Check {
    if ok { Ok(()) } else { Err((key, message())) }
}

/// Where the keys of a table stand in the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans {
    /// The whole table.
    pub whole: Range<usize>,
    keys: BTreeMap<String, Range<usize>>,
}

impl Spans {
    /// The spans of all values of a table; keys of inner tables are written `outer.inner`.
    #[must_use]
    pub fn of(table: &Spanned<DeTable<'_>>) -> Self {
        fn collect(prefix: &str, table: &DeTable<'_>, keys: &mut BTreeMap<String, Range<usize>>) {
            for (key, value) in table {
                let path = format!("{prefix}{}", key.get_ref());
                if let DeValue::Table(inner) = value.get_ref() {
                    collect(&format!("{path}."), inner, keys);
                }
                keys.insert(path, value.span());
            }
        }
        let mut keys = BTreeMap::new();
        collect("", table.get_ref(), &mut keys);
        Self { whole: table.span(), keys }
    }

    /// The value of `key` if it was typed, else the whole table.
    #[must_use]
    pub fn at(&self, key: &str) -> Range<usize> {
        self.keys.get(key).unwrap_or(&self.whole).clone()
    }
}

/// A configuration that a TOML table can choose by `type = "NAME"`, for the slot of trait `T`.
///
/// Implementors derive `Serialize` and `Deserialize` with `#[serde(deny_unknown_fields, default)]`; never `flatten`,
/// `tag` or `untagged`, which lose the place of an error.
pub trait Component<T: ?Sized>: Serialize + DeserializeOwned {
    /// The value of `type`.
    const NAME: &'static str;
    /// One line for `cl-bench list`: what it is, and whose.
    const SUMMARY: &'static str;

    /// Fills in defaults that depend on other keys, so that the resolved file says everything.
    fn complete(&mut self) {}

    /// Checks ranges; the returned key is turned into its place in the file.
    ///
    /// # Errors
    ///
    /// The first key whose value is out of range, and why.
    fn validate(&self) -> Check {
        Ok(())
    }

    /// From what was typed to what it means.
    fn build(self) -> Box<T>;
}

/// A component read from a table.
pub struct Built<T: ?Sized> {
    /// Its `type`.
    pub name: &'static str,
    /// What the table means.
    pub component: Box<T>,
    /// The table with every default written out, `type` first.
    pub resolved: toml::Table,
    /// Where its keys stand.
    pub spans: Spans,
}

struct Entry<T: ?Sized> {
    name: &'static str,
    summary: &'static str,
    build: fn(Spanned<DeTable<'_>>) -> Result<Built<T>, Problem>,
}

/// The components of one slot, in the order in which they are listed.
pub struct Registry<T: ?Sized> {
    slot: &'static str,
    entries: Vec<Entry<T>>,
}

impl<T: ?Sized> Registry<T> {
    /// An empty registry for the slot of this name.
    #[must_use]
    pub fn new(slot: &'static str) -> Self {
        Self { slot, entries: Vec::new() }
    }

    /// Adds a component: the one registry line.
    ///
    /// # Panics
    ///
    /// If the slot has a component of that name.
    #[must_use]
    pub fn with<C: Component<T>>(mut self) -> Self {
        assert!(!self.has(C::NAME), "{} `{}` registered twice", self.slot, C::NAME);
        self.entries.push(Entry { name: C::NAME, summary: C::SUMMARY, build: build_one::<T, C> });
        self
    }

    /// The slot's name.
    #[must_use]
    pub fn slot(&self) -> &'static str {
        self.slot
    }

    /// Whether a component of this name is registered.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    /// Names and summaries, in order.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.entries.iter().map(|entry| (entry.name, entry.summary))
    }

    /// The component that the table's `type` names; without `type`, the one named `default`.
    ///
    /// # Errors
    ///
    /// No `type` and no default, an unknown name (with the nearest known one), an unknown or mistyped key, a value out
    /// of range: each at its place.
    pub fn build(&self, table: Spanned<DeTable<'_>>, default: Option<&str>) -> Result<Built<T>, Problem> {
        let span = table.span();
        let mut table = table.into_inner();
        let (name, at) = match table.remove("type") {
            Some(value) => match value.get_ref() {
                DeValue::String(name) => (name.to_string(), value.span()),
                other => {
                    let found = kind(other);
                    let message = format!("`type` of {} must be a string, found {found}", self.slot);
                    return Err(Problem::new(value.span(), message));
                }
            },
            None => match default {
                Some(name) => (name.to_string(), span.clone()),
                None => {
                    let message = format!("[{}] needs a `type`", self.slot);
                    return Err(Problem::new(span, message).with_help(format!("one of: {}", self.names())));
                }
            },
        };
        match self.entries.iter().find(|entry| entry.name == name) {
            Some(entry) => (entry.build)(Spanned::new(span, table)),
            None => {
                let help = match nearest(&name, self.entries.iter().map(|entry| entry.name)) {
                    Some(near) => format!("did you mean `{near}`? There are: {}", self.names()),
                    None => format!("there are: {}", self.names()),
                };
                Err(Problem::new(at, format!("no {} named `{name}`", self.slot)).with_help(help))
            }
        }
    }

    fn names(&self) -> String {
        self.entries.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
    }
}

fn build_one<T: ?Sized, C: Component<T>>(table: Spanned<DeTable<'_>>) -> Result<Built<T>, Problem> {
    let (mut config, spans) = read::<C>(table, C::validate)?;
    config.complete();
    let mut resolved = toml::Table::new();
    resolved.insert("type".into(), C::NAME.into());
    resolved.extend(to_table(&config));
    Ok(Built { name: C::NAME, component: config.build(), resolved, spans })
}

/// A configuration as a table with every default written out.
///
/// # Panics
///
/// If it does not serialize to a TOML table: a programmer's mistake.
#[must_use]
#[allow(clippy::missing_panics_doc, clippy::panic)]
pub fn to_table<C: Serialize>(config: &C) -> toml::Table {
    match toml::Table::try_from(config) {
        Ok(table) => table,
        Err(error) => panic!("a configuration must serialize to a TOML table: {error}"),
    }
}

/// Reads a table that has no `type`: every key known, every value of its type and in its range.
///
/// # Errors
///
/// The first thing that is wrong, at its place.
pub fn read<C: DeserializeOwned>(
    table: Spanned<DeTable<'_>>,
    validate: impl Fn(&C) -> Check,
) -> Result<(C, Spans), Problem> {
    let spans = Spans::of(&table);
    let keys: Vec<(String, Range<usize>)> =
        table.get_ref().keys().map(|key| (key.get_ref().to_string(), key.span())).collect();
    let config = C::deserialize(toml::de::Deserializer::from(table)).map_err(|error| {
        let message = error.message().to_string();
        let span = error.span().filter(|span| !span.is_empty()).unwrap_or(spans.whole.clone());
        let mut problem = Problem::new(span, message.clone());
        // serde names the unknown field and the known ones in backticks: "unknown field `a`, expected one of `b`, `c`".
        if let Some(rest) =
            message.strip_prefix("unknown field ").or(message.strip_prefix("unknown variant "))
        {
            let mut words = rest.split('`').skip(1).step_by(2);
            let found = words.next().unwrap_or_default().to_string();
            if let Some((_, key)) = keys.iter().find(|(key, _)| *key == found) {
                problem.span = key.clone();
            }
            if let Some(near) = nearest(&found, words) {
                problem.help = Some(format!("did you mean `{near}`?"));
            }
        }
        problem
    })?;
    validate(&config).map_err(|(key, why)| Problem::new(spans.at(key), format!("`{key}` {why}")))?;
    Ok((config, spans))
}

/// The candidate nearest to what was typed, if it is near enough to be a slip of the finger.
pub fn nearest<'a>(found: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(found, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(found.len()) / 4)
        .map(|(_, candidate)| candidate)
}

/// The kind of a TOML value, for messages.
#[must_use]
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    trait Shape {
        fn corners(&self) -> u32;
    }

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Star {
        points: u32,
        rate: f64,
    }
    impl Default for Star {
        fn default() -> Self {
            Self { points: 5, rate: 0.5 }
        }
    }
    impl Shape for Star {
        fn corners(&self) -> u32 {
            2 * self.points
        }
    }
    impl Component<dyn Shape> for Star {
        const NAME: &'static str = "star";
        const SUMMARY: &'static str = "a star";
        fn validate(&self) -> Check {
            ensure((0.0..1.0).contains(&self.rate), "rate", || {
                format!("must be in [0, 1), got {}", self.rate)
            })
        }
        fn build(self) -> Box<dyn Shape> {
            Box::new(self)
        }
    }

    fn build(text: &str) -> Result<Built<dyn Shape>, (String, Problem)> {
        let table = DeTable::parse(text).unwrap();
        let registry = Registry::<dyn Shape>::new("shape").with::<Star>();
        registry.build(table, None).map_err(|problem| (text[problem.span.clone()].to_string(), problem))
    }

    #[test]
    fn defaults_are_written_out() {
        let star = build("type = \"star\"\npoints = 6").unwrap();
        assert_eq!(star.component.corners(), 12);
        assert_eq!(star.resolved.to_string(), "type = \"star\"\npoints = 6\nrate = 0.5\n");
    }

    #[test]
    fn every_mistake_is_found_at_its_place() {
        let at = |text: &str| {
            let (place, problem) = build(text).err().unwrap();
            (place, problem.message, problem.help.unwrap_or_default())
        };
        let (place, message, help) = at("type = \"star\"\npoinst = 6");
        assert_eq!((place.as_str(), help.as_str()), ("poinst", "did you mean `points`?"));
        assert!(message.starts_with("unknown field `poinst`"), "{message}");
        let (place, message, _) = at("type = \"star\"\nrate = 1.5");
        assert_eq!((place.as_str(), message.as_str()), ("1.5", "`rate` must be in [0, 1), got 1.5"));
        let (place, message, _) = at("type = \"star\"\nrate = \"high\"");
        assert_eq!(place, "\"high\"");
        assert!(message.contains("expected f64"), "{message}");
        let (place, message, help) = at("type = \"strat\"");
        assert_eq!((place.as_str(), message.as_str()), ("\"strat\"", "no shape named `strat`"));
        assert_eq!(help, "did you mean `star`? There are: star");
        assert_eq!(at("points = 5").1, "[shape] needs a `type`");
        assert_eq!(at("type = 5").1, "`type` of shape must be a string, found an integer");
    }
}

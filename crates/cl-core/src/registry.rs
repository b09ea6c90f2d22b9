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

/// The verdict of a configuration on itself: the name of the offending key, and why. For a key of an inner table the
/// reason begins with its name: `("synthetic", "users: must be 1 or more, got 0")`.
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

    /// The value of `key` if it was typed, else the inner table that it belongs to, else the whole table.
    #[must_use]
    pub fn at(&self, key: &str) -> Range<usize> {
        match (self.keys.get(key), key.rsplit_once('.')) {
            (Some(span), _) => span.clone(),
            (None, Some((table, _))) => self.at(table),
            (None, None) => self.whole.clone(),
        }
    }

    /// The key whose value stands at `span`.
    fn key_at(&self, span: &Range<usize>) -> Option<&str> {
        self.keys.iter().find(|(_, at)| *at == span).map(|(key, _)| key.as_str())
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
    let config = C::deserialize(toml::de::Deserializer::from(table))
        .map_err(|error| unreadable(&error, &spans, &keys))?;
    validate(&config).map_err(|(key, why)| refused(&spans, key, &why))?;
    Ok((config, spans))
}

/// What serde says about a table, in the words of a person who types TOML.
fn unreadable(error: &toml::de::Error, spans: &Spans, keys: &[(String, Range<usize>)]) -> Problem {
    let message = error.message();
    let span = error.span().filter(|span| !span.is_empty()).unwrap_or(spans.whole.clone());
    if let Some(words) = in_plain_words(message) {
        let key = spans.key_at(&span).map(|key| format!("`{key}`: ")).unwrap_or_default();
        return Problem::new(span, key + &words);
    }
    let mut problem = Problem::new(span, message);
    // serde names the unknown field and the known ones in backticks: "unknown field `a`, expected one of `b`, `c`".
    if let Some(rest) = message.strip_prefix("unknown field ").or(message.strip_prefix("unknown variant ")) {
        let mut words = rest.split('`').skip(1).step_by(2);
        let found = words.next().unwrap_or_default().to_string();
        if let Some((_, key)) = keys.iter().find(|(key, _)| *key == found) {
            problem.span = key.clone();
        }
        if let Some(near) = nearest(&found, words) {
            problem.help = Some(format!("did you mean `{near}`?"));
        }
    } else if let Some(key) = message.strip_prefix("missing field ") {
        problem.message = format!("{key} is missing");
        problem.help = Some(format!("write {} = …", key.trim_matches('`')));
    }
    problem
}

/// serde's "invalid type: string \"two\", expected usize" without the names of Rust's types; `None` for anything else.
fn in_plain_words(message: &str) -> Option<String> {
    let rest = ["invalid type: ", "invalid value: ", "invalid "]
        .iter()
        .find_map(|start| message.strip_prefix(start))?;
    let (found, expected) = rest.split_once(", expected ")?;
    let expected = match expected {
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number, 0 or more",
        "isize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    let named =
        [("integer ", "the whole number "), ("floating point ", "the number "), ("boolean ", "the boolean ")];
    let found = match (
        found,
        named.iter().find_map(|(serde, ours)| Some(format!("{ours}{}", found.strip_prefix(serde)?))),
    ) {
        ("sequence", _) => "an array".to_string(),
        ("map", _) => "a table".to_string(),
        // What does not fit into 64 bits is read as more.
        (_, Some(named)) => match named.strip_suffix(" as i128").or(named.strip_suffix(" as u128")) {
            Some(large) => format!("{large}, which is too large"),
            None => named,
        },
        (other, None) if other.starts_with("string ") => format!("the {other}"),
        (other, None) => other.to_string(),
    };
    Some(format!("found {found}, expected {expected}"))
}

/// A value that its configuration refuses. An inner table names its own key first: `users: must be …`.
fn refused(spans: &Spans, key: &str, why: &str) -> Problem {
    let is_key = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    match why.split_once(": ").filter(|(inner, _)| is_key(inner)) {
        Some((inner, why)) => {
            let path = format!("{key}.{inner}");
            Problem::new(spans.at(&path), format!("`{path}`: {why}"))
        }
        None => Problem::new(spans.at(key), format!("`{key}`: {why}")),
    }
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
        #[serde(skip_serializing_if = "Option::is_none")]
        middle: Option<Point>,
    }
    /// A place; y is x unless it is given.
    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        x: f64,
        y: Option<f64>,
    }
    impl Default for Star {
        fn default() -> Self {
            Self { points: 5, rate: 0.5, middle: None }
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
            })?;
            let y = self.middle.as_ref().map_or(0.0, |middle| middle.y.unwrap_or(middle.x));
            ensure(y <= 1.0, "middle", || format!("y: must be at most 1, got {y}"))
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
        assert_eq!((place.as_str(), message.as_str()), ("1.5", "`rate`: must be in [0, 1), got 1.5"));
        let (place, message, _) = at("type = \"star\"\nrate = \"high\"");
        let expected = "`rate`: found the string \"high\", expected a number";
        assert_eq!((place.as_str(), message.as_str()), ("\"high\"", expected));
        for (points, found) in [
            ("-1", "the whole number `-1`"),
            ("1.5", "the number `1.5`"),
            ("true", "the boolean `true`"),
            ("[1]", "an array"),
            ("{}", "a table"),
            ("99999999999999999999", "the whole number `99999999999999999999`, which is too large"),
        ] {
            let (place, message, _) = at(&format!("type = \"star\"\npoints = {points}"));
            assert_eq!(place, points);
            assert_eq!(message, format!("`points`: found {found}, expected a whole number, 0 or more"));
        }
        let (place, message, help) = at("type = \"strat\"");
        assert_eq!((place.as_str(), message.as_str()), ("\"strat\"", "no shape named `strat`"));
        assert_eq!(help, "did you mean `star`? There are: star");
        let (place, message, _) = at("type = \"star\"\nmiddle = { x = 2.0, y = 9.0 }");
        assert_eq!((place.as_str(), message.as_str()), ("9.0", "`middle.y`: must be at most 1, got 9"));
        let (place, message, _) = at("type = \"star\"\nmiddle = { x = 7.0 }");
        assert_eq!(
            (place.as_str(), message.as_str()),
            ("{ x = 7.0 }", "`middle.y`: must be at most 1, got 7")
        );
        let (place, message, _) = at("type = \"star\"\nmiddle = { y = 1.0 }");
        assert_eq!((place.as_str(), message.as_str()), ("{ y = 1.0 }", "`x` is missing"));
        assert_eq!(at("points = 5").1, "[shape] needs a `type`");
        assert_eq!(at("type = 5").1, "`type` of shape must be a string, found an integer");
    }
}

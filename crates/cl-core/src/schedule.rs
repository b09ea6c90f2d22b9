//! A number that may change during training.

use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a scheduled number goes from its first to its last value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// In a straight line.
    Linear,
    /// Along half a cosine: slow, fast, slow.
    Cosine,
}

/// A constant, or a number that goes from `from` to `to` over the first `over` epochs and then stays.
///
/// In TOML either `temperature = 0.2` or `temperature = { from = 0.5, to = 0.1, over = 10, shape = "cosine" }`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// The same number always.
    Constant(f64),
    /// A number that changes with the epoch (fractions of an epoch count).
    Varying {
        /// The first value.
        from: f64,
        /// The last value.
        to: f64,
        /// Epochs until the last value is reached, more than 0.
        over: f64,
        /// The way between them.
        shape: Shape,
    },
}

impl Schedule {
    /// The value after `epoch` epochs, a fraction inside an epoch.
    #[must_use]
    pub fn at(&self, epoch: f64) -> f64 {
        match *self {
            Self::Constant(value) => value,
            Self::Varying { from, to, over, shape } => {
                let done = (epoch / over).clamp(0.0, 1.0);
                let way = match shape {
                    Shape::Linear => done,
                    Shape::Cosine => (1.0 - (std::f64::consts::PI * done).cos()) / 2.0,
                };
                from + (to - from) * way
            }
        }
    }

    /// Whether every value that the schedule takes passes the test, and `over` is a positive number.
    pub fn all(&self, test: impl Fn(f64) -> bool) -> bool {
        match *self {
            Self::Constant(value) => test(value),
            // Both shapes stay between their ends.
            Self::Varying { from, to, over, .. } => test(from) && test(to) && over > 0.0 && over.is_finite(),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => write!(f, "{value}"),
            Self::Varying { from, to, over, .. } => write!(f, "{from} to {to} over {over} epochs"),
        }
    }
}

impl From<f64> for Schedule {
    fn from(value: f64) -> Self {
        Self::Constant(value)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    from: f64,
    to: f64,
    over: f64,
    #[serde(default = "linear")]
    shape: Shape,
}

fn linear() -> Shape {
    Shape::Linear
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Constant(value) => serializer.serialize_f64(value),
            Self::Varying { from, to, over, shape } => Table { from, to, over, shape }.serialize(serializer),
        }
    }
}

// By hand rather than `untagged`, which would lose the place and the reason of an error.
impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrTable;
        impl<'de> Visitor<'de> for NumberOrTable {
            type Value = Schedule;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or { from, to, over, shape }")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Schedule, E> {
                Ok(Schedule::Constant(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Schedule, E> {
                Ok(Schedule::Constant(value as f64))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Schedule, A::Error> {
                let Table { from, to, over, shape } =
                    Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Schedule::Varying { from, to, over, shape })
            }
        }
        deserializer.deserialize_any(NumberOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Holder {
        weight: Schedule,
    }

    fn read(text: &str) -> Result<Schedule, String> {
        toml::from_str::<Holder>(text)
            .map(|holder| holder.weight)
            .map_err(|error| error.message().to_string())
    }

    #[test]
    fn a_number_or_a_table() {
        assert_eq!(read("weight = 2").unwrap(), Schedule::Constant(2.0));
        let varying = read("weight = { from = 1.0, to = 0.0, over = 4, shape = \"cosine\" }").unwrap();
        assert_eq!(toml::to_string(&Holder { weight: varying }).unwrap().matches("cosine").count(), 1);
        assert!(read("weight = \"high\"").unwrap_err().contains("a number or { from, to, over, shape }"));
        assert!(read("weight = { from = 1.0, too = 2.0 }").unwrap_err().contains("unknown field `too`"));
    }

    #[test]
    fn values_along_the_way() {
        let linear = Schedule::Varying { from: 1.0, to: 3.0, over: 4.0, shape: Shape::Linear };
        assert_eq!([0.0, 2.0, 4.0, 9.0].map(|epoch| linear.at(epoch)), [1.0, 2.0, 3.0, 3.0]);
        let cosine = Schedule::Varying { from: 1.0, to: 3.0, over: 4.0, shape: Shape::Cosine };
        // cos(pi / 4) = 0.70711: 1 + 2 (1 - 0.70711) / 2 = 1.29289
        assert!((cosine.at(1.0) - 1.292_893_2).abs() < 1e-6);
        assert_eq!((cosine.at(2.0), cosine.at(5.0)), (2.0, 3.0));
        assert!(!linear.all(|value| value < 2.0));
    }
}

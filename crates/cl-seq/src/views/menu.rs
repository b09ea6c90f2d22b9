//! The operations that a menu can hold. A new one is a line here.

use cl_core::registry::{Check, ensure, nearest};
use serde::{Deserialize, Serialize};

use super::{
    CropConfig, Insert, InsertConfig, MaskConfig, Operation, ReorderConfig, Substitute, SubstituteConfig,
    check_share,
};

/// An operation with its one number.
struct Entry {
    name: &'static str,
    /// The key of the number.
    key: &'static str,
    default: fn() -> f64,
    make: fn(f64) -> Box<dyn Operation>,
}

const ENTRIES: [Entry; 5] = [
    Entry {
        name: "crop",
        key: "keep",
        default: || CropConfig::default().keep,
        make: |keep| Box::new(CropConfig { keep }),
    },
    Entry {
        name: "mask",
        key: "rate",
        default: || MaskConfig::default().rate,
        make: |rate| Box::new(MaskConfig { rate }),
    },
    Entry {
        name: "reorder",
        key: "rate",
        default: || ReorderConfig::default().rate,
        make: |rate| Box::new(ReorderConfig { rate }),
    },
    Entry {
        name: "substitute",
        key: "rate",
        default: || SubstituteConfig::default().rate,
        make: |rate| Box::new(Substitute::from(SubstituteConfig { rate })),
    },
    Entry {
        name: "insert",
        key: "rate",
        default: || InsertConfig::default().rate,
        make: |rate| Box::new(Insert::from(InsertConfig { rate })),
    },
];

/// One operation of a menu, as in a file: `{ type = "crop", keep = 0.6 }`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationTable {
    /// The operation.
    #[serde(rename = "type")]
    pub name: String,
    /// η, where the operation keeps a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<f64>,
    /// γ or β, where it changes a share of the events, or adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

impl OperationTable {
    /// CL4SRec's menu.
    pub(super) fn usual() -> Vec<Self> {
        let table = |name: &str| {
            let mut table = Self { name: name.into(), keep: None, rate: None };
            table.complete();
            table
        };
        ["crop", "mask", "reorder"].map(table).into()
    }

    fn entry(&self) -> Option<&'static Entry> {
        ENTRIES.iter().find(|entry| entry.name == self.name)
    }

    /// The number under a key.
    fn number(&mut self, key: &str) -> &mut Option<f64> {
        if key == "keep" { &mut self.keep } else { &mut self.rate }
    }

    /// Writes the default of the number down.
    pub(super) fn complete(&mut self) {
        if let Some(entry) = self.entry() {
            self.number(entry.key).get_or_insert((entry.default)());
        }
    }

    /// Checks an operation of the menu under the key `menu`.
    pub(super) fn validate(&self, menu: &'static str) -> Check {
        let Some(entry) = self.entry() else {
            let names = ENTRIES.map(|entry| entry.name);
            let near = nearest(&self.name, names.into_iter());
            let near = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
            return Err((menu, format!("must name {}, got `{}`{near}", names.join(", "), self.name)));
        };
        let other = if entry.key == "keep" { "rate" } else { "keep" };
        let mut numbers = self.clone();
        let (value, stray) = (*numbers.number(entry.key), *numbers.number(other));
        ensure(stray.is_none(), menu, || format!("`{}` has a `{}` and no `{other}`", entry.name, entry.key))?;
        check_share(menu, value.unwrap_or_else(entry.default))
    }

    /// The operation; the caller has validated.
    pub(super) fn operation(&self) -> Option<Box<dyn Operation>> {
        let entry = self.entry()?;
        let number = *self.clone().number(entry.key);
        Some((entry.make)(number.unwrap_or_else(entry.default)))
    }
}

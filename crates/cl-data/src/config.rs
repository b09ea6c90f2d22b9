//! What a person writes under `[data]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Invalid, SyntheticConfig};

/// Text formats that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `user item item …`, one or more lines a user, order without meaning (He et al. 2020).
    #[default]
    Lightgcn,
    /// RecBole's tab-separated `.inter` with typed column names (Zhao et al. 2021).
    Atomic,
    /// Comma- or tab-separated values with a header line.
    Csv,
    /// `user item item …`, one line a user, oldest item first (Kang and McAuley 2018; Zhou et al. 2020).
    Sequence,
}

/// Names of the columns of a CSV file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// Column of user ids; `user` by default.
    pub user: String,
    /// Column of item ids; `item` by default.
    pub item: String,
    /// Column of ratings; not read by default.
    pub rating: Option<String>,
    /// Column of times (whole numbers); not read by default.
    pub time: Option<String>,
}

impl Default for Columns {
    fn default() -> Self {
        Self { user: "user".into(), item: "item".into(), rating: None, time: None }
    }
}

/// The k-core filter: every user that stays has at least `user` events and every item at least `item`; 0 = off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KCore {
    /// Least number of events of a user.
    pub user: u32,
    /// Least number of events of an item.
    pub item: u32,
}

/// What becomes of several events of one (user, item) pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// The newest stays: by time if there are times (equal times: the later in the file), else the last in the file.
    #[default]
    KeepLast,
    /// The oldest stays, by the same order.
    KeepFirst,
    /// All stay: for sequences, in which coming back to an item is information.
    KeepAll,
    /// The data is refused.
    Error,
}

/// Which interactions: a file or folder, or a synthetic set, and how it is filtered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// File or folder, relative to the data root (an absolute path stays as it is).
    pub path: Option<PathBuf>,
    /// Format of the text; `lightgcn` by default.
    pub format: Format,
    /// Column names, for `csv` only.
    pub columns: Columns,
    /// Separator, for `csv` only; by default a tab for names ending in `.tsv` or `.txt`, else a comma.
    pub separator: Option<char>,
    /// Events rated lower are removed; off by default.
    pub min_rating: Option<f32>,
    /// Least degrees of users and items; off by default. Not for data that comes in published parts.
    pub k_core: KCore,
    /// What becomes of repeated pairs; `keep_last` by default.
    pub duplicates: Duplicates,
    /// A synthetic set instead of `path`.
    pub synthetic: Option<SyntheticConfig>,
}

impl DataConfig {
    /// Checks everything that can be checked without opening a file.
    ///
    /// # Errors
    ///
    /// The first field whose value cannot be used, and why.
    pub fn validate(&self) -> Result<(), Invalid> {
        match (&self.path, &self.synthetic) {
            (None, None) => {
                return Err(("path", "found neither path nor synthetic, expected one of them".into()));
            }
            (Some(path), Some(_)) => {
                let why =
                    format!("found both path = \"{}\" and synthetic, expected only one", path.display());
                return Err(("path", why));
            }
            _ => {}
        }
        let csv = self.format == Format::Csv && self.synthetic.is_none();
        if !csv && self.columns != Columns::default() {
            return Err(("columns", "column names are used by format = \"csv\" only".into()));
        }
        if let Some(separator) = self.separator {
            if !csv {
                return Err(("separator", "the separator is used by format = \"csv\" only".into()));
            }
            if !separator.is_ascii() || matches!(separator, '"' | '\n' | '\r') {
                return Err((
                    "separator",
                    format!("must be one ASCII character, not a quote or line end, got {separator:?}"),
                ));
            }
        }
        if let Some(min_rating) = self.min_rating
            && !min_rating.is_finite()
        {
            return Err(("min_rating", format!("must be finite, got {min_rating}")));
        }
        match &self.synthetic {
            Some(_) if self.format != Format::default() => {
                Err(("format", "a synthetic data set is not read from a file: leave format out".into()))
            }
            Some(synthetic) => {
                synthetic.validate().map_err(|(field, why)| ("synthetic", format!("{field}: {why}")))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let config: DataConfig = toml::from_str(text).unwrap();
        let (field, why) = config.validate().unwrap_err();
        format!("{field}: {why}")
    }

    #[test]
    fn a_full_table_is_read_and_written_back() {
        let text = "path = \"x.csv\"\nformat = \"csv\"\nseparator = \";\"\nmin_rating = 4.0\nduplicates = \"keep_first\"\n\n\
                    [columns]\nuser = \"u\"\nitem = \"i\"\ntime = \"t\"\n\n[k_core]\nuser = 5\nitem = 10\n";
        let config: DataConfig = toml::from_str(text).unwrap();
        config.validate().unwrap();
        assert_eq!(config.k_core, KCore { user: 5, item: 10 });
        assert_eq!(config.columns.time.as_deref(), Some("t"));
        assert_eq!(toml::from_str::<DataConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        let inline: DataConfig = toml::from_str("path = \"x\"\nk_core = { user = 5 }").unwrap();
        assert_eq!(inline.k_core, KCore { user: 5, item: 0 });
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(
            toml::from_str::<DataConfig>("pth = \"x\"")
                .unwrap_err()
                .to_string()
                .contains("unknown field `pth`")
        );
        assert!(toml::from_str::<DataConfig>("path = \"x\"\nk_core = { usr = 5 }").is_err());
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_value() {
        assert_eq!(refused(""), "path: found neither path nor synthetic, expected one of them");
        assert_eq!(
            refused("path = \"a\"\nsynthetic = {}"),
            "path: found both path = \"a\" and synthetic, expected only one"
        );
        assert_eq!(
            refused("path = \"a\"\ncolumns = { user = \"u\" }"),
            "columns: column names are used by format = \"csv\" only"
        );
        assert_eq!(
            refused("path = \"a\"\nseparator = \",\""),
            "separator: the separator is used by format = \"csv\" only"
        );
        assert_eq!(
            refused("path = \"a\"\nformat = \"csv\"\nseparator = \"é\""),
            "separator: must be one ASCII character, not a quote or line end, got 'é'"
        );
        assert_eq!(refused("path = \"a\"\nmin_rating = nan"), "min_rating: must be finite, got NaN");
        assert_eq!(
            refused("format = \"csv\"\nsynthetic = {}"),
            "format: a synthetic data set is not read from a file: leave format out"
        );
        assert_eq!(
            refused("synthetic = { clusters = 0 }"),
            "synthetic: clusters: must be between 1 and items (1500), got 0"
        );
    }
}

//! What a person writes under `[data]`.

mod written;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use self::written::Written;
use crate::ids::{Kind, kind};
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
    /// Comma- or tab-separated values, with a header line or without one.
    Csv,
    /// `user item item …`, one line a user, oldest item first (Kang and McAuley 2018; Zhou et al. 2020).
    Sequence,
}

/// Names of the columns of a CSV file; in a file without a header their numbers, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Columns {
    /// Column of user ids; `user` by default, `1` in a file without a header.
    pub user: String,
    /// Column of item ids; `item` by default, `2` in a file without a header.
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

impl Columns {
    /// The default of a file without a header: users in column 1, items in column 2.
    #[must_use]
    pub fn numbered() -> Self {
        Self { user: "1".into(), item: "2".into(), rating: None, time: None }
    }

    fn validate(&self, header: bool) -> Result<(), Invalid> {
        let Self { user, item, rating, time } = self;
        let named = [
            ("user", Some(user)),
            ("item", Some(item)),
            ("rating", rating.as_ref()),
            ("time", time.as_ref()),
        ];
        for (use_, name) in named {
            let Some(name) = name.filter(|name| !header && !is_number(name)) else { continue };
            let why = format!(
                "{use_}: must be the number of a column, counted from 1, where header = false, got {name:?}"
            );
            return Err(("columns", why));
        }
        if user == item {
            let why = format!("item: must be another column than that of the users, got {item:?} for both");
            return Err(("columns", why));
        }
        Ok(())
    }
}

fn is_number(name: &str) -> bool {
    matches!(kind(name), Kind::Integer(1..))
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
    /// All stay: for splits along time, in which coming back to an item is information. The filters count every
    /// event; splits of distinct pairs (`files`, `ratio`) count a repeat once and note it.
    KeepAll,
    /// The data is refused.
    Error,
}

/// Which interactions: a file or folder, or a synthetic set, and how it is filtered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct DataConfig {
    /// File or folder, relative to the data root (an absolute path stays as it is).
    pub path: Option<PathBuf>,
    /// Format of the text; `lightgcn` by default.
    pub format: Format,
    /// Whether the first line names the columns, for `csv` only; true by default.
    pub header: bool,
    /// Column names, or numbers without a header, for `csv` only.
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

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            path: None,
            format: Format::default(),
            header: true,
            columns: Columns::default(),
            separator: None,
            min_rating: None,
            k_core: KCore::default(),
            duplicates: Duplicates::default(),
            synthetic: None,
        }
    }
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
        if !csv && !self.header {
            return Err(("header", "a missing header is expected by format = \"csv\" only".into()));
        }
        if !csv && self.columns != Columns::default() {
            return Err(("columns", "column names are used by format = \"csv\" only".into()));
        }
        self.columns.validate(self.header)?;
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
    fn without_a_header_columns_are_numbers() {
        let read = |text: &str| toml::from_str::<DataConfig>(text).unwrap();
        assert_eq!(read(""), DataConfig::default());
        let config = read("path = \"x\"\nformat = \"csv\"\nheader = false\ncolumns = { rating = \"3\" }");
        config.validate().unwrap();
        assert_eq!(config.columns, Columns { rating: Some("3".into()), ..Columns::numbered() });
        assert_eq!(toml::from_str::<DataConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        let csv = |rest: &str| refused(&format!("path = \"x\"\nformat = \"csv\"\n{rest}"));
        for name in ["who", "0", "01", "-1", ""] {
            assert_eq!(
                csv(&format!("header = false\ncolumns.user = \"{name}\"")),
                format!(
                    "columns: user: must be the number of a column, counted from 1, where header = false, got \"{name}\""
                )
            );
        }
        assert_eq!(
            csv("header = false\ncolumns.item = \"1\""),
            "columns: item: must be another column than that of the users, got \"1\" for both"
        );
        let header = "header: a missing header is expected by format = \"csv\" only";
        assert_eq!(refused("path = \"x\"\nheader = false"), header);
        assert_eq!(refused("synthetic = {}\nheader = false"), header);
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(
            toml::from_str::<DataConfig>("pth = \"x\"")
                .unwrap_err()
                .to_string()
                .contains("unknown field `pth`, expected one of `path`, `format`, `header`, `columns`")
        );
        let error = toml::from_str::<DataConfig>("path = \"x\"\ncolumns = { usr = \"u\" }").unwrap_err();
        assert_eq!(&"path = \"x\"\ncolumns = { usr = \"u\" }"[error.span().unwrap()], "usr");
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

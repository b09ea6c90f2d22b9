//! Small helpers for the tests on files.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use cl_data::{DataConfig, DataError, Format, Loaded, load};
use tempfile::TempDir;

/// A folder with made-up files.
pub struct Folder(TempDir);

impl Folder {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(TempDir::new().unwrap());
        files.iter().for_each(|(name, text)| folder.write(name, text.as_bytes()));
        folder
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Loads a `[data]` table given as TOML.
    pub fn load(&self, config: &str) -> Result<Loaded, DataError> {
        let config: DataConfig = toml::from_str(config).unwrap();
        load(&config, self.root(), 1)
    }

    /// The message of an error, with the name of the folder cut out.
    pub fn message(&self, error: &DataError) -> String {
        let text = error.to_string().replace(&format!("{}/", self.root().display()), "");
        text.replace(&self.root().display().to_string(), "ROOT")
    }

    /// The message with which a `[data]` table is refused.
    pub fn refused(&self, config: &str) -> String {
        self.message(&self.load(config).unwrap_err())
    }
}

/// The message with which one file is refused.
pub fn refused(format: Format, name: &str, bytes: &[u8]) -> String {
    let folder = Folder::new(&[]);
    folder.write(name, bytes);
    let error = cl_data::Reader::new(format).read(&folder.path(name)).unwrap_err();
    folder.message(&error)
}

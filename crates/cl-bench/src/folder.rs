//! The run folder: where a run leaves what other programs read.

use std::fs::{self, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;

/// A folder that belongs to one run.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
    /// Held as long as the folder is worked in; the system lets it go with the process.
    _lock: Option<Arc<fs::File>>,
}

/// All that a run leaves, the result first and the mark that makes the folder a run's last: what a kill leaves of an
/// emptied folder is an unfinished run.
const FILES: [&str; 13] = [
    "result.json",
    "checkpoint",
    "checkpoint-refit",
    "metrics.jsonl",
    "metrics-refit.jsonl",
    "topk.tsv",
    "per_user.tsv",
    "embeddings.safetensors",
    "users.tsv",
    "items.tsv",
    "experiment.toml",
    "resolved.toml",
    "experiment_hash",
];

/// What to do about a folder that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfThere {
    /// Refuse.
    Refuse,
    /// Start anew.
    Overwrite,
    /// Go on from its checkpoint, or start if it has none.
    Resume,
}

impl RunFolder {
    /// Makes the folder, or takes the one that is there.
    ///
    /// A folder belongs to the experiment whose resolved file it holds.
    ///
    /// # Errors
    ///
    /// A folder of a finished or unfinished run without leave to overwrite or resume it; one of another experiment; one
    /// that is no run folder.
    pub fn open(path: &Path, resolved: &str, hash: &str, policy: IfThere) -> Result<Self, Error> {
        let mut folder = Self { path: path.to_path_buf(), _lock: None };
        if path.is_file() {
            return Err(Error::with_help(
                format!("`{}` is a file, and a run needs a folder", path.display()),
                "choose another --out",
            ));
        }
        fs::create_dir_all(path).map_err(Error::io("cannot make the folder", path))?;
        folder.lock()?;
        let there = fs::read_dir(path)
            .map_err(Error::io("cannot read", path))?
            // All that a run leaves that was killed before it could mark its folder.
            .any(|entry| !entry.is_ok_and(|entry| entry.file_name() == "experiment_hash.tmp"));
        if there {
            let is_run = folder.file("experiment_hash").exists();
            if !is_run {
                return Err(Error::with_help(
                    format!("`{}` is there and is not a run folder", path.display()),
                    "choose another --out",
                ));
            }
            match policy {
                IfThere::Refuse if folder.is_cut_short() => {
                    return Err(Error::with_help(
                        format!("`{}` holds a run that --max-steps ended", path.display()),
                        "--resume goes on with it, --overwrite starts anew, --out DIR goes elsewhere",
                    ));
                }
                IfThere::Refuse if folder.is_finished() => {
                    return Err(Error::with_help(
                        format!("`{}` holds a finished run", path.display()),
                        "--overwrite starts anew, --out DIR goes elsewhere",
                    ));
                }
                IfThere::Refuse => {
                    return Err(Error::with_help(
                        format!("`{}` holds an unfinished run", path.display()),
                        "--resume goes on with it, --overwrite starts anew",
                    ));
                }
                IfThere::Overwrite => folder.clear()?,
                IfThere::Resume => {
                    let theirs = folder.read("experiment_hash")?;
                    if theirs.trim() != hash {
                        return Err(Error::with_help(
                            format!(
                                "`{}` belongs to another experiment (hash {}, this one has {hash})",
                                path.display(),
                                theirs.trim()
                            ),
                            "compare its resolved.toml with `cl-bench show`; --out DIR goes elsewhere",
                        ));
                    }
                    // It may have been killed before it wrote this.
                    if !folder.file("resolved.toml").exists() {
                        folder.write("resolved.toml", resolved.as_bytes())?;
                    }
                    return Ok(folder);
                }
            }
        }
        // The hash comes first: it marks the folder as a run's.
        folder.write("experiment_hash", format!("{hash}\n").as_bytes())?;
        folder.write("resolved.toml", resolved.as_bytes())?;
        Ok(folder)
    }

    /// Takes the folder for this process: a lock on the folder itself, which no run replaces.
    fn lock(&mut self) -> Result<(), Error> {
        // A system or a file system without such locks is no reason not to work.
        let Ok(folder) = fs::File::open(&self.path) else { return Ok(()) };
        if let Err(TryLockError::WouldBlock) = folder.try_lock() {
            return Err(Error::with_help(
                format!("another process works in `{}`", self.path.display()),
                "wait for it, or choose another --out",
            ));
        }
        self._lock = Some(Arc::new(folder));
        Ok(())
    }

    /// Removes what a run left, and nothing else.
    fn clear(&self) -> Result<(), Error> {
        for name in FILES {
            let path = self.file(name);
            if path.is_dir() {
                fs::remove_dir_all(&path).map_err(Error::io("cannot remove", &path))?;
            } else if path.exists() {
                fs::remove_file(&path).map_err(Error::io("cannot remove", &path))?;
            }
        }
        Ok(())
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether the run has its result.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.file("result.json").exists()
    }

    /// Whether `--max-steps` ended the training of a finished run, so that it can go on.
    #[must_use]
    pub(crate) fn is_cut_short(&self) -> bool {
        let result = fs::read_to_string(self.file("result.json"));
        let result = result.ok().and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        result.is_some_and(|result| result["cut_short"] == true)
    }

    /// Writes a file whole or not at all: under a temporary name, then renamed.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        write_whole(&self.file(name), content)
    }

    /// Reads a text file.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn read(&self, name: &str) -> Result<String, Error> {
        let path = self.file(name);
        fs::read_to_string(&path).map_err(Error::io("cannot read", path))
    }
}

/// Writes a file under a temporary name, makes sure that it is on the disk, and renames it.
///
/// # Errors
///
/// What the system says.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(Error::io("cannot write", path))
}

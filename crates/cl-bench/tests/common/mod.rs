//! What the tests of the program share: a place for files, the program itself, and what a run leaves.
#![allow(dead_code)] // every test uses a part of it

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cl_core::StreamKey;
use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder for experiments, data and runs.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// `cl-bench run FILE --out OUT`, data looked for here.
    pub(crate) fn run(&self, file: &Path, out: &str) -> Command {
        self.run_on(self.0.path(), file, out)
    }

    /// The same, data looked for elsewhere.
    pub(crate) fn run_on(&self, data: &Path, file: &Path, out: &str) -> Command {
        let mut command = program();
        command.arg("run").arg(file).arg("--out").arg(self.path(out)).arg("--data").arg(data);
        command
    }
}

/// The program.
pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cl-bench"))
}

/// Runs a command that must succeed.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The message of a command that must fail, in one line.
#[track_caller]
pub(crate) fn fail(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeded");
    message(&output)
}

/// What a failed program said, without the picture of the place: `  x first line` and `  | more`.
pub(crate) fn message(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let start = |line: &&str| !line.starts_with("  x ");
    let said = text.lines().skip_while(start).take_while(|line| !line.trim_start().starts_with(",-["));
    let words =
        said.map(|line| line.strip_prefix("  x ").or(line.strip_prefix("  | ")).unwrap_or(line).trim());
    words.collect::<Vec<_>>().join(" ").trim().to_string()
}

/// `result.json` without what depends on the clock and on the machine.
pub(crate) fn result(run: &Path) -> Value {
    let text = fs::read_to_string(run.join("result.json")).unwrap();
    let mut result: Value = serde_json::from_str(&text).unwrap();
    for key in ["seconds", "peak_rss_bytes", "threads"] {
        result.as_object_mut().unwrap().remove(key).unwrap();
    }
    result
}

/// The lines of a log without seconds.
pub(crate) fn log(run: &Path, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(run.join(name)).unwrap_or_default();
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("seconds").unwrap();
            line
        })
        .collect()
}

/// All that a run leaves and that does not depend on the clock or the machine, by file name.
pub(crate) fn traces(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut traces = BTreeMap::new();
    for name in
        ["embeddings.safetensors", "topk.tsv", "per_user.tsv", "users.tsv", "items.tsv", "resolved.toml"]
    {
        if let Ok(bytes) = fs::read(run.join(name)) {
            traces.insert(name.to_string(), bytes);
        }
    }
    for name in ["metrics.jsonl", "metrics-refit.jsonl"] {
        traces.insert(name.to_string(), format!("{:?}", log(run, name)).into_bytes());
    }
    traces.insert("result.json".to_string(), result(run).to_string().into_bytes());
    traces
}

/// Names of the traces in which two runs differ.
pub(crate) fn differences(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names = a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name));
    let mut names: Vec<String> = names.cloned().collect();
    names.sort();
    names.dedup();
    names
}

/// The folder with the public data for the long versions of tests: CL_DATA, if CL_HEAVY=1 too. Says so if not.
pub(crate) fn heavy_data(test: &str) -> Option<PathBuf> {
    let data = std::env::var_os("CL_DATA").map(PathBuf::from).filter(|data| data.is_dir());
    let heavy = std::env::var_os("CL_HEAVY").is_some_and(|heavy| heavy == "1");
    if data.is_none() || !heavy {
        println!(
            "{test} is skipped: it needs CL_HEAVY=1 and CL_DATA=<folder with graph/lastfm, graph/yelp2018>"
        );
        return None;
    }
    data
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The `n`th random number below `below` of a stream.
pub(crate) fn random(stream: &str, n: u64, below: u32) -> u32 {
    cl_core::rng::below(StreamKey::root(2024).child(stream).at(n).words(0, 0)[0], below)
}

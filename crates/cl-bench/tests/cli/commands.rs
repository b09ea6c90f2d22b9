//! show, list, options of run, bench, exit codes.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::common::{Place, fail, program, result, succeed};
use super::{ITEM_KNN, XSIMGCL, finished};

fn stdout(command: &mut std::process::Command) -> String {
    String::from_utf8(succeed(command).stdout).unwrap()
}

fn show(file: &Path, set: &[&str]) -> String {
    let mut command = program();
    command.arg("show").arg(file);
    for set in set {
        command.args(["--set", set]);
    }
    stdout(&mut command)
}

/// The hash in what `show` prints.
fn hash(file: &Path, set: &[&str]) -> String {
    let shown = show(file, set);
    let hash = shown.lines().next().unwrap().strip_prefix("# hash ").unwrap();
    assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    hash.to_string()
}

#[test]
fn a_shown_experiment_shows_as_itself() {
    let place = Place::new();
    let walk = XSIMGCL.replace("'cross_layer'", "'random_walk'\nmode = 'walk'");
    let schedule = XSIMGCL.replace("'info_nce'", "'info_nce'\nweight = { from = 0.0, to = 0.2, over = 2 }");
    let csv = ITEM_KNN.replace(
        "synthetic = { users = 120, items = 90, interactions = 1500 }",
        "path = 'x.csv'\nformat = 'csv'\nseparator = ';'\ncolumns = { user = 'u', time = 't' }\nk_core = { user = 5 }",
    );
    for (name, text) in
        [("graph", XSIMGCL), ("walk", &walk), ("schedule", &schedule), ("baseline", ITEM_KNN), ("csv", &csv)]
    {
        let typed = place.file(&format!("{name}.toml"), text);
        let shown = show(&typed, &[]);
        assert!(shown.len() > text.len(), "{name}: no default was written out: {shown}");
        let resolved = place.file(&format!("{name}-resolved.toml"), &shown);
        assert_eq!(show(&resolved, &[]), shown, "{name}");
    }
}

#[test]
fn the_hash_follows_all_that_can_change_a_result_and_nothing_else() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    let plain = hash(&file, &[]);
    for set in ["seed=1", "contrast.temperature=0.3", "train.epochs=4", "evaluate.cutoffs=[5, 10, 20]"] {
        assert_ne!(hash(&file, &[set]), plain, "{set}");
    }
    // A default that is written out is still the same experiment.
    for set in ["train.checkpoint_every=3", "device.threads=2", "seed=2024", "optimizer.lr=0.001"] {
        assert_eq!(hash(&file, &[set]), plain, "{set}");
    }
    let swapped = XSIMGCL.replace("dim = 8\nlayers = 2\n", "layers = 2 # l\ndim = 8\n");
    assert_eq!(hash(&place.file("swapped.toml", &swapped), &[]), plain, "order and comments mean nothing");
    let both = hash(&file, &["train.epochs=4", "train.epochs=3"]);
    assert_eq!(both, plain, "the last of two settings counts");
}

#[test]
fn list_names_every_component_once() {
    let all = stdout(program().arg("list"));
    let rows: Vec<Vec<&str>> = all.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.iter().all(|row| row.len() > 2), "a component without a summary: {all}");
    for (slot, name) in
        [("split", "ratio"), ("encoder", "ease"), ("optimizer", "adam"), ("negatives", "all_nodes")]
    {
        assert_eq!(rows.iter().filter(|row| row[..2] == [slot, name]).count(), 1, "{slot} {name}");
    }
    let views = stdout(program().args(["list", "views"]));
    let of_all: String =
        all.lines().filter(|line| line.starts_with("views ")).map(|line| format!("{line}\n")).collect();
    assert_eq!(views, of_all);
    assert_eq!(views.lines().count(), 13);
    assert_eq!(
        fail(program().args(["list", "nonsense"])),
        "there is no slot `nonsense` help: there are: split, encoder, objective, views, contrast, negatives, \
         projection, optimizer"
    );
}

#[test]
fn quiet_says_nothing_and_loud_says_where_the_run_is() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    let quiet = succeed(place.run(&file, "quiet").arg("--quiet"));
    assert_eq!((quiet.stdout.len(), quiet.stderr.len()), (0, 0));
    let loud = succeed(&mut place.run(&file, "loud"));
    let text = String::from_utf8(loud.stdout).unwrap();
    assert_eq!(text.lines().last().unwrap(), place.path("loud").display().to_string());
    assert!(
        ["recall", "popularity", "user_degree", "item_popularity"].iter().all(|word| text.contains(word))
    );
    // Progress, where nobody watches: a plain line an epoch, on standard error.
    let progress = String::from_utf8(loud.stderr).unwrap();
    assert_eq!(progress.lines().filter(|line| line.starts_with("epoch ")).count(), 3, "{progress}");
    assert!(!progress.contains('\u{1b}'), "{progress}");
}

#[test]
fn max_steps_stops_early_and_still_evaluates() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    // 5 steps are an epoch: 7 are one and a bit.
    for (steps, epochs) in [(3, 1), (5, 1), (7, 2), (1000, 3)] {
        let out = format!("out-{steps}");
        succeed(place.run(&file, &out).args(["--quiet", "--max-steps", &steps.to_string()]));
        let result = result(&place.path(&out));
        assert_eq!(result["steps"], steps.min(15), "{steps}");
        assert!(result["test"]["recall@20"].as_f64().unwrap() > 0.0, "{result}");
        let log = fs::read_to_string(place.path(&out).join("metrics.jsonl")).unwrap();
        assert_eq!(log.lines().count(), epochs, "{log}");
    }
}

#[test]
fn threads_and_checkpoints_leave_name_and_hash_alone() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    let mut hashes = Vec::new();
    for (threads, every) in [("1", 1), ("2", 1000)] {
        let folder = place.path(threads);
        fs::create_dir(&folder).unwrap();
        let set = format!("train.checkpoint_every={every}");
        let mut run = program();
        run.args(["run", "--quiet", "--threads", threads, "--set", &set]).arg(&file).current_dir(&folder);
        succeed(&mut run);
        // Without --out: runs/<name>-<seed>-<the first 8 digits of the hash>.
        let runs: Vec<_> = fs::read_dir(folder.join("runs")).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(runs.len(), 1);
        let text = fs::read_to_string(runs[0].path().join("result.json")).unwrap();
        let result: Value = serde_json::from_str(&text).unwrap();
        let hash = result["experiment_hash"].as_str().unwrap().to_string();
        assert_eq!(runs[0].file_name().to_str().unwrap(), format!("small-2024-{}", &hash[..8]));
        assert_eq!(result["threads"].to_string(), threads);
        hashes.push(hash);
    }
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn bench_is_the_run_with_a_clock() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    for clock in ["wall", "cpu"] {
        let steps = if clock == "wall" { "3" } else { "7" };
        let line = stdout(program().arg("bench").arg(&file).args(["--steps", steps, "--clock", clock]));
        assert_eq!(line.lines().count(), 1, "{line}");
        let bench: Value = serde_json::from_str(&line).unwrap();
        for key in ["step_s", "step_min_s", "epoch_s", "eval_s", "load_s", "peak_rss_mib", "threads"] {
            assert!(bench[key].as_f64().unwrap() > 0.0, "{key}: {line}");
        }
        assert!(
            bench["phase_s"].as_object().unwrap().values().all(|seconds| seconds.as_f64().unwrap() >= 0.0)
        );
        assert!(bench["step_min_s"].as_f64() <= bench["step_s"].as_f64());
        succeed(place.run(&file, clock).args(["--quiet", "--max-steps", steps]));
        let run = result(&place.path(clock));
        assert_eq!(bench["last_loss"], run["last_loss"]);
        assert_eq!(bench["steps"].to_string(), steps);
        assert_eq!(bench["metrics"], run["test"]);
        assert_eq!(bench["embeddings_sha256"], sha256_of_embeddings(&place.path(clock)), "{steps} steps");
    }
}

/// Users, then items, as little-endian f32: the order in which `bench` hashes them.
fn sha256_of_embeddings(run: &Path) -> String {
    let bytes = fs::read(run.join("embeddings.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut hasher = Sha256::new();
    for name in ["user", "item"] {
        hasher.update(tensors.tensor(name).unwrap().data());
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn overwrite_starts_anew_and_resume_leaves_a_finished_run_alone() {
    let (place, file) = finished(XSIMGCL);
    let written = || fs::metadata(place.path("out").join("result.json")).unwrap().modified().unwrap();
    let first = written();
    succeed(place.run(&file, "out").args(["--quiet", "--resume"]));
    assert_eq!(written(), first);
    fs::write(place.path("out").join("topk.tsv"), "spoilt").unwrap();
    succeed(place.run(&file, "out").args(["--quiet", "--overwrite"]));
    assert_ne!(fs::read_to_string(place.path("out").join("topk.tsv")).unwrap(), "spoilt");
    assert!(written() > first);
}

#[test]
fn exit_codes_tell_a_mistake_from_words_that_are_not_understood() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    let code = |command: &mut std::process::Command| command.output().unwrap().status.code();
    assert_eq!(code(program().arg("--help")), Some(0));
    assert_eq!(code(program().arg("show").arg(&file)), Some(0));
    assert_eq!(code(program().arg("show").arg(&file).args(["--set", "seed=-1"])), Some(1));
    assert_eq!(code(program().arg("show").arg(place.path("nothing.toml"))), Some(1));
    assert_eq!(code(&mut program()), Some(2));
    assert_eq!(code(program().arg("ruin").arg(&file)), Some(2));
    assert_eq!(code(place.run(&file, "out").args(["--overwrite", "--resume"])), Some(2));
    assert_eq!(code(program().arg("bench").arg(&file)), Some(2)); // --steps has no default
    assert!(!place.path("out").exists());
}

#[test]
fn bench_of_a_model_without_steps_is_refused() {
    let place = Place::new();
    let file = place.file("my.toml", ITEM_KNN);
    let said = fail(program().arg("bench").arg(&file).args(["--steps", "3"]));
    assert!(said.contains("not trained"), "{said}");
}

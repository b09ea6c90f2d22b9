//! Components of another crate work as those of the workspace do.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outsider")).args(arguments).output().unwrap()
}

fn experiment() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("experiment.toml").display().to_string()
}

/// Runs the experiment with keys set, and gives back its result and its embeddings.
fn run(folder: &TempDir, name: &str, sets: &[&str]) -> (Value, Vec<u8>) {
    let out = folder.path().join(name);
    let (file, out_text) = (experiment(), out.display().to_string());
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    let output = program(&[&["run", &file, "--out", &out_text, "--threads", "1"], &sets[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result = fs::read_to_string(out.join("result.json")).unwrap();
    (serde_json::from_str(&result).unwrap(), fs::read(out.join("embeddings.safetensors")).unwrap())
}

#[test]
fn an_experiment_runs_with_a_view_and_a_loss_from_outside() {
    let folder = TempDir::new().unwrap();
    let (result, embeddings) = run(&folder, "mine", &[]);
    let (steps, loss) = (result["steps"].as_u64().unwrap(), result["last_loss"].as_f64().unwrap());
    assert!(steps >= 8 && loss.is_finite(), "{result}");
    // A random ranking of 200 items finds 20 / 200 = 0.1 of them.
    assert!(result["test"]["recall@20"].as_f64().unwrap() > 0.15, "{}", result["test"]);
    assert_eq!(run(&folder, "again", &[]).1, embeddings, "same seed, same bits");
    for set in ["views.rate=0.1", "views.power=2.0", "contrast.margin=1.0", "contrast.weight=0.0"] {
        assert_ne!(run(&folder, set, &[set]).1, embeddings, "{set} changes nothing");
    }
    // Together with components of the workspace.
    for set in ["views={ type = 'embedding_noise' }", "contrast={ type = 'nt_xent' }"] {
        run(&folder, &set[..5], &[set]);
    }
}

#[test]
fn they_are_listed_and_their_defaults_shown() {
    let list = String::from_utf8(program(&["list"]).stdout).unwrap();
    let line =
        |slot: &str, name: &str| list.lines().any(|line| line.split_whitespace().take(2).eq([slot, name]));
    assert!(line("views", "popularity_dropout") && line("contrast", "triplet"), "{list}");
    assert!(line("views", "edge_dropout"), "{list}");
    let shown = String::from_utf8(program(&["show", &experiment()]).stdout).unwrap();
    assert!(shown.contains("type = \"popularity_dropout\"\nrate = 0.6\npower = 0.5\n"), "{shown}");
}

/// The message, and the text that it underlines.
fn mistake(set: &str) -> String {
    let output = program(&["show", &experiment(), "--set", set]);
    assert_eq!(output.status.code(), Some(1), "{set}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn their_mistakes_are_told_at_their_place() {
    let said = mistake("views.rte=0.1");
    assert!(said.contains("unknown field `rte`") && said.contains("did you mean `rate`?"), "{said}");
    // The caret stands under the key: ` 1 | views.rte=0.1` and `   :       ^^^`.
    assert!(said.contains("\n 1 | views.rte=0.1\n   :       ^^^\n"), "{said}");
    let said = mistake("contrast.margin=3.0");
    assert!(said.contains("`margin`: must be in (0, 2], got 3"), "{said}");
    assert!(said.contains("\n   :                 ^^^\n"), "{said}");
    let said = mistake("views.type=popularity_dropuot");
    assert!(said.contains("did you mean `popularity_dropout`?"), "{said}");
    let said = mistake("negatives.type=all_nodes");
    let reason = "negatives `all_nodes` and contrast `triplet` do not go together";
    assert!(said.replace("\n  | ", " ").contains(reason), "{said}");
    let said = mistake("encoder={ type = 'matrix_factorization' }");
    let reason = "views `popularity_dropout` and encoder `matrix_factorization` do not go together";
    assert!(said.replace("\n  | ", " ").contains(reason), "{said}");
}

#[test]
fn one_file_and_one_line_each() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let main = fs::read_to_string(root.join("src/main.rs")).unwrap();
    for (module, config) in [("popularity_dropout", "PopularityDropoutConfig"), ("triplet", "TripletConfig")]
    {
        assert!(root.join("src").join(module).with_extension("rs").exists());
        assert_eq!(main.matches(config).count(), 1, "{config} is named in one line");
    }
    assert_eq!(main.matches(".with::<").count(), 2);
}

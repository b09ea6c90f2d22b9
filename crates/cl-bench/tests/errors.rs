//! What a person is told who made a mistake: one clear error at its place, whole, as it is printed.
//!
//! The expected texts are in `tests/snapshots/`; after a wanted change, `INSTA_UPDATE=always cargo test --release -p
//! cl-bench --test errors` writes them anew, and the difference is to be read.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A good experiment, on made-up data.
const GOOD: &str = r#"name = "good"

[data]
synthetic = { users = 120, items = 90, interactions = 1500 }

[split]
type = "ratio"

[encoder]
type = "light_gcn"
dim = 8
layers = 2

[views]
type = "edge_dropout"
rate = 0.1

[contrast]
type = "info_nce"
temperature = 0.2

[train]
epochs = 1
batch_size = 256
"#;

/// Runs the program in a folder and returns what it says on standard error, the folder's name taken out.
fn told(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cl-bench"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("CL_DATA")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?} ended with {:?}", output.status);
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stderr).unwrap();
    without_hashes(&text.replace(&folder.display().to_string(), "FOLDER"))
}

/// Hashes change with every new key.
fn without_hashes(text: &str) -> String {
    let is_hash = |word: &str| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let word = |word: &str| match word.split_at_checked(16) {
        Some((hash, end)) if is_hash(hash) && !end.starts_with(char::is_alphanumeric) => format!("HASH{end}"),
        _ => word.to_string(),
    };
    words.map(word).collect()
}

/// What is said of the good experiment with one text in the place of another.
fn said_of(found: &str, instead: &str) -> String {
    assert!(GOOD.contains(found), "{found}");
    said_of_file(&GOOD.replace(found, instead))
}

fn said_of_file(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("my.toml"), text).unwrap();
    told(folder.path(), &["run", "my.toml", "--quiet"])
}

/// What is said with an override.
fn said_of_set(set: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("my.toml"), GOOD).unwrap();
    let mut arguments = vec!["run", "my.toml", "--quiet"];
    for set in set {
        arguments.extend(["--set", set]);
    }
    told(folder.path(), &arguments)
}

/// Several cases in one snapshot, each under its name.
#[track_caller]
fn snapshot(test: &str, cases: &[(&str, String)]) {
    let text = cases.iter().map(|(name, text)| format!("## {name}\n{text}")).collect::<Vec<_>>().join("\n");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(test, text) });
}

#[test]
fn the_good_experiment_is_good() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("my.toml"), GOOD).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cl-bench"))
        .args(["run", "my.toml", "--quiet"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}

#[test]
fn names_and_types() {
    snapshot(
        "names_and_types",
        &[
            ("a misspelt key", said_of("temperature = 0.2", "temprature = 0.2")),
            ("a misspelt table", said_of("[contrast]", "[contrst]")),
            ("a misspelt key of a table without a type", said_of("epochs = 1", "epoch = 1")),
            ("a wrong type", said_of("layers = 2", "layers = \"two\"")),
            ("an unknown component", said_of("\"edge_dropout\"", "\"edge_dropuot\"")),
            ("an unknown source of negatives", said_of("[train]", "[negatives]\ntype = \"quue\"\n\n[train]")),
            ("a missing type", said_of("type = \"edge_dropout\"\n", "")),
            ("a missing table", said_of("[encoder]\ntype = \"light_gcn\"\ndim = 8\nlayers = 2\n", "")),
            (
                "no data",
                said_of("[data]\nsynthetic = { users = 120, items = 90, interactions = 1500 }\n", ""),
            ),
            ("no TOML", said_of("layers = 2", "layers = = 2")),
            ("a name that is no folder name", said_of("\"good\"", "\"a/b\"")),
            ("no name", said_of("name = \"good\"\n", "")),
            ("a table written as a list", said_of("[data]", "[[data]]")),
            ("an unknown metric", said_of("[train]", "[evaluate]\nmetrics = [\"recal\"]\n\n[train]")),
            ("an unknown choice", said_of("epochs = 1", "epochs = 1\nselect = \"tset\"")),
            ("a number for a list", said_of("[train]", "[evaluate]\ncutoffs = 20\n\n[train]")),
            ("a fraction for a whole number", said_of("dim = 8", "dim = 1.5")),
            ("less than nothing", said_of("dim = 8", "dim = -8")),
            (
                "a wrong type in an inner table",
                said_of("temperature = 0.2", "temperature = { from = \"a\", to = 1 }"),
            ),
            ("a misspelt key in an inner table", said_of("users = 120", "usrs = 120")),
            ("views of sequences", said_of("\"edge_dropout\"", "\"crop\"")),
        ],
    );
}

#[test]
fn ranges() {
    snapshot(
        "ranges",
        &[
            ("temperature", said_of("temperature = 0.2", "temperature = 0")),
            ("rate", said_of("rate = 0.1", "rate = 1.5")),
            ("layers", said_of("layers = 2", "layers = 0")),
            ("epochs", said_of("epochs = 1", "epochs = 0")),
            ("batch size", said_of("batch_size = 256", "batch_size = 0")),
            ("synthetic", said_of("users = 120", "users = 0")),
            ("split", said_of("type = \"ratio\"", "type = \"ratio\"\ntest = 1.0")),
            ("cut-offs", said_of("[train]", "[evaluate]\ncutoffs = [0]\n\n[train]")),
            ("learning rate", said_of("[train]", "[optimizer]\ntype = \"adam\"\nlr = -1\n\n[train]")),
            ("several devices", said_of("[train]", "[device]\ndevices = [0, 1]\n\n[train]")),
            ("an unknown backend", said_of("[train]", "[device]\nbackend = \"fles\"\n\n[train]")),
            ("a negative seed", said_of("name = \"good\"", "name = \"good\"\nseed = -1")),
            (
                "shares of more than all",
                said_of("type = \"ratio\"", "type = \"ratio\"\ntest = 0.5\nvalidation = 0.5"),
            ),
            ("a schedule", said_of("temperature = 0.2", "temperature = { from = 0.2, to = 0, over = 3 }")),
            (
                "no path",
                said_of("synthetic = { users = 120, items = 90, interactions = 1500 }", "format = \"csv\""),
            ),
            ("a path too", said_of("[data]", "[data]\npath = \"set\"")),
            ("threads", said_of("[train]", "[device]\nthreads = 5000\n\n[train]")),
        ],
    );
}

#[test]
fn queues() {
    let of = |keys: &str| said_of("[train]", &format!("[negatives]\ntype = \"queue\"\n{keys}\n\n[train]"));
    let of_contrast = |keys: &str| {
        let text = GOOD.replace("type = \"info_nce\"\ntemperature = 0.2", keys);
        said_of_file(&text.replace("[train]", "[negatives]\ntype = \"queue\"\n\n[train]"))
    };
    snapshot(
        "queues",
        &[
            ("no room", of("size = 0")),
            ("momentum", of("momentum = 1.5")),
            ("a schedule of momentum", of("momentum = { from = 0.9, to = 1.1, over = 5 }")),
            ("age", of("max_age = 0")),
            ("the batch twice", of("with_batch = true\nenqueue = \"before\"")),
            ("misspelt", of("momentun = 0.9")),
            ("no such moment", of("enqueue = \"later\"")),
            ("a contrast of the batch alone", of_contrast("type = \"nt_xent\"")),
            ("no negatives at all", of_contrast("type = \"alignment_uniformity\"")),
            ("the batch's own ids", of_contrast("type = \"info_nce\"\nunique = false\nmask_own_id = true")),
            ("a share of all", of_contrast("type = \"debiased\"\npositive_share = 1.0")),
            ("concentration", of_contrast("type = \"hard_negative\"\nconcentration = -1")),
        ],
    );
}

#[test]
fn overrides() {
    snapshot(
        "overrides",
        &[
            ("not key=value", said_of_set(&["contrast.temperature"])),
            ("through a value", said_of_set(&["name.first=1"])),
            ("out of range", said_of_set(&["train.epochs=3", "contrast.temperature=-1"])),
            ("misspelt", said_of_set(&["contrast.temprature=0.1"])),
            ("a word for a number", said_of_set(&["encoder.layers=two"])),
            ("no value", said_of_set(&["train.epochs="])),
            ("a value for a table", said_of_set(&["train=3"])),
            ("an unclosed list", said_of_set(&["evaluate.cutoffs=[10"])),
            ("an unknown table", said_of_set(&["contrst.weight=1"])),
            ("a default out of range", said_of_set(&["data.synthetic.noise=2"])),
        ],
    );
}

#[test]
fn combinations() {
    let without_contrast = GOOD.replace("[contrast]\ntype = \"info_nce\"\ntemperature = 0.2\n", "");
    let without_views = GOOD.replace("[views]\ntype = \"edge_dropout\"\nrate = 0.1\n", "");
    let popularity = GOOD.replace("type = \"light_gcn\"\ndim = 8\nlayers = 2\n", "type = \"popularity\"\n");
    let factors = |views: &str| {
        GOOD.replace("\"light_gcn\"", "\"matrix_factorization\"")
            .replace("layers = 2\n", "")
            .replace("type = \"edge_dropout\"\nrate = 0.1", views)
    };
    snapshot(
        "combinations",
        &[
            ("views without a contrast", said_of_file(&without_contrast)),
            ("a contrast without views", said_of_file(&without_views)),
            ("nt_xent with all nodes", said_of_set(&["contrast.type=nt_xent", "negatives.type=all_nodes"])),
            ("edge dropout without a graph", said_of_file(&factors("type = \"edge_dropout\""))),
            ("layers of an encoder without layers", said_of_file(&factors("type = \"cross_layer\""))),
            (
                "a layer too many",
                said_of("type = \"edge_dropout\"\nrate = 0.1", "type = \"cross_layer\"\nlayer = 3"),
            ),
            ("training of what is not trained", said_of_file(&popularity)),
            (
                "nothing to learn",
                said_of_file(&without_contrast.replace(
                    "[views]\ntype = \"edge_dropout\"\nrate = 0.1\n",
                    "[objective]\ntype = \"none\"\n",
                )),
            ),
            ("select = test with a validation part", said_of_set(&["train.select=test"])),
            ("select by a metric that is not computed", said_of_set(&["train.select_by=recall@50"])),
            ("patience without selection", said_of_set(&["train.select=last", "train.patience=3"])),
            ("merge one side", said_of_set(&["contrast.sides=user", "contrast.merge=true"])),
            ("a metric without selection", said_of_set(&["train.select=last", "train.select_by=recall@20"])),
            ("refit without selection", said_of_set(&["train.select=last", "train.refit=true"])),
            (
                "negatives without a contrast",
                said_of_file(&without_contrast.replace(
                    "[views]\ntype = \"edge_dropout\"\nrate = 0.1\n",
                    "[negatives]\ntype = \"in_batch\"\n",
                )),
            ),
            (
                "a key of the other mode",
                said_of(
                    "type = \"edge_dropout\"\nrate = 0.1",
                    "type = \"random_walk\"\nmode = \"walk\"\nrate = 0.1",
                ),
            ),
        ],
    );
}

/// What goes with graphs does not go with sequences, and the reverse.
#[test]
fn families() {
    let of_sequences = |views: &str, more: &str| {
        GOOD.replace("type = \"light_gcn\"\ndim = 8\nlayers = 2", "type = \"sas_rec\"\ndim = 8")
            .replace("type = \"ratio\"", "type = \"leave_one_out\"")
            .replace("type = \"edge_dropout\"\nrate = 0.1", views)
            .replace("[train]", &format!("{more}[train]"))
    };
    let bert = |text: &str, train: &str| {
        text.replace("type = \"sas_rec\"", "type = \"bert4rec\"\nheads = 1")
            .replace("[train]", &format!("[train]\n{train}"))
    };
    let crop = "type = \"crop\"";
    snapshot(
        "families",
        &[
            ("crop on a graph", said_of("type = \"edge_dropout\"\nrate = 0.1", crop)),
            ("edge dropout on sequences", said_of_file(&of_sequences("type = \"edge_dropout\"", ""))),
            ("all nodes", said_of_file(&of_sequences(crop, "[negatives]\ntype = \"all_nodes\"\n"))),
            (
                "items",
                said_of_file(&of_sequences(crop, "").replace("temperature", "sides = \"item\"\ntemperature")),
            ),
            (
                "edges",
                said_of_file(&of_sequences(crop, "").replace("[train]", "[train]\nsampler = \"edges\"")),
            ),
            ("windows", said_of_set(&["train.sampler=windows"])),
            ("positions", said_of_set(&["objective.positions=last"])),
            ("similar lengths", said_of_set(&["train.similar_lengths=true"])),
            (
                "no order",
                said_of_file(&of_sequences(crop, "").replace("type = \"leave_one_out\"", "type = \"ratio\"")),
            ),
            ("heads", said_of_file(&of_sequences(crop, "").replace("dim = 8", "dim = 8\nheads = 3"))),
            ("windows for masks", said_of_file(&bert(&of_sequences(crop, ""), "sampler = \"windows\""))),
            (
                "masks for windows",
                said_of_file(&of_sequences(crop, "").replace("[train]", "[train]\nmask_rate = 0.3")),
            ),
            ("no mask", said_of_file(&bert(&of_sequences(crop, ""), "mask_rate = 0.0"))),
            ("more masks than sequences", said_of_file(&bert(&of_sequences(crop, ""), "mask_last = 1.5"))),
            (
                "the last of masks",
                said_of_file(
                    &(bert(&of_sequences(crop, ""), "mask_last = 1.0")
                        + "[objective]\ntype = \"bce\"\npositions = \"last\"\n"),
                ),
            ),
            (
                "hidden states that are no embeddings",
                said_of_file(
                    &of_sequences(crop, "")
                        .replace("type = \"sas_rec\"", "type = \"gru4rec\"\noutput = false"),
                ),
            ),
            ("calibration", said_of_set(&["objective={ type = \"gbce\", calibration = 1.5 }"])),
            (
                "many negatives",
                said_of_set(&["objective={ type = \"sampled_softmax\", negatives_per_positive = 5000 }"]),
            ),
            ("mask rate", said_of_file(&of_sequences("type = \"mask\"\nrate = 1.5", ""))),
            ("rate of substitution", said_of_file(&of_sequences("type = \"substitute\"\nrate = 1.5", ""))),
            ("a menu", said_of_file(&of_sequences("type = \"one_of\"\nof = [{ type = \"corp\" }]", ""))),
            (
                "a menu of short sequences that does not say what is short",
                said_of_file(&of_sequences("type = \"one_of\"\nof_short = [{ type = \"insert\" }]", "")),
            ),
            (
                "short sequences without a menu",
                said_of_file(&of_sequences("type = \"one_of\"\nshort = 4", "")),
            ),
            (
                "a menu of short sequences",
                said_of_file(&of_sequences(
                    "type = \"one_of\"\nshort = 4\nof_short = [{ type = \"insrt\" }]",
                    "",
                )),
            ),
            ("same target", said_of_file(&of_sequences("type = \"same_target\"\nagainst = \"drop\"", ""))),
            (
                "a menu of one, without replacement",
                said_of_file(&of_sequences(
                    "type = \"one_of\"\nof = [{ type = \"crop\" }]\nwith_replacement = false",
                    "",
                )),
            ),
        ],
    );
}

/// Rankings among a few items.
#[test]
fn sampled() {
    snapshot(
        "sampled",
        &[
            ("nothing to sample", said_of_set(&["evaluate.sampled={}"])),
            ("a file and a number", said_of_set(&["evaluate.sampled={ file = \"x\", negatives = 9 }"])),
            ("a law for a file", said_of_set(&["evaluate.sampled={ file = \"x\", by = \"uniform\" }"])),
            ("none", said_of_set(&["evaluate.sampled={ negatives = 0 }"])),
            ("a misspelt key", said_of_set(&["evaluate.sampled={ negative = 9 }"])),
            ("another law", said_of_set(&["evaluate.sampled={ negatives = 9, by = \"popular\" }"])),
            ("a mask", said_of_set(&["evaluate.sampled={ negatives = 9 }", "evaluate.mask_history=false"])),
            ("more than there are", said_of_set(&["evaluate.sampled={ negatives = 90 }"])),
            ("no such file", said_of_set(&["evaluate.sampled={ file = \"x\" }"])),
        ],
    );
}

#[test]
fn a_backend_that_is_not_in_this_build_is_named_with_its_feature() {
    if cfg!(feature = "wgpu") {
        return;
    }
    snapshot("backend", &[("a backend that is not compiled in", said_of_set(&["device.backend=wgpu"]))]);
}

/// What is said of data files.
fn said_of_data(files: &[(&str, &[u8])]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("data/set")).unwrap();
    for (name, content) in files {
        fs::write(folder.path().join("data/set").join(name), content).unwrap();
    }
    let text = GOOD
        .replace("synthetic = { users = 120, items = 90, interactions = 1500 }", "path = \"set\"")
        .replace("type = \"ratio\"", "type = \"files\"\nvalidation = 0.1");
    fs::write(folder.path().join("my.toml"), text).unwrap();
    told(folder.path(), &["run", "my.toml", "--quiet"])
}

/// What is said of one file, divided by ratio.
fn said_of_one_file(name: &str, content: &str, format: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data").join(name), content).unwrap();
    let data = format!("path = \"{name}\"\nformat = \"{format}\"");
    let text = GOOD.replace("synthetic = { users = 120, items = 90, interactions = 1500 }", &data);
    fs::write(folder.path().join("my.toml"), text).unwrap();
    told(folder.path(), &["run", "my.toml", "--quiet"])
}

#[test]
fn data() {
    let test: (&str, &[u8]) = ("test.txt", b"0 3\n");
    snapshot(
        "data",
        &[
            (
                "no folder",
                said_of("synthetic = { users = 120, items = 90, interactions = 1500 }", "path = \"nowhere\""),
            ),
            ("no test file", said_of_data(&[("train.txt", b"0 1 2\n")])),
            ("an empty file", said_of_data(&[("train.txt", b""), test])),
            (
                "an id that overflows",
                said_of_data(&[("train.txt", b"0 1 2\n1 99999999999999999999999 2\n"), test]),
            ),
            ("not UTF-8", said_of_data(&[("train.txt", b"0 1 2\n1 \xff 2\n"), test])),
            (
                "a pair in both parts",
                said_of_data(&[("train.txt", b"0 1 2\n1 2 3\n"), ("test.txt", b"1 4\n0 3 2\n")]),
            ),
            ("a control character", said_of_data(&[("train.txt", b"0 1 2\n1 2\x003\n"), test])),
            ("an empty line", said_of_data(&[("train.txt", b"0 1 2\n\n1 3\n"), test])),
            (
                "a validation file and a share",
                said_of_data(&[("train.txt", b"0 1 2\n"), ("valid.txt", b"0 4\n"), test]),
            ),
            ("one file for a split of parts", said_of_data(&[("all.txt", b"0 1 2\n")])),
            (
                "a field too many",
                said_of_one_file("x.inter", "user_id:token\titem_id:token\n1\t2\n1\t3\t4\n", "atomic"),
            ),
            ("another column", said_of_one_file("x.csv", "user,product\n1,2\n", "csv")),
            ("no number", said_of_one_file("x.csv", "user,item,at\n1,2,now\n", "csv\"\ncolumns.time = \"at")),
            ("no ratings", said_of_one_file("x.txt", "0 1 2\n1 2 3\n", "lightgcn\"\nmin_rating = 4 # \"")),
            (
                "nothing left",
                said_of_one_file("x.txt", "0 1 2\n1 2 3\n", "lightgcn\"\nk_core = { user = 5 } # \""),
            ),
            ("too few to hold any out", said_of_one_file("x.txt", "0 1\n1 2\n", "lightgcn")),
            ("a user twice in sequences", said_of_one_file("x.txt", "1 2 3\n1 4 5\n", "sequence")),
            ("EASE that would not fit", {
                let encoder = "type = \"ease\"\nmemory_limit_gib = 1e-6\n";
                let text = GOOD.replace("type = \"light_gcn\"\ndim = 8\nlayers = 2\n", encoder);
                said_of_file(&text[..text.find("[views]").unwrap()])
            }),
        ],
    );
}

#[test]
fn run_folders() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("my.toml"), GOOD).unwrap();
    fs::write(folder.path().join("other.toml"), GOOD.replace("dim = 8", "dim = 4")).unwrap();
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/letter.txt"), "dear").unwrap();
    let run = |arguments: &[&str]| told(folder.path(), arguments);
    let made = Command::new(env!("CARGO_BIN_EXE_cl-bench"))
        .args(["run", "my.toml", "--quiet", "--out", "out"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success());
    let finished = run(&["run", "my.toml", "--quiet", "--out", "out"]);
    let other = run(&["run", "other.toml", "--quiet", "--out", "out", "--resume"]);
    fs::remove_file(folder.path().join("out/result.json")).unwrap();
    let unfinished = run(&["run", "my.toml", "--quiet", "--out", "out"]);
    let foreign = run(&["run", "my.toml", "--quiet", "--out", "mine"]);
    assert_eq!(fs::read_to_string(folder.path().join("mine/letter.txt")).unwrap(), "dear");
    let missing = run(&["run", "nothing.toml"]);
    let file = run(&["run", "my.toml", "--quiet", "--out", "my.toml"]);
    let threads = run(&["run", "my.toml", "--quiet", "--threads", "5000"]);
    snapshot(
        "run_folders",
        &[
            ("a finished run", finished),
            ("another experiment's run", other),
            ("an unfinished run", unfinished),
            ("a folder of something else", foreign),
            ("no experiment", missing),
            ("a file", file),
            ("threads", threads),
        ],
    );
}

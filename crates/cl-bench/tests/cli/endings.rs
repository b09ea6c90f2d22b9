//! Runs that end early, are interrupted, or meet what others left.

use std::fs;
use std::io::pipe;

use super::common::{Place, differences, fail, log, program, result, succeed, traces};
use super::{XSIMGCL, finished};

#[test]
fn a_run_cut_short_says_so_and_goes_on_to_the_same_bits() {
    let (place, file) = finished(XSIMGCL);
    let cut = succeed(place.run(&file, "cut").args(["--max-steps", "7"]));
    assert!(String::from_utf8_lossy(&cut.stdout).contains("--max-steps ended the training early"));
    let run = place.path("cut");
    assert_eq!((&result(&run)["cut_short"], &result(&run)["steps"]), (&true.into(), &7.into()));
    let refused = fail(&mut place.run(&file, "cut"));
    assert!(refused.contains("holds a run that --max-steps ended"), "{refused}");
    // The same limit again: nothing to train, and the same end.
    let before = traces(&run);
    succeed(place.run(&file, "cut").args(["--resume", "--quiet", "--max-steps", "7"]));
    assert_eq!(differences(&before, &traces(&run)), [] as [&str; 0]);
    succeed(place.run(&file, "cut").args(["--resume", "--quiet", "--max-steps", "12"]));
    assert_eq!(result(&run)["steps"], 12);
    succeed(place.run(&file, "cut").args(["--resume", "--quiet"]));
    assert_eq!(differences(&traces(&place.path("out")), &traces(&run)), [] as [&str; 0]);
    let epochs: Vec<_> = log(&run, "metrics.jsonl").iter().map(|line| line["epoch"].clone()).collect();
    assert_eq!(epochs, [1, 2, 3]);
    assert_eq!(result(&run)["cut_short"], false);
}

/// Ends at the end of an epoch that is evaluated and of one that is not, inside epochs, before and in a second training.
#[test]
fn wherever_it_is_cut_a_run_goes_on_as_if_it_had_not_been() {
    let settings = ["evaluate_every = 2\npatience = 1", "refit = true", "evaluate_every = 3\nrefit = true"];
    for (at, setting) in settings.into_iter().enumerate() {
        let text = XSIMGCL.replace("epochs = 3\n", &format!("epochs = 6\n{setting}\n"));
        let text = text.replace("[evaluate]", "[optimizer]\nlr = 0.1\n[evaluate]");
        let (place, file) = finished(&text);
        for cuts in [&["5"][..], &["10"], &["7", "15"], &["12", "13", "25"]] {
            let out = format!("cut-{at}-{}", cuts.join("-"));
            for steps in cuts {
                succeed(place.run(&file, &out).args(["--resume", "--quiet", "--max-steps", steps]));
                assert!(result(&place.path(&out))["steps"].as_u64().unwrap() <= steps.parse().unwrap());
            }
            succeed(place.run(&file, &out).args(["--resume", "--quiet"]));
            let (whole, cut) = (traces(&place.path("out")), traces(&place.path(&out)));
            assert_eq!(differences(&whole, &cut), [] as [&str; 0], "{setting}, cut at {cuts:?}");
        }
    }
    let (place, file) = finished(XSIMGCL);
    let output = place.run(&file, "none").args(["--max-steps", "0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "no step is no training");
}

/// Masks, negatives and dropout are those of the step, whether a run was cut before it or not.
#[test]
fn a_run_of_each_sequence_encoder_goes_on_to_the_same_bits() {
    let encoders = [
        ("sas_rec", "bce", ""),
        ("gru4rec", "sampled_softmax", "sampling = 'popularity'\nnegatives_per_positive = 4"),
        ("bert4rec", "cross_entropy", ""),
    ];
    for (encoder, objective, more) in encoders {
        let text = format!(
            "name = 'cut'\n[data]\nsynthetic = {{ users = 120, items = 90, interactions = 1500 }}\n\
             [split]\ntype = 'leave_one_out'\n[encoder]\ntype = '{encoder}'\ndim = 8\nmax_length = 8\n\
             [objective]\ntype = '{objective}'\n{more}\n[views]\ntype = 'one_of'\n[contrast]\ntype = 'nt_xent'\n\
             [train]\nepochs = 3\nbatch_size = 30\n"
        );
        let (place, file) = finished(&text);
        for steps in ["2", "7"] {
            succeed(place.run(&file, "cut").args(["--resume", "--quiet", "--max-steps", steps]));
        }
        succeed(place.run(&file, "cut").args(["--resume", "--quiet"]));
        let (whole, cut) = (traces(&place.path("out")), traces(&place.path("cut")));
        assert_eq!(differences(&whole, &cut), [] as [&str; 0], "{encoder}");
    }
}

/// What views learn from the training data is learned again, the same, by a run that goes on, and anew by the second training
/// of a refit.
#[test]
fn a_run_whose_views_look_at_the_training_data_goes_on_to_the_same_bits() {
    let menu = "type = 'one_of'\nof = [{ type = 'insert' }, { type = 'substitute' }]";
    for views in [menu, "type = 'same_target'"] {
        let text = format!(
            "name = 'prepared'\n[data]\nsynthetic = {{ users = 120, items = 90, interactions = 1500 }}\n\
             [split]\ntype = 'leave_one_out'\n[encoder]\ntype = 'sas_rec'\ndim = 8\nmax_length = 8\n[views]\n{views}\n\
             [contrast]\ntype = 'nt_xent'\n[train]\nepochs = 3\nbatch_size = 30\nrefit = true\n"
        );
        let (place, file) = finished(&text);
        for steps in ["5", "14"] {
            succeed(place.run(&file, "cut").args(["--resume", "--quiet", "--max-steps", steps]));
        }
        succeed(place.run(&file, "cut").args(["--resume", "--quiet"]));
        let (whole, cut) = (traces(&place.path("out")), traces(&place.path("cut")));
        assert_eq!(differences(&whole, &cut), [] as [&str; 0], "{views}");
    }
}

#[test]
fn popularity_is_ranked_by_its_counts_whatever_the_score() {
    let (place, file) = finished(XSIMGCL);
    let column = |set: &str| -> Vec<String> {
        let out = set.replace('=', "-");
        let output = succeed(place.run(&file, &out).args(["--set", set]));
        let table = String::from_utf8(output.stdout).unwrap();
        let row = table.lines().find(|line| line.contains("recall")).unwrap().to_string();
        row.split_whitespace().map(String::from).collect()
    };
    let (raw, sigmoid) = (column("evaluate.score=raw"), column("evaluate.score=sigmoid"));
    // The cells: a border, `recall`, then model and popularity at each cut-off.
    assert!(raw.len() >= 6, "{raw:?}");
    assert_eq!((&raw[3], &raw[5]), (&sigmoid[3], &sigmoid[5]));
}

#[test]
fn a_log_that_lost_lines_is_told() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    succeed(place.run(&file, "out").args(["--quiet", "--max-steps", "7"]));
    fs::write(place.path("out/metrics.jsonl"), "{").unwrap();
    let said = fail(place.run(&file, "out").arg("--resume"));
    assert!(said.contains("metrics.jsonl` has 1 bytes") && said.contains("lines are missing"), "{said}");
    assert_eq!(fs::read_to_string(place.path("out/metrics.jsonl")).unwrap(), "{", "it is left as it was");
}

#[test]
fn overwrite_removes_what_a_run_left_and_nothing_else() {
    let (place, file) = finished(XSIMGCL);
    let before = traces(&place.path("out"));
    fs::write(place.path("out/NOTES.md"), "mine").unwrap();
    fs::write(place.path("out/topk.tsv"), "spoiled").unwrap();
    succeed(place.run(&file, "out").args(["--quiet", "--overwrite"]));
    assert_eq!(differences(&before, &traces(&place.path("out"))), [] as [&str; 0]);
    assert_eq!(fs::read_to_string(place.path("out/NOTES.md")).unwrap(), "mine");
}

#[test]
fn two_processes_do_not_work_in_one_folder() {
    let (place, file) = finished(XSIMGCL);
    let other = fs::File::open(place.path("out")).unwrap();
    other.lock().unwrap();
    for option in ["--resume", "--overwrite"] {
        let said = fail(place.run(&file, "out").arg(option));
        assert!(said.contains("another process works in"), "{option}: {said}");
    }
    drop(other);
    succeed(place.run(&file, "out").args(["--overwrite", "--quiet"]));
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let (place, file) = finished(XSIMGCL);
    let run = |command: &mut std::process::Command| {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = succeed(command.stdout(writer));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    };
    run(program().arg("list"));
    run(program().arg("show").arg(&file));
    run(&mut place.run(&file, "again"));
    assert!(place.path("again/result.json").exists());
}

#[test]
fn batches_of_one_row_train() {
    let place = Place::new();
    let file = place.file("my.toml", XSIMGCL);
    let both = ["objective={ type = 'alignment_uniformity' }", "contrast={ type = 'alignment_uniformity' }"];
    for (at, sets) in [vec![], vec![both[0]], vec![both[1]], both.to_vec()].into_iter().enumerate() {
        let out = format!("out-{at}");
        let mut command = place.run(&file, &out);
        command.args(["--quiet", "--max-steps", "3", "--set", "train.batch_size=1"]);
        for set in sets {
            command.args(["--set", set]);
        }
        succeed(&mut command);
        let loss = result(&place.path(&out))["last_loss"].as_f64().unwrap();
        assert!(loss.is_finite(), "{loss}");
    }
}

/// Negatives are scored by their ids, or gathered as rows where the penalty reads them; one that weighs nothing tells both
/// ways apart.
#[test]
fn negatives_by_id_and_as_rows_are_the_same_training() {
    let popularity = "sampling = 'popularity'\n";
    for (objective, more) in [("bpr", ""), ("bce", ""), ("gbce", ""), ("sampled_softmax", popularity)] {
        let place = Place::new();
        let losses = [("by_id", "0.0"), ("rows", "1e-30")].map(|(out, l2)| {
            let text = format!(
                "name = 'two'\n[data]\nsynthetic = {{ users = 120, items = 90, interactions = 1500 }}\n\
                 [split]\ntype = 'leave_one_out'\n[encoder]\ntype = 'sas_rec'\ndim = 20\nheads = 1\nmax_length = 8\n\
                 [objective]\ntype = '{objective}'\nnegatives_per_positive = 3\nl2 = {l2}\n{more}\
                 [train]\nepochs = 2\nbatch_size = 30\n"
            );
            let file = place.file("my.toml", &text);
            succeed(place.run(&file, out).arg("--quiet"));
            let loss = |line: &serde_json::Value| line["loss"]["objective"].as_f64().unwrap();
            log(&place.path(out), "metrics.jsonl").iter().map(loss).collect::<Vec<_>>()
        });
        let [by_id, rows] = losses;
        assert_eq!((by_id.len(), rows.len()), (2, 2));
        for (by_id, rows) in by_id.iter().zip(&rows) {
            assert!((by_id - rows).abs() < 2e-6 * rows, "{objective}: {by_id} by id, {rows} as rows");
        }
    }
}

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
    let other = fs::File::open(place.path("out/experiment_hash")).unwrap();
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

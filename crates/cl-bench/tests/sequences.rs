//! Next-item evaluation of the program as a whole: known answers on public sequences, rankings among a few items, ids as they
//! are.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Place, fail, result, succeed};
use serde_json::Value;

/// The public sequences, if they are there. Says so if not.
fn data(test: &str) -> Option<PathBuf> {
    let data = std::env::var_os("CL_DATA").map(PathBuf::from).filter(|data| data.join("seq").is_dir());
    if data.is_none() {
        println!("{test} is skipped: it needs CL_DATA=<folder with seq/Beauty.txt and others>");
    }
    data
}

/// An experiment on sequences, and its result.
fn run(place: &Place, root: &Path, path: &str, encoder: &str, evaluate: &str) -> Value {
    let text = format!(
        "name = 'popular'\n[data]\npath = '{path}'\nformat = 'sequence'\n[split]\ntype = 'leave_one_out'\n\
         [encoder]\n{encoder}\n[evaluate]\ncutoffs = [5, 10, 20]\n{evaluate}\n"
    );
    let file = place.file("my.toml", &text);
    succeed(place.run_on(root, &file, "out").args(["--quiet", "--overwrite"]));
    result(&place.path("out"))
}

/// Set, whether history is masked; hit rate and ndcg at 5, at 10 and at 20, by the number of training events.
const POPULARITY: [(&str, bool, [f64; 6]); 10] = [
    ("Beauty", true, [0.0075, 0.0041, 0.0115, 0.0055, 0.0203, 0.0076]),
    ("Beauty", false, [0.0072, 0.0040, 0.0114, 0.0053, 0.0195, 0.0073]),
    ("Sports_and_Outdoors", true, [0.0057, 0.0041, 0.0091, 0.0052, 0.0151, 0.0067]),
    ("Sports_and_Outdoors", false, [0.0055, 0.0040, 0.0090, 0.0051, 0.0149, 0.0066]),
    ("Yelp", true, [0.0056, 0.0036, 0.0095, 0.0049, 0.0156, 0.0064]),
    ("Yelp", false, [0.0058, 0.0038, 0.0100, 0.0051, 0.0163, 0.0067]),
    ("LastFM", true, [0.0248, 0.0135, 0.0385, 0.0180, 0.0606, 0.0237]),
    ("LastFM", false, [0.0229, 0.0121, 0.0376, 0.0168, 0.0569, 0.0217]),
    ("ml-1m", true, [0.0200, 0.0126, 0.0369, 0.0180, 0.0682, 0.0258]),
    ("ml-1m", false, [0.0078, 0.0052, 0.0162, 0.0079, 0.0402, 0.0139]),
];

#[test]
fn popularity_on_public_sequences() {
    let Some(data) = data("popularity_on_public_sequences") else { return };
    let place = Place::new();
    for (name, masked, expected) in POPULARITY {
        let evaluate = format!("mask_history = {masked}\nslices = ['history_length']");
        // Every event counts; only Yelp has repeats.
        let path = format!("seq/{name}.txt'\nduplicates = 'keep_all");
        let result = run(&place, &data, &path, "type = 'popularity'", &evaluate);
        let found = [5, 10, 20].map(|cutoff| {
            ["hit_rate", "ndcg"].map(|metric| result["test"][format!("{metric}@{cutoff}")].as_f64().unwrap())
        });
        let rounded = found.concat().iter().map(|x| (x * 1e4).round() / 1e4).collect::<Vec<_>>();
        assert_eq!(rounded, expected, "{name}, masked {masked}");
        if name.starts_with("Sports") {
            let users = |group: &str| result["slices"]["history_length"][group]["users"].as_u64().unwrap();
            assert_eq!((users("to5"), users("6to8")), (11_416, 14_209));
            assert_eq!(users("9to20") + users("from21"), 9_973);
        }
    }
}

/// Ranking counts by hand, from the two files.
fn sampled_by_hand(sequences: &str, samples: &str) -> f64 {
    let rows = |text: &str| -> Vec<Vec<usize>> {
        text.lines().map(|line| line.split(' ').map(|word| word.parse().unwrap()).collect()).collect()
    };
    let (sequences, samples) = (rows(sequences), rows(samples));
    let mut counts = vec![0; 10_000];
    sequences.iter().for_each(|row| row[1..row.len() - 2].iter().for_each(|&item| counts[item] += 1));
    let hits = sequences.iter().zip(&samples).filter(|(row, sample)| {
        assert_eq!(row[0], sample[0]);
        let target = row[row.len() - 1];
        let better =
            |item: usize| counts[item] > counts[target] || counts[item] == counts[target] && item < target;
        sample[1..].iter().filter(|&&item| better(item)).count() < 10
    });
    hits.count() as f64 / sequences.len() as f64
}

#[test]
fn popularity_among_the_published_samples_of_last_fm() {
    let Some(data) = data("popularity_among_the_published_samples_of_last_fm") else { return };
    let place = Place::new();
    let evaluate = "sampled = { file = 'seq/LastFM_sample.txt' }";
    let result = run(&place, &data, "seq/LastFM.txt", "type = 'popularity'", evaluate);
    let read = |name: &str| fs::read_to_string(data.join("seq").join(name)).unwrap();
    let expected = sampled_by_hand(&read("LastFM.txt"), &read("LastFM_sample.txt"));
    assert_eq!(result["test"]["hit_rate@10"].as_f64().unwrap(), expected);
    assert!(result["watermark"].as_str().unwrap().contains("seq/LastFM_sample.txt"));
}

/// Made-up sequences whose items are 0 to 9: twelve users with six of them each, and thirty more with those of user 0, so that
/// these are popular.
fn zero_based(place: &Place) {
    let line = |user: u64| {
        let first = if user < 12 { user } else { 0 };
        let items: Vec<String> = (0..6).map(|at| ((first + at) * 3 % 10).to_string()).collect();
        format!("{user} {}\n", items.join(" "))
    };
    place.file("zero.txt", &(0..42).map(line).collect::<String>());
}

/// There is no padding among ids: an item 0 is an item.
#[test]
fn an_item_whose_id_is_zero_is_an_item() {
    let place = Place::new();
    zero_based(&place);
    let encoder = "type = 'sas_rec'\ndim = 4\nmax_length = 4\n[train]\nepochs = 2\nbatch_size = 4\n\
                   [objective]\ntype = 'cross_entropy'";
    let result = run(&place, &place.path(""), "zero.txt", encoder, "mask_history = false");
    assert_eq!(result["data"]["items"], 10);
    assert!(fs::read_to_string(place.path("out/items.tsv")).unwrap().starts_with("0\t0\n1\t1\n"));
    // All ten items are ranked for everybody, item 0 among them, and nothing else.
    let topk = fs::read_to_string(place.path("out/topk.tsv")).unwrap();
    let of_user = |user: &str| {
        let mut items: Vec<&str> = topk
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .filter(|fields| fields[0] == user)
            .map(|fields| fields[1])
            .collect();
        items.sort_unstable();
        items
    };
    for user in ["0", "7"] {
        assert_eq!(of_user(user), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }
}

#[test]
fn a_user_who_is_too_short_for_the_split_stays_in_training_and_is_told() {
    let place = Place::new();
    place.file("short.txt", "a 1 2 3 4\nb 5 6\nc 3 4 5 6\nd 1\n");
    let result = run(&place, &place.path(""), "short.txt", "type = 'popularity'", "");
    assert_eq!((&result["data"]["train"], &result["data"]["test"]), (&7.into(), &2.into()));
    let notes = result["notes"].to_string();
    assert!(notes.contains("2 users"), "{notes}");
}

#[test]
fn a_ranking_among_few_says_so_everywhere() {
    let place = Place::new();
    zero_based(&place);
    let encoder = "type = 'sas_rec'\ndim = 4\nmax_length = 4\n[train]\nepochs = 2\nbatch_size = 4\n\
                   [objective]\ntype = 'bce'";
    let sampled = |by: &str| format!("sampled = {{ negatives = 2, by = '{by}' }}");
    let [uniform, again, popular] = ["uniform", "uniform", "popularity"]
        .map(|by| run(&place, &place.path(""), "zero.txt", encoder, &sampled(by)));
    assert_eq!(uniform, again);
    assert_ne!(uniform["test"], popular["test"]);
    assert_eq!(
        (&uniform["catalogue"], &uniform["sampled"]["negatives"]),
        (&serde_json::json!({}), &2.into())
    );
    let watermark = popular["watermark"].as_str().unwrap();
    assert!(watermark.contains("ranked among 2 items drawn by popularity, not among all"), "{watermark}");
    for name in ["per_user.tsv", "metrics.jsonl"] {
        assert!(fs::read_to_string(place.path("out").join(name)).unwrap().contains(watermark), "{name}");
    }
    // Three items are ranked, so that the target is always among the first five.
    assert_eq!(uniform["test"]["hit_rate@5"], 1.0);
    let topk = fs::read_to_string(place.path("out/topk.tsv")).unwrap();
    assert_eq!(topk.lines().filter(|line| line.starts_with("0\t")).count(), 3);
}

/// What is said of a file of samples for the sequences of `zero_based`, whose user 0 has items 0, 3, 6, 9, 2, 5.
fn said_of_samples(text: &str) -> String {
    let place = Place::new();
    zero_based(&place);
    place.file("sample.txt", text);
    let file = place.file(
        "my.toml",
        "name = 'few'\n[data]\npath = 'zero.txt'\nformat = 'sequence'\n[split]\ntype = 'leave_one_out'\n\
         [encoder]\ntype = 'popularity'\n[evaluate]\nsampled = { file = 'sample.txt' }\n",
    );
    let said = fail(place.run(&file, "out").arg("--quiet"));
    said.replace(&format!("{}/", place.path("").display()).replace("//", "/"), "")
}

#[test]
fn samples_that_do_not_belong_to_the_data_are_refused_at_their_place() {
    let told = [
        ("a user", "0 1 4\nnobody 1\n", "sample.txt:2:1: found user `nobody`, expected a user of the data"),
        ("an item", "0 1 77\n", "sample.txt:1:5: found item `77`, expected an item of the data"),
        ("twice", "0 1 4 1\n", "sample.txt:1:7: found item `1` for the second time in this line"),
        ("own", "0 1 2\n", "sample.txt:1:5: found item `2`, which user `0` has in the"),
        ("again", "0 1\n0 4\n", "sample.txt:2:1: found a second line of user `0`"),
        ("missing", "0 1 4\n", "found no item for user `1`, expected a line of items for each user"),
    ];
    for (what, text, expected) in told {
        let said = said_of_samples(text);
        assert!(said.contains(expected), "{what}: {said}");
    }
}

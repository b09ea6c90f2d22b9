//! What the log tells of keys that are remembered.

use serde_json::Value;

use crate::common::{Place, log, succeed};

/// A training whose views change nothing at random, so that an encoder that stands still says the same again.
const STILL: [(&str, &str); 2] = [
    (
        "user",
        "[split]\ntype = 'ratio'\n[encoder]\ntype = 'light_gcn'\ndim = 8\ninclude_layer_zero = false\n\
         [views]\ntype = 'cross_layer'\nnoise = 0.0\n",
    ),
    (
        "sequence",
        "[split]\ntype = 'leave_one_out'\n[encoder]\ntype = 'sas_rec'\ndim = 8\ndropout = 0.0\n\
         [views]\ntype = 'mask'\nrate = 1e-6\n",
    ),
];

/// The looks at a queue, an epoch each.
fn looks(place: &Place, slots: &str, negatives: &str, rate: f64, queue: &str) -> Vec<Value> {
    let text = format!(
        "name = 'looked_at'\n[data]\nsynthetic = {{ users = 200, items = 90, interactions = 2400 }}\n{slots}\
         [contrast]\ntype = 'info_nce'\nweight = 1.0\n[negatives]\n{negatives}\n\
         [optimizer]\ntype = 'adam'\nlr = {rate:?}\n[train]\nepochs = 3\nbatch_size = 60\n"
    );
    let file = place.file("looked_at.toml", &text);
    succeed(place.run(&file, "out").args(["--quiet", "--overwrite", "--threads", "1"]));
    let lines = log(&place.path("out"), "metrics.jsonl");
    lines.into_iter().map(|line| line["negatives"][queue].clone()).collect()
}

#[test]
fn keys_of_a_model_that_stands_still_are_not_stale() {
    let place = Place::new();
    for (queue, slots) in STILL {
        let memory = "type = 'cross_batch_memory'\nsize = 150\nmax_age = 2";
        for look in looks(&place, slots, memory, 0.0, queue) {
            let cosine = look["cosine"].as_f64().unwrap();
            assert!((cosine - 1.0).abs() < 1e-5, "{queue}: {look}");
            assert!(look["keys"].as_u64().unwrap() <= 150, "{look}");
            assert!(look["age_quartiles"][3].as_u64().unwrap() <= 2, "{look}");
            assert!(look.get("cosine_with_model").is_none(), "{look}");
        }
    }
}

#[test]
fn keys_of_a_model_that_learns_grow_stale_with_age() {
    let place = Place::new();
    for (queue, slots) in STILL {
        for negatives in
            ["type = 'queue'\nsize = 400\nmomentum = 0.5", "type = 'cross_batch_memory'\nsize = 400"]
        {
            let last = looks(&place, slots, negatives, 0.05, queue).pop().unwrap();
            let by_age: Vec<f64> = last["cosine_by_age"]
                .as_array()
                .unwrap()
                .iter()
                .map(|cosine| cosine.as_f64().unwrap())
                .collect();
            assert!(by_age[3] < by_age[0] - 1e-4 && by_age[0] < 1.0, "{queue}, {negatives}: {last}");
            assert_eq!(last.get("cosine_with_model").is_some(), negatives.starts_with("type = 'queue'"));
            assert!(last["own_share"].as_f64().unwrap() > 0.0, "{last}");
            // Two users have no positives in common; sequences have the same next item.
            assert_eq!(last.get("false_negative_share").is_some(), queue == "sequence", "{last}");
        }
    }
}

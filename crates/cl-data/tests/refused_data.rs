//! Data that can be read but not used as asked: the whole message of each refusal.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use cl_data::{
    Existing, FilesSplit, Ids, Interactions, Unseen, write_atomic, write_csv, write_lightgcn, write_split,
};
use common::Folder;

#[test]
fn repeated_pairs() {
    let folder = Folder::new(&[
        ("x.txt", "0 1 2\n1 5\n0 3\n0 2 1\n"),
        ("parts/train.txt", "0 1\n"),
        ("parts/test.txt", "7 8\n7 9 8\n"),
    ]);
    assert_eq!(
        folder.refused("path = \"x.txt\"\nduplicates = \"error\""),
        "x.txt:4:3: found user `0` with item `2` in the train part, where this pair stands already (first at \
         x.txt:1:5); remove one of them or write duplicates = \"keep_last\""
    );
    assert_eq!(
        folder.refused("path = \"parts\"\nduplicates = \"error\""),
        "parts/test.txt:2:5: found user `7` with item `8` in the test part, where this pair stands already (first at \
         parts/test.txt:1:3); remove one of them or write duplicates = \"keep_last\""
    );
    let loaded = folder.load("path = \"x.txt\"").unwrap();
    assert_eq!((loaded.report.read, loaded.report.duplicates, loaded.report.kept), (6, 2, 4));
}

#[test]
fn filters_that_do_not_fit() {
    let folder = Folder::new(&[
        ("x.txt", "0 1 2\n1 5\n"),
        ("parts/train.txt", "0 1\n"),
        ("parts/test.txt", "0 2\n"),
        ("x.inter", "user_id:token\titem_id:token\trating:float\n1\t2\t3\n"),
    ]);
    assert_eq!(
        folder.refused("path = \"x.txt\"\nmin_rating = 4"),
        "data.min_rating: found 4, but the data has no ratings; remove min_rating or name the rating column"
    );
    assert_eq!(
        folder.refused("path = \"parts\"\nk_core = { user = 5 }"),
        "data.k_core: a k-core would change the published train and test parts; remove k_core, or give the path of \
         one whole file and split it with another split"
    );
    assert_eq!(
        folder.refused("path = \"x.txt\"\nk_core = { item = 2 }"),
        "data.k_core = { user = 0, item = 2 } removed all 3 interactions; use a weaker filter"
    );
    assert_eq!(
        folder.refused("path = \"x.inter\"\nformat = \"atomic\"\nmin_rating = 4"),
        "data.min_rating = 4 removed all 1 interactions; use a weaker filter"
    );
    assert_eq!(folder.refused(""), "data.path: found neither path nor synthetic, expected one of them");
}

#[test]
fn parts_that_overlap() {
    let folder = Folder::new(&[
        ("a/train.txt", "u1 i1 i2\nu2 i3\n"),
        ("a/test.txt", "u2 i1\nu1 i4 i2\n"),
        ("b/train.txt", "1 1\n"),
        ("b/validation.txt", "1 2\n"),
        ("b/test.txt", "1 3\n1  2\n"),
    ]);
    let split = |path: &str, validation| {
        let source = folder.load(&format!("path = \"{path}\"")).unwrap().source;
        let error = FilesSplit { validation, unseen: Unseen::Keep }.split(&source, 1).unwrap_err();
        folder.message(&error)
    };
    assert_eq!(
        split("a", 0.1),
        "a/test.txt:2:7: found user `u1` with item `i2` in the test part, expected a pair that is not in the train \
         part (first at a/train.txt:1:7); remove it from one of the two files"
    );
    assert_eq!(
        split("b", 0.0),
        "b/test.txt:2:4: found user `1` with item `2` in the test part, expected a pair that is not in the validation \
         part (first at b/validation.txt:1:3); remove it from one of the two files"
    );
    assert_eq!(
        split("b", 0.1),
        "split.validation: got 0.1, but the data has a validation file of its own; write validation = 0 to use it"
    );
    assert_eq!(split("b", 1.0), "split.validation: must be in [0, 1), got 1");
}

#[test]
fn unseen_ids() {
    let folder = Folder::new(&[("train.txt", "0 1 2\n1 1\n"), ("test.txt", "0 9\n1 2\n5 1 9\n")]);
    let source = folder.load("path = \"\"").unwrap().source;
    let split = |unseen| FilesSplit { validation: 0.0, unseen }.split(&source, 1);
    assert_eq!(
        folder.message(&split(Unseen::Error).unwrap_err()),
        "1 users and 1 items of the held-out parts have no training pair, the first: user `0` with unseen item `9` in \
         the test part (test.txt:1:3), unseen user `5` with item `1` in the test part (test.txt:3:3), unseen user `5` \
         with unseen item `9` in the test part (test.txt:3:5); write unseen = \"keep\" to count them in or \
         unseen = \"drop\" to remove their pairs"
    );
    let dropped = split(Unseen::Drop).unwrap();
    assert_eq!((dropped.users, dropped.items), (Ids::range(2), Ids::Integers(vec![1, 2])));
    assert_eq!(dropped.test.pairs().collect::<Vec<_>>(), [(1, 1)]);
}

#[test]
fn files_that_exist_and_ids_that_cannot_be_written() {
    let folder = Folder::new(&[("x.txt", "mine"), ("out/valid.txt", "old")]);
    let data = |user: &str| Interactions {
        users: Ids::from_names(vec![user.into()]),
        items: Ids::range(1),
        user: vec![0],
        item: vec![0],
        rating: None,
        time: None,
    };
    let message = |result: Result<(), cl_data::DataError>| folder.message(&result.unwrap_err());
    let exists = "exists already and is not overwritten; choose another name or ask to replace it";
    let path = folder.path("x.txt");
    assert_eq!(message(write_lightgcn(&path, &data("a"), Existing::Refuse)), format!("x.txt: {exists}"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    write_lightgcn(&path, &data("a"), Existing::Replace).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a 0\n");
    assert_eq!(
        message(write_lightgcn(&folder.path("y.txt"), &data("a b"), Existing::Refuse)),
        "y.txt: the user id \"a b\" contains white space; rename it in the data that is read, for example \
         with _ for white space"
    );
    assert_eq!(
        message(write_atomic(&folder.path("y.inter"), &data("a\tb"), Existing::Refuse)),
        "y.inter: the user id \"a\\tb\" contains a tab or a line end; rename it in the data that is read, for example \
         with _ for white space"
    );
    assert_eq!(
        message(write_csv(&folder.path("y.csv"), &data("a\nb"), Existing::Refuse)),
        "y.csv: the user id \"a\\nb\" contains a tab or a line end; rename it in the data that is read, for example \
         with _ for white space"
    );
    let whole = cl_data::Source::Whole(data("a"));
    let split = cl_data::RatioSplit::default().split(&whole, 1).unwrap();
    assert_eq!(
        message(write_split(&folder.path("out"), &split, Existing::Refuse)),
        format!("out/valid.txt: {exists}")
    );
    assert!(!folder.path("out/train.txt").exists());
    write_split(&folder.path("out"), &split, Existing::Replace).unwrap();
    assert!(!folder.path("out/valid.txt").exists(), "a validation part of another split was left behind");
    let names = std::fs::read_dir(folder.path("out")).unwrap().count();
    assert_eq!(names, 2, "train.txt and test.txt, no temporary file");
    assert_eq!(
        message(write_lightgcn(&folder.path("no/such/x.txt"), &data("a"), Existing::Refuse)),
        "no/such/x.txt: cannot be written: No such file or directory (os error 2)"
    );
}

//! Files that are not what their format says: the whole message of each refusal.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use cl_data::Format::{Atomic, Csv, Lightgcn, Sequence};
use common::{Folder, refused};

#[test]
fn empty_files() {
    let expected = "x.txt:1:1: found an empty file, expected interactions";
    assert_eq!(refused(Lightgcn, "x.txt", b""), expected);
    assert_eq!(refused(Sequence, "x.txt", b" \r\n\n"), expected);
    assert_eq!(refused(Atomic, "x.txt", b"\xEF\xBB\xBF"), expected);
    assert_eq!(
        refused(Atomic, "x.inter", b"user_id:token\titem_id:token\n"),
        "x.inter:1:1: found a header without a line under it, expected at least one; look whether the file \
         is complete"
    );
    assert_eq!(
        refused(Csv, "x.csv", b"user,item\n\n"),
        "x.csv:1:1: found a header without a line under it, expected at least one; look whether the file \
         is complete"
    );
    assert_eq!(
        refused(Lightgcn, "x.csv", b"1,2\n1,3\n"),
        "x.csv:1:1: found a file without any interaction, expected at least one; check the format: a \
         comma-separated file needs format = \"csv\""
    );
}

#[test]
fn bytes_that_are_not_text() {
    assert_eq!(
        refused(Lightgcn, "x.txt", b"0 1 2\n1 3\xFF\n"),
        "x.txt:2:4: found byte 0xFF (byte 9 of the text, counted from 0), expected UTF-8 text; convert the file to UTF-8"
    );
    assert_eq!(
        refused(Lightgcn, "x.txt", "ü 1\0 2\n".as_bytes()),
        "x.txt:1:4: found control character 0x00, expected ids between spaces or tabs; lines end in LF or CR LF"
    );
    assert_eq!(
        refused(Lightgcn, "x.txt", b"0 1\r1 2\n"),
        "x.txt:1:4: found control character 0x0D, expected ids between spaces or tabs; lines end in LF or CR LF"
    );
    assert_eq!(
        refused(Lightgcn, "x.gz", b"\x1f\x8b\x08\x00broken"),
        "x.gz: cannot be read: incomplete deflate stream"
    );
}

#[test]
fn broken_lines_and_ids() {
    assert_eq!(
        refused(Lightgcn, "x.txt", b"0 1\n  \n1 2\n"),
        "x.txt:2:1: found an empty line, expected `user item item …`; remove the line"
    );
    assert_eq!(
        refused(Lightgcn, "x.txt", b"0 1\n1 7 18446744073709551616\n"),
        "x.txt:2:5: found `18446744073709551616`, expected an integer item id below 18446744073709551616 (2^64); use \
         smaller numbers or put a letter before every id, which makes them text"
    );
    assert_eq!(
        refused(Lightgcn, "x.txt", b"99999999999999999999 1\n"),
        "x.txt:1:1: found `99999999999999999999`, expected an integer user id below 18446744073709551616 (2^64); use \
         smaller numbers or put a letter before every id, which makes them text"
    );
    assert_eq!(
        refused(Sequence, "x.txt", b"5 1 2\n6 1\n5 3\n"),
        "x.txt:3:1: found a second line of user `5`, expected one line a user (the first is line 1); put all items of \
         a user on one line, oldest first"
    );
}

#[test]
fn atomic_headers() {
    let header = |text: &str| refused(Atomic, "x.inter", format!("{text}\n1\t2\t3\n").as_bytes());
    assert_eq!(
        header("user_id:token\titem:token\trating:float"),
        "x.inter:1:1: found the columns `user_id`, `item`, `rating`, expected a column `item_id:token`"
    );
    assert_eq!(
        header("user_id:token\titem_id:float\trating:float"),
        "x.inter:1:15: found `item_id:float`, expected `item_id:token`"
    );
    assert_eq!(
        header("user_id:token\titem_id:token\trating:token"),
        "x.inter:1:29: found `rating:token`, expected `rating:float`"
    );
    assert_eq!(
        header("user_id:token\titem_id:token\trating"),
        "x.inter:1:29: found `rating`, expected a column name with its kind, `name:token`, `name:float`, \
         `name:token_seq` or `name:float_seq`"
    );
    assert_eq!(
        header("user_id:token\titem_id:token\tuser_id:token"),
        "x.inter:1:29: found a second column `user_id`, expected each column once"
    );
}

#[test]
fn atomic_lines() {
    let line = |text: &str| {
        let header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\r\n1\t2\t3\t4\r\n";
        refused(Atomic, "x.inter", format!("{header}{text}\r\n1\t2\t3\t4\r\n").as_bytes())
    };
    assert_eq!(
        line("1\t2\t3"),
        "x.inter:3:1: found 3 fields, expected 4 fields between tabs, as in the header"
    );
    assert_eq!(
        line(""),
        "x.inter:3:1: found an empty line, expected 4 fields between tabs, as in the header"
    );
    assert_eq!(line("1\t\t3\t4"), "x.inter:3:3: found an empty field, expected an item id");
    assert_eq!(line("1\t2\tgood\t4"), "x.inter:3:5: found `good`, expected a finite number as rating");
    assert_eq!(line("1\t2\tinf\t4"), "x.inter:3:5: found `inf`, expected a finite number as rating");
    assert_eq!(
        line("1\t2\t3\t4.5"),
        "x.inter:3:7: found `4.5`, expected a whole number as time; use a finer unit, for example milliseconds"
    );
}

#[test]
fn csv_files() {
    let csv = |text: &str| refused(Csv, "x.csv", text.as_bytes());
    assert_eq!(
        csv("user;item\n1;2\n"),
        "x.csv:1:1: found the columns `user;item`, expected a column `user` in the header; name the columns in \
         data.columns, and the separator in data.separator if it is wrong"
    );
    assert_eq!(
        csv("user,item,item\n1,2,3\n"),
        "x.csv:1:11: found a second column `item`, expected each column once"
    );
    assert_eq!(
        csv("user,item\n1,2\n\n1,2,3\n"),
        "x.csv:4:1: found 3 fields, expected 2 fields, as in the header"
    );
    assert_eq!(csv("user,item\r\n1,2\r\n7,\r\n"), "x.csv:3:3: found an empty field, expected an item id");
    assert_eq!(
        csv("user,note,item\n\"ü, \"\"x\"\"\",\"a\nb\",\n"),
        "x.csv:3:4: found an empty field, expected an item id"
    );
    let folder = Folder::new(&[("x.csv", "user,item,stars\n1,2,five\n")]);
    assert_eq!(
        folder.refused("path = \"x.csv\"\nformat = \"csv\"\ncolumns = { rating = \"stars\" }"),
        "x.csv:2:5: found `five`, expected a finite number as rating"
    );
}

#[test]
fn csv_without_a_header() {
    let folder = Folder::new(&[
        ("two.csv", "\n1,2\n3,4,5\n"),
        ("bad.txt", "1 2 3\r\n4 5 good\r\n"),
        ("sel.txt", "1 2 3\n"),
    ]);
    let refused = |path: &str, rest: &str| {
        folder.refused(&format!("path = \"{path}\"\nformat = \"csv\"\nheader = false\n{rest}"))
    };
    let numbers =
        "number the columns in data.columns from 1, and name the separator in data.separator if it is wrong";
    assert_eq!(
        refused("two.csv", ""),
        "two.csv:3:1: found 3 fields, expected 2 fields, as in the first line"
    );
    assert_eq!(
        refused("two.csv", "columns.time = \"3\""),
        format!("two.csv:2:1: found 2 fields, expected a column 3; {numbers}")
    );
    assert_eq!(
        refused("sel.txt", ""),
        format!("sel.txt:1:1: found 1 fields, expected a column 2; {numbers}")
    );
    assert_eq!(
        refused("bad.txt", "separator = \" \"\ncolumns.rating = \"3\""),
        "bad.txt:2:5: found `good`, expected a finite number as rating"
    );
    assert_eq!(
        folder.refused("path = \"two.csv\"\nformat = \"csv\""),
        "two.csv:2:1: found the columns `1`, `2`, expected a column `user` in the header; write data.header = false if \
         this line is data; else name the columns in data.columns, and the separator in data.separator if it is wrong"
    );
}

#[test]
fn csv_quotes() {
    let csv = |text: &str| refused(Csv, "x.csv", text.as_bytes());
    let unclosed = "found a quote that is never closed, expected a second quote at the end of the field; close it, or \
                    put the field in quotes and write a quote that belongs to it twice";
    assert_eq!(csv("user,item\n1,2\n2,\"3\n3,4\n4,5\n"), format!("x.csv:3:3: {unclosed}"));
    // The number of fields is wrong too, but the quote is the reason.
    assert_eq!(csv("user,item\n1,2\n\"2,3\n3,4\n"), format!("x.csv:3:1: {unclosed}"));
    assert_eq!(csv("\"user,item\n1,2\n"), format!("x.csv:1:1: {unclosed}"));
    let after = |at: &str, found: &str, line: usize, column: usize| {
        format!(
            "x.csv:{at}: found `{found}` after the closing quote of the field that begins in line {line}, column \
             {column}, expected a separator or the end of the line; write a quote that belongs to a quoted field twice"
        )
    };
    assert_eq!(csv("user,item\n\"1\"x,2\n"), after("2:4", "x", 2, 1));
    assert_eq!(csv("user,item\nü,\"1\" \n"), after("2:6", " ", 2, 3));
    assert_eq!(csv("user,item\n1,\"2\n3,\"é\n"), after("3:4", "é", 2, 3));
    // A quote inside a field that does not begin with one is text, and hides no separator.
    assert_eq!(csv("user,note,item\n1,5\",\n"), "x.csv:2:6: found an empty field, expected an item id");
}

#[test]
fn ids_that_would_break_tables() {
    let help = "rename it: what is written about ids stands in lines, between tabs";
    let csv = |text: &str| refused(Csv, "x.csv", text.as_bytes());
    assert_eq!(
        csv("user,item\n1,2\n1,\"a\tb\"\n"),
        format!("x.csv:3:3: found \"a\\tb\", expected an item id without tabs and line ends; {help}")
    );
    assert_eq!(
        csv("user,item\n\"a\nb\",2\n"),
        format!("x.csv:2:1: found \"a\\nb\", expected a user id without tabs and line ends; {help}")
    );
    assert_eq!(
        refused(Atomic, "x.inter", b"user_id:token\titem_id:token\n1\ta\rb\n"),
        format!("x.inter:2:3: found \"a\\rb\", expected an item id without tabs and line ends; {help}")
    );
    // What is in a column that is not read does not matter.
    let folder = Folder::new(&[("x.csv", "user,note,item\n1,\"a\tb\n\",2\n")]);
    assert_eq!(cl_data::Reader::new(Csv).read(&folder.path("x.csv")).unwrap().len(), 1);
}

#[test]
fn files_and_folders_that_are_not_there() {
    let folder = Folder::new(&[
        ("half/train.txt", "0 1"),
        ("two/a.txt", "0 1"),
        ("two/b.txt", "0 1"),
        ("none/readme", ""),
    ]);
    assert_eq!(
        folder.refused("path = \"graph/yelp\""),
        "graph/yelp: no such file or folder; the data root is `ROOT`: choose it with --data DIR, the environment \
         variable CL_DATA, or ./data"
    );
    let expected = "train.txt and test.txt (and perhaps valid.txt or validation.txt), or one single .txt file; each may \
                    end in .gz";
    assert_eq!(folder.refused("path = \"half\""), format!("half: found train.txt, expected {expected}"));
    assert_eq!(folder.refused("path = \"none\""), format!("none: found readme, expected {expected}"));
    assert_eq!(
        folder.refused("path = \"two\""),
        "two: found a.txt, b.txt, expected only one of them; give the path of one file, or move the others away"
    );
    let missing = cl_data::Reader::new(Lightgcn).read(&folder.path("x.txt")).unwrap_err();
    assert_eq!(folder.message(&missing), "x.txt: no such file or folder");
}

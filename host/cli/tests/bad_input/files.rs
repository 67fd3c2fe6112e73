//! Unusual files among others: none is silently left out, counted twice or misread.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::Value;

use crate::kit::{Ended, Folder, outcome};

fn words() -> Folder {
    Folder::with_app("wordcount", "[source]\nkind = \"files\"\nglob = \"data/*\"")
}

fn asked(folder: &Folder, args: &str) -> Ended {
    folder.frond("query app {\"top\":1}").args(args.split_whitespace()).run()
}

fn total(envelope: &Value) -> u64 {
    envelope["answer"]["total"].as_u64().unwrap()
}

#[test]
fn two_of_a_thousand_that_cannot_be_read_are_missing_with_their_reasons() {
    let folder = words();
    for name in 0..998 {
        folder.write(&format!("app/data/{name:03}"), "word\n");
    }
    symlink("nowhere", folder.path("app/data/dangling")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path("app/data/pipe")).status().unwrap().success());
    let ended = asked(&folder, "--floor best-effort --format json").expect(3);
    let envelope = ended.json();
    assert_eq!(total(&envelope), 998);
    assert_eq!(envelope["coverage"]["partitions"]["succeeded"], 998);
    let missing = envelope["coverage"]["missing"].as_array().unwrap();
    let lines = missing.iter().map(|one| format!("{}: {}\n", one["slug"], one["failure"]["message"]));
    assert_snapshot!(lines.collect::<String>(), @r#"
    "invalid-partition": "cannot read `app/data/dangling`: No such file or directory (os error 2)"
    "invalid-partition": "`app/data/pipe` is a named pipe, not a regular file (only regular files can be read again when a leaf is retried)"
    "#);
    // The floor decides; by default every partition is required, and the query ends at whichever
    // fails first.
    let err = asked(&folder, "").expect(4).err();
    let reasons = ["cannot read `app/data/dangling`", "`app/data/pipe` is a named pipe"];
    assert!(reasons.iter().any(|reason| err.contains(reason)), "{err}");
}

#[test]
fn files_that_are_made_as_they_are_read() {
    let folder = words();
    let by_name = asked(&folder, "--input /proc/version --format json").expect(0).json();
    let piped = folder
        .frond("query app {\"top\":1} --input - --format json")
        .stdin(File::open("/proc/version").unwrap())
        .run()
        .expect(0)
        .json();
    assert!(total(&piped) > 0);
    assert_eq!(by_name["answer"], piped["answer"]);
}

#[test]
fn links_count_once_and_folders_behind_links_count() {
    let folder = words();
    folder.write("disk1/a.log", "one\n");
    folder.write("data/app-1.log", "two two\n");
    symlink("app-1.log", folder.path("data/latest.log")).unwrap();
    symlink("../disk1", folder.path("data/s1")).unwrap();
    let once = asked(&folder, "--input data/*.log --format json").expect(0);
    assert_eq!(total(&once.json()), 2);
    assert_snapshot!(outcome(&once), @"
    exit 0
    note     `data/latest.log`: left out: a link to a file that is a partition under another name
    ");
    let behind = asked(&folder, "--input data/*/*.log --format json").expect(0).json();
    assert_eq!((total(&behind), &behind["coverage"]["notes"]), (1, &Value::Null));
    let below = asked(&folder, "--input data/**/a.log --input data/app-1.log --format json");
    assert_snapshot!(outcome(&below), @"
    exit 64
    error: no file matches `data/**/a.log` in the current folder
    (paths start from the current folder; `*` matches neither a `/` nor a leading dot, `**` matches folders)
    ");
    let below = asked(&folder, "--input data/** --format json").expect(0).json();
    assert_eq!(below["coverage"]["notes"].as_array().unwrap().len(), 2);
}

#[test]
fn compressed_files_are_named() {
    let folder = words();
    folder.write("app/data/a.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
    folder.write("app/data/b.txt", b"\xff\xfea\0");
    let ended = asked(&folder, "--format json").expect(0);
    assert_snapshot!(outcome(&ended), @"
    exit 0
    note     `data/a.gz`: compressed (gzip), and given to leaves as it is (decompress it first)
             `data/b.txt`: text in UTF-16, and given to leaves as it is (convert it to UTF-8 first)
    ");
    assert_eq!(ended.json()["coverage"]["notes"].as_array().unwrap().len(), 2);
    // With `--progress json`, notes are only in the events.
    assert_eq!(outcome(&asked(&folder, "--progress json --format json")).matches("note  ").count(), 0);
}

#[test]
fn csv_in_pieces_is_told_and_whole_where_the_app_says_so() {
    let folder = words();
    folder.write("app/data/a.csv", "1,\"one\ntwo\"\n".repeat(1000));
    let text = outcome(&asked(&folder, "--piece-size 1KiB"));
    assert!(text.contains("(set source.cut = \"none\" if fields may contain line ends)"), "{text}");
    let manifest = fs::read_to_string(folder.path("app/frond.toml")).unwrap();
    fs::write(folder.path("app/frond.toml"), format!("{manifest}cut = \"none\"\n")).unwrap();
    let whole = asked(&folder, "--format json").expect(0).json();
    assert_eq!(whole["coverage"]["partitions"]["planned"], 1);
    assert_eq!(whole["coverage"]["notes"], Value::Null);
}

#[test]
fn what_a_shell_makes_of_a_glob_is_explained() {
    let folder = words();
    folder.write("a.txt", "one\n");
    folder.write("b.txt", "two\n");
    assert_snapshot!(outcome(&asked(&folder, "--input a.txt b.txt")), @"
    exit 64
    error: unexpected argument 'b.txt' found

    Usage: frond query [OPTIONS] <APP> [QUERY | @FILE | -]

    For more information, try '--help'.
    (quote a glob, so that the shell does not expand it: --input 'src/*.rs'; or repeat --input)
    ");
    let swallowed = outcome(&folder.frond("query app --input a.txt b.txt").run());
    assert!(swallowed.contains("note: the query is also the name of a file\n(quote a glob"), "{swallowed}");
    let both = asked(&folder, "--input a.txt --input b.txt --format json").expect(0);
    assert_eq!(total(&both.json()), 2);
    assert_snapshot!(outcome(&asked(&folder, "--input ~/x.txt")), @"
    exit 64
    error: no file matches `~/x.txt` in the current folder
    (`~` is the home folder only to a shell, and only outside quotes: write its whole path)
    ");
}

#[test]
fn a_query_file_with_a_byte_order_mark() {
    let folder = words();
    folder.write("app/data/a", "one\n");
    folder.write("query.json", "\u{feff}{\"top\":1}");
    assert_eq!(folder.frond("query app @query.json --format json").run().expect(0).json()["answer"]["distinct"], 1);
    let piped = folder.frond("query app -").input("\u{feff}{\"top\":1}").run().expect(0);
    assert!(piped.out().contains("\"one\""));
    folder.write("query.json", b"\xff\xfe{\0}\0");
    let text = outcome(&folder.frond("query app @query.json").run());
    assert!(text.contains("note: the query in `query.json` is text in UTF-16"), "{text}");
}

//! Partitions: none, very many, doubled, or not among those that are required.

use insta::assert_snapshot;

use crate::kit::{Folder, frond, outcome};

fn faulty(body: &str, args: &str) -> crate::kit::Ended {
    frond(["query", "examples/faulty", body]).args(args.split_whitespace()).run()
}

#[test]
fn none_in_the_query() {
    let ended = faulty(r#"{"query":{},"partitions":[]}"#, "").expect(0);
    assert_snapshot!(ended.out(), @"");
}

#[test]
fn none_in_the_query_but_one_is_required() {
    let ended = faulty(r#"{"query":{},"partitions":[]}"#, "--require a");
    assert_snapshot!(outcome(&ended), @"");
}

#[test]
fn none_on_stdin() {
    let ended = frond(["query", "examples/wordcount", "{}", "--input", "-", "--format", "json"]).input("").run().expect(0);
    let envelope = ended.json();
    assert_eq!(envelope["coverage"]["partitions"]["planned"], 0);
    assert_eq!(envelope["coverage"]["complete"], true);
    assert_snapshot!(envelope["answer"], @"");
}

#[test]
fn a_range_without_numbers() {
    let folder = Folder::with_app("pi", "[source]\nkind = \"range\"\nstart = 5\nend = 5");
    let ended = folder.frond("query app {}").run().expect(0);
    assert_snapshot!(ended.out(), @"");
}

#[test]
fn a_hundred_thousand() {
    let range = "[source]\nkind = \"range\"\nstart = 0\nend = 100_000\nstep = 1\n\n[query]\ndeadline = \"100s\"";
    let folder = Folder::with_app("pi", range);
    let envelope = folder.frond("query app {} --format json").run().expect(0).json();
    let coverage = &envelope["coverage"];
    assert_eq!(coverage["partitions"]["planned"], 100_000);
    assert_eq!(coverage["partitions"]["succeeded"], 100_000);
    assert_eq!(envelope["answer"]["samples"], 100_000);
    assert!(coverage["timings"]["total"].as_f64() < coverage["timings"]["deadline"].as_f64(), "{coverage}");
}

#[test]
fn more_than_a_plan_may_have() {
    let range = "[source]\nkind = \"range\"\nstart = 0\nend = 1_000_001\nstep = 1";
    let folder = Folder::with_app("pi", range);
    assert_snapshot!(outcome(&folder.frond("query app {}").run()), @"");
}

#[test]
fn two_of_one_key_in_the_query() {
    let body = r#"{"query":{},"partitions":[{"key":"a","data":""},{"key":"b","data":""},{"key":"a","data":""}]}"#;
    assert_snapshot!(outcome(&faulty(body, "")), @"");
}

#[test]
fn two_of_one_key_in_the_list() {
    let list = "[source]\nkind = \"list\"\npartitions = [\n  { key = \"a\", data = \"\" },\n  { key = \"a\", data = \"\" },\n]";
    let folder = Folder::with_app("faulty", list);
    assert_snapshot!(outcome(&folder.frond("query app {}").run()), @"");
}

#[test]
fn two_of_one_key_from_the_split() {
    let folder = Folder::with_app("faulty", "[split]\ncomponent = \"faulty.wasm\"\n\n[source]\nkind = \"split\"");
    let ended = folder.frond(r#"query app {"split":["a","a"]}"#).run();
    assert_snapshot!(outcome(&ended), @"");
}

#[test]
fn a_required_one_that_is_not_planned() {
    let ended = frond(["query", "examples/rail", r#"{"from":"London","budget":8}"#, "--require", "Scotlnad"]).run();
    assert_snapshot!(outcome(&ended), @"");
}

#[test]
fn one_that_weighs_nothing() {
    let body = r#"{"query":{},"partitions":[{"key":"a","data":"","weight":0}]}"#;
    assert_snapshot!(outcome(&faulty(body, "")), @"");
}

#[test]
fn one_that_is_larger_than_the_limit() {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"\n\n[limits.leaf]\npartition = \"10B\"");
    let body = r#"{"query":{},"partitions":[{"key":"a","data":"twelve bytes"}]}"#;
    assert_snapshot!(outcome(&folder.frond("query app").arg(body).run()), @"");
}

#[test]
fn a_key_to_drive_the_terminal() {
    let body = r#"{"query":{"fault":"trap"},"partitions":[{"key":"\u001b[2J\u001b]0;t\u0007\u202e","data":""}]}"#;
    let ended = faulty(body, "").expect(4);
    assert!(!ended.err().contains(['\x1b', '\x07', '\u{202e}']), "{:?}", ended.err());
}

//! Errors of partitions: none, too many, duplicate keys, or missing required ones.

use insta::assert_snapshot;

use crate::kit::{Folder, frond, outcome};

fn faulty(body: &str, args: &str) -> crate::kit::Ended {
    frond(["query", "examples/faulty", body]).args(args.split_whitespace()).run()
}

#[test]
fn none_in_the_query() {
    let ended = faulty(r#"{"query":{},"partitions":[]}"#, "").expect(0);
    assert_snapshot!(ended.out(), @r#"{"count":0,"keys":[],"planned":0,"covered":0,"complete":true}"#);
}

#[test]
fn none_in_the_query_but_one_is_required() {
    let ended = faulty(r#"{"query":{},"partitions":[]}"#, "--require a");
    assert_snapshot!(outcome(&ended), @"
    exit 64
    error: the required partition `a` is not in the plan
    (the plan has: none)
    ");
}

#[test]
fn none_on_stdin() {
    let ended =
        frond(["query", "examples/wordcount", "{}", "--input", "-", "--format", "json"]).input("").run().expect(0);
    let envelope = ended.json();
    assert_eq!(envelope["coverage"]["partitions"]["planned"], 0);
    assert_eq!(envelope["coverage"]["complete"], true);
    assert_snapshot!(envelope["answer"], @r#"{"distinct":0,"total":0,"words":[]}"#);
}

#[test]
fn a_range_without_numbers() {
    let folder = Folder::with_app("pi", "[source]\nkind = \"range\"\nstart = 5\nend = 5");
    let ended = folder.frond("query app {}").run().expect(0);
    assert_snapshot!(ended.out(), @r#"{"pi":null,"std-error":null,"samples":0,"hits":0,"planned":0,"complete":true}"#);
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
    assert_snapshot!(outcome(&folder.frond("query app {}").run()), @"
    exit 64
    error: app/frond.toml:11: source.step: 1000001 partitions are more than the 1000000 that one query may have
    (raise source.step, or leave it out)
    ");
}

#[test]
fn two_of_one_key_in_the_query() {
    let body = r#"{"query":{},"partitions":[{"key":"a","data":""},{"key":"b","data":""},{"key":"a","data":""}]}"#;
    assert_snapshot!(outcome(&faulty(body, "")), @"
    exit 65
    error: two partitions have the key `a`
    (keys name what is missing from an answer, so each must be unique)
    ");
}

#[test]
fn two_of_one_key_in_the_list() {
    let list = "[source]\nkind = \"list\"\npartitions = [\n  { key = \"a\", data = \"\" },\n  { key = \"a\", data = \"\" },\n]";
    let folder = Folder::with_app("faulty", list);
    assert_snapshot!(outcome(&folder.frond("query app {}").run()), @"
    exit 64
    error: app/frond.toml:11: source.partitions[1].key: the key `a` is already on line 10
    (keys name what is missing from an answer, so each must be unique)
    ");
}

#[test]
fn two_of_one_key_from_the_split() {
    let folder = Folder::with_app("faulty", "[split]\ncomponent = \"faulty.wasm\"\n\n[source]\nkind = \"split\"");
    let ended = folder.frond(r#"query app {"split":["a","a"]}"#).run();
    assert_snapshot!(outcome(&ended), @"
    exit 64
    error: app/frond.toml:8: split.component: `app/faulty.wasm`: two partitions have the key `a`
    (keys name what is missing from an answer, so each must be unique)
    ");
}

#[test]
fn a_required_one_that_is_not_planned() {
    let ended = frond(["query", "examples/rail", r#"{"from":"London","budget":8}"#, "--require", "Scotlnad"]).run();
    assert_snapshot!(outcome(&ended), @"
    exit 64
    error: the required partition `Scotlnad` is not in the plan
    (the plan has: `Eastern`, `North West & Central`, `Wales & Western`, `Scotland`, `Southern`)
    ");
}

#[test]
fn one_that_weighs_nothing() {
    let body = r#"{"query":{},"partitions":[{"key":"a","data":"","weight":0}]}"#;
    assert_snapshot!(outcome(&faulty(body, "")), @"
    exit 65
    error: the partition `a` weighs 0, and could be missing unnoticed
    (write a weight of 1 or more, or leave the weight out to weigh the partition by its bytes)
    ");
}

#[test]
fn one_that_is_larger_than_the_limit() {
    // Its leaf gets each partition whole.
    let folder = Folder::with_app("prices", "[source]\nkind = \"query\"\n\n[limits.leaf]\npartition = \"10B\"");
    let body = r#"{"query":{},"partitions":[{"key":"a","data":"twelve bytes"}]}"#;
    assert_snapshot!(outcome(&folder.frond("query app").arg(body).run()), @"
    exit 65
    error: the partition `a` has 12 bytes, more than the 10 bytes allowed
    (make it smaller, or raise limits.leaf.partition)
    ");
}

#[test]
fn a_key_to_drive_the_terminal() {
    let body = r#"{"query":{"fault":"trap"},"partitions":[{"key":"\u001b[2J\u001b]0;t\u0007\u202e","data":""}]}"#;
    let ended = faulty(body, "").expect(4);
    assert!(!ended.err().contains(['\x1b', '\x07', '\u{202e}']), "{:?}", ended.err());
}

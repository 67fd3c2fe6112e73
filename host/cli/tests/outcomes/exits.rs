//! The documented exit codes, and their output.

use insta::assert_snapshot;
use serde_json::json;

use crate::kit::{Folder, frond, outcome};
use crate::{faulty, rail};

#[test]
fn help_lists_every_code() {
    let help = frond(["query", "--help"]).run().expect(0).out();
    let codes = help.lines().skip_while(|line| *line != "Exit codes:").skip(1).take_while(|line| !line.is_empty());
    let codes: Vec<_> = codes.map(|line| line.trim().split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(codes, ["0", "3", "4", "5", "6", "64", "65", "69", "70", "130"]);
}

#[test]
fn a_whole_answer_is_0_and_says_nothing_more() {
    let ended = rail(None).run();
    assert_snapshot!(outcome(&ended), @"exit 0");
    assert!(ended.out().contains("destinations"));
}

#[test]
fn a_partial_answer_is_3() {
    let ended = rail(Some("Scotland")).args(["--deadline", "1s"]).run().expect(3);
    let stderr = ended.err();
    assert!(stderr.contains("partial  4 of 5 partitions, 91.2 % by weight"), "{stderr}");
    assert!(stderr.contains("missing  Scotland   timed out   out-of-time: "), "{stderr}");
    assert!(ended.out().contains("destinations"));
}

#[test]
fn too_little_is_4_and_there_is_no_answer() {
    let ended = faulty(&json!({}), &["ok-1", "invalid-partition-1"]).args(["--floor", "all", "--slots", "1"]).run();
    assert_snapshot!(outcome(&ended), @"
    exit 4
    failed   too little arrived to answer
             1 of 2 partitions, 50 % by weight, in [time] of [time]   (floor: all)
    missing  invalid-partition-1   failed   invalid-partition: as the query asked
    time     plan [time] · gather [time] · merge [time] · reserve [time]
    look     run it again with --record FILE, then `frond explain FILE`
    ");
    assert_eq!(ended.out(), "");
}

#[test]
fn a_required_partition_that_is_missing_is_4() {
    // One slot, because the failure would cancel the other leaf.
    let one = ["--require", "invalid-partition-1", "--slots", "1"];
    let ended = faulty(&json!({}), &["ok-1", "invalid-partition-1"]).args(one).run();
    assert_snapshot!(outcome(&ended), @"
    exit 4
    failed   too little arrived to answer
             1 of 2 partitions, 50 % by weight, in [time] of [time]   (floor: anything)
    required but missing: invalid-partition-1
    missing  invalid-partition-1   failed   invalid-partition: as the query asked
    time     plan [time] · gather [time] · merge [time] · reserve [time]
    look     run it again with --record FILE, then `frond explain FILE`
    ");
    assert_eq!(ended.out(), "");
}

#[test]
fn every_partition_failed_is_4_even_with_best_effort() {
    let ended = faulty(&json!({}), &["trap-1", "invalid-partition-1"]).run().expect(4);
    assert_eq!(ended.out(), "");
}

#[test]
fn nothing_before_the_deadline_is_5() {
    let ended = faulty(&json!({}), &["sleep-1", "sleep-2"]).args(["--deadline", "1s", "--slots", "2"]).run();
    assert_snapshot!(outcome(&ended), @"
    exit 5
    failed   nothing arrived before the deadline
             0 of 2 partitions, 0 % by weight, in [time] of [time]   (floor: anything)
    missing  sleep-1   timed out   out-of-time: still running when its time was up: query.deadline is [time]
             sleep-2   timed out   out-of-time: still running when its time was up: query.deadline is [time]
    first    out-of-time of sleep-1
               0: faulty::leaf::sleep
    time     plan [time] · gather [time] · merge [time] · reserve [time]
    look     run it again with --record FILE, then `frond explain FILE`
    ");
    assert_eq!(ended.out(), "");
}

#[test]
fn a_merge_that_traps_is_6() {
    let ended = faulty(&json!({ "merge-fault": "trap" }), &["ok-1", "ok-2"]).run().expect(6);
    let stderr = ended.err();
    assert!(stderr.contains("failed   the merge failed: trap: "), "{stderr}");
    assert!(stderr.contains("first    trap of the merge"), "{stderr}");
    assert_eq!(ended.out(), "");
}

#[test]
fn a_merge_that_cannot_is_6() {
    let ended = faulty(&json!({ "merge-fault": "unavailable" }), &["ok-1", "ok-2"]).run();
    assert_snapshot!(outcome(&ended), @"
    exit 6
    failed   the merge failed: unavailable: as the query asked
             2 of 2 partitions, in [time] of [time]   (floor: anything)
    time     plan [time] · gather [time] · merge [time] · reserve [time]
    look     run it again with --record FILE, then `frond explain FILE`
    ");
    assert_eq!(ended.out(), "");
}

#[test]
fn a_finish_that_panics_is_6() {
    let ended = faulty(&json!({ "finish-fault": "panic" }), &["ok-1"]).run().expect(6);
    let stderr = ended.err();
    assert!(stderr.contains("failed   the merge failed: trap: "), "{stderr}");
    assert!(stderr.contains("log: as the query asked for merge"), "what it said is told: {stderr}");
    assert_eq!(ended.out(), "");
}

#[test]
fn a_split_that_traps_is_6() {
    let ended = split().frond(r#"query app {"split-fault":"trap"}"#).run().expect(6);
    assert!(ended.err().contains("failed   the split failed: trap: "), "{}", ended.err());
    assert_eq!(ended.out(), "");
}

#[test]
fn a_split_that_refuses_the_query_is_65() {
    let ended = split().frond(r#"query app {"split-fault":"invalid-query"}"#).run();
    assert_snapshot!(outcome(&ended), @"
    exit 65
    failed   invalid-query: as the query asked
             nothing was planned, in [time] of [time]   (floor: all)
    time     plan [time] · gather [time] · merge [time] · reserve [time]
    ");
}

#[test]
fn a_split_that_works_is_0() {
    let ended = split().frond(r#"query app {"split":["one","two","three"]}"#).run().expect(0);
    assert_snapshot!(ended.out(), @r#"{"count":3,"keys":["one","three","two"],"planned":3,"covered":3,"complete":true}"#);
}

#[test]
fn a_leaf_that_refuses_the_query_is_65() {
    let ended = frond(["query", "examples/rail", r#"{"from":"Leeds","budget":60}"#, "--slots", "1"]).run();
    assert_snapshot!(outcome(&ended), @"
    exit 65
    failed   invalid-query: unknown variant `Leeds`, expected `London` at line 1 column 15
             0 of 5 partitions, 0 % by weight, in [time] of [time]   (floor 55 %)
    time     plan [time] · gather [time] · merge [time] · reserve [time]
    ");
    assert_eq!(ended.out(), "");
}

#[test]
fn a_merge_that_refuses_the_query_is_65() {
    faulty(&json!({ "merge-fault": "invalid-query" }), &["ok-1", "ok-2"]).run().expect(65);
    faulty(&json!({ "finish-fault": "invalid-query" }), &["ok-1"]).run().expect(65);
}

/// Returns an app whose split component misbehaves on command.
fn split() -> Folder {
    Folder::with_app("faulty", "[split]\ncomponent = \"faulty.wasm\"\n\n[source]\nkind = \"split\"")
}

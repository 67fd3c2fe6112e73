//! Ctrl-C: the first one ends the query with a partial answer, the second one quits.

use insta::assert_snapshot;
use serde_json::json;

use crate::faulty;
use crate::kit::outcome;

const WATCHED: [&str; 8] = ["--progress", "json", "--deadline", "100s", "--slots", "3", "--format", "json"];

#[test]
fn once_answers_with_what_is_there() {
    let mut running = faulty(&json!({}), &["ok-1", "ok-2", "sleep-1"]).args(WATCHED).start();
    // The two leaves may end in any order.
    running.wait_for("\"attempt-ended\"").wait_for("\"attempt-ended\"").interrupt();
    let json = running.end().expect(3).json();
    assert_eq!(json["answer"]["keys"], json!(["ok-1", "ok-2"]));
    assert_eq!(json["coverage"]["partitions"]["cancelled"], 1);
    let timings = &json["coverage"]["timings"];
    assert!(timings["total"].as_f64() < timings["deadline"].as_f64(), "{timings}");
}

#[test]
fn once_below_the_floor_answers_nothing() {
    let mut running = faulty(&json!({}), &["ok-1", "sleep-1"]).args(WATCHED).args(["--floor", "all"]).start();
    running.wait_for("\"attempt-ended\"").interrupt();
    let json = running.end().expect(4).json();
    assert_eq!(json["reason"], "cancelled");
    assert_eq!(json["coverage"]["partitions"]["succeeded"], 1);
}

#[test]
fn once_tells_the_reader_why() {
    let mut running = faulty(&json!({}), &["sleep-1"]).args(["--progress", "lines", "--deadline", "100s"]).start();
    running.wait_for("1 partition").interrupt();
    let ended = running.end().expect(4);
    assert_eq!(ended.out(), "");
    let verdict: Vec<_> =
        outcome(&ended).lines().filter(|line| line.starts_with("failed")).map(str::to_owned).collect();
    assert_snapshot!(verdict.concat(), @"failed   cancelled before enough had arrived");
}

#[test]
fn twice_leaves_at_once() {
    // The first interrupt ends the gather. The endless finish keeps the process until the second.
    let query = json!({ "finish-fault": "sleep" });
    let mut running = faulty(&query, &["ok-1", "sleep-1"]).args(WATCHED).start();
    running.wait_for("\"attempt-ended\"").interrupt();
    running.wait_for("\"finish-started\"").interrupt();
    let ended = running.end().expect(130);
    assert_eq!(ended.out(), "");
}

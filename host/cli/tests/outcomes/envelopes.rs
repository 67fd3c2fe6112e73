//! `--format json`: one object with the answer, the outcome and the coverage report.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::kit::{Ended, Folder, Frond, lasting};
use crate::{faulty, rail};

/// Checks the sums of the envelope, and returns it without times and ids.
fn envelope(ended: &Ended) -> String {
    let json = ended.json();
    assert!(ended.stdout.ends_with(b"}\n"), "one line");
    let coverage = &json["coverage"];
    for tally in ["partitions", "weight"] {
        let parts = coverage[tally].as_object().unwrap();
        let sum: u64 =
            parts.iter().filter(|(part, _)| *part != "planned").map(|(_, count)| count.as_u64().unwrap()).sum();
        assert_eq!(coverage[tally]["planned"], sum, "{tally} do not add up");
    }
    let timings = &coverage["timings"];
    assert!(timings["total"].as_f64() < timings["deadline"].as_f64(), "late: {timings}");
    serde_json::to_string_pretty(&lasting(json)).unwrap()
}

#[test]
fn of_a_whole_answer() {
    let ended = faulty(&json!({}), &["ok-1"]).args(["--format", "json"]).run().expect(0);
    assert_snapshot!(envelope(&ended));
}

#[test]
fn of_a_partial_answer() {
    let keys = ["ok-1", "invalid-partition-1", "sleep-1", "emit-then-spin-1"];
    let args = ["--format", "json", "--slots", "4", "--deadline", "2s"];
    let mut json =
        faulty(&json!({ "faults": { "emit-then-spin-1": "emit-then-spin" } }), &keys).args(args).run().expect(3).json();
    // Fuel or time may end this leaf, so its failure is not in the snapshot.
    let missing = json["coverage"]["missing"].as_array_mut().unwrap();
    let degraded = missing.iter().position(|one| one["key"] == "emit-then-spin-1").unwrap();
    let last = missing.remove(degraded);
    assert_eq!(last["status"], "degraded", "{last}");
    assert_eq!(last["share"], 0.5);
    assert_eq!(json["answer"]["count"], 2);
    let mut missing = lasting(json["coverage"]["missing"].take());
    // The answer does not wait for the backtrace of a leaf that is out of time.
    let late = missing.as_array_mut().unwrap().iter_mut().find(|one| one["key"] == "sleep-1");
    if let Some(backtrace) = late.unwrap()["failure"].as_object_mut().unwrap().remove("backtrace") {
        let process = "<faulty::_::Leaf as frond_plugin::bindings::leaf::exports::frond::plugin::process_partition::Guest>::process";
        let export = "frond:plugin/process-partition@0.1.1#process";
        assert_eq!(backtrace, json!(["faulty::leaf::sleep", "faulty::leaf::obey", process, export]));
    }
    assert_snapshot!(serde_json::to_string_pretty(&missing).unwrap());
}

#[test]
fn of_a_failure() {
    let ended = faulty(&json!({}), &["invalid-partition-1"]).args(["--format", "json"]).run().expect(4);
    assert_snapshot!(envelope(&ended));
}

#[test]
fn of_a_merge_that_trapped() {
    let ended = faulty(&json!({ "merge-fault": "trap" }), &["ok-1", "ok-2"]).args(["--format", "json"]).run().expect(6);
    let json = ended.json();
    assert_eq!(json["outcome"], "failed");
    assert_eq!(json["reason"], "merge");
    assert_eq!(json["failure"]["kind"], "trap");
    assert_eq!(json["answer"], Value::Null);
    assert_eq!(json["coverage"]["complete"], false);
}

#[test]
fn slugs_are_those_of_the_documentation() {
    let keys = [
        "trap-1",
        "panic-1",
        "exit-1",
        "recurse-1",
        "grow-memory-1",
        "huge-output-1",
        "invalid-partition-1",
        "unavailable-1",
        "spin-1",
    ];
    let json = faulty(&json!({}), &keys).args(["--format", "json", "--deadline", "100s"]).run().expect(4).json();
    let missing = json["coverage"]["missing"].as_array().unwrap();
    let lines: String =
        missing.iter().map(|one| format!("{} {}: {}\n", one["key"], one["slug"], one["attempts"])).collect();
    assert_snapshot!(lines, @r#"
    "trap-1" "trap": 1
    "panic-1" "trap": 1
    "exit-1" "trap": 1
    "recurse-1" "trap": 1
    "grow-memory-1" "out-of-memory": 1
    "huge-output-1" "output-too-large": 1
    "invalid-partition-1" "invalid-partition": 1
    "unavailable-1" "unavailable": 3
    "spin-1" "out-of-fuel": 1
    "#);
}

#[test]
fn the_answer_is_json_where_it_is_json() {
    let json = rail(None).args(["--format", "json"]).run().expect(0).json();
    assert!(json["answer"]["destinations"].is_array());
}

#[test]
fn the_answer_is_a_string_where_it_is_text() {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"\n");
    let query = json!({ "query": { "finish-fault": "huge-output" }, "partitions": [{ "key": "ok-1", "data": "" }] });
    let json = folder.frond("query app --format json").arg(query.to_string()).run().expect(0).json();
    assert_eq!(json["answer"].as_str().map(str::len), Some(16 << 20));
    assert_eq!(json["warnings"], Value::Null);
}

/// Returns an app whose answers are declared as JSON.
fn json_app() -> Folder {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"\n");
    let toml = std::fs::read_to_string(folder.path("app/frond.toml")).unwrap();
    folder.write("app/frond.toml", format!("content-type = \"application/json\"\n{toml}"));
    folder
}

/// Returns a query of the app whose answer is this text.
fn answering(folder: &Folder, answer: &str) -> Frond {
    let query =
        json!({ "query": { "finish-fault": format!("text:{answer}") }, "partitions": [{ "key": "a", "data": "" }] });
    folder.frond("query app").arg(query.to_string())
}

#[test]
fn an_answer_that_is_set_out_in_lines_stands_on_one() {
    let folder = json_app();
    let ended = answering(&folder, "{\n  \"a\": [\n    340282366920938463463374607431768211457\n  ]\n}")
        .args(["--format", "json"])
        .run();
    let text = ended.expect(0).out();
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    assert!(text.contains(r#""answer":{"a":[340282366920938463463374607431768211457]},"#), "{text}");
}

#[test]
fn an_answer_that_is_not_the_json_it_is_declared_to_be_is_warned_of_and_is_no_string() {
    let folder = json_app();
    let answer = r#"{"mean": NaN}"#;
    let plain = answering(&folder, answer).run().expect(0);
    assert_eq!(plain.out(), answer);
    assert!(
        plain.err().contains("warning: the answer is not JSON, though the app's `content-type` is application/json")
    );
    let json = answering(&folder, answer).args(["--format", "json"]).run().expect(0).json();
    assert_eq!(json["answer"], json!({ "base64": "eyJtZWFuIjogTmFOfQ==" }));
    assert!(json["warnings"][0].as_str().unwrap().contains("NaN"), "{json}");
    let whole = answering(&folder, r#"{"mean": 1}"#).args(["--format", "json"]).run().expect(0);
    assert_eq!((whole.err().as_str(), &whole.json()["warnings"]), ("", &Value::Null));
}

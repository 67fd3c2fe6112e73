//! `--record` and `frond explain`.

use std::fs;

use serde_json::{Value, json};

use crate::faulty;
use crate::kit::Folder;

/// Returns the recording of a query with a partial answer.
fn recorded(folder: &Folder) -> String {
    let path = folder.path("run.ndjson");
    let keys = ["ok-1", "trap-1", "sleep-ms-1"];
    let query = json!({ "faults": { "sleep-ms-1": "sleep-ms:30" } });
    let ended = faulty(&query, &keys).args(["--slots", "2", "--record"]).arg(&path).run().expect(3);
    assert!(ended.err().contains("frond explain"), "the summary says where to look: {}", ended.err());
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_recording_is_the_events_from_the_start_to_the_end() {
    let recording = recorded(&Folder::new());
    let events: Vec<Value> = recording.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "query-started");
    assert_eq!(events[0]["version"], 1);
    assert_eq!(events.last().unwrap()["event"], "query-ended");
    let times: Vec<_> = events.iter().map(|event| event["at"].as_u64().unwrap()).collect();
    assert_eq!(times.iter().max(), times.last(), "{times:?}");
}

#[test]
fn a_recording_is_explained_with_its_waterfall() {
    let folder = Folder::new();
    recorded(&folder);
    let ended = folder.frond("explain run.ndjson").run().expect(0);
    let text = ended.out();
    for part in ["partial", "2 of 3 partitions", "trap-1", "sleep-ms-1", "waterfall", "critical path"] {
        assert!(text.to_lowercase().contains(part), "no {part} in\n{text}");
    }
    assert_eq!(ended.err(), "");
}

#[test]
fn explaining_into_a_pipe_that_closes_is_no_error() {
    let folder = Folder::new();
    recorded(&folder);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = folder.frond("explain run.ndjson").stdout(writer).run().expect(0);
    assert_eq!(ended.err(), "");
}

#[test]
fn what_was_recorded_before_is_replaced() {
    let folder = Folder::new();
    folder.write("run.ndjson", "x".repeat(1 << 20));
    assert!(recorded(&folder).starts_with("{\"at\":"));
}

#[test]
fn warm_instances_are_told_in_the_summary_and_the_explanation() {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"\n");
    let file = folder.path("app/frond.toml");
    let fresh = fs::read_to_string(&file).unwrap();
    let partitions = ["a", "b", "c"].map(|key| json!({ "key": key, "data": "" }));
    let query = json!({ "query": { "fault": "served" }, "partitions": partitions }).to_string();
    let ask = || {
        let ended = folder.frond("query app --slots 1 --stats --record run.ndjson").arg(&query).run().expect(0);
        let told = folder.frond("explain run.ndjson").run().expect(0).out();
        (ended.json(), ended.err(), told)
    };
    let (answer, stats, told) = ask();
    assert_eq!(answer["reports"], json!({ "a": { "served": 0 }, "b": { "served": 0 }, "c": { "served": 0 } }));
    assert!(!stats.contains("warm") && !told.contains("warm"), "{stats}{told}");

    folder.write("app/frond.toml", fresh.replacen("[leaf]\n", "[leaf]\ninstance = \"query\"\n", 1));
    let (answer, stats, told) = ask();
    assert_eq!(answer["reports"], json!({ "a": { "served": 0 }, "b": { "served": 1 }, "c": { "served": 2 } }));
    assert!(stats.contains("3 started · 2 in warm instances"), "{stats}");
    assert!(told.contains("2 of 3 attempts ran warm"), "{told}");
}

//! Log lines of leaves that succeed: in `--stats`, in recordings, on pages and in passing cases.

use serde_json::{Value, json};

use crate::faulty;
use crate::kit::Folder;

#[test]
fn what_a_successful_leaf_prints_is_in_the_stats_and_the_recording() {
    let folder = Folder::new();
    let run = folder.path("run.ndjson");
    let query = json!({ "faults": { "a": "say:hello", "b": "say:good bye" } });
    let asked = faulty(&query, &["a", "b", "c"]).args(["--stats", "--slots", "1", "--record", run.to_str().unwrap()]);
    let stats = asked.run().expect(0).err();
    for line in ["log      a: said hello", "log      a: muttered hello", "log      b: said good bye"] {
        assert!(stats.contains(line), "{line}: {stats}");
    }
    let recorded = std::fs::read_to_string(&run).unwrap();
    let events = recorded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let logs: Vec<Value> =
        events.filter(|event| event["event"] == "attempt-ended").map(|event| event["log"].clone()).collect();
    assert_eq!(
        logs,
        [json!(["said hello", "muttered hello"]), json!(["said good bye", "muttered good bye"]), Value::Null]
    );

    let explained = folder.frond("explain run.ndjson").run().expect(0).out();
    assert!(explained.contains("written by leaves that succeeded\na: said hello\na: muttered hello\n"), "{explained}");
    folder.frond("explain --html run.ndjson").run().expect(0);
    assert!(std::fs::read_to_string(folder.path("run.html")).unwrap().contains("muttered good bye"));
}

#[test]
fn what_leaves_print_is_bounded_for_the_whole_answer() {
    let text = "x".repeat(900);
    let keys: Vec<String> = (0..200).map(|index| format!("part{index}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let query = json!({ "fault": format!("say:{text}") });
    let asked = faulty(&query, &keys).args(["--progress", "json", "--slots", "1", "--deadline", "60s"]).run().expect(0);
    let events = asked.events();
    let ended = || events.iter().filter(|event| event["event"] == "attempt-ended");
    let line = |line: &Value| line.as_str().unwrap().len();
    let kept: usize = ended().filter_map(|event| event["log"].as_array()).flatten().map(line).sum();
    assert!((32 << 10..=64 << 10).contains(&kept), "{kept}");
    // The usage has the bytes that each leaf wrote, including dropped ones.
    assert!(ended().all(|event| event["usage"]["log"].as_u64() > Some(1800)), "{:?}", ended().next_back());
    let stats = faulty(&query, &keys).args(["--stats", "--slots", "1", "--deadline", "60s"]).run().expect(0).err();
    assert!(stats.contains("log      and 195 more"), "{stats}");
}

#[test]
fn a_passing_case_shows_what_it_printed_when_it_is_asked_for() {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"\n");
    let leaf = "query = '{\"fault\":\"say:hello\"}'\npartition = \"\"\n[expect]\njson = { count = 1, keys = [\"partition\"] }\n";
    folder.write("app/cases/leaf.toml", leaf);
    let query = "query = '{\"query\":{\"fault\":\"say:all\"},\"partitions\":[{\"key\":\"a\",\"data\":\"\"}]}'\n[expect]\n\
                 outcome = \"complete\"\nlog = \"said all\"\n";
    folder.write("app/cases/query.toml", query);
    let quiet = folder.frond("test app --no-laws").run().expect(0).out();
    assert!(!quiet.contains("hello"), "{quiet}");
    for flag in ["-v", "--verbose"] {
        let out = folder.frond(&format!("test app --no-laws {flag}")).run().expect(0).out();
        for line in ["log: said hello", "log: muttered hello", "log: said all"] {
            assert!(out.contains(line), "{line}: {out}");
        }
    }
}

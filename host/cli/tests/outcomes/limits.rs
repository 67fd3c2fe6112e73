//! Failures by limits: each has the limit's key and value and how to raise it, in messages and as
//! data.

use serde_json::{Value, json};

use crate::kit::{Folder, plain};

/// Returns an app of the plugin that misbehaves on command, under low limits.
fn low() -> Folder {
    let rest = "content-type = \"text/plain\"\n[source]\nkind = \"query\"\n\n[query]\ndeadline = \"20s\"\n\
                floor = \"best-effort\"\n\n[limits.leaf]\nfuel = 200_000_000\nmemory = \"32MiB\"\noutput = \"64KiB\"\n\
                host-calls = 500\n\n[limits.merge]\nfuel = 300_000_000\n\n[limits.split]\nfuel = 100_000_000\n";
    let (first, rest) = rest.split_once('\n').unwrap();
    let folder = Folder::with_app("faulty", rest);
    let toml = std::fs::read_to_string(folder.path("app/frond.toml")).unwrap();
    folder.write("app/frond.toml", format!("{first}\n{toml}"));
    folder
}

fn query(query: &Value, keys: &[&str]) -> String {
    let partitions: Vec<_> = keys.iter().map(|key| json!({ "key": key, "data": "" })).collect();
    json!({ "query": query, "partitions": partitions }).to_string()
}

/// Commands that exceed one limit each: part of the message, and the limit's key and value as data.
const ENDS: [(&str, &str, &str, u64); 5] = [
    (
        "burn:1000",
        "out-of-fuel: used up its fuel: limits.leaf.fuel is 200,000,000; raise it with `[limits.leaf] fuel = …`",
        "limits.leaf.fuel",
        200_000_000,
    ),
    (
        "grow-memory",
        "limits.leaf.memory is 32 MiB; raise it with `[limits.leaf] memory = …`",
        "limits.leaf.memory",
        32 << 20,
    ),
    (
        "huge-output",
        "limits.leaf.output is 64 KiB; raise it with `[limits.leaf] output = …`",
        "limits.leaf.output",
        64 << 10,
    ),
    (
        "emit-flood",
        "host-call-denied: made too many calls to the host: limits.leaf.host-calls is 500; raise it with `[limits.leaf] \
         host-calls = …`",
        "limits.leaf.host-calls",
        500,
    ),
    (
        "sleep-ms:60000",
        "out-of-time: still running when its time was up: query.deadline is 2 s",
        "query.deadline",
        2_000_000,
    ),
];

#[test]
fn a_query_names_the_limit_that_ended_a_leaf() {
    let folder = low();
    for (command, text, key, value) in ENDS {
        let asked = || {
            let asked = folder.frond("query app").arg(query(&json!({ "fault": command }), &["a"]));
            asked.args(["--deadline", if key == "query.deadline" { "2s" } else { "60s" }]).env("COLUMNS", "400")
        };
        let error = asked().run().err();
        assert!(error.contains(text), "{command}: {error}");
        let json = asked().args(["--format", "json"]).run().json();
        let failure = &json["coverage"]["missing"][0]["failure"];
        assert_eq!(failure["limit"], json!({ "key": key, "value": value }), "{failure}");
        assert!(failure["message"].as_str().unwrap().contains(key), "{failure}");
    }
}

#[test]
fn the_limit_of_a_leafs_own_time_is_told_apart_from_the_deadline() {
    let folder = low();
    let toml = std::fs::read_to_string(folder.path("app/frond.toml")).unwrap();
    folder.write("app/frond.toml", toml.replace("host-calls = 500\n", "host-calls = 500\ntime = \"100ms\"\n"));
    let asked =
        folder.frond("query app").arg(query(&json!({ "fault": "sleep-ms:60000" }), &["a"])).env("COLUMNS", "400");
    let error = asked.run().expect(4).err();
    let text = "still running when its time was up: limits.leaf.time is 100 ms; raise it with `[limits.leaf] time = …`";
    assert!(error.contains(text), "{error}");
}

#[test]
fn a_merge_and_a_split_have_limits_of_their_own() {
    let folder = low();
    let merged = query(&json!({ "merge-fault": "spin" }), &["ok-1", "ok-2"]);
    let error = folder.frond("query app --deadline 60s").arg(merged).env("COLUMNS", "400").run().expect(6).err();
    assert!(error.contains("limits.merge.fuel is 300,000,000; raise it with `[limits.merge] fuel = …`"), "{error}");
    let toml = std::fs::read_to_string(folder.path("app/frond.toml")).unwrap();
    let split = "[split]\ncomponent = \"faulty.wasm\"\n[source]\nkind = \"split\"";
    folder.write("app/frond.toml", toml.replace("[source]\nkind = \"query\"", split));
    let asked = folder.frond("query app --deadline 60s").arg(json!({ "split-fault": "spin" }).to_string());
    let error = asked.env("COLUMNS", "400").run().expect(6).err();
    assert!(error.contains("limits.split.fuel is 100,000,000; raise it with `[limits.split] fuel = …`"), "{error}");
    let toml = std::fs::read_to_string(folder.path("app/frond.toml")).unwrap();
    let timed = toml.replace("[limits.split]\nfuel = 100_000_000", "[limits.split]\nfuel = 0\ntime = \"100ms\"");
    folder.write("app/frond.toml", timed);
    let asked = folder.frond("query app --deadline 60s").arg(json!({ "split-fault": "spin" }).to_string());
    let error = asked.env("COLUMNS", "400").run().expect(6).err();
    let text = "limits.split.time is 100 ms; raise it with `[limits.split] time = …`";
    assert!(error.contains(text), "{error}");
    folder.write("app/cases/split.toml", "wanted = 2\nquery = '{\"split-fault\":\"spin\"}'\n[expect]\nkeys = []\n");
    let tested = folder.frond("test app --no-laws").env("COLUMNS", "400").run().expect(1);
    assert!(tested.out().contains(text), "{}", tested.out());
}

#[test]
fn bench_replay_and_a_recording_say_the_same() {
    let folder = low();
    let (command, text, ..) = ENDS[0];
    let case = format!("partition = \"\"\nkey = \"{command}\"\n[expect]\ntext = \"\"\n");
    folder.write("app/cases/fuel.toml", case);
    let bench = folder.frond("bench app --runs 1").env("COLUMNS", "400").run().expect(1).out();
    assert!(bench.contains(text), "{bench}");
    let asked = folder.frond("query app --capture-failures kept --record run.ndjson --deadline 60s");
    asked.arg(query(&json!({ "fault": command }), &["a"])).run().expect(4);
    for verb in [folder.frond("replay kept"), folder.frond("explain run.ndjson")] {
        let out = verb.env("COLUMNS", "400").run().expect(0).out();
        assert!(out.contains(text), "{out}");
    }
}

#[test]
fn a_case_names_its_own_limit_and_a_fault_its_own() {
    let folder = low();
    let case = "partition = \"\"\nkey = \"burn:1000\"\n[limits]\nfuel = 1_000_000\n[expect]\ntext = \"\"\n";
    folder.write("app/cases/fuel.toml", case);
    let out = folder.frond("test app --no-laws").env("COLUMNS", "400").run().expect(1).out();
    let text = "used up its fuel: case.limits.fuel is 1,000,000; raise it with `[limits] fuel = …`";
    assert!(plain(&out).contains(text), "{out}");
    let shown = folder.frond("test app --inject out-of-fuel-at=500_000").env("COLUMNS", "400").run().expect(0).out();
    assert!(shown.contains("used up its fuel: inject.fuel is 500,000"), "{shown}");
}

#[test]
fn a_case_of_the_whole_app_names_the_limit_that_ended_its_first_missing_leaf() {
    let folder = low();
    let (command, text, ..) = ENDS[0];
    let asked = query(&json!({ "fault": command }), &["a", "b"]);
    let write = |name: &str, rest: &str| {
        folder.write(&format!("app/cases/{name}.toml"), format!("query = '{asked}'\ndeadline = \"60s\"\n{rest}"));
    };
    write("outcome", "[expect]\noutcome = \"complete\"\n");
    write("result", "[expect]\ntext = \"\"\n");
    write("nothing", "");
    write("lowered", "[limits]\nfuel = 1_000_000\n[expect]\ntext = \"\"\n");
    let report = folder.frond("test app --no-laws --format json").run().expect(1).json();
    let of = |name: &str| {
        let cases = report["cases"].as_array().unwrap();
        cases.iter().find(|case| case["name"] == name).unwrap().clone()
    };
    let first = |name: &str| of(name)["wrong"][0]["what"].as_str().unwrap().to_owned();
    assert_eq!(first("result"), format!("failed: too little arrived to answer\nthe partition `a` failed: {text}"));
    assert!(first("outcome").ends_with(&format!("\nthe partition `a` failed: {text}")), "{}", first("outcome"));
    let nothing = of("nothing")["why"].as_str().unwrap().to_owned();
    assert!(nothing.contains(&format!("the partition `a` failed: {text}")), "{nothing}");
    let own = "case.limits.fuel is 1,000,000; raise it with `[limits] fuel = …`";
    assert!(first("lowered").ends_with(own), "{}", first("lowered"));
}

#[test]
fn a_job_names_the_limit_and_its_own_timeout() {
    let folder = low();
    folder.write("server.toml", "slots = 2\n");
    let (command, text, ..) = ENDS[0];
    for (command, timeout, text) in
        [(command, "60s", text), ("sleep-ms:60000", "2s", "still running when its time was up: job.timeout is 2 s")]
    {
        let submit = folder.frond(&format!("jobs submit app --local . --timeout {timeout}"));
        let id = submit.arg(query(&json!({ "fault": command }), &["a"])).run().expect(0).out();
        let id = id.trim();
        folder.frond(&format!("jobs watch {id} --local .")).run();
        let out = folder.frond(&format!("jobs show {id} --local .")).env("COLUMNS", "400").run().expect(0).out();
        assert!(out.contains(text), "{out}");
    }
}

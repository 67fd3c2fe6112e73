//! The examples `prices` and `prices-many` against their real server: with all answers, with a
//! silent operator, without the grant, and with a thousand operators.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop the test where it is")]

mod kit;

use std::collections::BTreeSet;
use std::fs;

use kit::{Ended, Folder, frond, plugin, root};
use operators::Settings;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The operators' server and its URL.
struct Operators {
    api: String,
    _runtime: Runtime,
}

impl Operators {
    fn start(silent: &[&str]) -> Self {
        let silent: BTreeSet<String> = silent.iter().map(|one| (*one).to_owned()).collect();
        Self::of(Settings { silent, ..Settings::default() })
    }

    /// Starts so many made-up operators, which answer only in groups of `together`: none does until
    /// that many have been asked and wait.
    fn answering_together(count: u32, together: usize) -> Self {
        Self::of(Settings { made_up: Some(count), together: Some(together), ..Settings::default() })
    }

    fn of(settings: Settings) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(operators::serve(listener, settings));
        Self { api, _runtime: runtime }
    }

    /// Asks all five operators for the fare from London to York. The long deadline leaves
    /// time to a busy machine; a query waits for it only below the floor.
    fn ask(&self, app: &str, floor: &str) -> Ended {
        let query = json!({ "api": self.api, "from": "London", "to": "York" }).to_string();
        frond(["query", app, &query, "--format", "json", "--floor", floor, "--deadline", "20s"]).run()
    }
}

fn prices(ended: &Ended) -> Vec<u64> {
    let answer = &ended.json()["answer"];
    answer["fares"].as_array().unwrap().iter().map(|fare| fare["pounds"].as_u64().unwrap()).collect()
}

#[test]
fn five_operators_answer() {
    let ended = Operators::start(&[]).ask("examples/prices", "all").expect(0);
    assert_eq!(prices(&ended), [48, 55, 62, 66, 71]);
    assert_eq!(ended.json()["answer"]["complete"], true);
}

#[test]
fn four_answer_in_time_when_one_never_does() {
    let ended = Operators::start(&["Dales"]).ask("examples/prices", "0.8").expect(3);
    assert_eq!(prices(&ended), [48, 62, 66, 71]);
    let json = ended.json();
    assert_eq!(json["answer"]["complete"], false);
    let coverage = &json["coverage"];
    assert_eq!((&coverage["partitions"]["succeeded"], &coverage["partitions"]["timed_out"]), (&json!(4), &json!(1)));
    let missing = coverage["missing"].as_array().unwrap();
    assert_eq!((missing.len(), &missing[0]["key"]), (1, &json!("Dales")), "{missing:?}");
    assert!(coverage["timings"]["total"].as_f64() < coverage["timings"]["deadline"].as_f64(), "{coverage}");
}

#[test]
fn a_thousand_operators_are_asked_from_two_slots() {
    let folder = Folder::new();
    let recording = folder.dir().join("run.ndjson").display().to_string();
    let operators = Operators::answering_together(1000, 200);
    let query = json!({ "api": operators.api, "from": "London", "to": "York" }).to_string();
    let args = ["query", "examples/prices-many", &query, "--slots", "2", "--format", "json", "--floor", "all"];
    let ended = frond(args).args(["--deadline", "120s", "--record", &recording, "--stats"]).run().expect(0);
    let found = prices(&ended);
    assert_eq!((found.len(), found.is_sorted()), (1000, true));
    let coverage = &ended.json()["coverage"];
    assert_eq!((&coverage["partitions"]["succeeded"], &coverage["attempts"]["started"]), (&json!(1000), &json!(1000)));
    assert!(coverage["timings"]["leaf_waited"].as_f64() > coverage["timings"]["leaf_used"].as_f64(), "{coverage}");
    let line = |text: &str, start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or("").to_owned();
    assert!(line(&ended.err(), "leaves").contains(" · waited "), "{}", ended.err());
    let explained = frond(["explain", &recording]).run().expect(0).out();
    assert!(explained.contains("─ waiting without a slot"), "{explained}");
    assert!(explained.contains("of 1,000 attempts waited without a slot, "), "{explained}");
    assert!(explained.contains("2 used of 2, busy "), "{explained}");
}

#[test]
fn without_room_for_waiting_leaves_each_waits_in_its_slot() {
    let operators = Operators::answering_together(10, 2);
    let query = json!({ "api": operators.api, "from": "London", "to": "York" }).to_string();
    let args = ["query", "examples/prices-many", &query, "--slots", "2", "--waiting", "0", "--deadline", "60s"];
    let ended = frond(args).args(["--floor", "all", "--format", "json"]).run().expect(0);
    assert_eq!(prices(&ended).len(), 10);
    assert_eq!(ended.json()["coverage"]["timings"]["leaf_waited"], 0.0);
}

#[test]
fn without_the_grant_every_leaf_says_what_is_missing() {
    let folder = Folder::new();
    let manifest = fs::read_to_string(root().join("examples/prices/frond.toml")).unwrap();
    let (rest, _) = manifest.split_once("[[grants.http]]").unwrap();
    let component = plugin("prices").display().to_string();
    folder.write("frond.toml", rest.replace("../../target/plugins/wasm32-wasip2/guest/prices.wasm", &component));
    let operators = Operators::start(&[]);
    // With a floor, the first failures would cancel the other leaves.
    let ended = operators.ask(&folder.dir().display().to_string(), "best-effort").expect(4);
    let missing: Vec<Value> = ended.json()["coverage"]["missing"].as_array().unwrap().clone();
    assert_eq!(missing.len(), 5);
    let host = operators.api.strip_prefix("http://").unwrap();
    for one in missing {
        let text = one.to_string();
        assert!(text.contains("host-call-denied"), "{text}");
        assert!(text.contains(&format!("[[grants.http]] with host = \\\"{host}\\\"")), "{text}");
    }
}

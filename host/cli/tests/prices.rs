//! The example `prices` against its real server: with all answers, with a silent operator, and
//! without its grant.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop the test where it is")]

mod kit;

use std::collections::BTreeSet;
use std::fs;

use kit::{Ended, Folder, frond, plugin, root};
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
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let silent: BTreeSet<String> = silent.iter().map(|one| (*one).to_owned()).collect();
        runtime.spawn(operators::serve(listener, silent));
        Self { api, _runtime: runtime }
    }

    /// Asks all five operators at once for the fare from London to York. The long deadline leaves
    /// time to a busy machine; a query waits for it only below the floor.
    fn ask(&self, app: &str, floor: &str) -> Ended {
        let query = json!({ "api": self.api, "from": "London", "to": "York" }).to_string();
        frond(["query", app, &query, "--slots", "5", "--format", "json", "--floor", floor, "--deadline", "20s"]).run()
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

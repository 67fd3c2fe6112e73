//! Nothing is granted: no environment, files or network; and what `deterministic` makes of clocks and randomness.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests stop where it is wrong")]

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use frond_root::Request;
use frond_sandbox::{Leaf, LeafHost, Limits, Role};
use serde_json::{Value, json};

use common::{App, Host, guest, plan};

fn app(host: &Host, deterministic: bool) -> App {
    let plugin = host.plugin(&guest("faulty"), &[Role::Leaf], true);
    App {
        leaves: LeafHost::new(host.slots.clone(), Leaf { plugin, limits: Limits::default(), deterministic }),
        ..host.faulty(Limits::default(), Limits::default())
    }
}

/// What each leaf reports.
fn reports(host: &Host, app: &App, query: &Value, keys: [&str; 2]) -> [Value; 2] {
    let request: Request = app.request(&query.to_string());
    let asked = host.runtime.block_on(app.ask(request, plan(keys)));
    let mut answer = asked.json();
    keys.map(|key| answer["reports"][key].take())
}

#[test]
fn nothing_is_granted() {
    let host = Host::new(1, Limits::default());
    let [report, _] = reports(&host, &app(&host, false), &json!({ "fault": "env" }), ["a", "b"]);
    assert_eq!(report, json!({}));
}

#[test]
fn clocks_and_randomness_are_real() {
    let host = Host::new(1, Limits::default());
    let [a, b] = reports(&host, &app(&host, false), &json!({ "fault": "clock" }), ["a", "b"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let told = a["now_ms"].as_u64().unwrap() / 1000;
    assert!(now.abs_diff(told) < 600, "{told} and {now}");
    assert_ne!(a["random"], b["random"]);
    assert_ne!(a["insecure"], b["insecure"]);
}

#[test]
fn deterministic_leaves_see_what_their_query_and_partition_give() {
    let host = Host::new(2, Limits::default());
    let app = app(&host, true);
    let ask = |nonce: u32| reports(&host, &app, &json!({ "fault": "clock", "nonce": nonce }), ["a", "b"]);
    let [first, again, other] = [ask(1), ask(1), ask(2)];
    assert_eq!(first, again);
    assert_ne!(first[0]["random"], first[1]["random"]);
    assert_ne!(first[0]["random"], other[0]["random"]);
    assert_ne!(first[0]["insecure"], first[1]["insecure"]);
    assert_eq!(first[0]["now_ms"], first[1]["now_ms"]);
}

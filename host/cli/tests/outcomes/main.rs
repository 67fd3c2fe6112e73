//! Outcomes of queries, seen from outside: the exit code, stdout and stderr.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stop the test where it is"
)]

mod building;
mod displays;
mod envelopes;
mod exits;
mod interrupts;
mod limits;
mod recordings;
mod streams;
mod written;

#[path = "../kit/mod.rs"]
mod kit;

use serde_json::{Value, json};

/// Returns a query to `examples/faulty` with these partitions.
fn faulty(query: &Value, keys: &[&str]) -> kit::Frond {
    let partitions: Vec<_> = keys.iter().map(|key| json!({ "key": key, "data": "" })).collect();
    let body = json!({ "query": query, "partitions": partitions });
    kit::frond(["query", "examples/faulty"]).arg(body.to_string())
}

/// Returns a query to `examples/rail`, in which the region `stall` stalls.
fn rail(stall: Option<&str>) -> kit::Frond {
    let query = json!({ "from": "London", "budget": 8, "stall": stall });
    kit::frond(["query", "examples/rail"]).arg(query.to_string())
}

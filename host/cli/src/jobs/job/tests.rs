//! Parsing of jobs, and the exit codes of their ends.

use serde_json::json;

use super::*;

/// Returns a running job with `changes` applied to its JSON.
pub(crate) fn job(changes: Value) -> Job {
    let mut body = json!({
        "id": "0199f2c41d0a7b3c8e5f60718293a4b5", "app": "rail", "version": "one", "state": "running",
        "created_unix_ms": 1_790_000_000_000_u64, "started_unix_ms": 1_790_000_001_000_u64,
        "finished_unix_ms": null, "expires_unix_ms": null,
        "partitions": { "planned": 40, "done": 12, "degraded": 0, "failed": 0, "pending": 28 },
        "weight": { "planned": 400, "settled": 120 }, "fraction": 0.3,
        "eta": { "p50_ms": 12_000, "p90_ms": 30_000, "basis": "progress" }, "eta_missing": null,
        "poll_after_ms": 1200, "cancelling": false, "epoch": 1, "reason": null, "coverage": null, "caller": null,
    });
    let fields = body.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        fields.insert(name.clone(), value.clone());
    }
    serde_json::from_value(body).unwrap()
}

fn failed(reason: Value) -> Exit {
    job(json!({ "state": "failed", "reason": reason })).exit()
}

#[test]
fn an_end_has_the_exit_code_of_a_query() {
    let ended = |state: &str| job(json!({ "state": state })).exit();
    assert!(ended("succeeded") == Exit::Whole);
    assert!(ended("partial") == Exit::Partial);
    assert!(ended("cancelled") == Exit::BelowFloor);
    assert!(ended("expired") == Exit::Usage);
    for state in ["queued", "planning", "running", "merging"] {
        assert!(ended(state) == Exit::Unavailable, "{state}");
    }
}

#[test]
fn a_failure_has_the_exit_code_of_its_reason() {
    let failure = json!({ "kind": "trap", "message": "boom" });
    assert!(failed(json!({ "reason": "below-floor" })) == Exit::BelowFloor);
    assert!(failed(json!({ "reason": "cancelled" })) == Exit::BelowFloor);
    assert!(failed(json!({ "reason": "deadline" })) == Exit::Deadline);
    for word in ["merge", "split"] {
        assert!(failed(json!({ "reason": word, "failure": failure })) == Exit::Plugin, "{word}");
        assert!(failed(json!({ "reason": word, "failure": "of another version" })) == Exit::Plugin, "{word}");
    }
    assert!(failed(json!({ "reason": "invalid-query", "failure": failure })) == Exit::InvalidQuery);
    assert!(failed(json!({ "reason": "refused", "detail": "no such key" })) == Exit::InvalidQuery);
    assert!(failed(json!({ "reason": "incompatible", "detail": "another version" })) == Exit::Usage);
    assert!(failed(json!({ "reason": "something new" })) == Exit::BelowFloor);
    assert!(failed(json!(null)) == Exit::BelowFloor);
}

#[test]
fn a_reason_is_told_in_words() {
    let why = |reason: Value| job(json!({ "state": "failed", "reason": reason })).why();
    assert_eq!(why(json!({ "reason": "below-floor" })).as_deref(), Some("too little arrived to answer"));
    assert_eq!(why(json!({ "reason": "refused", "detail": "no such key" })).as_deref(), Some("no such key"));
    assert_eq!(why(json!({ "reason": "something new" })).as_deref(), Some("something new"));
    assert_eq!(why(json!(7)), None);
    assert_eq!(why(json!(null)), None);
}

#[test]
fn what_a_newer_server_tells_beside_is_no_obstacle() {
    let job = job(json!({ "shards": [1, 2], "coverage": { "of": "another kind" }, "eta": null }));
    assert!(job.coverage().is_none() && job.eta.is_none());
}

#[test]
fn what_an_older_server_does_not_tell_is_none() {
    let body = json!({
        "id": "0199f2c41d0a7b3c8e5f60718293a4b5", "app": "rail", "state": "queued", "created_unix_ms": 1,
        "partitions": {}, "fraction": 0.0,
    });
    let job: Job = serde_json::from_value(body).unwrap();
    assert_eq!((job.epoch, job.cancelling, job.partitions), (0, false, Partitions::default()));
}

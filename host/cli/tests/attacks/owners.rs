//! Attacks on jobs and queries of other tokens, and by floods of jobs.

use serde_json::json;

use crate::stage::{Attack, Ground, Stage, ordering, size};
use crate::wire::Reply;

const PATIENT: &str = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.leaf]\nfuel = 0";

/// Submits a job whose leaves run `command`, and returns its id.
#[track_caller]
fn submit(stage: &Stage, token: &str, command: &str) -> String {
    let body = ordering(&json!({ "fault": command }), 2);
    let reply = stage.ask("POST", "/v1/apps/evil/jobs", token, body.as_bytes()).expect(202, "").json();
    reply["id"].as_str().unwrap().to_owned()
}

fn is_kept_apart(reply: &Reply) -> bool {
    matches!(reply.status, 403 | 404)
}

/// One token's job and query, read and ended by another token.
pub(crate) fn strangers(attack: Attack) {
    let mut ground = Ground::evil(PATIENT);
    ground.token("neighbour", "query");
    let mine = ground.token("mine", "query");
    let other = ground.token("other", "query");
    let admin = ground.token("operator", "admin");
    let stage = ground.attack(attack);
    let id = submit(&stage, &mine, "sleep");
    let body = ordering(&json!({ "fault": "secret" }), 1);
    let asked = stage.ask("POST", "/v1/apps/evil/query", &mine, body.as_bytes()).expect(200, "");
    let query = asked.head.lines().find_map(|line| line.strip_prefix("frond-query: ")).expect("its id").to_owned();
    for (method, path, body) in [
        ("GET", format!("/v1/jobs/{id}"), ""),
        ("GET", format!("/v1/jobs/{id}/events"), ""),
        ("GET", format!("/v1/jobs/{id}/partial"), ""),
        ("GET", format!("/v1/jobs/{id}/result"), ""),
        ("PATCH", format!("/v1/jobs/{id}"), "{\"retention\":\"1s\"}"),
        ("POST", format!("/v1/jobs/{id}/redrive"), ""),
        ("DELETE", format!("/v1/jobs/{id}"), ""),
        ("GET", format!("/v1/queries/{query}"), ""),
        ("GET", format!("/v1/queries/{query}/events"), ""),
        ("DELETE", format!("/v1/queries/{query}"), ""),
    ] {
        let headers = format!("{other}content-type: application/json\r\n");
        let reply = stage.ask(method, &path, &headers, body.as_bytes());
        assert!(is_kept_apart(&reply), "{method} {path}: {}", reply.shown());
    }
    for path in ["/v1/jobs", "/v1/queries"] {
        let listed = stage.ask("GET", path, &other, b"").expect(200, "").text();
        assert!(!listed.contains(&id) && !listed.contains(&query), "{path}: {listed}");
    }
    let state = stage.ask("GET", &format!("/v1/jobs/{id}"), &mine, b"").expect(200, "").json();
    assert!(state["finished_unix_ms"].is_null(), "{state}");
    stage.ask("DELETE", &format!("/v1/jobs/{id}"), &admin, b"").expect(202, "");
    stage.end();
}

/// Jobs that are cancelled right after their submission: each ends as cancelled.
pub(crate) fn cancels(attack: Attack) {
    let stage = Ground::evil(PATIENT).attack(attack);
    let ids: Vec<_> = (0..size(20, 200)).map(|_| submit(&stage, "", "sleep")).collect();
    for id in &ids {
        stage.ask("DELETE", &format!("/v1/jobs/{id}"), "", b"").expect(202, "");
    }
    for id in &ids {
        let path = format!("/v1/jobs/{id}?wait=5s");
        stage.until("a cancelled job ends", |stage| stage.get(&path).json()["finished_unix_ms"].is_u64());
        let state = stage.get(&path).json()["state"].clone();
        assert_eq!(state, "cancelled", "{id}");
    }
    stage.end();
}

/// Jobs of many bytes by one token, under the default settings.
pub(crate) fn hoards(attack: Attack) {
    let mut ground = Ground::evil(PATIENT);
    ground.token("neighbour", "query");
    let token = ground.token("hoards", "query");
    let stage = ground.attack(attack);
    let partitions = [json!({ "key": "a", "data": "x".repeat(12 << 20) })];
    let body = json!({ "query": { "fault": "sleep" }, "partitions": partitions }).to_string();
    let mut kept = 0;
    for _ in 0..size(96, 500) {
        let reply = stage.ask("POST", "/v1/apps/evil/jobs", &token, body.as_bytes());
        if reply.status != 202 {
            assert!(matches!(reply.status, 429 | 507), "{}", reply.shown());
            assert!(reply.text().contains("hoards") || reply.text().contains("token"), "{}", reply.shown());
            break;
        }
        kept += body.len();
    }
    assert!(kept <= (1 << 30) + body.len(), "{kept} bytes were kept for one token");
    stage.end();
}

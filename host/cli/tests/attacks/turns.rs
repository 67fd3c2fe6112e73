//! Attacks on fair scheduling: sleeping leaves, endless queries, and abandoned plans.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::kit::plugin;
use crate::stage::{Attack, Ground, Stage, manifest, ordering, size};
use crate::wire::{self, head};

/// Rest of a manifest without a fuel limit, with a long deadline.
const PATIENT: &str = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.leaf]\nfuel = 0";

/// Returns the bytes of a query to `evil`.
fn request(deadline: &str, body: &str) -> Vec<u8> {
    let path = format!("/v1/apps/evil/query?deadline={deadline}");
    [head("POST", &path, "", body.len()).as_bytes(), body.as_bytes()].concat()
}

/// Runs `clients` that query `evil` without a pause, and waits for the neighbour.
fn beside(stage: &Stage, clients: usize, deadline: &str, command: &str, partitions: usize) {
    let request = request(deadline, &ordering(&json!({ "fault": command }), partitions));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _ = wire::talk(&stage.address, &request);
                }
            });
        }
        // A panic of the neighbour's check must still stop the clients.
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (0..size(5, 20)).for_each(|_| stage.look())));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Two requests of sleeping leaves, each with more leaves than there are slots.
pub(crate) fn sleeping_leaves(attack: Attack) {
    let stage = Ground::evil(PATIENT).attack(attack);
    let request = request("600s", &ordering(&json!({ "fault": "sleep" }), 8));
    let connections: Vec<_> = (0..2).map(|_| stage.sent(&request)).collect();
    stage.look();
    stage.end();
    drop(connections);
}

/// Jobs with sleeping leaves.
pub(crate) fn sleeping_jobs(attack: Attack) {
    let stage = Ground::evil(PATIENT).attack(attack);
    let body = ordering(&json!({ "fault": "sleep" }), 8);
    for _ in 0..size(4, 100) {
        stage.ask("POST", "/v1/apps/evil/jobs?timeout=10m", "", body.as_bytes()).expect(202, "");
    }
    stage.until("one of them waits", |stage| stage.metric("frond_leaves_waiting", "") >= 1.0);
    stage.look();
    stage.end();
}

pub(crate) fn tiny_deadlines(attack: Attack) {
    let stage = Ground::evil(PATIENT).spinning().attack(attack);
    beside(&stage, 1, "10ms", "spin", 4);
    stage.end();
}

pub(crate) fn long_deadlines(attack: Attack) {
    let stage = Ground::evil(PATIENT).spinning().attack(attack);
    beside(&stage, 24, "60s", "burn:20", 4);
    stage.end();
}

pub(crate) fn spinning_clients(attack: Attack) {
    let stage = Ground::evil(PATIENT).spinning().attack(attack);
    beside(&stage, 60, "1s", "spin", 4);
    stage.end();
}

/// Merges that fill a large memory.
pub(crate) fn filling_merges(attack: Attack) {
    let rest = "[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n[limits.merge]\nmemory = \"2GiB\"\nfuel = 0";
    let stage = Ground::evil(rest).budget(2700).places(32, 2 << 10).attack(attack);
    let body = ordering(&json!({ "merge-fault": "fill" }), 2);
    for _ in 0..size(3, 20) {
        stage.query("evil", &body);
        stage.look();
    }
    stage.end();
}

/// Queries over a glob of many files, whose deadline ends long before their plan is ready.
pub(crate) fn orphaned_plans(attack: Attack) {
    let ground = Ground::new();
    let glob =
        "[source]\nkind = \"files\"\nglob = [\"data/*/*.txt\"]\n[query]\nfloor = \"best-effort\"\ndeadline = \"10m\"\n";
    ground.folder.write("apps/evil/frond.toml", manifest("wordcount", glob));
    std::fs::copy(plugin("wordcount"), ground.folder.path("apps/evil/wordcount.wasm")).unwrap();
    let folders = size(20, 500);
    let first = ground.folder.write("apps/evil/data/0/0.txt", "one");
    for folder in 0..folders {
        std::fs::create_dir_all(ground.folder.path(&format!("apps/evil/data/{folder}"))).unwrap();
        for file in 0..200 {
            let path = ground.folder.path(&format!("apps/evil/data/{folder}/{file}.txt"));
            if path != first {
                std::fs::hard_link(&first, path).unwrap();
            }
        }
    }
    let stage = ground.attack(attack);
    let request = request("20ms", "{}");
    let mut most = 0;
    for _ in 0..size(2, 30) {
        let connections: Vec<_> = (0..20).map(|_| stage.sent(&request)).collect();
        stage.look();
        most = most.max(stage.status("Threads"));
        drop(connections);
    }
    assert!(most < 64, "{most} threads");
    stage.end();
}

/// Queries and jobs of one token whose merges sleep, under two apps.
pub(crate) fn sleeping_merges(attack: Attack) {
    let second = format!("[source]\nkind = \"query\"\n{PATIENT}");
    let mut ground = Ground::evil(PATIENT).app("second", "faulty", &second);
    ground.token("neighbour", "query");
    let token = ground.token("sleeps", "query");
    let stage = ground.attack(attack);
    let body = ordering(&json!({ "merge-fault": "sleep" }), 40);
    for app in ["evil", "second"] {
        let path = format!("/v1/apps/{app}/jobs?timeout=10m");
        stage.ask("POST", &path, &token, body.as_bytes()).expect(202, "");
    }
    let query = |app: &str| {
        let path = format!("/v1/apps/{app}/query?deadline=600s");
        [head("POST", &path, &token, body.len()).as_bytes(), body.as_bytes()].concat()
    };
    let connections: Vec<_> =
        (0..size(12, 60)).map(|number| stage.sent(&query(["evil", "second"][number % 2]))).collect();
    stage.until("merges run", |stage| stage.metric("frond_queries_running", "") >= 1.0);
    (0..size(3, 20)).for_each(|_| stage.look());
    stage.end();
    drop(connections);
}

/// Queries of as many partitions as there may be, each with a thousand required ones.
pub(crate) fn large_plans(attack: Attack) {
    let range = "[source]\nkind = \"range\"\nstart = 0\nend = 100_000\nstep = 1\n[query]\nfloor = \"best-effort\"\n";
    let mut ground = Ground::new().app("plans", "pi", range).limits("memory = \"64MiB\"").spinning();
    ground.token("neighbour", "query");
    let token = ground.token("plans", "query");
    let stage = ground.attack(attack);
    let keys: Vec<String> = (0..1000).map(|key| format!("require={}..{}", 99_999 - key, 100_000 - key)).collect();
    let path = format!("/v1/apps/plans/query?deadline=2s&{}", keys.join("&"));
    let body = "{\"seed\":1}";
    let request = [head("POST", &path, &token, body.len()).as_bytes(), body.as_bytes()].concat();
    for _ in 0..size(3, 30) {
        let connections: Vec<_> = (0..20).map(|_| stage.sent(&request)).collect();
        stage.look();
        drop(connections);
    }
    stage.end();
}

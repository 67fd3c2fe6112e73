//! Clients of the soak test, each in an endless loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::kit::plugin;
use crate::server::{client, manifest};

/// Commands of hostile leaves.
const HOSTILE: [&str; 14] = [
    "spin",
    "trap",
    "panic",
    "grow-memory",
    "flood-stdout",
    "flood-stderr",
    "recurse",
    "emit-flood",
    "huge-output",
    "read-source-forever",
    "sleep",
    "poll-forever",
    "emit-then-spin",
    "sockets",
];
/// Timeout of replies.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Counts {
    complete: AtomicU64,
    refused: AtomicU64,
    rejected: AtomicU64,
    hostile: AtomicU64,
    vanished: AtomicU64,
    watched: AtomicU64,
    changed: AtomicU64,
    unchanged: AtomicU64,
}

/// Totals of all clients.
#[derive(Debug)]
#[allow(dead_code, reason = "all of it is printed")]
pub(crate) struct Totals {
    pub(crate) complete: u64,
    refused: u64,
    rejected: u64,
    hostile: u64,
    vanished: u64,
    watched: u64,
    changed: u64,
    unchanged: u64,
}

impl Totals {
    pub(crate) fn everything_happened(&self) -> bool {
        let all =
            [self.complete, self.rejected, self.hostile, self.vanished, self.watched, self.changed, self.unchanged];
        all.iter().all(|count| *count > 0)
    }
}

/// The running clients.
pub(crate) struct Crowd {
    tasks: JoinSet<()>,
    one: One,
}

/// One client.
#[derive(Clone)]
struct One {
    url: String,
    client: Client,
    counts: Arc<Counts>,
    over: Arc<AtomicBool>,
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn asking(keys: &[&str]) -> String {
    let partitions: Vec<_> = keys.iter().map(|key| json!({ "key": key, "data": "", "weight": 1 })).collect();
    json!({ "query": {}, "partitions": partitions }).to_string()
}

impl Crowd {
    pub(crate) fn gather(url: &str) -> Self {
        let one = One {
            url: url.to_owned(),
            client: client(),
            counts: Arc::default(),
            over: Arc::new(AtomicBool::new(false)),
        };
        let mut tasks = JoinSet::new();
        for _ in 0..3 {
            tasks.spawn(one.clone().good());
        }
        for _ in 0..2 {
            tasks.spawn(one.clone().vanishing());
        }
        tasks.spawn(one.clone().bad());
        tasks.spawn(one.clone().hostile());
        tasks.spawn(one.clone().watching());
        tasks.spawn(one.clone().changing());
        Self { tasks, one }
    }

    pub(crate) fn summary(&self) -> String {
        format!("{:?}", self.one.seen())
    }

    /// Ends all clients after their current round. Panics if one of them has seen a wrong reply.
    pub(crate) async fn disperse(mut self) -> Totals {
        self.one.over.store(true, Ordering::Relaxed);
        while let Some(ended) = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await.expect("everybody ends") {
            ended.unwrap();
        }
        self.one.seen()
    }
}

impl One {
    fn seen(&self) -> Totals {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        Totals {
            complete: of(&counts.complete),
            refused: of(&counts.refused),
            rejected: of(&counts.rejected),
            hostile: of(&counts.hostile),
            vanished: of(&counts.vanished),
            watched: of(&counts.watched),
            changed: of(&counts.changed),
            unchanged: of(&counts.unchanged),
        }
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    async fn ask(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.request(method, format!("{}{path}", self.url)).body(body);
        tokio::time::timeout(PATIENCE, request.send()).await.expect("an answer in time").expect("an answer")
    }

    /// Sends valid queries, and checks every answer.
    async fn good(self) {
        let keys: Vec<String> = (0..8).map(|index| format!("ok-{index}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        while self.goes_on() {
            let reply = self.ask(Method::POST, "/v1/apps/steady/query", asking(&keys)).await;
            if reply.status() == 503 {
                assert!(reply.headers().contains_key("retry-after"));
                add(&self.counts.refused);
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            let status = reply.status();
            let complete = reply.headers().get("frond-complete").is_some_and(|value| value == "true");
            let text = reply.text().await.unwrap();
            assert!(status == 200 && complete, "{status} {text}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["count"], 8, "{text}");
            add(&self.counts.complete);
        }
    }

    /// Sends invalid requests.
    async fn bad(self) {
        let huge = "x".repeat(2 << 20);
        let asked: [(Method, &str, &str, &[u16]); 8] = [
            (Method::POST, "/v1/apps/steady/query", "{", &[422]),
            (Method::POST, "/v1/apps/nobody/query", "{}", &[404]),
            (Method::POST, "/v1/apps/steady/query?floor=much", "{}", &[400]),
            (Method::POST, "/v1/apps/steady/query?deadline=-1s", "{}", &[400]),
            (Method::PUT, "/v1/apps/steady/query", "{}", &[404, 405]),
            (Method::GET, "/v1/queries/0", "", &[404]),
            (Method::GET, "/../../etc/passwd", "", &[404]),
            (Method::POST, "/v1/apps/steady/query", &huge, &[413, 422]),
        ];
        while self.goes_on() {
            for (method, path, body, statuses) in &asked {
                let reply = self.ask(method.clone(), path, (*body).to_owned()).await;
                let status = reply.status().as_u16();
                assert!(statuses.contains(&status) || status == 503, "{method} {path}: {status}");
                drop(reply.bytes().await);
                add(&self.counts.rejected);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends queries of hostile leaves, and checks their coverage reports.
    async fn hostile(self) {
        for command in HOSTILE.iter().cycle() {
            if !self.goes_on() {
                return;
            }
            let body = asking(&["ok-0", &format!("{command}:1"), command]);
            let request = self.client.post(format!("{}/v1/apps/changing/query?deadline=300ms", self.url));
            let request = request.header("accept", "application/vnd.frond+json").body(body);
            let reply =
                tokio::time::timeout(PATIENCE, request.send()).await.expect("an answer in time").expect("an answer");
            let status = reply.status().as_u16();
            let text = reply.text().await.unwrap();
            // Under this load the merge may also run out of time: it has a tenth of the query's.
            let late = status == 502 && text.contains("out-of-time");
            assert!(late || matches!(status, 200 | 503 | 504), "{command}: {status} {text}");
            let reply: Value = serde_json::from_str(&text).unwrap();
            if status != 503 {
                let sum = &reply["coverage"]["partitions"];
                let parts = ["skipped", "succeeded", "degraded", "failed", "timed_out", "cancelled", "not_started"];
                let parts: u64 = parts.iter().map(|part| sum[part].as_u64().unwrap()).sum();
                assert_eq!((sum["planned"].as_u64(), parts), (Some(3), 3), "{command}: {text}");
                add(&self.counts.hostile);
            }
        }
    }

    /// Disconnects within the head, within the body, while leaves run, and during a stream.
    async fn vanishing(self) {
        let address = self.url.trim_start_matches("http://").to_owned();
        let body = asking(&["ok-0", "spin", "sleep"]);
        let head =
            format!("POST /v1/apps/changing/query HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len());
        let stream = format!("{head}accept: text/event-stream\r\n\r\n{body}");
        let whole = format!("{head}\r\n{body}");
        let cut = [&head[..20], &whole[..head.len() + 12], &whole, &stream];
        let mut wait = 0;
        while self.goes_on() {
            for sent in cut {
                let mut connection = TcpStream::connect(&address).await.unwrap();
                let _ = connection.write_all(sent.as_bytes()).await;
                wait = (wait + 7) % 40;
                tokio::time::sleep(Duration::from_millis(wait)).await;
                drop(connection);
                add(&self.counts.vanished);
            }
        }
    }

    /// Reads the queries of the others.
    async fn watching(self) {
        while self.goes_on() {
            let listed = self.ask(Method::GET, "/v1/queries?limit=20", "").await.text().await.unwrap();
            let listed: Value = serde_json::from_str(&listed).unwrap();
            for query in listed["queries"].as_array().unwrap() {
                let id = query["id"].as_str().unwrap();
                for what in ["", "/events"] {
                    let reply = self.ask(Method::GET, &format!("/v1/queries/{id}{what}"), "").await;
                    assert!(matches!(reply.status().as_u16(), 200 | 404), "{}", reply.status());
                    // The stream of a running query is live; this client does not wait for its end.
                    let _ = tokio::time::timeout(Duration::from_millis(100), reply.bytes()).await;
                    add(&self.counts.watched);
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Uploads a component and an invalid one, removes the uploaded leaf, and rolls back.
    async fn changing(self) {
        let good = std::fs::read(plugin("faulty")).unwrap();
        let leaf = "/v1/apps/changing/leaf";
        let mut number = 0;
        while self.goes_on() {
            number += 1;
            let asked = [
                (Method::PUT, leaf, good.clone()),
                (Method::PUT, leaf, manifest(number).into_bytes()),
                (Method::DELETE, leaf, Vec::new()),
                (Method::POST, "/v1/apps/changing/rollback", Vec::new()),
            ];
            for (method, path, body) in asked {
                let reply = self.ask(method.clone(), path, body).await;
                let status = reply.status().as_u16();
                let text = reply.text().await.unwrap();
                match status {
                    200 => add(&self.counts.changed),
                    404 | 409 | 422 => add(&self.counts.unchanged),
                    _ => panic!("{method} {path}: {status} {text}"),
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    }
}

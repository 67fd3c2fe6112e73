//! Ownership: queries and jobs of another token are reported as missing.

use std::time::Duration;

use frond_server::config::{Config, Role, Size, Time, Token};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Reply, Served, Stream, asking, by_key, config, send, token, within};

/// A server with four clients: two with the role `query`, an observer, and an admin.
struct Crowd {
    served: Served,
    tokens: Vec<String>,
}

const ANN: usize = 0;
const BOB: usize = 1;
const OBSERVER: usize = 2;
const ADMIN: usize = 3;

impl Crowd {
    async fn new() -> Self {
        Self::with(config(), |entry| entry).await
    }

    async fn with(config: Config, also: impl Fn(Token) -> Token) -> Self {
        let known = [("ann", Role::Query), ("bob", Role::Query), ("eye", Role::Observer), ("boss", Role::Admin)];
        let (tokens, entries): (Vec<_>, Vec<_>) = known.iter().map(|(name, role)| token(name, *role)).unzip();
        let entries = entries.into_iter().map(also).collect();
        Self { served: Served::with(Config { tokens: entries, ..config }).await, tokens }
    }

    fn request(&self, who: usize, method: Method, path: &str) -> reqwest::RequestBuilder {
        let authorization = format!("Bearer {}", self.tokens[who]);
        self.served.request(method, path).header("authorization", authorization)
    }

    async fn send(&self, who: usize, method: Method, path: &str) -> Reply {
        send(self.request(who, method, path)).await
    }

    async fn get(&self, who: usize, path: &str) -> Reply {
        self.send(who, Method::GET, path).await
    }

    async fn submit(&self, who: usize, key: &str, body: &str) -> Reply {
        let request = self.request(who, Method::POST, "/v1/apps/caller/jobs?timeout=10m");
        send(request.header("idempotency-key", key).body(body.to_owned())).await
    }

    /// A job of Ann's that runs until it is cancelled.
    async fn job(&self) -> String {
        let job = self.submit(ANN, "one", &by_key(&["sleep"])).await.expect(202).json();
        let id = job["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/jobs/{id}");
        within(async { while self.get(ADMIN, &path).await.json()["state"] != "running" {} }).await;
        id
    }

    async fn end(&self, id: &str) {
        self.send(ADMIN, Method::DELETE, &format!("/v1/jobs/{id}")).await.expect(202);
        let path = format!("/v1/jobs/{id}?wait=60s");
        within(async { while self.get(ADMIN, &path).await.json()["state"] != "cancelled" {} }).await;
    }

    /// The ids in a list.
    async fn listed(&self, who: usize, of: &str) -> Vec<String> {
        let list = self.get(who, &format!("/v1/{of}")).await.expect(200).json();
        list[of].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// The reply with the requested id replaced, for comparisons.
fn anonymous(reply: &Reply, id: &str) -> (u16, String, Value) {
    let body = serde_json::from_str(&reply.text().replace(id, "ID")).unwrap();
    (reply.status, reply.header("content-type").to_owned(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_job_is_answered_as_one_that_does_not_exist() {
    let crowd = Crowd::new().await;
    let id = crowd.job().await;
    let none = "0".repeat(32);
    let requests = [
        (Method::GET, ""),
        (Method::GET, "?wait=1s"),
        (Method::GET, "/result"),
        (Method::GET, "/partial"),
        (Method::GET, "/events"),
        (Method::DELETE, ""),
        (Method::DELETE, "?keep-partial=true"),
        (Method::DELETE, "?purge=true"),
        (Method::POST, "/redrive"),
        (Method::PATCH, ""),
    ];
    for (method, rest) in requests {
        let ask = async |who, id: &str| {
            let request = crowd.request(who, method.clone(), &format!("/v1/jobs/{id}{rest}"));
            let request = if method == Method::PATCH { request.body("{\"retention\":\"1h\"}") } else { request };
            send(request).await
        };
        let theirs = ask(BOB, &id).await;
        let nobodys = ask(BOB, &none).await;
        assert_eq!(theirs.status, 404, "{method} {rest}");
        assert_eq!(anonymous(&theirs, &id), anonymous(&nobodys, &none), "{method} {rest}");
    }
    let job = crowd.get(ANN, &format!("/v1/jobs/{id}")).await.expect(200).json();
    assert_eq!((&job["state"], &job["cancelling"], &job["caller"]), (&json!("running"), &json!(false), &json!("ann")));
    crowd.end(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_to_their_caller_and_to_those_who_may_look() {
    let crowd = Crowd::new().await;
    let anns = crowd.job().await;
    let bobs = crowd.submit(BOB, "one", &by_key(&["ok"])).await.expect(202).json()["id"].as_str().unwrap().to_owned();
    assert_ne!(anns, bobs, "keys of two callers are two");
    assert_eq!(crowd.listed(ANN, "jobs").await, std::slice::from_ref(&anns));
    assert_eq!(crowd.listed(BOB, "jobs").await, std::slice::from_ref(&bobs));
    for who in [OBSERVER, ADMIN] {
        assert_eq!(crowd.listed(who, "jobs").await, [bobs.clone(), anns.clone()]);
        crowd.get(who, &format!("/v1/jobs/{anns}")).await.expect(200);
    }
    crowd.end(&anns).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_answers_of_one_token_leave_room_for_anothers() {
    let mut config = config();
    config.jobs.lease = Time(Duration::from_secs(600));
    let crowd = Crowd::with(config, |entry| entry).await;
    let running = async |who, query: &Value| {
        let body = asking(query, &["ok-0", "ok-1", "sleep"]);
        let job = crowd.submit(who, "one", &body).await.expect(202).json();
        let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
        within(async { while crowd.get(who, &path).await.json()["partitions"]["done"] != 2 {} }).await;
        path
    };
    let anns = running(ANN, &json!({ "merge-fault": "sleep" })).await;
    let bobs = running(BOB, &json!({})).await;
    let merging: Vec<_> =
        (0..4).map(|_| tokio::spawn(crowd.request(ANN, Method::GET, &format!("{anns}/partial")).send())).collect();
    for _ in 0..20 {
        let partial = crowd.get(BOB, &format!("{bobs}/partial")).await.expect(200);
        assert_eq!(partial.header("frond-coverage"), "0.6667; 2/3");
    }
    merging.iter().for_each(|request| request.abort());
    for path in [anns, bobs] {
        crowd.send(ADMIN, Method::DELETE, &path).await.expect(202);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_changes_nothing() {
    let crowd = Crowd::new().await;
    let id = crowd.job().await;
    for (method, path) in [
        (Method::DELETE, format!("/v1/jobs/{id}")),
        (Method::PATCH, format!("/v1/jobs/{id}")),
        (Method::POST, format!("/v1/jobs/{id}/redrive")),
        (Method::POST, "/v1/apps/caller/query".to_owned()),
        (Method::POST, "/v1/apps/caller/jobs".to_owned()),
        (Method::PUT, "/v1/apps/caller/leaf".to_owned()),
        (Method::DELETE, "/v1/queries/0".to_owned()),
    ] {
        crowd.send(OBSERVER, method, &path).await.problem(403, "forbidden", "may only read");
    }
    for path in ["/v1/apps", "/v1/queries", "/metrics", "/v1/server"] {
        crowd.get(OBSERVER, path).await.expect(200);
    }
    crowd.end(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_query_is_answered_as_one_that_is_not_known() {
    let crowd = Crowd::new().await;
    let anns = crowd.request(ANN, Method::POST, "/v1/apps/caller/query?deadline=60s").body(by_key(&["sleep"]));
    let asked = tokio::spawn(send(anns));
    within(async { while crowd.listed(ANN, "queries").await.is_empty() {} }).await;
    let id = crowd.listed(ANN, "queries").await.remove(0);
    assert!(crowd.listed(BOB, "queries").await.is_empty());
    let none = "0".repeat(32);
    for (method, rest) in [(Method::GET, ""), (Method::GET, "/events"), (Method::DELETE, "")] {
        let ask = async |id: &str| crowd.send(BOB, method.clone(), &format!("/v1/queries/{id}{rest}")).await;
        let theirs = ask(&id).await;
        let nobodys = ask(&none).await;
        assert_eq!(theirs.status, 404, "{method} {rest}");
        assert_eq!(anonymous(&theirs, &id), anonymous(&nobodys, &none), "{method} {rest}");
    }
    assert_eq!(crowd.listed(OBSERVER, "queries").await, std::slice::from_ref(&id));
    crowd.get(OBSERVER, &format!("/v1/queries/{id}")).await.expect(200);
    assert!(!asked.is_finished());
    crowd.send(ANN, Method::DELETE, &format!("/v1/queries/{id}")).await.expect(202);
    within(asked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_contain_only_ones_own_queries() {
    let crowd = Crowd::new().await;
    let mut bobs = Stream::open(crowd.request(BOB, Method::GET, "/v1/events")).await;
    let ask = async |who, key: &str| {
        let request = crowd.request(who, Method::POST, "/v1/apps/caller/query");
        send(request.body(asking(&json!({}), &[key]))).await.expect(200).query()
    };
    for _ in 0..60 {
        ask(ANN, "theirs").await;
    }
    let own = ask(BOB, "own").await;
    let told = bobs.next_named("query").await;
    assert_eq!(told.data["id"], own, "Ann's came before, and none of them is told, nor counted as missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_as_many_jobs_and_bytes_as_it_may() {
    let bounded = |entry: Token| match entry.name.as_str() {
        "ann" => Token { jobs: Some(2), ..entry },
        "bob" => Token { job_quota: Some(Size(1000)), ..entry },
        _ => entry,
    };
    let crowd = Crowd::with(config(), bounded).await;
    let ok = by_key(&["ok"]);
    for key in ["one", "two"] {
        crowd.submit(ANN, key, &ok).await.expect(202);
    }
    let problem = crowd.submit(ANN, "three", &ok).await;
    assert!(problem.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    problem.problem(429, "quota", "2 jobs of this token are stored");
    crowd.submit(ANN, "two", &ok).await.expect(200);
    let large = by_key(&["x".repeat(2000).as_str()]);
    let problem = crowd.submit(BOB, "one", &large).await;
    assert!(problem.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    problem.problem(507, "quota", "all of their 1000 bytes");
    crowd.submit(BOB, "two", &ok).await.expect(202);
    // Other tokens have separate limits.
    crowd.submit(ADMIN, "one", &large).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_takes_a_query_permit() {
    let crowd = Crowd::with(config(), |entry| Token { concurrency: 1, ..entry }).await;
    let query = crowd.request(ANN, Method::POST, "/v1/apps/caller/query?deadline=60s").body(by_key(&["sleep"]));
    let asked = tokio::spawn(send(query));
    within(async { while crowd.listed(ANN, "queries").await.is_empty() {} }).await;
    crowd.submit(ANN, "one", &by_key(&["ok"])).await.problem(429, "overloaded", "`concurrency` of the token");
    crowd.submit(BOB, "one", &by_key(&["ok"])).await.expect(202);
    let id = crowd.listed(ANN, "queries").await.remove(0);
    crowd.send(ANN, Method::DELETE, &format!("/v1/queries/{id}")).await.expect(202);
    within(asked).await.unwrap();
    within(async { while crowd.submit(ANN, "one", &by_key(&["ok"])).await.status == 429 {} }).await;
    // A client that waits for its job holds no query permit.
    let wait = crowd.request(ANN, Method::POST, "/v1/apps/caller/jobs").header("prefer", "wait=60");
    let waiting = tokio::spawn(send(wait.body(by_key(&["sleep"]))));
    within(async { while crowd.listed(ANN, "jobs").await.len() < 2 {} }).await;
    within(async { while crowd.submit(ANN, "two", &by_key(&["ok"])).await.status == 429 {} }).await;
    for id in crowd.listed(ANN, "jobs").await {
        crowd.send(ANN, Method::DELETE, &format!("/v1/jobs/{id}")).await;
    }
    within(waiting).await.unwrap();
}

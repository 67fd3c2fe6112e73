//! Jobs over HTTP: submission, events, answers, cancellation, resumption.

use std::time::Duration;

use frond_server::Order;
use frond_server::config::{Config, JobRole, Role, Size, Time};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Reply, Served, Stream, apps, by_key, config, send, token, within};

/// Settings with a lease so long that no job is lost on a busy machine.
fn brisk() -> Config {
    let mut config = config();
    config.jobs.lease = Time(Duration::from_secs(20));
    config
}

pub(crate) async fn submit(served: &Served, app: &str, body: impl Into<reqwest::Body>) -> Value {
    let (app, rest) = app.split_once('?').map_or((app, String::new()), |(app, rest)| (app, format!("?{rest}")));
    send(served.request(Method::POST, &format!("/v1/apps/{app}/jobs{rest}")).body(body)).await.expect(202).json()
}

fn id(job: &Value) -> &str {
    job["id"].as_str().unwrap_or_else(|| panic!("{job}"))
}

/// Waits until the job has ended, and returns it.
pub(crate) async fn ended(served: &Served, job: &Value) -> Value {
    let waiting = async {
        loop {
            let job = served.json(&format!("/v1/jobs/{}?wait=30s", id(job))).await;
            if !job["finished_unix_ms"].is_null() {
                return job;
            }
        }
    };
    within(waiting).await
}

async fn result(served: &Served, job: &Value) -> Reply {
    served.get(&format!("/v1/jobs/{}/result", id(job))).await
}

/// Waits until `count` partitions are done.
async fn done(served: &Served, job: &Value, count: u64) -> Value {
    loop {
        let job = served.json(&format!("/v1/jobs/{}", id(job))).await;
        if job["partitions"]["done"].as_u64().unwrap() >= count {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_gives_the_answer_of_a_query() {
    let served = Served::new().await;
    let body = by_key(&["ok-0", "ok-1", "ok-2", "trap-3"]);
    let request = served.request(Method::POST, "/v1/apps/caller/jobs").body(body.clone());
    let reply = send(request).await.expect(202);
    let job = reply.json();
    assert_eq!(reply.header("location"), format!("/v1/jobs/{}", id(&job)));
    let job = ended(&served, &job).await;
    assert_eq!((&job["state"], &job["epoch"]), (&json!("partial"), &json!(1)));
    let counted = json!({ "planned": 4, "done": 3, "degraded": 0, "failed": 1, "pending": 0 });
    assert_eq!(job["partitions"], counted);
    assert_eq!(job["coverage"]["missing"][0]["slug"], "trap");
    let job = result(&served, &job).await.expect(200);
    let query = served.ask("caller", body).await.expect(200);
    assert_eq!((&job.body, job.header("frond-complete")), (&query.body, "false"));
    assert_eq!(job.header("frond-coverage"), query.header("frond-coverage"));
    assert_eq!(job.header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_a_little_has_it_at_once() {
    let served = Served::new().await;
    let request = served.request(Method::POST, "/v1/apps/caller/jobs").header("prefer", "respond-async, wait=30");
    let reply = send(request.body(by_key(&["ok"]))).await.expect(200);
    let job = reply.json();
    assert_eq!((&job["state"], &job["poll_after_ms"]), (&json!("succeeded"), &Value::Null));
    assert_eq!(reply.header("preference-applied"), "respond-async, wait=30");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_client_does_not_wait_is_a_job() {
    let served = Served::new().await;
    let body = by_key(&["ok-0", "trap-1"]);
    let ask = |app: &str, prefer: &str, body: &str| {
        let request = served.query(app, body.to_owned()).header("prefer", prefer.to_owned());
        send(request.header("idempotency-key", "monday").header("accept", crate::common::EVENTS))
    };
    let reply = ask("caller?floor=0.1", "respond-async", &body).await.expect(202);
    let job = reply.json();
    assert_eq!(reply.header("location"), format!("/v1/jobs/{}", id(&job)));
    assert_eq!(reply.header("preference-applied"), "respond-async");
    assert_eq!(ended(&served, &job).await["state"], "partial");
    let reply = ask("caller?floor=0.1", "respond-async, wait=600", &body).await.expect(200);
    assert_eq!((id(&reply.json()), reply.header("preference-applied")), (id(&job), "respond-async, wait=60"));
    let again = served.request(Method::POST, "/v1/apps/caller/jobs?floor=0.1").body(body.clone());
    let again = send(again.header("idempotency-key", "monday")).await.expect(200);
    assert_eq!((id(&again.json()), again.header("preference-applied")), (id(&job), ""));
    ask("caller?floor=0.2", "respond-async", &body).await.problem(422, "key-reused", "another request");
    ask("caller?deadline=9999h", "respond-async", &body).await.problem(400, "bad-request", "deadline");
    ask("caller?weight=2", "respond-async", &body).await.problem(400, "bad-request", "weight");
    ask("nobody", "respond-async", &body).await.problem(404, "not-found", "nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_of_such_a_query_is_the_time_that_its_job_has() {
    let served = Served::with(brisk()).await;
    let request = served.query("caller?deadline=200ms", by_key(&["spin-0"]));
    let job = send(request.header("prefer", "respond-async")).await.expect(202).json();
    assert_eq!(ended(&served, &job).await["state"], "failed");
    result(&served, &job).await.problem(504, "out-of-time", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_jobs_are_taken_the_preference_does_not_count() {
    for role in [JobRole::None, JobRole::Processor] {
        let mut config = config();
        config.jobs.role = role;
        let served = Served::with(config).await;
        let request = served.query("caller", by_key(&["ok"])).header("prefer", "respond-async");
        let reply = send(request).await.expect(200);
        assert_eq!((reply.header("frond-complete"), reply.header("preference-applied")), ("true", ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_is_the_same_job() {
    let served = Served::new().await;
    let ask = |body: String| {
        let request = served.request(Method::POST, "/v1/apps/caller/jobs").header("idempotency-key", "tuesday");
        send(request.body(body))
    };
    let first = ask(by_key(&["ok"])).await.expect(202).json();
    let again = ask(by_key(&["ok"])).await.expect(200).json();
    assert_eq!(first["id"], again["id"]);
    ask(by_key(&["other"])).await.problem(422, "key-reused", "another request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_is_available_before_the_end() {
    let served = Served::with(brisk()).await;
    let job = submit(&served, "caller", by_key(&["ok-0", "ok-1", "spin"])).await;
    let running = done(&served, &job, 2).await;
    assert_eq!((&running["state"], &running["fraction"]), (&json!("running"), &json!(2.0 / 3.0)));
    result(&served, &job).await.problem(409, "not-ended", "partial");
    let partial = served.get(&format!("/v1/jobs/{}/partial", id(&job))).await.expect(200);
    assert_eq!((&partial.json()["count"], partial.header("frond-complete")), (&json!(2), "false"));
    assert_eq!(partial.header("frond-coverage"), "0.6667; 2/3");
    let path = format!("/v1/jobs/{}?keep-partial=true", id(&job));
    send(served.request(Method::DELETE, &path)).await.expect(202);
    let job = ended(&served, &job).await;
    assert_eq!(job["state"], "cancelled");
    assert_eq!(result(&served, &job).await.expect(200).json()["count"], 2);
    send(served.request(Method::DELETE, &path)).await.problem(409, "conflict", "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_wants_stops_its_leaves() {
    let served = Served::with(brisk()).await;
    let job = submit(&served, "caller", by_key(&["spin-0", "spin-1"])).await;
    served.leaves(2).await;
    send(served.request(Method::DELETE, &format!("/v1/jobs/{}", id(&job)))).await.expect(202);
    served.leaves(0).await;
    assert_eq!(ended(&served, &job).await["state"], "cancelled");
    let problem = result(&served, &job).await.problem(404, "not-found", "without an answer");
    assert_eq!(problem["reason"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_runs_only_what_failed() {
    let served = Served::new().await;
    let job = submit(&served, "strict", by_key(&["ok-0", "trap-1"])).await;
    let job = ended(&served, &job).await;
    assert_eq!(job["state"], "failed");
    result(&served, &job).await.problem(504, "trap", "too little arrived");
    send(served.request(Method::POST, &format!("/v1/jobs/{}/redrive", id(&job)))).await.expect(202);
    let again = ended(&served, &job).await;
    assert_eq!((&again["state"], &again["epoch"]), (&json!("failed"), &json!(2)));
    let whole = submit(&served, "strict", by_key(&["ok"])).await;
    ended(&served, &whole).await;
    let redrive = served.request(Method::POST, &format!("/v1/jobs/{}/redrive", id(&whole)));
    send(redrive).await.problem(409, "conflict", "no partition of the job is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_counted_while_the_rest_runs() {
    let served = Served::with(brisk()).await;
    let job = submit(&served, "caller", by_key(&["ok-0", "trap-1", "spin-2"])).await;
    let running = loop {
        let job = served.json(&format!("/v1/jobs/{}", id(&job))).await;
        if job["partitions"]["failed"] == 1 {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((&running["state"], &running["finished_unix_ms"]), (&json!("running"), &Value::Null));
    assert!(running["attempts"].as_u64().unwrap() >= 2, "{running}");
    let folder = stopped(served).await;
    let served = Served::of(folder, brisk()).await;
    served.leaves(1).await;
    let path = format!("/v1/jobs/{}?keep-partial=true", id(&job));
    send(served.request(Method::DELETE, &path)).await.expect(202);
    let over = ended(&served, &job).await;
    let counted = json!({ "planned": 3, "done": 1, "degraded": 0, "failed": 1, "pending": 1 });
    assert_eq!((&over["partitions"], &over["state"]), (&counted, &json!("cancelled")));
    // A server that resumes a job tries its failed partitions again.
    assert!(over["attempts"].as_u64().unwrap() >= 5, "{over}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_of_jobs() {
    let served = Served::with(brisk()).await;
    assert_eq!(served.metric("frond_jobs_store_up", &[]).await, 1.0);
    let whole = submit(&served, "caller", by_key(&["ok-0", "ok-1"])).await;
    ended(&served, &whole).await;
    let running = submit(&served, "caller", by_key(&["ok-2", "spin"])).await;
    done(&served, &running, 1).await;
    let kept = served.metric("frond_jobs_partials_accepted_total", &[]).await;
    let states =
        [served.metric("frond_jobs", &["\"succeeded\""]).await, served.metric("frond_jobs", &["\"running\""]).await];
    assert_eq!((kept, states), (3.0, [1.0, 1.0]));
    assert_eq!(served.metric("frond_jobs_oldest_waiting_seconds", &[]).await, 0.0);
    assert!(served.metric("frond_jobs_store_bytes", &[]).await > 0.0);
    let mut idle = brisk();
    idle.jobs.role = JobRole::Dispatcher;
    let served = Served::of(stopped(served).await, idle).await;
    served.until("frond_jobs_oldest_waiting_seconds", &[], |age| age > 0.0).await;
    assert_eq!(served.metric("frond_jobs", &["\"queued\""]).await, 1.0);
    let served = Served::of(stopped(served).await, brisk()).await;
    served.until("frond_jobs_resumed_total", &[], |resumed| resumed == 1.0).await;
    for none in ["frond_jobs_leases_lost_total", "frond_jobs_store_errors_total", "frond_jobs_results_late_total"] {
        assert_eq!(served.metric(none, &[]).await, 0.0, "{none}");
    }
    send(served.request(Method::DELETE, &format!("/v1/jobs/{}", id(&running)))).await.expect(202);
    ended(&served, &running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_kept_and_followed_to_the_end() {
    let served = Served::new().await;
    let job = submit(&served, "caller", by_key(&["ok-0", "ok-1"])).await;
    let path = format!("/v1/jobs/{}/events", id(&job));
    let live = Stream::open(served.request(Method::GET, &path)).await.rest().await;
    let names: Vec<_> = live.iter().map(|event| event.name.clone()).collect();
    assert_eq!((names.first().unwrap().as_str(), names.last().unwrap().as_str()), ("query-started", "end"));
    let lines = served.get(&path).await.expect(200);
    assert_eq!((lines.header("content-type"), lines.text().lines().count()), ("application/x-ndjson", names.len() - 1));
    let rest = Stream::open(served.request(Method::GET, &path).header("last-event-id", "3")).await.rest().await;
    assert_eq!(rest.len(), names.len() - 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_gives_its_jobs_back_and_the_next_goes_on() {
    let folder = apps();
    let place = folder.path().to_path_buf();
    let served = Served::of(folder, brisk()).await;
    let job = submit(&served, "caller", by_key(&["ok-0", "ok-1", "spin"])).await;
    done(&served, &job, 2).await;
    let folder = stopped(served).await;
    assert_eq!(folder.path(), place);
    let served = Served::of(folder, brisk()).await;
    served.leaves(1).await;
    let running = done(&served, &job, 2).await;
    assert_eq!((&running["state"], &running["epoch"]), (&json!("running"), &json!(2)));
    let path = format!("/v1/jobs/{}?keep-partial=true", id(&job));
    send(served.request(Method::DELETE, &path)).await.expect(202);
    let job = ended(&served, &job).await;
    assert_eq!(result(&served, &job).await.expect(200).json()["count"], 2);
}

/// Stops a server and returns its folder.
async fn stopped(served: Served) -> TempDir {
    served.order(Order::Stop).await;
    let task = served.task;
    let folder = served.folder;
    within(task).await.unwrap();
    folder
}

/// Changes the content type of the app `caller`, which makes its `number`th other version.
fn change(folder: &TempDir, number: usize) {
    let path = folder.path().join("caller/frond.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let rest = text.split_once('\n').unwrap().1;
    std::fs::write(path, format!("content-type = \"text/x-{number}\"\n{rest}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_with_the_version_that_it_began_with() {
    let served = Served::with(brisk()).await;
    let job = submit(&served, "caller", by_key(&["ok-0", "ok-1", "spin"])).await;
    let began = done(&served, &job, 2).await;
    let folder = stopped(served).await;
    change(&folder, 1);
    let served = Served::of(folder, brisk()).await;
    let query = served.ask("caller", by_key(&["ok"])).await.expect(200);
    assert_eq!(query.header("content-type"), "text/x-1");
    served.leaves(1).await;
    let running = done(&served, &job, 2).await;
    assert_eq!((&running["state"], &running["epoch"]), (&json!("running"), &json!(2)));
    assert_eq!(running["version"], began["version"]);
    let partial = served.get(&format!("/v1/jobs/{}/partial", id(&job))).await.expect(200);
    assert_eq!((&partial.json()["count"], partial.header("content-type")), (&json!(2), "application/json"));
    send(served.request(Method::DELETE, &format!("/v1/jobs/{}?keep-partial=true", id(&job)))).await.expect(202);
    let job = ended(&served, &job).await;
    let answer = result(&served, &job).await.expect(200);
    assert_eq!((&answer.json()["count"], answer.header("content-type")), (&json!(2), "application/json"));
    let new = submit(&served, "caller", by_key(&["ok"])).await;
    assert_ne!(new["version"], began["version"]);
    let new = ended(&served, &new).await;
    assert_eq!(result(&served, &new).await.expect(200).header("content-type"), "text/x-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_version_is_no_longer_kept_says_so() {
    let served = Served::with(brisk()).await;
    let job = submit(&served, "caller", by_key(&["ok-0", "spin"])).await;
    done(&served, &job, 1).await;
    let mut folder = stopped(served).await;
    // Dispatchers do not take the job, while ten versions follow each other.
    let mut idle = brisk();
    idle.jobs.role = JobRole::Dispatcher;
    for number in 1..=10 {
        change(&folder, number);
        let served = Served::of(folder, idle.clone()).await;
        let app = served.json("/v1/apps/caller").await;
        assert_eq!(app["serving"]["number"], number + 1, "{app}");
        folder = stopped(served).await;
    }
    let served = Served::of(folder, brisk()).await;
    let job = ended(&served, &job).await;
    assert_eq!((&job["state"], &job["reason"]["reason"]), (&json!("failed"), &json!("incompatible")));
    let problem = result(&served, &job).await.problem(422, "incompatible", "keeps the 10 latest versions");
    assert!(problem["detail"].as_str().unwrap().contains("redrive the job, or submit it again"), "{problem}");
    served.get(&format!("/v1/jobs/{}/partial", id(&job))).await.problem(409, "conflict", "not among them");
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_go_before_jobs() {
    let mut config = brisk();
    config.slots = 1;
    let served = Served::with(config).await;
    // The last one keeps the job from its end: the others wait side by side.
    let many: Vec<String> = (0..200).map(|index| format!("sleep-ms:5-{index}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["sleep"]).collect();
    let job = submit(&served, "caller", by_key(&many)).await;
    done(&served, &job, 1).await;
    // One slot: a query gets it when the running leaf of the job ends.
    for _ in 0..5 {
        served.ask("caller", by_key(&["ok-0", "ok-1"])).await.expect(200);
    }
    assert_eq!(served.json(&format!("/v1/jobs/{}", id(&job))).await["state"], "running");
    send(served.request(Method::DELETE, &format!("/v1/jobs/{}", id(&job)))).await.expect(202);
    assert_eq!(ended(&served, &job).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_whose_leaves_wait_in_their_slots_leave_one_to_queries() {
    let served = Served::with(Config { waiting: 0, ..config() }).await;
    let job = submit(&served, "caller", by_key(&["sleep-0", "sleep-1", "sleep-2", "sleep-3"])).await;
    served.leaves(3).await;
    for _ in 0..5 {
        served.ask("caller", by_key(&["ok-0", "ok-1"])).await.expect(200);
    }
    let running = served.json(&format!("/v1/jobs/{}", id(&job))).await;
    assert_eq!((&running["state"], &running["partitions"]["done"]), (&json!("running"), &json!(0)));
    send(served.request(Method::DELETE, &format!("/v1/jobs/{}", id(&job)))).await.expect(202);
    assert_eq!(ended(&served, &job).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_and_kept_for_as_long_as_is_said() {
    let served = Served::new().await;
    let mut ids = Vec::new();
    for app in ["caller", "strict", "caller"] {
        let job = submit(&served, app, by_key(&["ok"])).await;
        ids.insert(0, id(&ended(&served, &job).await).to_owned());
    }
    let listed = |list: &Value| -> Vec<String> {
        list["jobs"].as_array().unwrap().iter().map(|job| id(job).to_owned()).collect()
    };
    let all = served.json("/v1/jobs").await;
    assert_eq!((listed(&all), &all["next"]), (ids.clone(), &Value::Null));
    let first = served.json("/v1/jobs?limit=2").await;
    assert_eq!(listed(&first), ids[..2]);
    let after = first["next"].as_str().unwrap();
    assert_eq!(listed(&served.json(&format!("/v1/jobs?limit=2&after={after}")).await), ids[2..]);
    assert_eq!(listed(&served.json("/v1/jobs?app=strict&state=succeeded,failed").await), ids[1..2]);
    for wrong in ["state=happy", "limit=0", "after=x", "app=a&app=b", "page=1"] {
        served.get(&format!("/v1/jobs?{wrong}")).await.problem(400, "bad-request", "");
    }
    let change = |body: &str| {
        let request = served.request(Method::PATCH, &format!("/v1/jobs/{}", ids[0]));
        send(request.body(body.to_owned()))
    };
    let changed = change(r#"{"retention":"1h"}"#).await.expect(200).json();
    let kept = changed["expires_unix_ms"].as_u64().unwrap() - changed["finished_unix_ms"].as_u64().unwrap();
    assert_eq!(kept, 3_600_000);
    for wrong in ["", "{}", r#"{"retention":"0s"}"#, r#"{"retention":"900d"}"#, r#"{"retention":"1h","x":1}"#] {
        change(wrong).await.problem(400, "bad-request", "retention");
    }
    for unknown in ["0", "00000000000000000000000000000001"] {
        served.get(&format!("/v1/jobs/{unknown}")).await.problem(404, "not-found", "no ");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_short_whatever_its_jobs_are() {
    let served = Served::new().await;
    let partial = submit(&served, "caller", by_key(&["ok-0", "trap-1"])).await;
    let partial = ended(&served, &partial).await;
    assert_eq!(partial["coverage"]["missing"][0]["slug"], "trap");
    let key = "k".repeat(8_000);
    let refused = submit(&served, &format!("caller?require={key}"), by_key(&["ok"])).await;
    let refused = ended(&served, &refused).await;
    assert_eq!((&refused["state"], &refused["reason"]["reason"]), (&json!("failed"), &json!("refused")));
    assert!(refused["reason"].to_string().len() <= 5_000, "{refused}");
    let list = served.json("/v1/jobs").await;
    let listed = list["jobs"].as_array().unwrap();
    assert_eq!([id(&listed[0]), id(&listed[1])], [id(&refused), id(&partial)]);
    for (one, whole) in listed.iter().zip([&refused, &partial]) {
        assert!(one["coverage"].is_null() && one.to_string().len() < 2_500, "{one}");
        for same in ["state", "partitions", "weight", "fraction", "finished_unix_ms", "kept_bytes"] {
            assert_eq!(one[same], whole[same], "{same}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_job_leaves_a_tombstone() {
    let served = Served::with(brisk()).await;
    let job = submit(&served, "caller", by_key(&["ok-0", "spin"])).await;
    done(&served, &job, 1).await;
    let purge = |params: &str| send(served.request(Method::DELETE, &format!("/v1/jobs/{}?{params}", id(&job))));
    purge("purge=true").await.problem(409, "conflict", "cancel it first");
    for wrong in ["purge=yes", "purge&purge", "purge&keep-partial", "forget=true"] {
        purge(wrong).await.problem(400, "bad-request", "purge");
    }
    purge("purge=false").await.expect(202);
    assert!(ended(&served, &job).await["kept_bytes"].as_u64().unwrap() > 0);
    let stone = purge("purge").await.expect(200).json();
    assert_eq!((&stone["state"], &stone["kept_bytes"]), (&json!("expired"), &json!(0)));
    purge("purge=true").await.problem(410, "expired", "");
    for what in ["result", "partial", "events"] {
        served.get(&format!("/v1/jobs/{}/{what}", id(&job))).await.problem(410, "expired", "");
    }
    assert_eq!(served.json(&format!("/v1/jobs/{}", id(&job))).await["state"], "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_whole_answer_was_merged_from_is_not_kept() {
    let served = Served::new().await;
    let job = submit(&served, "caller", by_key(&["ok-0", "ok-1"])).await;
    ended(&served, &job).await;
    let partial = served.get(&format!("/v1/jobs/{}/partial", id(&job))).await.expect(200);
    let whole = result(&served, &job).await.expect(200);
    assert_eq!((&partial.body, partial.header("frond-complete")), (&whole.body, "true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_takes_no_new_jobs() {
    let mut config = config();
    config.jobs.quota = Size(64 << 10);
    let served = Served::with(config).await;
    let request = served.request(Method::POST, "/v1/apps/caller/jobs").body(by_key(&["ok"]));
    send(request).await.problem(507, "store-full", "raise its quota");
    served.ask("caller", by_key(&["ok"])).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_request_creates_no_job() {
    let served = Served::new().await;
    for wrong in ["floor=much", "timeout=0s", "timeout=9999h", "retention=x", "weight=0", "weight=1&weight=2", "x=1"] {
        let request = served.request(Method::POST, &format!("/v1/apps/caller/jobs?{wrong}")).body("{}");
        send(request).await.problem(400, "bad-request", "");
    }
    send(served.request(Method::POST, "/v1/apps/nobody/jobs").body("{}")).await.problem(404, "not-found", "nobody");
    for (params, body) in [("", by_key(&["a\0b"])), ("?require=a%00b", by_key(&["a"]))] {
        let request = served.request(Method::POST, &format!("/v1/apps/caller/jobs{params}")).body(body);
        let (status, slug) = if params.is_empty() { (422, "invalid-query") } else { (400, "bad-request") };
        send(request).await.problem(status, slug, "NUL character");
    }
    let job = submit(&served, "caller", "no JSON").await;
    let job = ended(&served, &job).await;
    assert_eq!(job["state"], "failed");
    result(&served, &job).await.problem(422, "incompatible", "does not fit");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_say_what_a_server_does_of_jobs_and_tokens_who_may_ask() {
    let mut without = config();
    without.jobs.role = JobRole::None;
    let served = Served::with(without).await;
    for path in ["/v1/jobs", "/v1/jobs/00000000000000000000000000000001"] {
        served.get(path).await.problem(404, "not-found", "accepts no jobs");
    }
    let (secret, entry) = token("asker", Role::Query);
    let served = Served::with(Config { tokens: vec![entry], ..brisk() }).await;
    send(served.request(Method::POST, "/v1/apps/caller/jobs").body("{}")).await.expect(401);
    let served = served.holding(&secret);
    let job = submit(&served, "caller", by_key(&["spin"])).await;
    assert_eq!(job["caller"], "asker");
    send(served.request(Method::DELETE, &format!("/v1/jobs/{}", id(&job)))).await.expect(202);
    assert_eq!(ended(&served, &job).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_with_the_last_event_of_a_job_gets_204() {
    let served = Served::with(brisk()).await;
    let job = submit(&served, "caller", by_key(&["ok"])).await;
    ended(&served, &job).await;
    let path = format!("/v1/jobs/{}/events", id(&job));
    let told = Stream::open(served.request(Method::GET, &path)).await.rest().await;
    assert_eq!(told.last().unwrap().name, "end");
    let last = told.iter().filter_map(|one| one.id).max().unwrap();
    let again = |known: u64| {
        let request = served.request(Method::GET, &path).header("last-event-id", known.to_string());
        send(request.header("accept", crate::common::EVENTS))
    };
    again(last).await.expect(204);
    assert!(again(last - 1).await.expect(200).text().contains("query-ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_waited_for_no_longer_than_one_may_wait() {
    let served = Served::with(brisk()).await;
    let job = submit(&served, "caller", by_key(&["ok"])).await;
    for wait in ["61s", "1h", "soon", "1s&wait=1s"] {
        let reply = served.get(&format!("/v1/jobs/{}?wait={wait}", id(&job))).await;
        reply.problem(400, "bad-request", "`wait` must be a duration of at most 60s");
    }
    for weight in ["0", "1001", "18446744073709551616", "-1", "x"] {
        let request = served.request(Method::POST, &format!("/v1/apps/caller/jobs?weight={weight}")).body("{}");
        send(request).await.problem(400, "bad-request", "a weight is a whole number from 1 to 1000");
    }
    let heavy = r#"{"query":{},"partitions":[{"key":"a","data":"","weight":17592186044417}]}"#;
    served.ask("caller", heavy).await.problem(422, "invalid-query", "a weight is 1 to 17592186044416");
}

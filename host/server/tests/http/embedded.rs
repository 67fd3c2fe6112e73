//! Jobs without HTTP: requests that are calls, by the owner of the folder of apps.

use bytes::Bytes;
use frond_server::config::{Config, JobRole, Role};
use frond_server::{Embedded, ReplyBody};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::common::{EVENTS, apps, by_key, config, token, within};

async fn call(jobs: &Embedded, method: &str, path: &str, body: String) -> Response<ReplyBody> {
    let request = Request::builder().method(method).uri(path).header("accept", EVENTS);
    within(jobs.call(request.body(Full::new(Bytes::from(body))).unwrap())).await
}

async fn json(reply: Response<ReplyBody>) -> Value {
    serde_json::from_slice(&within(reply.into_body().collect()).await.unwrap().to_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_folder_needs_no_token_and_reaches_only_jobs() {
    let folder = apps();
    let (_, token) = token("one", Role::Observer);
    let jobs = Embedded::start(folder.path(), Config { tokens: vec![token], ..config() }).await.unwrap();
    jobs.ready().await;
    let job = json(call(&jobs, "POST", "/v1/apps/caller/jobs", by_key(&["ok-1"])).await).await;
    assert_eq!((&job["app"], &job["caller"]), (&json!("caller"), &json!("local")), "{job}");
    assert_eq!(call(&jobs, "GET", "/v1/jobs", String::new()).await.status(), 200);
    for path in ["/v1/apps", "/v1/queries", "/metrics", "/healthz", "/"] {
        assert_eq!(call(&jobs, "GET", path, String::new()).await.status(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_while_the_job_runs_and_the_end_releases_it() {
    let folder = apps();
    let jobs = Embedded::start(folder.path(), config()).await.unwrap();
    jobs.ready().await;
    let job = json(call(&jobs, "POST", "/v1/apps/caller/jobs", by_key(&["ok-1", "spin"])).await).await;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let mut events = call(&jobs, "GET", &format!("{path}/events"), String::new()).await.into_body();
    let mut text = String::new();
    while !text.contains("ok-1") {
        let frame = within(events.frame()).await.expect("the job runs").unwrap();
        text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
    }
    assert_eq!(json(call(&jobs, "GET", &path, String::new()).await).await["state"], "running");
    drop(events);
    within(jobs.end()).await;
    let mut config = config();
    config.jobs.role = JobRole::Dispatcher;
    let jobs = Embedded::start(folder.path(), config).await.unwrap();
    assert_eq!(json(call(&jobs, "GET", &path, String::new()).await).await["state"], "queued");
}

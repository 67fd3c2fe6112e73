//! Servers whose store of jobs is a database: away, silent, and back.

use std::time::Duration;

use frond_server::config::{Config, JobRole, Time};
use frond_testkit::{Postgres, Proxy};

use crate::common::{Served, by_key, config, send};

/// Asks until it is answered so.
async fn until(served: &Served, path: &str, status: u16, text: &str) {
    let asking = async {
        loop {
            let reply = served.get(path).await;
            if reply.status == status && String::from_utf8_lossy(&reply.body).contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::common::PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("{path} is never {status} {text}"));
}

fn with_store(url: &str, role: JobRole) -> Config {
    let mut config = config();
    config.jobs.store = Some(url.to_owned());
    config.jobs.role = role;
    config.jobs.store_wait = Time(Duration::from_secs(300));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_that_the_store_of_jobs_is_silent() {
    let Some(database) = Postgres::start() else { return };
    let proxy = Proxy::before(database.port()).await;
    let url = proxy.url("postgres");
    let all = Served::with(with_store(&url, JobRole::All)).await;
    let processor = Served::with(with_store(&url, JobRole::Processor)).await;
    let ready = async || {
        until(&all, "/readyz", 200, "ready\n").await;
        until(&all, "/readyz/jobs", 200, "ready\n").await;
        until(&processor, "/readyz", 200, "ready\n").await;
    };
    ready().await;
    proxy.fall_silent();
    let away = "the store of jobs cannot be reached";
    until(&all, "/readyz/jobs", 503, away).await;
    // Queries need no store; who is there for jobs alone does.
    until(&all, "/readyz", 200, away).await;
    until(&processor, "/readyz", 503, away).await;
    all.ask("caller", by_key(&["ok"])).await.expect(200);
    let refused = send(all.request(reqwest::Method::POST, "/v1/apps/caller/jobs").body(by_key(&["ok"]))).await;
    refused.problem(503, "unavailable", "cannot be reached");
    proxy.speak();
    ready().await;
    let job = send(all.request(reqwest::Method::POST, "/v1/apps/caller/jobs").body(by_key(&["ok"]))).await;
    assert!([200, 202].contains(&job.status), "{}", job.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_not_told_what_the_database_says() {
    let Some(database) = Postgres::start() else { return };
    let served = Served::with(with_store(&database.url("postgres"), JobRole::All)).await;
    database.psql("ALTER TABLE jobs RENAME COLUMN share TO shares");
    let refused = send(served.request(reqwest::Method::POST, "/v1/apps/caller/jobs").body(by_key(&["ok"]))).await;
    let text = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(refused.status == 500 && text.contains("internal") && !text.contains("share"), "{text}");
}

//! Stores of jobs: databases that are unavailable, silent and back, and settings of stores.

use std::time::Duration;

use frond_jobs::store::JobFilter;
use frond_jobs::{JobStore, sqlite};
use frond_server::config::{Config, JobRole, Time};
use frond_server::{Order, Starting};
use frond_testkit::{Postgres, Proxy};
use serde_json::{Value, json};

use crate::common::{Served, apps, by_key, config, send, within};
use crate::jobs::{ended, submit};

/// Polls until the reply has this status and text.
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
    // Queries need no store; a processor does.
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

/// Opens a store once its last server has released it: tasks may end after the server.
async fn let_go(folder: &std::path::Path) -> sqlite::SqliteStore {
    loop {
        match sqlite::SqliteStore::open(folder, sqlite::Options::default()) {
            Ok(store) => return store,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_may_be_lost_as_often_as_the_settings_say() {
    for (lives, state) in [(2, "failed"), (3, "succeeded")] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config();
        config.jobs.store = Some(folder.path().join("jobs").to_str().unwrap().to_owned());
        config.jobs.lives = lives;
        config.jobs.role = JobRole::Dispatcher;
        let dispatcher = Served::with(config.clone()).await;
        let job = submit(&dispatcher, "caller", by_key(&["ok"])).await;
        dispatcher.order(Order::Stop).await;
        let task = dispatcher.task;
        let apps = dispatcher.folder;
        within(task).await.unwrap();
        let store = within(let_go(&folder.path().join("jobs"))).await;
        for _ in 0..2 {
            store.take("lost", &JobFilter::All, Duration::ZERO).await.unwrap().expect("its lease is over at once");
        }
        drop(store);
        config.jobs.role = JobRole::All;
        let served = Served::of(apps, config).await;
        let job = ended(&served, &job).await;
        assert_eq!(job["state"], state, "{lives}: {job}");
        let reason = if state == "failed" { json!("lost") } else { Value::Null };
        assert_eq!(job["reason"]["reason"], reason, "{lives}: {job}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_the_store_is_in_the_file_that_the_settings_name() {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let Some(database) = Postgres::start_encrypted(&signed.cert.pem(), &signed.signing_key.serialize_pem()) else {
        return;
    };
    database.psql("CREATE ROLE secret LOGIN SUPERUSER PASSWORD 'pass:word/@'");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let url = format!("postgres://secret@127.0.0.1:{}/postgres?sslmode=require", database.port());
    let mut config = with_store(&url, JobRole::All);
    config.jobs.password_file = Some(file.clone());
    std::fs::write(&file, "another\n").unwrap();
    let refused = Starting::new(apps().path(), config.clone()).await.map(|_| ());
    assert!(refused.is_err(), "the password is wrong");
    std::fs::write(&file, "pass:word/@\n").unwrap();
    let served = Served::of(apps(), config).await;
    let job = submit(&served, "caller", by_key(&["ok"])).await;
    assert_eq!(ended(&served, &job).await["state"], "succeeded");
}

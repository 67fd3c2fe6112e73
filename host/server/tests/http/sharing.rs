//! Several servers on one database: a job is resumed by another server, or left to one that can run
//! it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use frond_jobs::store::Artifact;
use frond_jobs::{JobStore, postgres};
use frond_server::Order;
use frond_server::config::{Config, JobRole, Time};
use frond_testkit::Postgres;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::common::{Served, app, apps, by_key, config, plugin, send, within};

/// A database for one test.
struct Database {
    server: &'static Postgres,
    name: String,
}

impl Database {
    /// Creates a database; `None`, with a message, if there is no PostgreSQL.
    async fn new() -> Option<Self> {
        static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let start = || SERVER.get_or_init(Postgres::start);
        let server = tokio::task::spawn_blocking(start).await.unwrap().as_ref()?;
        let name = format!("sharing_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        server.run("postgres", &format!("CREATE DATABASE {name}"));
        Some(Self { server, name })
    }

    fn url(&self) -> String {
        self.server.url(&self.name)
    }

    fn run(&self, sql: &str) {
        self.server.run(&self.name, sql);
    }
}

/// Settings with a short lease, so that a lost job is resumed soon.
fn sharing(database: &Database) -> Config {
    let mut config = config();
    config.jobs.store = Some(database.url());
    config.jobs.lease = Time(Duration::from_secs(2));
    config
}

fn edit(folder: &TempDir, change: impl Fn(String) -> String) {
    edit_of(folder, "caller", change);
}

/// Changes the manifest of an app.
fn edit_of(folder: &TempDir, app: &str, change: impl Fn(String) -> String) {
    let path = folder.path().join(app).join("frond.toml");
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
}

/// Gives the app `caller` another component that does the same.
fn mark(folder: &TempDir) {
    mark_of(folder, "caller");
}

/// Gives an app another component.
fn mark_of(folder: &TempDir, app: &str) {
    let mut bytes = fs::read(plugin("faulty")).unwrap();
    bytes.extend([0, 6, 4, b'm', b'a', b'r', b'k', 1]);
    let path: &Path = &folder.path().join(app).join("faulty.wasm");
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

async fn submit(served: &Served, parameters: &str, keys: &[&str]) -> String {
    let request = served.request(Method::POST, &format!("/v1/apps/caller/jobs{parameters}"));
    let job = send(request.body(by_key(keys))).await.expect(202).json();
    job["id"].as_str().unwrap().to_owned()
}

/// Waits until the job fulfils a condition, and returns it.
async fn until(served: &Served, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let polling = async {
        loop {
            let job = served.json(&format!("/v1/jobs/{id}")).await;
            if wanted(&job) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(polling).await
}

fn done(count: u64) -> impl Fn(&Value) -> bool {
    move |job| job["partitions"]["done"].as_u64() >= Some(count)
}

async fn stop(served: Served) {
    served.order(Order::Stop).await;
    within(served.task).await.unwrap();
}

/// Ends a job that would not end by itself, with the partials that it has.
async fn finish(served: &Served, id: &str) -> Value {
    send(served.request(Method::DELETE, &format!("/v1/jobs/{id}?keep-partial=true"))).await.expect(202);
    until(served, id, |job| !job["finished_unix_ms"].is_null()).await
}

/// One server plans a job and stops. The other, whose apps `change` has changed, resumes it under
/// the same version.
async fn goes_on(change: impl Fn(&TempDir)) {
    let Some(database) = Database::new().await else { return };
    let first = Served::of(apps(), sharing(&database)).await;
    let id = submit(&first, "", &["ok-0", "ok-1", "spin"]).await;
    let began = until(&first, &id, done(2)).await;
    let folder = apps();
    change(&folder);
    let second = Served::of(folder, sharing(&database)).await;
    stop(first).await;
    let running = until(&second, &id, |job| job["epoch"].as_u64() >= Some(2) && job["state"] == "running").await;
    assert_eq!(running["version"], began["version"]);
    second.leaves(1).await;
    let ended = finish(&second, &id).await;
    assert_eq!(ended["partitions"]["done"], 2, "{ended}");
    let answer = second.get(&format!("/v1/jobs/{id}/result")).await.expect(200);
    assert_eq!((&answer.json()["count"], answer.header("content-type")), (&json!(2), "application/json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_makes_no_other_version() {
    goes_on(|folder| edit(folder, |text| format!("# the second server's\n{text}"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_only_the_first_server_had_is_had_from_the_store() {
    goes_on(|folder| {
        mark(folder);
        edit(folder, |text| text.replace("application/json", "text/x-other"));
    })
    .await;
}

/// Contents of the files `a` to `e`; each has another sum of bytes.
const FILES: [(&str, &str); 5] = [("a", "1"), ("b", "22"), ("c", "333"), ("d", "4444"), ("e", "55555")];

/// A folder with the app `files`, each of whose leaves reads one file.
fn files() -> TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let source = "[source]\nkind = \"files\"\nglob = \"data/*\"\n[query]\nfloor = \"all\"\n";
    app(folder.path(), "files", &format!("{source}[[grants.http]]\nhost = \"127.0.0.1:*\"\n"));
    fs::create_dir(folder.path().join("files/data")).unwrap();
    for (name, text) in FILES {
        fs::write(folder.path().join("files/data").join(name), text).unwrap();
    }
    folder
}

/// A service that answers only once `open` is set. Returns its address.
async fn service(open: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if open.load(Ordering::SeqCst) {
                let fine = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                let _ = stream.write_all(fine.as_bytes()).await;
            }
            waiting.push(stream);
        }
    });
    address
}

/// One server plans a job of files, reads two of them and stops.
/// The other has a copy of the app in another folder, which `change` has changed, and finishes the
/// job.
async fn files_go_on(change: impl Fn(&TempDir)) {
    let Some(database) = Database::new().await else { return };
    // A leaf that waits keeps its slot.
    let mut config = Config { slots: 1, waiting: 0, ..sharing(&database) };
    config.jobs.lease = Time(Duration::from_secs(600));
    let open = Arc::new(AtomicBool::new(false));
    let address = service(open.clone()).await;
    let original = files();
    let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let copied = Command::new("cp").arg("-pR").arg(original.path().join("files")).arg(copy.path()).status();
    assert!(copied.unwrap().success());
    change(&copy);
    let first = Served::of(original, config.clone()).await;
    // The only slot waits on the third file.
    let query = json!({ "fault": "read-source", "faults": { "data/c": format!("http:http://{address}/") } });
    let request = first.request(Method::POST, "/v1/apps/files/jobs").body(query.to_string());
    let id = send(request).await.expect(202).json()["id"].as_str().unwrap().to_owned();
    let began = until(&first, &id, done(2)).await;
    let place = first.folder.path().to_path_buf();
    stop(first).await;
    assert!(!place.exists(), "the files that were planned are gone");
    open.store(true, Ordering::SeqCst);
    let second = Served::of(copy, config).await;
    let ended = until(&second, &id, |job| !job["finished_unix_ms"].is_null()).await;
    assert_eq!((&began["partitions"]["done"], &ended["partitions"]["done"]), (&json!(2), &json!(5)), "{ended}");
    assert_eq!(
        (&ended["state"], &ended["epoch"], &ended["version"]),
        (&json!("succeeded"), &json!(2), &began["version"])
    );
    let answer = second.get(&format!("/v1/jobs/{id}/result")).await.expect(200).json();
    for (name, text) in FILES.into_iter().filter(|(name, _)| *name != "c") {
        let sum: u64 = text.bytes().map(u64::from).sum();
        assert_eq!(answer["reports"][format!("data/{name}")]["sum"], sum, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_files_goes_on_with_a_copy_of_its_app_in_another_folder() {
    files_go_on(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_files_goes_on_with_the_version_in_the_store_and_the_files_that_are_here() {
    files_go_on(|folder| {
        mark_of(folder, "files");
        edit_of(folder, "files", |text| text.replace("application/json", "text/x-other"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_by_another_server_is_noticed_long_before_the_lease_is_renewed() {
    let Some(database) = Database::new().await else { return };
    let mut owner = sharing(&database);
    owner.jobs.lease = Time(Duration::from_secs(3600));
    let mut other = owner.clone();
    other.jobs.role = JobRole::Dispatcher;
    let first = Served::of(apps(), owner).await;
    let second = Served::of(apps(), other).await;
    let id = submit(&first, "", &["ok-0", "spin"]).await;
    until(&second, &id, done(1)).await;
    first.leaves(1).await;
    send(second.request(Method::DELETE, &format!("/v1/jobs/{id}"))).await.expect(202);
    first.leaves(0).await;
    let ended = until(&first, &id, |job| !job["finished_unix_ms"].is_null()).await;
    assert_eq!((&ended["state"], &ended["epoch"]), (&json!("cancelled"), &json!(1)), "{ended}");
}

/// A job of the version of a stopped server; the second server has another version.
async fn left(parameters: &str, prepare: impl Fn(&TempDir), before: impl Fn(&Database)) -> Option<(Served, String)> {
    let database = Database::new().await?;
    let folder = apps();
    prepare(&folder);
    let first = Served::of(folder, sharing(&database)).await;
    let id = submit(&first, parameters, &["ok-0", "spin"]).await;
    until(&first, &id, done(1)).await;
    stop(first).await;
    before(&database);
    let folder = apps();
    mark(&folder);
    Some((Served::of(folder, sharing(&database)).await, id))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_version_nobody_has_is_left_until_its_time_is_over_and_then_says_so() {
    let lose = |database: &Database| database.run("DELETE FROM artifacts");
    let Some((second, id)) = left("?timeout=4s", |_| {}, lose).await else { return };
    let other = submit(&second, "", &["ok-0"]).await;
    until(&second, &other, |job| job["state"] == "succeeded").await;
    let job = until(&second, &id, |job| !job["finished_unix_ms"].is_null()).await;
    assert_eq!((&job["state"], &job["reason"]["reason"]), (&json!("failed"), &json!("incompatible")), "{job}");
    let detail = job["reason"]["detail"].as_str().unwrap();
    assert!(detail.contains("no server that has it took the job within its timeout"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_granted_more_is_left_to_others() {
    let grant = |folder: &TempDir| edit(folder, |text| format!("{text}[grants]\nenv = [\"HOME\"]\n"));
    let Some((second, id)) = left("?timeout=1h", grant, |_| {}).await else { return };
    // The job was taken, checked and released.
    let job = until(&second, &id, |job| job["epoch"].as_u64() >= Some(2) && job["state"] == "queued").await;
    assert_eq!(job["partitions"]["done"], 1);
    let other = submit(&second, "", &["ok-0"]).await;
    until(&second, &other, |job| job["state"] == "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_go_with_the_jobs_that_needed_them() {
    let Some(database) = Database::new().await else { return };
    let served = Served::of(apps(), sharing(&database)).await;
    let id = submit(&served, "", &["ok-0", "spin"]).await;
    let job = until(&served, &id, done(1)).await;
    let version = job["version"].as_str().unwrap();
    let store =
        postgres::PostgresStore::open(&database.url().as_str().into(), postgres::Options::default()).await.unwrap();
    database.run("UPDATE artifacts SET used = 0");
    store.sweep().await.unwrap();
    let Artifact { blobs, .. } = store.artifact("caller", version).await.unwrap().expect("a job needs it");
    assert_eq!(blobs.len(), 2, "one component in two roles, and the manifest");
    finish(&served, &id).await;
    send(served.request(Method::POST, &format!("/v1/jobs/{id}/redrive"))).await.expect(202);
    until(&served, &id, |job| job["state"] == "running").await;
    stop(served).await;
    database.run("UPDATE jobs SET state = 'succeeded'");
    database.run("UPDATE artifacts SET used = 0");
    assert_eq!(store.sweep().await.unwrap().blobs_removed, 2);
    assert_eq!(store.artifact("caller", version).await.unwrap(), None);
}

//! Crash tests of jobs: servers are killed and frozen, and the database goes away, at arbitrary
//! moments. No partial is lost, none counts twice, and the answer is that of an undisturbed query.
//! `make test` has a few faults, `make soak` many. Each counted fault is known to have happened
//! while the job ran.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use frond_testkit::Postgres;
use serde_json::Value;

use crate::kit::{Folder, frond, plugin};
use crate::server::{Server, client};

/// Partitions of the job.
const PARTITIONS: usize = 2_000;
/// Distinct words in each partition: a partial has some 80 KB.
const WORDS: usize = 8_000;
/// Limits of the app. The memory for partials is a small part of their total size, so that a
/// resumed job has to hold leaves back.
const LIMITS: &str = "[limits.leaf]\noutput = \"256KiB\"\n[limits.merge]\npartials = \"16MiB\"\n";
/// Timeout of waits, longer than any test needs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Returns `few` in `make test`, and `many` in `make soak`.
pub(crate) fn faults(few: usize, many: usize) -> usize {
    let soaks = std::env::var("FROND_SOAK_SECONDS").is_ok();
    if soaks { many } else { few }
}

/// Returns an app that counts the words of many files, all of which are hard links to one.
fn app() -> Arc<Folder> {
    let folder = Folder::new();
    let text = (0..WORDS).fold(String::new(), |mut all, number| {
        writeln!(all, "w{number:07}").unwrap();
        all
    });
    folder.write("apps/words/data/0000.txt", text);
    let first = folder.path("apps/words/data/0000.txt");
    for index in 1..PARTITIONS {
        std::fs::hard_link(&first, folder.path(&format!("apps/words/data/{index:04}.txt"))).unwrap();
    }
    std::fs::copy(plugin("wordcount"), folder.path("apps/words/wordcount.wasm")).unwrap();
    let component = "component = \"wordcount.wasm\"";
    let source = "[source]\nkind = \"files\"\nglob = [\"data/*.txt\"]\npiece-size = \"1MiB\"\ncut = \"lines\"";
    let manifest = format!(
        "content-type = \"application/json\"\n[leaf]\n{component}\n[merge]\n{component}\n{source}\n[query]\ndeadline = \"120s\"\nfloor = \"all\"\n{LIMITS}"
    );
    folder.write("apps/words/frond.toml", manifest);
    Arc::new(folder)
}

/// Returns the answer of an undisturbed query.
fn undisturbed(folder: &Folder) -> Vec<u8> {
    frond(["query", "apps/words", "{}"]).dir(folder.dir()).run().expect(0).stdout
}

/// Returns settings of a server with this name and a job lease of one second. The database aborts
/// its open transactions after three seconds idle.
pub(crate) fn settings(name: &str, database: Option<&Postgres>) -> String {
    let store = database.map_or(String::new(), |database| {
        let idle = "options=-c%20idle_in_transaction_session_timeout%3D3000";
        format!("store = \"{}?{idle}\"\n", database.url("postgres"))
    });
    format!("state = \"{name}\"\n[jobs]\nlease = \"1s\"\n{store}")
}

async fn submit(server: &Server) -> String {
    let submitted = server.json(client().post(format!("{}/v1/apps/words/jobs", server.url)).body("{}")).await;
    submitted["id"].as_str().unwrap_or_else(|| panic!("{submitted}")).to_owned()
}

pub(crate) async fn job(server: &Server, id: &str) -> Value {
    server.json(client().get(format!("{}/v1/jobs/{id}", server.url))).await
}

fn count(job: &Value, what: &str) -> usize {
    job["partitions"][what].as_u64().unwrap_or_else(|| panic!("no count of {what}: {job}")) as usize
}

/// Waits until `wanted` partitions are done. Returns their number, or `None` if the job has ended.
async fn until(server: &Server, id: &str, wanted: usize) -> Option<usize> {
    let waiting = async {
        loop {
            let job = job(server, id).await;
            let ended = job["finished_unix_ms"].is_u64();
            let done = count(&job, "done");
            if ended || done >= wanted {
                return (!ended).then_some(done);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the job goes on")
}

/// Waits for the job's end, and asserts that it has succeeded, counts each partition once, and has
/// the answer `whole`.
async fn ends_well(server: &Server, id: &str, whole: &[u8]) -> Value {
    until(server, id, PARTITIONS + 1).await;
    let ended = job(server, id).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!((count(&ended, "done"), count(&ended, "pending")), (PARTITIONS, 0), "{ended}");
    assert_eq!(ended["coverage"]["complete"], true, "{ended}");
    let result = client().get(format!("{}/v1/jobs/{id}/result", server.url)).send().await.unwrap();
    assert!(result.bytes().await.unwrap() == whole, "the answer is not that of a query");
    ended
}

/// Kills the server, and starts it again.
async fn kill(server: &mut Server) {
    server.kill_and_start();
    server.ready().await;
}

/// Stops the database until the server has noticed, and starts it again.
async fn cut_off(server: &Server, database: &Postgres) {
    let before = unreached(server).await;
    database.stop();
    server.until("it says that its store is away", async || status(server).await == 503).await;
    server.until("its processor has met that", async || unreached(server).await > before).await;
    database.start_again();
    server.until("its store is back", async || status(server).await == 200).await;
}

async fn status(server: &Server) -> u16 {
    let asked = client().get(format!("{}/v1/jobs?limit=1", server.url)).send().await.expect("it answers");
    asked.status().as_u16()
}

/// Returns how many calls of the processor have failed to reach the store.
async fn unreached(server: &Server) -> f64 {
    let metrics = server.metrics().await;
    let failed = ["accept", "append", "renew", "take"].map(|call| {
        let call = format!("call=\"{call}\"");
        metrics.sum("frond_jobs_store_errors_total", &[&call, "error=\"unavailable\""])
    });
    failed.iter().sum()
}

/// Runs one job after the other until `faults` have happened: kills, and every third time an outage
/// of the database, if there is one.
async fn outlive(mut server: Server, database: Option<&Postgres>, faults: usize, whole: &[u8]) {
    server.ready().await;
    let mut jobs = 0;
    let mut struck = 0;
    let step = PARTITIONS / (faults + 2);
    while struck < faults {
        let id = submit(&server).await;
        let mut before = 0;
        let mut killed = 0;
        // The distance to a commit varies from fault to fault.
        while let Some(done) = until(&server, &id, before + 1 + (struck * 7919) % step).await
            && struck < faults
        {
            assert!(done >= before, "what was accepted is lost: {done} of {before}");
            let cuts = database.filter(|_| struck % 3 == 1);
            match cuts {
                Some(database) => cut_off(&server, database).await,
                None => kill(&mut server).await,
            }
            let left = job(&server, &id).await;
            let kept = count(&left, "done");
            assert!(kept >= done, "what was told is lost: {kept} of {done}");
            // A kill after the job's end does not count. A job cannot end during an outage of its
            // database.
            let counts = cuts.is_some() || left["finished_unix_ms"].is_null();
            killed += u64::from(counts && cuts.is_none());
            struck += usize::from(counts);
            before = kept;
        }
        let ended = ends_well(&server, &id, whole).await;
        // Each kill ends a lease, so the job's epoch exceeds the number of kills.
        assert!(ended["epoch"].as_u64().unwrap() > killed, "{killed} kills: {ended}");
        jobs += 1;
        assert!(jobs <= 2 * faults, "jobs end before anything can happen to them: {struck} faults in {jobs}");
    }
    println!("{struck} faults, {jobs} jobs");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_its_server_however_often_that_is_killed() {
    let folder = app();
    let whole = undisturbed(&folder);
    let server = Server::of(&folder, "server", &settings("kept", None));
    outlive(server, None, faults(5, 50), &whole).await;
    assert!(folder.path("kept/jobs").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_its_server_and_its_database() {
    let Some(database) = Postgres::start() else { return };
    let folder = app();
    let whole = undisturbed(&folder);
    let server = Server::of(&folder, "server", &settings("kept", Some(&database)));
    outlive(server, Some(&database), faults(5, 50), &whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_was_frozen_past_its_lease_cannot_disturb_its_successor() {
    let Some(database) = Postgres::start() else { return };
    let folder = app();
    let whole = undisturbed(&folder);
    let mut first = Server::of(&folder, "first", &settings("first", Some(&database)));
    first.ready().await;
    let id = submit(&first).await;
    until(&first, &id, 10).await.expect("the job is under way");
    first.freeze().await;
    let second = Server::of(&folder, "second", &settings("second", Some(&database)));
    second.ready().await;
    second.until("it has taken the job over", async || job(&second, &id).await["epoch"].as_u64().unwrap() > 1).await;
    first.thaw();
    first
        .until("it knows that the job is another's", async || {
            first.metrics().await.sum("frond_jobs_leases_lost_total", &[]) >= 1.0
        })
        .await;
    // The processor checks its own lease first, and asks the store only while that is valid.
    let log = first.log();
    let messages = ["job abandoned: its lease could not be renewed in time", "job lost to another processor"];
    assert!(messages.iter().any(|how| log.contains(how)), "{log}");
    let ended = ends_well(&second, &id, &whole).await;
    let mut accepted = 0.0;
    for server in [&first, &second] {
        accepted += server.metrics().await.sum("frond_jobs_partials_accepted_total", &[]);
    }
    // A cut partition has two partials.
    let cuts = ended["coverage"]["attempts"]["cuts"].as_u64().unwrap();
    assert!(accepted <= (PARTITIONS as u64 + cuts) as f64, "some partition was accepted twice: {accepted}");
    assert!(second.metrics().await.sum("frond_jobs_resumed_total", &[]) >= 1.0);
    first.stop();
    second.stop();
}

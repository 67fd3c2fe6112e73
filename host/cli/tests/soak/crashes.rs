//! A job whose server is killed again and again, at moments that nobody chose: nothing is lost, nothing counts twice, and
//! the answer is that of a query that nobody disturbed. A few times in `make test`, fifty in `make soak`.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use crate::kit::{Folder, frond, plugin};
use crate::server::{Server, client};

/// Partitions of the job.
const PARTITIONS: usize = 2_000;
/// Bytes of each.
const PIECE: usize = 96 << 10;
/// A job stays with a server that is gone for so long.
const SETTINGS: &str = "[jobs]\nlease = \"1s\"\n";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

fn kills() -> usize {
    let soaks = std::env::var("FROND_SOAK_SECONDS").is_ok();
    if soaks { 50 } else { 5 }
}

/// Word counts of a text in many pieces: all are one file, as far as the disk is concerned.
fn app() -> Folder {
    let folder = Folder::new();
    let text = include_str!("../../../../examples/wordcount/data/sonnet-18.txt");
    let text: String = text.lines().cycle().take(PIECE / 40).fold(String::new(), |mut all, line| {
        writeln!(all, "{line}").unwrap();
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
        "content-type = \"application/json\"\n[leaf]\n{component}\n[merge]\n{component}\n{source}\n[query]\ndeadline = \"120s\"\nfloor = \"all\"\n"
    );
    folder.write("apps/words/frond.toml", manifest);
    folder
}

async fn job(server: &Server, id: &str) -> Value {
    server.json(client().get(format!("{}/v1/jobs/{id}", server.url))).await
}

fn count(job: &Value, what: &str) -> usize {
    job["partitions"][what].as_u64().unwrap_or_else(|| panic!("no count of {what}: {job}")) as usize
}

/// Waits until so many partitions are in. How many then are; nothing once the job has ended.
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

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_its_server_however_often_that_is_killed() {
    let folder = app();
    let whole = frond(["query", "apps/words", "{}"]).dir(folder.dir()).run().expect(0).stdout;
    let mut server = Server::of(folder, SETTINGS);
    server.ready().await;
    let submitted = server.json(client().post(format!("{}/v1/apps/words/jobs", server.url)).body("{}")).await;
    let id = submitted["id"].as_str().unwrap_or_else(|| panic!("{submitted}")).to_owned();
    let (mut killed, mut before) = (0, 0);
    let step = PARTITIONS / (kills() + 2);
    while killed < kills() {
        // Not at the same distance from a commit each time.
        let Some(done) = until(&server, &id, before + 1 + (killed * 7919) % step).await else { break };
        assert!(done >= before, "what was accepted is lost: {done} of {before}");
        server.kill_and_start();
        server.ready().await;
        let kept = count(&job(&server, &id).await, "done");
        assert!(kept >= done, "what was told is lost: {kept} of {done}");
        (killed, before) = (killed + 1, kept);
    }
    until(&server, &id, PARTITIONS + 1).await;
    let ended = job(&server, &id).await;
    println!("killed {killed} times; owners: {}", ended["epoch"]);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!((count(&ended, "done"), count(&ended, "pending")), (PARTITIONS, 0), "{ended}");
    assert!(killed * 2 >= kills(), "the job ended too soon: it was killed {killed} times");
    assert!(ended["epoch"].as_u64().unwrap() > 1 && ended["coverage"]["complete"] == true, "{ended}");
    let result = client().get(format!("{}/v1/jobs/{id}/result", server.url)).send().await.unwrap();
    assert_eq!(result.bytes().await.unwrap(), whole);
    assert!(server.folder().path("apps/.frond/jobs").is_dir());
    server.stop();
}

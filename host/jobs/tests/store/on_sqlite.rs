//! Faults specific to files: damaged, foreign and full files, and killed writers.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use frond_jobs::clock::SetClock;
use frond_jobs::sqlite::{Options, SqliteStore};
use frond_jobs::store::{Filter, NewJob, Outcome, Page};
use frond_jobs::{End, JobState, JobStore, LateStore, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::kit::{
    OLDER, Store, a_migrated_store_goes_on, answering, at, degraded, done, ended, get, id, job, name, part, plan,
    planning, result, rows, running, take,
};

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store");
    (folder, path)
}

fn open(path: &Path) -> Store {
    open_with(path, Options::default())
}

fn open_with(path: &Path, options: Options) -> Store {
    Store::with(|clock| SqliteStore::open(path, Options { clock: Some(clock), ..options }).unwrap())
}

fn refusal(path: &Path) -> &'static str {
    name(&SqliteStore::open(path, Options::default()).map(|_| ()))
}

/// All files of large bytes.
fn blobs(path: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(path.join("blobs")).unwrap();
    folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()).map(|file| file.unwrap().path()).collect()
}

fn large(byte: u8) -> Bytes {
    Bytes::from(vec![byte; 2 << 20])
}

#[tokio::test]
async fn only_the_owner_can_read_it() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = running(&store, 1).await;
    store.accept(job, epoch, vec![result(0, Outcome::Done(large(1)))]).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("blobs")), 0o700);
    for file in ["jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.lock"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&blobs(&path)[0]), 0o600);
}

#[tokio::test]
async fn what_a_killed_process_had_is_taken_up_at_once_when_leases_are_let_lapse() {
    let (_folder, path) = folder();
    let (job, epoch) = running(&open(&path), 2).await;
    let clock = SetClock::default();
    let store = SqliteStore::open(&path, Options { clock: Some(clock.clone()), ..Options::default() }).unwrap();
    store.lapse().await.unwrap();
    let store = Store::of(store, clock);
    let next = take(&store, 11).await.unwrap();
    assert_eq!((next.job.id, next.epoch), (job, epoch + 1));
    assert_eq!(name(&store.accept(job, epoch, vec![done(0)]).await), "fenced");
    // The new owner keeps its lease.
    assert!(take(&store, 12).await.is_none());
}

#[tokio::test]
async fn it_is_open_once_at_a_time() {
    let (_folder, path) = folder();
    let store = open(&path);
    assert_eq!(refusal(&path), "unavailable");
    drop(store);
    open(&path).submit(job(1)).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt() {
    let (_folder, path) = folder();
    fs::create_dir(&path).unwrap();
    let text = "This is a text of some length. ".repeat(100);
    fs::write(path.join("jobs.db"), &text).unwrap();
    assert_eq!(refusal(&path), "corrupt");
    assert_eq!(fs::read_to_string(path.join("jobs.db")).unwrap(), text);
}

#[tokio::test]
async fn the_database_of_another_program_is_left_alone() {
    let (_folder, path) = folder();
    fs::create_dir(&path).unwrap();
    let theirs = Connection::open(path.join("jobs.db")).unwrap();
    theirs.execute_batch("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('Yesterday')").unwrap();
    assert_eq!(refusal(&path), "corrupt");
    let tables: i64 = theirs.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn a_damaged_file_is_corrupt() {
    let (_folder, path) = folder();
    let store = open(&path);
    running(&store, 2000).await;
    drop(store);
    let file = path.join("jobs.db");
    let size = fs::metadata(&file).unwrap().len();
    let mut damaged = OpenOptions::new().write(true).open(&file).unwrap();
    for page in 2..size / 4096 {
        damaged.seek(SeekFrom::Start(page * 4096)).unwrap();
        damaged.write_all(&[0xA5; 512]).unwrap();
    }
    drop(damaged);
    assert_eq!(refusal(&path), "corrupt");
    // A truncated file.
    OpenOptions::new().write(true).open(&file).unwrap().set_len(size / 2 + 100).unwrap();
    assert_eq!(refusal(&path), "corrupt");
}

#[tokio::test]
async fn a_file_that_is_marked_read_only_is_not_written() {
    let (_folder, path) = folder();
    drop(open(&path));
    fs::set_permissions(path.join("jobs.db"), fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(refusal(&path), "read only");
    fs::set_permissions(path.join("jobs.db"), fs::Permissions::from_mode(0o600)).unwrap();
    drop(open(&path));
}

#[tokio::test]
async fn a_file_of_a_newer_frond_is_refused() {
    let (_folder, path) = folder();
    drop(open(&path));
    let connection = Connection::open(path.join("jobs.db")).unwrap();
    connection
        .execute("INSERT INTO refinery_schema_history VALUES (9, 'later', '2030-01-01T00:00:00Z', '1')", [])
        .unwrap();
    drop(connection);
    let refused = SqliteStore::open(&path, Options::default()).map(|_| ());
    assert!(matches!(refused, Err(StoreError::Newer { found: 9, known: 8 })), "{refused:?}");
}

#[tokio::test]
async fn an_older_store_is_migrated_with_its_partials() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = running(&store, 3).await;
    store.accept(job, epoch, vec![done(0), degraded(1)]).await.unwrap();
    drop(store);
    let connection = Connection::open(path.join("jobs.db")).unwrap();
    for older in OLDER {
        connection.execute(older, []).unwrap();
    }
    drop(connection);
    a_migrated_store_goes_on(&open(&path), job, epoch).await;
}

#[tokio::test]
async fn the_files_of_replaced_parts_go() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = running(&store, 1).await;
    for (end, byte) in [(1, 1), (2, 2), (3, 3)] {
        store.accept(job, epoch, vec![part(0, [0, end, end], large(byte))]).await.unwrap();
    }
    store.sweep(at(100)).await.unwrap();
    assert_eq!(blobs(&path).len(), 1);
    let partials = store.partials(job, None, u64::MAX).await.unwrap();
    assert_eq!((partials.len(), partials[0].bytes == large(3)), (1, true));
    store.finish(job, epoch, ended(End::Failed, 100)).await.unwrap();
    store.delete(job).await.unwrap();
    store.sweep(at(100)).await.unwrap();
    assert!(blobs(&path).is_empty());
}

#[tokio::test]
async fn a_store_that_is_full_takes_nothing_in_and_can_be_emptied() {
    let (_folder, path) = folder();
    let options = Options { max_bytes: Some(4 << 20), ..Options::default() };
    let store = open_with(&path, options.clone());
    let (held, epoch) = running(&store, 100).await;
    let fat = |number| NewJob { query: Bytes::from(vec![b'q'; 300_000]), ..job(number) };
    let mut jobs = 2;
    let full = loop {
        match store.submit(fat(jobs)).await {
            Ok(_) => jobs += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Full(_)), "{full:?}");
    assert_eq!(name(&store.get(id(jobs)).await), "not found");
    let partial = |index| result(index, Outcome::Done(Bytes::from(vec![b'p'; 400_000])));
    assert_eq!(name(&store.accept(held, epoch, vec![done(0), partial(1)]).await), "full");
    assert_eq!(get(&store, held).await.counts.done, 0);
    let file = result(2, Outcome::Done(large(1)));
    assert_eq!(name(&store.accept(held, epoch, vec![file]).await), "full");
    assert!(blobs(&path).is_empty());
    // Existing jobs can be read, renewed and ended.
    assert!(store.asked(id(2)).await.is_ok());
    store.renew(held, epoch, at(9000)).await.unwrap();
    store.finish(held, epoch, ended(End::Failed, 100)).await.unwrap();
    for number in 2..jobs {
        store.cancel(id(number), false, at(100)).await.unwrap();
    }
    assert_eq!(store.sweep(at(5000)).await.unwrap().expired, jobs - 1);
    assert!(store.submit(fat(1000)).await.unwrap().fresh);
    drop(store);
    assert!(SqliteStore::open(&path, options).unwrap().get(id(1000)).await.is_ok());
}

#[tokio::test]
async fn tombstones_do_not_fill_a_store() {
    let (_folder, path) = folder();
    let store = open_with(&path, Options { max_bytes: Some(4 << 20), ..Options::default() });
    for number in 1..=60 {
        let required = vec!["k".repeat(100 << 10).into()];
        store.submit(NewJob { required, ..job(number) }).await.unwrap();
        store.cancel(id(number), false, at(number)).await.unwrap();
        store.delete(id(number)).await.unwrap();
    }
    assert_eq!(get(&store, id(60)).await.state, JobState::Expired);
}

#[tokio::test]
async fn a_sweep_gives_room_back_to_the_disk() {
    let (_folder, path) = folder();
    let store = open(&path);
    for number in 1..=20 {
        store.submit(NewJob { query: Bytes::from(vec![b'q'; 500_000]), ..job(number) }).await.unwrap();
        store.cancel(id(number), false, at(number)).await.unwrap();
    }
    let before = store.usage().await.unwrap().bytes;
    store.sweep(at(99_999)).await.unwrap();
    drop(store);
    assert!(!path.join("jobs.db-wal").exists());
    assert!(open(&path).usage().await.unwrap().bytes < before / 4);
}

#[tokio::test]
async fn new_jobs_are_refused_before_those_that_run_have_no_room() {
    let (_folder, path) = folder();
    let store = open_with(&path, Options { max_bytes: Some(4 << 20), ..Options::default() });
    let (held, epoch) = running(&store, 100).await;
    let partial = |index| result(index, Outcome::Done(Bytes::from(vec![b'p'; 100_000])));
    let mut index = 0;
    let mut number = 2;
    while store.submit(job(number)).await.is_ok() {
        number += 1;
        if index < 39 {
            store.accept(held, epoch, vec![partial(index)]).await.unwrap();
            index += 1;
        }
    }
    assert_eq!(name(&store.submit(job(number)).await), "full");
    store.accept(held, epoch, vec![partial(99)]).await.unwrap();
    // Ending a job makes room, since its partials are removed.
    store.merge(held, epoch).await.unwrap();
    store.finish(held, epoch, ended(End::Succeeded, 100)).await.unwrap();
    assert!(store.submit(job(number)).await.unwrap().fresh);
}

#[tokio::test]
async fn what_is_deleted_is_given_back_to_the_disk() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = running(&store, 60).await;
    let partial = |index| result(index, Outcome::Done(Bytes::from(vec![b'p'; 500_000])));
    for index in 0..60 {
        store.accept(job, epoch, vec![partial(index)]).await.unwrap();
    }
    store.finish(job, epoch, ended(End::Failed, 100)).await.unwrap();
    assert!(get(&store, job).await.bytes > 30_000_000);
    let before = store.usage().await.unwrap().bytes;
    store.delete(job).await.unwrap();
    store.sweep(at(200)).await.unwrap();
    drop(store);
    assert!(open(&path).usage().await.unwrap().bytes < before / 4);
}

#[tokio::test]
async fn a_file_goes_after_the_last_row_that_refers_to_it() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = running(&store, 3).await;
    let results = vec![result(0, Outcome::Done(large(1))), result(1, Outcome::Done(large(1))), done(2)];
    store.accept(job, epoch, results).await.unwrap();
    assert_eq!(blobs(&path).len(), 1);
    // A late result belongs to no row; a file left by a killed process is incomplete.
    store.accept(job, epoch, vec![result(2, Outcome::Done(large(2)))]).await.unwrap();
    let left = format!("{}.x7Ya", blobs(&path)[0].display());
    fs::write(&left, "half").unwrap();
    assert_eq!(blobs(&path).len(), 3);
    assert_eq!(store.sweep(at(50)).await.unwrap().blobs_removed, 2);
    assert_eq!(store.partials(job, None, u64::MAX).await.unwrap().len(), 3);
    store.finish(job, epoch, ended(End::Failed, 100)).await.unwrap();
    let before = store.usage().await.unwrap().bytes;
    let swept = store.sweep(at(9999)).await.unwrap();
    assert_eq!((swept.expired, swept.blobs_removed), (1, 1));
    assert!(blobs(&path).is_empty());
    assert!(store.usage().await.unwrap().bytes < before - (1 << 20));
}

#[tokio::test]
async fn the_file_of_an_answer_goes_when_its_job_is_redriven() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = running(&store, 1).await;
    store.merge(job, epoch).await.unwrap();
    let end = answering(End::Partial, 100, large(1));
    store.finish(job, epoch, end).await.unwrap();
    assert_eq!(store.sweep(at(200)).await.unwrap().blobs_removed, 0);
    store.redrive(job, at(300)).await.unwrap();
    assert_eq!(store.sweep(at(400)).await.unwrap().blobs_removed, 1);
}

#[tokio::test]
async fn a_file_that_is_gone_or_changed_is_corrupt() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = running(&store, 1).await;
    store.accept(job, epoch, vec![result(0, Outcome::Done(large(1)))]).await.unwrap();
    let file = blobs(&path).remove(0);
    fs::write(&file, large(2)).unwrap();
    assert_eq!(name(&store.partials(job, None, 1).await), "corrupt");
    fs::remove_file(&file).unwrap();
    assert_eq!(name(&store.partials(job, None, 1).await), "corrupt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeps_leave_alone_what_is_being_written() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = running(&store, 24).await;
    let mut accepting = tokio::task::JoinSet::new();
    for index in 0..24 {
        let store = store.clone();
        let partial = result(index, Outcome::Done(large(u8::try_from(index).unwrap() / 2)));
        accepting.spawn(async move { store.accept(job, epoch, vec![partial]).await.unwrap() });
    }
    while !accepting.is_empty() {
        store.sweep(at(50)).await.unwrap();
        accepting.join_next().await;
    }
    assert_eq!(store.partials(job, None, u64::MAX).await.unwrap().len(), 24);
}

#[tokio::test]
async fn results_that_come_at_once_share_a_transaction() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = running(&store, 200).await;
    let log = || fs::metadata(path.join("jobs.db-wal")).unwrap().len();
    let start = log();
    for index in 0..100 {
        store.accept(job, epoch, vec![done(index)]).await.unwrap();
    }
    let alone = log() - start;
    let mut all = tokio::task::JoinSet::new();
    for index in 100..200 {
        let store = store.clone();
        all.spawn(async move { store.accept(job, epoch, vec![done(index)]).await.unwrap() });
    }
    while all.join_next().await.is_some() {}
    let together = log() - start - alone;
    assert!(together * 4 < alone, "{together} bytes of log for 100 at once, {alone} for 100 one by one");
}

/// Prints the index of each acknowledged result until it is killed. The test below runs it in a
/// separate process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other test runs it"]
async fn victim() {
    let Some(path) = std::env::var_os("FROND_VICTIM") else { return };
    let store = open(Path::new(&path));
    let (job, epoch) = running(&store, 100_000).await;
    let mut accepting = tokio::task::JoinSet::new();
    for task in 0..8 {
        let store = store.clone();
        accepting.spawn(async move {
            for index in (task..100_000).step_by(8) {
                let partial = if index % 97 == 0 { large(u8::try_from(index % 251).unwrap()) } else { small(index) };
                store.accept(job, epoch, vec![result(index, Outcome::Done(partial))]).await.unwrap();
                println!("kept {index}");
            }
        });
    }
    while accepting.join_next().await.is_some() {}
}

fn small(index: u32) -> Bytes {
    Bytes::from(format!("partial {index}"))
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    for kills in [1, 300, 1200] {
        let (_folder, path) = folder();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "on_sqlite::victim", "--ignored", "--nocapture"])
            .env("FROND_VICTIM", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(victim.stdout.take().unwrap()).lines();
        let mut kept: Vec<u32> = Vec::new();
        let index = |line: String| line.split_once("kept ").and_then(|(_, index)| index.parse().ok());
        while kept.len() < kills {
            kept.extend(index(output.next().expect("the other process has ended").unwrap()));
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        // Lines printed before the kill. The last line may be cut off.
        let mut rest: Vec<u32> = output.map_while(Result::ok).filter_map(index).collect();
        rest.pop();
        kept.extend(rest);

        let store = open(&path);
        let found = get(&store, id(1)).await;
        assert_eq!(found.state, JobState::Running);
        let partials = store.partials(id(1), None, u64::MAX).await.unwrap();
        assert_eq!(partials.len() as u64, found.counts.done);
        let there: std::collections::HashMap<u32, Bytes> =
            partials.into_iter().map(|one| (one.index, one.bytes)).collect();
        for index in kept {
            let whole = if index % 97 == 0 { large(u8::try_from(index % 251).unwrap()) } else { small(index) };
            assert!(there.get(&index) == Some(&whole), "partition {index} was said to be kept");
        }
        // Another owner resumes the job.
        let next = take(&store, 5000).await.unwrap();
        store.accept(id(1), next.epoch, vec![done(99_999)]).await.unwrap();
        assert_eq!(rows(&store, id(1)).await.len(), 1000);
    }
}

#[tokio::test]
async fn a_plan_that_was_cut_off_leaves_nothing() {
    let (_folder, path) = folder();
    let store = open(&path);
    let (job, epoch) = planning(&store).await;
    let mut planning = store.plan(job, epoch, plan(10));
    let polled = std::future::poll_fn(|context| std::task::Poll::Ready(planning.as_mut().poll(context)));
    assert!(polled.await.is_pending());
    drop(planning);
    // The plan is stored completely or not at all.
    drop(store);
    let store = open(&path);
    let found = get(&store, job).await;
    assert_eq!(rows(&store, job).await.len() as u64, found.counts.partitions);
    assert_eq!(found.planned, found.counts.partitions == 10);
}

#[tokio::test]
async fn a_store_that_is_opened_later_says_why_it_is_not_and_then_works() {
    let (_folder, path) = folder();
    let database = path.join("jobs.db");
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&database, [7; 9000]).unwrap();
    let opened = || SqliteStore::open(&path, Options::default());
    let error = opened().err().unwrap();
    assert!(error.is_mendable(), "{error}");
    let late = LateStore::new(&error);
    let refused = late.ping().await.unwrap_err();
    let text = refused.to_string();
    assert!(
        matches!(refused, StoreError::Unopened(_)) && text.contains("not open: the store of jobs is damaged"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(matches!(late.usage().await, Err(StoreError::Unopened(_))));
    fs::rename(&database, path.join("aside")).unwrap();
    late.open(Arc::new(opened().unwrap()));
    late.ping().await.unwrap();
    assert_eq!(late.list(&Filter::default(), Page { after: None, limit: 9 }).await.unwrap().len(), 0);
}

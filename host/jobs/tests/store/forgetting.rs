//! Data that expire, and data that do not.

use bytes::Bytes;
use frond_jobs::store::{Filter, NewJob, Page, TOMBSTONE_MS};
use frond_jobs::{End, JobState};

use crate::kit::{
    Bench, STONES, Store, answering, at, done, ended, failed, get, id, job, key, name, over, plan, rows, running, take,
};

on_both!(
    a_job_whose_time_is_over_leaves_a_tombstone,
    a_tombstone_goes_in_time,
    the_latest_tombstones_of_each_caller_are_kept,
    what_still_runs_is_not_swept,
    a_key_is_free_again_when_its_job_expires,
    the_answer_of_another_with_the_same_bytes_stays,
    what_is_kept_is_told,
    sweeps_at_once_count_each_job_once,
    partials_go_with_the_end_of_a_job_that_succeeded,
    what_is_deleted_is_gone_at_once,
    what_has_not_ended_is_not_deleted,
);

async fn partials_go_with_the_end_of_a_job_that_succeeded(bench: Bench) {
    let store = bench.store();
    let whole = over(&store, vec![done(0), done(1)], End::Succeeded).await;
    assert!(rows(&store, whole).await.is_empty());
    assert!(store.partials(whole, None, 99).await.unwrap().is_empty());
    let found = get(&store, whole).await;
    let bytes = "query 1".len() + "p0".len() + "planned".len() + "answer".len();
    assert_eq!((found.counts.done, found.counts.partitions, found.bytes), (2, 2, bytes as u64));
    assert!(store.result(whole).await.unwrap().is_some());
    // A redrive resumes with the stored partials.
    store.submit(job(2)).await.unwrap();
    let taken = take(&store, 200).await.unwrap();
    store.plan(id(2), taken.epoch, plan(2)).await.unwrap();
    store.accept(id(2), taken.epoch, vec![done(0)]).await.unwrap();
    store.merge(id(2), taken.epoch).await.unwrap();
    store.finish(id(2), taken.epoch, ended(End::Partial, 300)).await.unwrap();
    assert_eq!(store.partials(id(2), None, 99).await.unwrap().len(), 1);
    let parts = "planned".len() + "file 0".len() + "here".len() + "partial 0".len();
    let kept = ("query 2".len() + "p0".len() + parts) as u64;
    assert_eq!(get(&store, id(2)).await.bytes, kept + "answer".len() as u64);
    assert_eq!(store.redrive(id(2), at(400)).await.unwrap().bytes, kept);
}

async fn what_is_deleted_is_gone_at_once(bench: Bench) {
    let store = bench.store();
    let job = over(&store, vec![done(0), failed(1)], End::Partial).await;
    let stone = store.delete(job).await.unwrap();
    assert_eq!((stone.state, stone.counts.done, stone.coverage), (JobState::Expired, 1, None));
    assert!(stone.required.is_empty());
    assert_eq!(get(&store, job).await.bytes, 0);
    for call in [name(&store.delete(job).await), name(&store.result(job).await), name(&store.asked(job).await)] {
        assert_eq!(call, "expired");
    }
    assert_eq!(name(&store.redrive(job, at(200)).await), "expired");
    assert_eq!(name(&store.delete(id(9)).await), "not found");
    assert_eq!(store.sweep(at(1 << 40)).await.unwrap().forgotten, 1);
}

async fn what_has_not_ended_is_not_deleted(bench: Bench) {
    let store = bench.store();
    let (running, _) = running(&store, 1).await;
    store.submit(job(2)).await.unwrap();
    for job in [running, id(2)] {
        let refused = store.delete(job).await;
        assert_eq!(name(&refused), "illegal");
        assert!(refused.unwrap_err().to_string().contains("cancel it first"));
    }
    assert_eq!(rows(&store, running).await.len(), 1);
}

async fn a_job_whose_time_is_over_leaves_a_tombstone(bench: Bench) {
    let store = bench.store();
    let job = over(&store, vec![done(0), done(1)], End::Succeeded).await;
    assert_eq!(store.sweep(at(1099)).await.unwrap().expired, 0);
    assert!(store.result(job).await.unwrap().is_some());
    let swept = store.sweep(at(1100)).await.unwrap();
    // The query, its required key, the planned query and the answer; the partials were removed
    // earlier.
    let bytes = "query 1".len() + "p0".len() + "planned".len() + "answer".len();
    assert_eq!((swept.expired, swept.forgotten, swept.bytes), (1, 0, bytes as u64));
    let stone = get(&store, job).await;
    assert_eq!((stone.state, stone.expires, stone.finished), (JobState::Expired, Some(at(1100)), Some(at(100))));
    assert_eq!((stone.coverage, stone.reason, stone.counts.done), (None, None, 2));
    let listed = store.list(&Filter::default(), Page { after: None, limit: 9 }).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(name(&store.result(job).await), "expired");
    assert_eq!(name(&store.asked(job).await), "expired");
    assert_eq!(name(&store.events(job, 0, 1).await), "expired");
    assert_eq!(name(&store.partials(job, None, 1).await), "expired");
    assert_eq!(name(&store.cancel(job, false, at(1200)).await), "expired");
    assert_eq!(name(&store.redrive(job, at(1200)).await), "expired");
    assert_eq!(name(&store.retain(job, 1).await), "expired");
    assert_eq!(name(&store.renew(job, 1, at(1200)).await), "expired");
    assert_eq!(store.sweep(at(1200)).await.unwrap().expired, 0);
}

async fn a_tombstone_goes_in_time(bench: Bench) {
    let store = bench.store();
    let job = over(&store, vec![done(0)], End::Succeeded).await;
    store.sweep(at(2000)).await.unwrap();
    assert_eq!(store.sweep(at(2000 + TOMBSTONE_MS - 1)).await.unwrap().forgotten, 0);
    assert_eq!(store.sweep(at(2000 + TOMBSTONE_MS)).await.unwrap().forgotten, 1);
    assert_eq!(name(&store.get(job).await), "not found");
    assert_eq!(store.usage().await.unwrap().jobs, 0);
}

/// Cancels a job of this caller, at as many milliseconds as its number.
async fn cancelled(store: &Store, number: u64, caller: Option<&str>) {
    store.submit(NewJob { caller: caller.map(str::to_owned), ..job(number) }).await.unwrap();
    store.cancel(id(number), false, at(number)).await.unwrap();
}

async fn the_latest_tombstones_of_each_caller_are_kept(bench: Bench) {
    let store = bench.store();
    let stones = async || -> Vec<u64> {
        let list = store.list(&Filter::default(), Page { after: None, limit: 99 }).await.unwrap();
        list.iter().map(|job| job.created.0).collect()
    };
    for (number, caller) in [(1, Some("bob")), (2, None), (3, Some(""))] {
        cancelled(&store, number, caller).await;
        store.delete(id(number)).await.unwrap();
    }
    for number in 10..10 + STONES + 3 {
        cancelled(&store, number, Some("ann")).await;
        store.delete(id(number)).await.unwrap();
    }
    let latest = |last: u64| (0..STONES).map(move |before| last - before).chain([3, 2, 1]).collect::<Vec<_>>();
    assert_eq!(stones().await, latest(10 + STONES + 2));
    // Nor does a sweep keep more of those that expire at once.
    for number in 30..30 + STONES + 3 {
        cancelled(&store, number, Some("ann")).await;
    }
    assert_eq!(store.sweep(at(9999)).await.unwrap().expired, STONES + 3);
    assert_eq!(stones().await, latest(30 + STONES + 2));
}

async fn what_still_runs_is_not_swept(bench: Bench) {
    let store = bench.store();
    let (running, _) = running(&store, 1).await;
    store.submit(job(2)).await.unwrap();
    assert_eq!(store.sweep(at(1 << 50)).await.unwrap().expired, 0);
    assert_eq!(get(&store, running).await.state, JobState::Running);
    // Nor does a redriven job.
    store.cancel(id(2), false, at(10)).await.unwrap();
    store.redrive(id(2), at(20)).await.unwrap();
    assert_eq!(store.sweep(at(1 << 50)).await.unwrap().expired, 0);
}

async fn a_key_is_free_again_when_its_job_expires(bench: Bench) {
    let store = bench.store();
    let with_key = |number| NewJob { idempotency: key("k", "print"), ..job(number) };
    store.submit(with_key(1)).await.unwrap();
    store.cancel(id(1), false, at(10)).await.unwrap();
    assert!(!store.submit(with_key(2)).await.unwrap().fresh);
    store.sweep(at(9999)).await.unwrap();
    assert!(store.submit(with_key(2)).await.unwrap().fresh);
}

async fn the_answer_of_another_with_the_same_bytes_stays(bench: Bench) {
    let store = bench.store();
    let large = Bytes::from(vec![3; 2 << 20]);
    for number in 1..=2 {
        store.submit(NewJob { retention_ms: 1000 * number, ..job(number) }).await.unwrap();
        let taken = take(&store, 10).await.unwrap();
        store.plan(taken.job.id, taken.epoch, plan(0)).await.unwrap();
        store.merge(taken.job.id, taken.epoch).await.unwrap();
        let end = answering(End::Succeeded, 100, large.clone());
        store.finish(taken.job.id, taken.epoch, end).await.unwrap();
    }
    let swept = store.sweep(at(1500)).await.unwrap();
    assert_eq!((swept.expired, swept.blobs_removed), (1, 0));
    assert_eq!(name(&store.result(id(1)).await), "expired");
    assert!(store.result(id(2)).await.unwrap().unwrap().bytes == large);
    assert_eq!(store.sweep(at(2500)).await.unwrap().expired, 1);
}

async fn what_is_kept_is_told(bench: Bench) {
    let store = bench.store();
    assert_eq!(store.usage().await.unwrap().jobs, 0);
    for number in 1..=3 {
        store.submit(job(number)).await.unwrap();
    }
    let usage = store.usage().await.unwrap();
    assert_eq!(usage.jobs, 3);
    assert!(usage.bytes > 0);
}

async fn sweeps_at_once_count_each_job_once(bench: Bench) {
    for number in 1..=20 {
        bench.store().submit(job(number)).await.unwrap();
        bench.store().cancel(id(number), false, at(number)).await.unwrap();
    }
    let mut sweeping = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = bench.store();
        sweeping.spawn(async move { store.sweep(at(9999)).await.unwrap().expired });
    }
    assert_eq!(sweeping.join_all().await.iter().sum::<u64>(), 20);
}

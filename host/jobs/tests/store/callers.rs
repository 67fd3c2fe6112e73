//! Jobs belong to their callers: each caller finds only its jobs, and has separate bounds.

use bytes::Bytes;
use frond_jobs::store::{Bounds, NewJob, OverBound};
use frond_jobs::{End, JobState, StoreError};

use crate::kit::{Bench, Store, at, ended, get, id, job, key, name, plan, take};

on_both! {
    a_caller_finds_its_own_jobs_alone,
    keys_of_callers_are_apart,
    bounds_are_those_of_a_caller,
    what_a_caller_has_is_counted,
    a_bound_says_when_there_is_room_again,
    what_is_deleted_makes_room,
    the_same_request_again_is_no_new_job,
    of_many_at_once_no_more_are_taken_than_may_be,
}

fn of(number: u64, caller: &str, bounds: Bounds) -> NewJob {
    NewJob { caller: Some(caller.to_owned()), bounds, ..job(number) }
}

/// Takes the next job and ends it, at this time.
async fn end(store: &Store, now: u64) {
    let taken = take(store, now).await.unwrap();
    store.plan(taken.job.id, taken.epoch, plan(1)).await.unwrap();
    store.finish(taken.job.id, taken.epoch, ended(End::Failed, now)).await.unwrap();
}

fn over(answer: Result<impl std::fmt::Debug, StoreError>) -> OverBound {
    match answer.unwrap_err() {
        StoreError::OverBound(bound) => bound,
        other => panic!("{other:?}"),
    }
}

async fn a_caller_finds_its_own_jobs_alone(bench: Bench) {
    let store = bench.store();
    store.submit(of(1, "ann", Bounds::default())).await.unwrap();
    store.submit(NewJob { caller: None, ..job(2) }).await.unwrap();
    assert_eq!(store.get_of(id(1), "ann").await.unwrap(), get(&store, id(1)).await);
    let unknown = store.get_of(id(9), "bob").await.unwrap_err().to_string();
    for (number, caller) in [(1, "bob"), (1, ""), (2, "ann"), (2, "")] {
        let answer = store.get_of(id(number), caller).await;
        assert_eq!(name(&answer), "not found", "{number} {caller}");
        let text = answer.unwrap_err().to_string();
        assert_eq!(text.replace(&id(number).to_string(), ""), unknown.replace(&id(9).to_string(), ""));
    }
    // A tombstone still belongs to its caller.
    store.cancel(id(1), false, at(5)).await.unwrap();
    store.sweep(at(5000)).await.unwrap();
    assert_eq!(store.get_of(id(1), "ann").await.unwrap().state, JobState::Expired);
    assert_eq!(name(&store.get_of(id(1), "bob").await), "not found");
}

async fn what_a_caller_has_is_counted(bench: Bench) {
    let store = bench.store();
    for (number, caller, bytes) in [(1, "ann", 100), (2, "ann", 20), (3, "bob", 3)] {
        let query = Bytes::from(vec![b'q'; bytes]);
        store.submit(NewJob { query, ..of(number, caller, Bounds::default()) }).await.unwrap();
    }
    // Each has one required key of two bytes.
    for (caller, bytes) in [("ann", 124), ("bob", 5), ("eve", 0)] {
        assert_eq!(store.bytes_of(caller).await.unwrap(), bytes, "{caller}");
    }
}

async fn keys_of_callers_are_apart(bench: Bench) {
    let store = bench.store();
    for (number, caller) in [(1, "ann"), (2, "bob")] {
        let new = NewJob { idempotency: key("one", "print"), ..of(number, caller, Bounds::default()) };
        let submitted = store.submit(new).await.unwrap();
        assert_eq!((submitted.job.id, submitted.fresh), (id(number), true));
    }
}

async fn bounds_are_those_of_a_caller(bench: Bench) {
    let store = bench.store();
    let waiting = Bounds { waiting: Some(2), ..Bounds::default() };
    let other = |number, caller| NewJob { app: "other".to_owned(), ..of(number, caller, waiting) };
    store.submit(of(1, "ann", waiting)).await.unwrap();
    store.submit(other(2, "ann")).await.unwrap();
    assert_eq!(over(store.submit(of(3, "ann", waiting)).await), OverBound::CallerWaiting(2));
    store.submit(of(4, "bob", waiting)).await.unwrap();
    assert_eq!(over(store.submit(of(5, "cid", waiting)).await), OverBound::AppWaiting(2));
    let bytes = Bounds { bytes: Some(100), ..Bounds::default() };
    let large = |number, caller, size| NewJob { query: Bytes::from(vec![0; size]), ..of(number, caller, bytes) };
    assert_eq!(over(store.submit(large(6, "dan", 100)).await), OverBound::CallerBytes(100, None));
    store.submit(large(7, "dan", 60)).await.unwrap();
    assert_eq!(over(store.submit(large(8, "dan", 60)).await), OverBound::CallerBytes(100, None));
    store.submit(large(9, "eve", 60)).await.unwrap();
    let required = NewJob { required: vec!["k".repeat(100).into()], ..large(11, "fay", 1) };
    assert_eq!(over(store.submit(required).await), OverBound::CallerBytes(100, None));
    // Without a caller, only the bound of the app applies.
    let nobody = Bounds { waiting: Some(9), jobs: Some(0), bytes: Some(0) };
    store.submit(NewJob { caller: None, bounds: nobody, ..job(10) }).await.unwrap();
}

async fn a_bound_says_when_there_is_room_again(bench: Bench) {
    let store = bench.store();
    let two = Bounds { jobs: Some(2), ..Bounds::default() };
    store.submit_at(of(1, "ann", two), at(10)).await.unwrap();
    end(&store, 100).await;
    store.submit_at(of(2, "ann", two), at(110)).await.unwrap();
    assert_eq!(over(store.submit_at(of(3, "ann", two), at(300)).await), OverBound::CallerJobs(2, Some(800)));
    store.sweep(at(1100)).await.unwrap();
    store.submit_at(of(3, "ann", two), at(1101)).await.unwrap();
    assert_eq!(over(store.submit_at(of(4, "ann", two), at(1102)).await), OverBound::CallerJobs(2, None));
}

async fn what_is_deleted_makes_room(bench: Bench) {
    let store = bench.store();
    let bounds = Bounds { jobs: Some(1), bytes: Some(1000), ..Bounds::default() };
    store.submit(of(1, "ann", bounds)).await.unwrap();
    end(&store, 100).await;
    assert_eq!(name(&store.submit(of(2, "ann", bounds)).await), "over bound");
    store.delete(id(1)).await.unwrap();
    store.submit(of(2, "ann", bounds)).await.unwrap();
}

async fn the_same_request_again_is_no_new_job(bench: Bench) {
    let store = bench.store();
    let one = Bounds { waiting: Some(1), jobs: Some(1), bytes: Some(50) };
    let new = |number| NewJob { idempotency: key("one", "print"), ..of(number, "ann", one) };
    store.submit(new(1)).await.unwrap();
    let again = store.submit(new(2)).await.unwrap();
    assert_eq!((again.job.id, again.fresh), (id(1), false), "though there is no room for another");
}

async fn of_many_at_once_no_more_are_taken_than_may_be(bench: Bench) {
    let mut submitting = tokio::task::JoinSet::new();
    for number in 1..=30 {
        let store = bench.store();
        let bounds = Bounds { jobs: Some(7), ..Bounds::default() };
        submitting.spawn(async move { store.submit_at(of(number, "ann", bounds), at(1)).await.is_ok() });
    }
    let taken = submitting.join_all().await.into_iter().filter(|taken| *taken).count();
    assert_eq!(taken, 7);
}

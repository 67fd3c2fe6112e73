//! An accepted cancel is never lost: whatever the owner does, the job ends as cancelled.

use bytes::Bytes;
use frond_jobs::store::JobFilter;
use frond_jobs::{End, JobState};
use serde_json::json;

use crate::kit::{Bench, answering, at, done, ended, get, id, job, name, plan, planning, running, take};

on_both! {
    an_end_that_comes_after_a_cancel_is_one_of_a_cancelled_job,
    a_cancel_decides_whether_an_answer_is_kept,
    a_job_that_is_given_back_ends_if_it_was_cancelled,
    a_job_that_is_given_back_waits_if_its_partials_are_wanted,
    a_cancel_of_a_job_that_waits_leaves_its_answer_to_the_next_owner,
    a_cancel_of_a_job_whose_lease_has_lapsed_ends_it,
    a_sweep_ends_what_was_cancelled_and_whose_lease_has_lapsed,
    an_owner_whose_cancelled_job_has_ended_is_fenced,
    a_cancel_and_an_end_at_once_agree,
}

async fn an_end_that_comes_after_a_cancel_is_one_of_a_cancelled_job(bench: Bench) {
    let store = bench.store();
    for (number, end) in (1..).zip(End::ALL) {
        store.submit(job(number)).await.unwrap();
        let epoch = take(&store, 10).await.unwrap().epoch;
        store.plan(id(number), epoch, plan(1)).await.unwrap();
        store.accept(id(number), epoch, vec![done(0)]).await.unwrap();
        store.merge(id(number), epoch).await.unwrap();
        store.cancel(id(number), false, at(20)).await.unwrap();
        let over = store.finish(id(number), epoch, ended(end, 30)).await.unwrap();
        assert_eq!((over.state, over.finished), (JobState::Cancelled, Some(at(30))), "{end:?}");
        if end != End::Cancelled {
            assert_eq!(over.reason, Some(json!({ "reason": "cancelled" })), "{end:?}");
        }
        assert_eq!(store.result(id(number)).await.unwrap(), None, "{end:?}");
    }
    assert_eq!(store.history("rail", "v1", 9).await.unwrap(), [], "none has succeeded");
}

async fn a_cancel_decides_whether_an_answer_is_kept(bench: Bench) {
    let large = Bytes::from(vec![7; 3 << 20]);
    for (number, answer) in [(1, Bytes::from("small")), (2, large)] {
        for (number, keep) in [(number, true), (number + 2, false)] {
            let store = bench.store();
            store.submit(job(number)).await.unwrap();
            let epoch = take(&store, 10).await.unwrap().epoch;
            store.plan(id(number), epoch, plan(1)).await.unwrap();
            store.merge(id(number), epoch).await.unwrap();
            store.cancel(id(number), keep, at(20)).await.unwrap();
            let over = store.finish(id(number), epoch, answering(End::Succeeded, 30, answer.clone())).await.unwrap();
            assert_eq!(over.state, JobState::Cancelled);
            let kept = store.result(id(number)).await.unwrap().map(|result| result.bytes);
            assert_eq!(kept, keep.then(|| answer.clone()));
        }
    }
}

async fn a_job_that_is_given_back_ends_if_it_was_cancelled(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 2).await;
    store.cancel(job, false, at(20)).await.unwrap();
    store.release_at(job, epoch, at(30)).await.unwrap();
    let over = get(&store, job).await;
    assert_eq!((over.state, over.finished, over.expires), (JobState::Cancelled, Some(at(30)), Some(at(1030))));
    assert_eq!((over.owner, over.lease_until), (None, None));
    assert_eq!(take(&store, 40).await, None);
}

async fn a_job_that_is_given_back_waits_if_its_partials_are_wanted(bench: Bench) {
    let store = bench.store();
    let (first, epoch) = running(&store, 2).await;
    store.cancel(first, true, at(20)).await.unwrap();
    store.release_at(first, epoch, at(30)).await.unwrap();
    assert_eq!(get(&store, first).await.state, JobState::Queued);
    let next = take(&store, 40).await.unwrap();
    assert!(next.job.cancel.is_some_and(|kind| kind.keep_partial), "whoever takes it makes the answer");
    store.merge(first, next.epoch).await.unwrap();
    let over = store.finish(first, next.epoch, ended(End::Partial, 50)).await.unwrap();
    assert_eq!(over.state, JobState::Cancelled);
    assert!(store.result(first).await.unwrap().is_some());
    // A job without a plan has no partials.
    store.submit(job(2)).await.unwrap();
    let epoch = take(&store, 60).await.unwrap().epoch;
    store.cancel(id(2), true, at(70)).await.unwrap();
    store.release_at(id(2), epoch, at(80)).await.unwrap();
    assert_eq!(get(&store, id(2)).await.state, JobState::Cancelled);
}

async fn a_cancel_of_a_job_that_waits_leaves_its_answer_to_the_next_owner(bench: Bench) {
    let store = bench.store();
    let (first, epoch) = running(&store, 2).await;
    store.accept(first, epoch, vec![done(0)]).await.unwrap();
    store.release_at(first, epoch, at(20)).await.unwrap();
    assert_eq!(store.cancel(first, true, at(30)).await.unwrap().state, JobState::Queued);
    let next = take(&store, 40).await.unwrap();
    assert!(next.job.cancel.is_some_and(|kind| kind.keep_partial));
    store.merge(first, next.epoch).await.unwrap();
    let over = store.finish(first, next.epoch, ended(End::Partial, 50)).await.unwrap();
    assert_eq!((over.state, store.result(first).await.unwrap().is_some()), (JobState::Cancelled, true));
    // The latest cancel counts.
    let store = bench.store();
    store.submit(job(2)).await.unwrap();
    let epoch = take(&store, 60).await.unwrap().epoch;
    store.plan(id(2), epoch, plan(1)).await.unwrap();
    store.release_at(id(2), epoch, at(70)).await.unwrap();
    store.cancel(id(2), true, at(80)).await.unwrap();
    assert_eq!(store.cancel(id(2), false, at(90)).await.unwrap().state, JobState::Cancelled);
}

async fn a_cancel_of_a_job_whose_lease_has_lapsed_ends_it(bench: Bench) {
    let store = bench.store();
    let (job, _) = running(&store, 2).await;
    let until = get(&store, job).await.lease_until.unwrap();
    let over = store.cancel(job, false, until).await.unwrap();
    assert_eq!((over.state, over.finished), (JobState::Cancelled, Some(until)));
    assert_eq!(take(&store, until.0 + 1).await, None);
}

async fn a_sweep_ends_what_was_cancelled_and_whose_lease_has_lapsed(bench: Bench) {
    let store = bench.store();
    let (first, _) = running(&store, 2).await;
    let until = get(&store, first).await.lease_until.unwrap();
    store.cancel(first, false, at(20)).await.unwrap();
    store.sweep(at(until.0 - 1)).await.unwrap();
    assert_eq!(get(&store, first).await.state, JobState::Running, "its owner may be at it");
    store.sweep(until).await.unwrap();
    assert_eq!(get(&store, first).await.state, JobState::Cancelled, "no server may have its app any more");
    // No other job ends.
    store.submit_at(job(2), until).await.unwrap();
    take(&store, until.0 + 1).await.unwrap();
    store.sweep(at(until.0 + 5000)).await.unwrap();
    assert_eq!(get(&store, id(2)).await.state, JobState::Planning);
}

async fn an_owner_whose_cancelled_job_has_ended_is_fenced(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    let until = get(&store, job).await.lease_until.unwrap();
    store.cancel(job, false, until).await.unwrap();
    assert_eq!(name(&store.renew(job, epoch, at(9000)).await), "fenced");
    assert_eq!(name(&store.plan(job, epoch, plan(1)).await), "fenced");
    assert_eq!(name(&store.release(job, epoch).await), "fenced");
    assert_eq!(name(&store.finish(job, epoch, ended(End::Failed, 5000)).await), "fenced");
}

async fn a_cancel_and_an_end_at_once_agree(bench: Bench) {
    for number in 1..=20 {
        bench.store().submit(job(number)).await.unwrap();
        let epoch = take(&bench.store(), 100).await.unwrap().epoch;
        bench.store().plan(id(number), epoch, plan(1)).await.unwrap();
        bench.store().merge(id(number), epoch).await.unwrap();
        let canceller = bench.store();
        let owner = bench.store();
        let cancelling = tokio::spawn(async move { canceller.cancel(id(number), false, at(100)).await });
        let ending = tokio::spawn(async move { owner.finish(id(number), epoch, ended(End::Succeeded, 100)).await });
        let cancelled = cancelling.await.unwrap();
        let over = ending.await.unwrap().unwrap();
        match cancelled {
            Ok(_) => assert_eq!(over.state, JobState::Cancelled, "what was accepted counts"),
            Err(_) => {
                assert_eq!(name(&cancelled), "late");
                assert_eq!(over.state, JobState::Succeeded);
            }
        }
        assert_eq!(bench.store().take("other", &JobFilter::All, at(200), at(300)).await.unwrap(), None);
    }
}

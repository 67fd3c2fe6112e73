//! Submission of jobs, and their retrieval.

use frond_jobs::store::{Counts, Filter, Job, JobEnd, NewJob, Page};
use frond_jobs::{End, JobState};
use serde_json::json;

use crate::kit::{Bench, at, ended, get, id, job, job_of, key, listed, name, take};

on_both!(
    what_is_submitted_is_there_as_it_was_given,
    what_is_submitted_is_there_after_a_restart,
    a_request_that_comes_again_is_the_same_job,
    a_key_belongs_to_one_request,
    callers_have_keys_of_their_own,
    of_many_at_once_with_one_key_one_is_fresh,
    an_id_that_comes_again_is_the_same_job,
    a_weight_of_nothing_counts_as_one,
    jobs_are_listed_newest_first_page_by_page,
    lists_are_filtered,
    a_list_has_no_large_parts,
    what_is_not_there_is_not_found,
    times_that_mean_never_are_kept,
);

const ALL: Page = Page { after: None, limit: 100 };

async fn what_is_submitted_is_there_as_it_was_given(bench: Bench) {
    let store = bench.store();
    let submitted = store.submit(job(1)).await.unwrap();
    assert!(submitted.fresh);
    let found = get(&store, id(1)).await;
    let given = job(1);
    assert_eq!(submitted.job, found);
    assert_eq!((found.id, found.state, found.created), (given.id, JobState::Queued, at(1)));
    assert_eq!((&found.app, &found.version, &found.caller), (&given.app, &given.version, &given.caller));
    assert_eq!((found.floor, &found.required), (given.floor, &given.required));
    assert_eq!((found.run_timeout_ms, found.retention_ms, found.weight), (60_000, 1000, 1));
    assert_eq!((found.started, found.finished, found.expires, found.lease_until), (None, None, None, None));
    assert_eq!((found.owner, found.epoch, found.cancel, found.planned), (None, 0, None, false));
    assert_eq!((found.counts, found.reason, found.coverage), (Counts::default(), None, None));
    let asked = store.asked(id(1)).await.unwrap();
    assert_eq!((&*asked.query, asked.planned), (&b"query 1"[..], None));
    let nobodys = NewJob { caller: None, required: Vec::new(), query: bytes::Bytes::new(), ..job(2) };
    assert_eq!(store.submit(nobodys).await.unwrap().job.caller, None);
    assert!(store.asked(id(2)).await.unwrap().query.is_empty());
}

async fn what_is_submitted_is_there_after_a_restart(mut bench: Bench) {
    let submitted = bench.store().submit(job(1)).await.unwrap();
    bench.reopen().await;
    assert_eq!(get(&bench.store(), id(1)).await, submitted.job);
}

async fn a_request_that_comes_again_is_the_same_job(bench: Bench) {
    let store = bench.store();
    let with_key = |number| NewJob { idempotency: key("k", "print"), ..job(number) };
    assert!(store.submit(with_key(1)).await.unwrap().fresh);
    take(&store, 5).await.unwrap();
    let again = store.submit(with_key(2)).await.unwrap();
    assert!(!again.fresh);
    assert_eq!((again.job.id, again.job.state), (id(1), JobState::Planning));
    assert_eq!(name(&store.get(id(2)).await), "not found");
}

async fn a_key_belongs_to_one_request(bench: Bench) {
    let store = bench.store();
    store.submit(NewJob { idempotency: key("k", "print"), ..job(1) }).await.unwrap();
    let other = NewJob { idempotency: key("k", "another"), ..job(2) };
    assert_eq!(name(&store.submit(other).await), "key reused");
    assert_eq!(name(&store.get(id(2)).await), "not found");
}

async fn callers_have_keys_of_their_own(bench: Bench) {
    let store = bench.store();
    for (number, caller) in [(1, Some("ann")), (2, Some("bob")), (3, None), (4, Some(""))] {
        let caller = caller.map(str::to_owned);
        let new = NewJob { idempotency: key("k", &number.to_string()), caller, ..job(number) };
        assert!(store.submit(new).await.unwrap().fresh, "{number}");
    }
}

async fn of_many_at_once_with_one_key_one_is_fresh(bench: Bench) {
    let mut asking = tokio::task::JoinSet::new();
    for number in 1..=16 {
        let store = bench.store();
        let new = NewJob { idempotency: key("k", "print"), ..job(number) };
        asking.spawn(async move { store.submit(new).await.unwrap() });
    }
    let answers = asking.join_all().await;
    assert_eq!(answers.iter().filter(|one| one.fresh).count(), 1);
    assert!(answers.iter().all(|one| one.job.id == answers[0].job.id));
    assert_eq!(bench.store().usage().await.unwrap().jobs, 1);
}

async fn an_id_that_comes_again_is_the_same_job(bench: Bench) {
    let store = bench.store();
    assert!(store.submit(job(1)).await.unwrap().fresh);
    assert!(!store.submit(job(1)).await.unwrap().fresh);
}

async fn a_weight_of_nothing_counts_as_one(bench: Bench) {
    let submitted = bench.store().submit(NewJob { weight: 0, ..job(1) }).await.unwrap();
    assert_eq!(submitted.job.weight, 1);
}

async fn jobs_are_listed_newest_first_page_by_page(bench: Bench) {
    let store = bench.store();
    for number in [3, 1, 5, 2, 4] {
        store.submit(job(number)).await.unwrap();
    }
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = store.list(&Filter::default(), Page { after, limit: 2 }).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.id);
        seen.extend(page.iter().map(|job| job.created.0));
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    assert!(store.list(&Filter::default(), Page { after: None, limit: 0 }).await.unwrap().is_empty());
}

async fn lists_are_filtered(bench: Bench) {
    let store = bench.store();
    store.submit(job_of(1, "rail")).await.unwrap();
    store.submit(job_of(2, "grep")).await.unwrap();
    store.submit(NewJob { caller: None, ..job_of(3, "grep") }).await.unwrap();
    store.cancel(id(3), false, at(5)).await.unwrap();
    let listed = async |filter: Filter| -> Vec<u64> {
        store.list(&filter, ALL).await.unwrap().iter().map(|job| job.created.0).collect()
    };
    let of = |app: &str| Filter { app: Some(app.to_owned()), ..Filter::default() };
    let is = |states: &[JobState]| Filter { states: states.to_vec(), ..Filter::default() };
    assert_eq!(listed(Filter::default()).await, [3, 2, 1]);
    assert_eq!(listed(of("grep")).await, [3, 2]);
    assert_eq!(listed(of("nothing")).await, Vec::<u64>::new());
    assert_eq!(listed(is(&[JobState::Queued])).await, [2, 1]);
    assert_eq!(listed(is(&[JobState::Queued, JobState::Cancelled])).await, [3, 2, 1]);
    assert_eq!(listed(Filter { caller: Some("ann".to_owned()), ..of("grep") }).await, [2]);
}

async fn a_list_has_no_large_parts(bench: Bench) {
    let store = bench.store();
    for (number, detail) in [(1, 100), (2, 2_000)] {
        store.submit(job(number)).await.unwrap();
        let epoch = take(&store, 10).await.unwrap().epoch;
        let (end, now) = ended(End::Failed, 100);
        let reason = Some(json!({ "detail": "x".repeat(detail), "reason": "refused" }));
        store.finish(id(number), epoch, (JobEnd { reason, ..end }, now)).await.unwrap();
    }
    let short = get(&store, id(1)).await;
    let long = get(&store, id(2)).await;
    assert!(long.reason.is_some() && long.coverage.is_some() && !long.required.is_empty());
    let found = store.list(&Filter::default(), ALL).await.unwrap();
    assert_eq!(found, [Job { reason: None, ..listed(long) }, listed(short)]);
}

async fn what_is_not_there_is_not_found(bench: Bench) {
    let store = bench.store();
    assert_eq!(name(&store.get(id(9)).await), "not found");
    assert_eq!(name(&store.asked(id(9)).await), "not found");
    assert_eq!(name(&store.result(id(9)).await), "not found");
    assert_eq!(name(&store.cancel(id(9), false, at(1)).await), "not found");
    assert_eq!(name(&store.redrive(id(9), at(1)).await), "not found");
    assert_eq!(name(&store.retain(id(9), 1).await), "not found");
    assert_eq!(name(&store.events(id(9), 0, 1).await), "not found");
    assert_eq!(name(&store.partials(id(9), None, 1).await), "not found");
    assert_eq!(name(&store.renew(id(9), 1, at(1)).await), "not found");
    assert_eq!(name(&store.accept(id(9), 1, Vec::new()).await), "not found");
}

async fn times_that_mean_never_are_kept(bench: Bench) {
    let store = bench.store();
    store.submit(NewJob { retention_ms: u64::MAX, run_timeout_ms: u64::MAX, ..job(1) }).await.unwrap();
    let cancelled = store.cancel(id(1), false, at(u64::MAX)).await.unwrap();
    assert!(cancelled.expires.unwrap().0 > 1 << 60);
    assert_eq!(store.sweep(at(1 << 50)).await.unwrap().expired, 0);
}

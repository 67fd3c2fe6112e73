//! Ends of jobs, and later calls.

use bytes::Bytes;
use frond_jobs::store::{Counts, EventBatch, JobEnd, PartitionState};
use frond_jobs::{End, JobState};
use serde_json::json;

use crate::kit::{
    Bench, EVENTS, answering, at, degraded, done, ended, failed, get, id, job, name, over, planning, rows, running,
    take,
};

on_both!(
    an_end_is_kept_with_all_that_belongs_to_it,
    a_failure_needs_no_merge,
    a_job_without_an_answer_has_none,
    a_large_answer_comes_back_whole,
    an_answer_is_read_in_parts,
    a_job_that_waits_is_cancelled_at_once,
    a_cancelled_job_keeps_what_had_arrived,
    what_has_ended_cannot_be_cancelled,
    a_redrive_runs_only_what_failed_or_is_missing,
    a_redrive_needs_something_that_is_missing,
    a_job_that_was_never_planned_is_planned_after_its_redrive,
    retention_is_changed_before_and_after_the_end,
    what_an_owner_tells_of_its_work_adds_up,
    events_are_numbered_and_read_page_by_page,
    only_the_latest_events_are_kept,
    history_tells_what_succeeded_jobs_took,
);

async fn an_end_is_kept_with_all_that_belongs_to_it(bench: Bench) {
    let store = bench.store();
    let job = over(&store, vec![done(0), done(1)], End::Succeeded).await;
    let found = get(&store, job).await;
    assert_eq!((found.state, found.finished, found.expires), (JobState::Succeeded, Some(at(100)), Some(at(1100))));
    assert_eq!((found.owner, found.lease_until, found.reason), (None, None, None));
    assert_eq!(found.coverage, Some(json!({"complete": true})));
    let answer = store.result(job).await.unwrap().unwrap();
    assert_eq!((&*answer.bytes, answer.content_type.as_deref()), (&b"answer"[..], Some("application/json")));
    assert_eq!(take(&store, 9999).await, None);
}

async fn a_failure_needs_no_merge(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    let over = store.finish(job, epoch, ended(End::Failed, 100)).await.unwrap();
    assert_eq!((over.state, over.reason), (JobState::Failed, Some(json!({"reason": "below-floor"}))));
    assert_eq!(get(&store, job).await.coverage, Some(json!({"complete": false})));
}

async fn a_job_without_an_answer_has_none(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 1).await;
    assert_eq!(store.result(job).await.unwrap(), None);
    store.finish(job, epoch, ended(End::Failed, 100)).await.unwrap();
    assert_eq!(store.result(job).await.unwrap(), None);
}

async fn a_large_answer_comes_back_whole(mut bench: Bench) {
    let large = Bytes::from(vec![7; 5 << 20]);
    let (job, epoch) = running(&bench.store(), 1).await;
    bench.store().merge(job, epoch).await.unwrap();
    let (end, now) = answering(End::Partial, 100, large.clone());
    bench.store().finish(job, epoch, (JobEnd { content_type: None, ..end }, now)).await.unwrap();
    bench.reopen().await;
    let answer = bench.store().result(job).await.unwrap().unwrap();
    assert!(answer.bytes == large && answer.content_type.is_none());
}

async fn a_job_that_waits_is_cancelled_at_once(bench: Bench) {
    let store = bench.store();
    store.submit(job(1)).await.unwrap();
    let cancelled = store.cancel(id(1), true, at(50)).await.unwrap();
    assert_eq!((cancelled.state, cancelled.finished), (JobState::Cancelled, Some(at(50))));
    assert_eq!(cancelled.expires, Some(at(1050)));
    assert_eq!(take(&store, 60).await, None);
}

async fn a_cancelled_job_keeps_what_had_arrived(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 2).await;
    store.accept(job, epoch, vec![done(1)]).await.unwrap();
    store.cancel(job, true, at(20)).await.unwrap();
    let end = answering(End::Cancelled, 100, Bytes::from("some"));
    store.finish(job, epoch, end).await.unwrap();
    assert_eq!(&*store.result(job).await.unwrap().unwrap().bytes, b"some");
}

async fn what_has_ended_cannot_be_cancelled(bench: Bench) {
    let store = bench.store();
    let job = over(&store, vec![done(0)], End::Succeeded).await;
    let before = get(&store, job).await;
    assert_eq!(name(&store.cancel(job, false, at(200)).await), "late");
    assert_eq!(get(&store, job).await, before);
}

async fn a_redrive_runs_only_what_failed_or_is_missing(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 4).await;
    store.accept(job, epoch, vec![done(0), failed(1), degraded(2)]).await.unwrap();
    store.merge(job, epoch).await.unwrap();
    store.finish(job, epoch, ended(End::Partial, 100)).await.unwrap();
    let redriven = store.redrive(job, at(200)).await.unwrap();
    assert_eq!((redriven.state, redriven.planned, redriven.cancel), (JobState::Queued, true, None));
    assert_eq!((redriven.started, redriven.finished, redriven.expires), (None, None, None));
    assert_eq!((redriven.coverage, redriven.reason), (None, None));
    let expected = Counts { partitions: 4, weight: 40, done: 1, degraded: 1, settled_weight: 20, ..Counts::default() };
    assert_eq!(redriven.counts, expected);
    assert_eq!(store.result(job).await.unwrap(), None);
    let row = rows(&store, job).await.remove(1);
    assert_eq!((row.state, row.attempts, row.run_ms, row.failure), (PartitionState::Pending, 0, 0, None));
    // The job queues behind those submitted before its redrive.
    store.submit_at(crate::kit::job(2), at(150)).await.unwrap();
    assert_eq!(take(&store, 210).await.unwrap().job.id, id(2));
    let next = take(&store, 220).await.unwrap();
    assert_eq!((next.job.id, next.job.state, next.job.started), (job, JobState::Running, Some(at(220))));
    let kept = store.accept(job, next.epoch, vec![done(0), done(1), done(2), done(3)]).await.unwrap();
    assert_eq!((kept.fresh, kept.discarded), (vec![1, 3], 2));
    store.merge(job, next.epoch).await.unwrap();
    store.finish(job, next.epoch, ended(End::Succeeded, 300)).await.unwrap();
    assert_eq!(get(&store, job).await.expires, Some(at(1300)));
}

async fn a_redrive_needs_something_that_is_missing(bench: Bench) {
    let store = bench.store();
    let job = over(&store, vec![done(0)], End::Succeeded).await;
    assert_eq!(name(&store.redrive(job, at(200)).await), "late");
    assert!(store.result(job).await.unwrap().is_some());
}

async fn a_job_that_was_never_planned_is_planned_after_its_redrive(bench: Bench) {
    let store = bench.store();
    store.submit(job(1)).await.unwrap();
    store.cancel(id(1), false, at(5)).await.unwrap();
    store.redrive(id(1), at(6)).await.unwrap();
    assert_eq!(take(&store, 7).await.unwrap().job.state, JobState::Planning);
}

async fn retention_is_changed_before_and_after_the_end(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    let changed = store.retain(job, 5000).await.unwrap();
    assert_eq!((changed.retention_ms, changed.expires), (5000, None));
    let over = store.finish(job, epoch, ended(End::Failed, 100)).await.unwrap();
    assert_eq!(over.expires, Some(at(5100)));
    assert_eq!(store.retain(job, 1).await.unwrap().expires, Some(at(101)));
    assert_eq!(get(&store, job).await.retention_ms, 1);
}

fn lines(numbers: std::ops::RangeInclusive<u64>) -> EventBatch {
    EventBatch { lines: numbers.map(|number| format!("{{\"n\":{number}}}")).collect(), ..EventBatch::default() }
}

async fn what_an_owner_tells_of_its_work_adds_up(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 3).await;
    let counts = async || {
        let counts = get(&store, job).await.counts;
        (counts.attempts, counts.failing, counts.failed)
    };
    assert_eq!(counts().await, (0, 0, 0));
    store.append(job, epoch, EventBatch { attempts: 3, failing: 1, ..lines(1..=1) }).await.unwrap();
    store.append(job, epoch, EventBatch { attempts: 2, failing: 2, ..EventBatch::default() }).await.unwrap();
    assert_eq!(counts().await, (5, 2, 0));
    // The next owner retries the partitions that failed under its predecessor.
    store.release(job, epoch).await.unwrap();
    let epoch = take(&store, 60).await.unwrap().epoch;
    assert_eq!(counts().await, (5, 0, 0));
    store.append(job, epoch, EventBatch { attempts: u64::MAX / 4, failing: 1, ..EventBatch::default() }).await.unwrap();
    store.accept(job, epoch, vec![done(0), failed(1)]).await.unwrap();
    store.finish(job, epoch, ended(End::Failed, 100)).await.unwrap();
    let (attempts, failing, failed) = counts().await;
    assert!(attempts > 1 << 60 && (failing, failed) == (0, 1), "{attempts} {failing} {failed}");
}

async fn events_are_numbered_and_read_page_by_page(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    let none = store.events(job, 0, 10).await.unwrap();
    assert!(none.events.is_empty() && none.missed == 0);
    store.append(job, epoch, lines(1..=3)).await.unwrap();
    store.append(job, epoch, EventBatch::default()).await.unwrap();
    store.append(job, epoch, lines(4..=5)).await.unwrap();
    let page = store.events(job, 0, 2).await.unwrap();
    assert_eq!(page.events, [(1, "{\"n\":1}".to_owned()), (2, "{\"n\":2}".to_owned())]);
    let page = store.events(job, 2, 10).await.unwrap();
    assert_eq!(page.events.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(page.missed, 0);
    let page = store.events(job, 5, 10).await.unwrap();
    assert!(page.events.is_empty() && page.missed == 0);
}

async fn only_the_latest_events_are_kept(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    for ten in 0..12 {
        store.append(job, epoch, lines(ten * 10 + 1..=ten * 10 + 10)).await.unwrap();
    }
    let page = store.events(job, 0, 1000).await.unwrap();
    assert_eq!((page.missed, page.events.len() as u64), (120 - EVENTS, EVENTS));
    assert_eq!(page.events[0], (120 - EVENTS + 1, format!("{{\"n\":{}}}", 120 - EVENTS + 1)));
    let page = store.events(job, 60, 5).await.unwrap();
    assert_eq!((page.missed, page.events[0].0), (120 - EVENTS - 60, 120 - EVENTS + 1));
    assert_eq!(store.events(job, 100, 5).await.unwrap().missed, 0);
    // More at once than are kept.
    store.append(job, epoch, lines(121..=300)).await.unwrap();
    let page = store.events(job, 120, 1000).await.unwrap();
    assert_eq!((page.missed, page.events.len() as u64), (180 - EVENTS, EVENTS));
}

async fn history_tells_what_succeeded_jobs_took(bench: Bench) {
    let store = bench.store();
    for number in 1..=3 {
        store.submit(job(number)).await.unwrap();
        let taken = take(&store, 10 * number).await.unwrap();
        let id = taken.job.id;
        let epoch = taken.epoch;
        store.plan(id, epoch, crate::kit::plan(4)).await.unwrap();
        store.accept(id, epoch, (0..4).map(done).collect()).await.unwrap();
        store.merge(id, epoch).await.unwrap();
        let end = if number == 2 { End::Partial } else { End::Succeeded };
        store.finish(id, epoch, ended(end, 100 * number)).await.unwrap();
    }
    let past = store.history("rail", "v1", 10).await.unwrap();
    assert_eq!(past.iter().map(|one| one.id).collect::<Vec<_>>(), [id(3), id(1)]);
    let latest = &past[0];
    assert_eq!((latest.partitions, latest.weight, latest.leaf_ms), (4, 40, 28));
    assert_eq!((latest.run_ms, latest.finished), (270, at(300)));
    assert!((latest.leaf_ms_per_weight - 0.7).abs() < 1e-9);
    assert_eq!(store.history("rail", "v1", 1).await.unwrap().len(), 1);
    assert!(store.history("rail", "v2", 10).await.unwrap().is_empty());
    assert!(store.history("grep", "v1", 10).await.unwrap().is_empty());
    // History lasts as long as the tombstones, of which the latest two are kept here.
    store.sweep(at(50_000)).await.unwrap();
    assert_eq!(store.history("rail", "v1", 10).await.unwrap(), past[..1]);
}

async fn an_answer_is_read_in_parts(bench: Bench) {
    let store = bench.store();
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    for (number, answer) in [(1, Bytes::from(large)), (2, Bytes::from("small")), (3, Bytes::new())] {
        store.submit(crate::kit::job(number)).await.unwrap();
        let taken = take(&store, 10).await.unwrap();
        store.plan(id(number), taken.epoch, crate::kit::plan(1)).await.unwrap();
        store.merge(id(number), taken.epoch).await.unwrap();
        assert_eq!(store.result_info(id(number)).await.unwrap(), None);
        assert_eq!(name(&store.result_part(id(number), taken.epoch, 0, 9).await), "fenced");
        store.finish(id(number), taken.epoch, answering(End::Partial, 100, answer.clone())).await.unwrap();
        let info = store.result_info(id(number)).await.unwrap().unwrap();
        assert_eq!((info.size, info.epoch), (answer.len() as u64, taken.epoch));
        assert_eq!(info.content_type.as_deref(), Some("application/json"));
        let mut read = Vec::new();
        loop {
            let part = store.result_part(id(number), info.epoch, read.len() as u64, 700_001).await.unwrap();
            assert!(part.len() <= 700_001);
            if part.is_empty() {
                break;
            }
            read.extend_from_slice(&part);
        }
        assert!(read == answer, "{number}");
        // Parts of another answer are refused.
        store.redrive(id(number), at(200)).await.unwrap();
        assert_eq!(name(&store.result_part(id(number), info.epoch, 1, 9).await), "fenced");
        store.cancel(id(number), false, at(210)).await.unwrap();
        assert_eq!(name(&store.result_part(id(number), info.epoch, 1, 9).await), "fenced");
    }
}

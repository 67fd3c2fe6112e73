//! The answer of a job so far.

use bytes::Bytes;
use frond_jobs::partial::so_far;
use frond_jobs::store::{JobFilter, Locator, Outcome, PartitionPlan, PartitionResult, PlanRecord};
use frond_jobs::{JobId, JobState};
use frond_root::ledger::PartialRange;
use frond_root::{MergeOrder, Request};
use frond_testkit::{Merges, Script, Turn};

use crate::kit::{App, Bench, Running};

/// A running job of `count` partitions, with results for the partitions that `is_in` selects.
async fn running(bench: &Bench, count: u32, is_in: impl Fn(u32) -> bool) -> JobId {
    let id = bench.submit().await;
    let taken =
        bench.store.take("owner", &JobFilter::All, std::time::Duration::from_secs(1000)).await.unwrap().unwrap();
    let partition =
        |index| PartitionPlan { key: format!("p{index}").into(), weight: 1, place: Locator::Inline(Bytes::new()) };
    let planned = PlanRecord { version: "v1".to_owned(), query: None, partitions: (0..count).map(partition).collect() };
    bench.store.plan(id, taken.epoch, planned).await.unwrap();
    let results = (0..count).filter(|index| is_in(*index)).map(|index| PartitionResult {
        index,
        attempt: 1,
        epoch: None,
        run_ms: 1,
        outcome: Outcome::Done(Bytes::from(index.to_string())),
    });
    bench.store.accept(id, taken.epoch, results.collect()).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn no_partial_is_merged_often_however_many_there_are() {
    const COUNT: u32 = 5_000;
    for (order, merges) in [(MergeOrder::Any, Merges::sorted()), (MergeOrder::Partition, Merges::joined())] {
        let bench = Bench::new();
        let app = App::new(Script::all(Turn::succeed()), merges.clone(), COUNT as usize);
        let app = App { request: Request { order, ..app.request }, ..app };
        // Every seventh partition is missing.
        let id = running(&bench, COUNT, |index| index % 7 != 3).await;
        let job = bench.store.get(id).await.unwrap();
        let answer = so_far(&*bench.store, &job, &app).await.unwrap();
        let expected: Vec<String> = (0..COUNT).filter(|index| index % 7 != 3).map(|index| index.to_string()).collect();
        assert_eq!(answer.body, expected.join(" "));
        assert_eq!(answer.partials, expected.len() as u64);
        let merged: usize = merges.folds().iter().flat_map(|fold| &fold.inputs).map(Bytes::len).sum();
        let once = answer.body.len();
        // log₈ 5,000 is 4.1; merging 64 at a time into one growing partial would take 33 times.
        assert!(merged <= 6 * once, "{merged} bytes were merged for {once}");
    }
}

/// Results that cover a third of the first partition, all of the second one, and of the last one
/// all that is needed.
fn in_parts() -> Vec<PartitionResult> {
    let part = |index: u32, attempt, [begin, end, until]: [u64; 3]| PartitionResult {
        index,
        attempt,
        epoch: None,
        run_ms: 1,
        outcome: Outcome::Part(
            PartialRange { begin, end, until, of: 12 },
            Bytes::from(format!("{index}:{begin:02}-{end:02}")),
        ),
    };
    vec![
        part(1, 2, [5, 12, 12]),
        part(0, 1, [8, 12, 12]),
        part(1, 1, [0, 5, 5]),
        part(2, 1, [0, 3, 6]),
        part(2, 2, [6, 6, 9]),
        part(2, 3, [9, 12, 12]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_merged_in_the_order_of_their_units() {
    for (order, merges) in [(MergeOrder::Any, Merges::sorted()), (MergeOrder::Partition, Merges::joined())] {
        let bench = Bench::new();
        let app = App::new(Script::all(Turn::succeed()), merges, 3);
        let app = App { request: Request { order, ..app.request }, ..app };
        let id = running(&bench, 3, |_| false).await;
        bench.store.accept(id, 1, in_parts()).await.unwrap();
        let job = bench.store.get(id).await.unwrap();
        let answer = so_far(&*bench.store, &job, &app).await.unwrap();
        assert_eq!(answer.body, "0:08-12 1:00-05 1:05-12 2:00-03 2:09-12");
        // A weight of 1 is not divided: the first partition has none of it yet.
        assert_eq!((answer.partials, job.counts.done, job.counts.settled_weight), (5, 2, 2));
        assert!((answer.fraction - 2.0 / 3.0).abs() < 1e-9, "{}", answer.fraction);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_that_waits_ends_with_the_answer_so_far() {
    let bench = Bench::new();
    let app = App::new(Script::all(Turn::never()), Merges::joined(), 3);
    let id = running(&bench, 3, |index| index == 1).await;
    bench.store.release(id, 1).await.unwrap();
    bench.store.cancel(id, true).await.unwrap();
    let running = Running::start(bench.store.clone(), std::sync::Arc::new(app));
    let job = bench.ended(id).await;
    assert_eq!(job.state, JobState::Cancelled);
    assert_eq!(bench.store.result(id).await.unwrap().map(|result| result.bytes), Some(Bytes::from("1")));
    running.stop().await;
}

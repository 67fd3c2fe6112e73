//! The answer of a job so far.

use bytes::Bytes;
use frond_jobs::JobId;
use frond_jobs::partial::so_far;
use frond_jobs::store::{JobFilter, Locator, Outcome, PartitionPlan, PartitionResult, PlanRecord};
use frond_root::{MergeOrder, Request};
use frond_testkit::{Merges, Script, Turn};

use crate::kit::{App, Bench};

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

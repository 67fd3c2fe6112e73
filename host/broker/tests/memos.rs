//! Tests of memos: a root that dies loses no finished leaf, as long as the workers live.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a mistake in a test stops it where it is"
)]

#[path = "memos/bench.rs"]
mod bench;
#[path = "memos/lies.rs"]
mod lies;

use std::collections::BTreeSet;
use std::time::Duration;

use frond_broker::HeldPartials;
use frond_testkit::ms;
use frond_testkit::pieces::{integers, units};
use proptest::prelude::*;
use tokio::time::sleep;

use bench::{KEY, Root, Store, Worker, next, recall, until};

/// Partitions of finished leaves.
fn partitions(held: &HeldPartials) -> BTreeSet<u32> {
    held.partials.iter().filter(|one| one.has_ended).map(|one| one.kept.partition).collect()
}

#[tokio::test(start_paused = true)]
async fn finished_leaves_outlive_a_root_that_has_not_stored_them() {
    let pool = [Worker::new(2, 0), Worker::new(1, 0)];
    let counts = [5, 10, 15, 5, 1, 30];
    let store = Store::default();
    let root = Root::ask(&pool, &store, &counts, Vec::new()).await;
    until(async || root.workers.list().iter().map(|worker| worker.ended).sum::<u64>() == 6).await;
    root.die().await;
    assert_eq!(store.len(), 0);
    let workers = next(&pool).await;
    assert!(recall(&workers, b"another secret").await.partials.is_empty());
    let held = recall(&workers, KEY).await;
    assert_eq!(partitions(&held), (0..6).collect());
    let plan = integers(&counts);
    for one in &held.partials {
        assert!(one.epoch == 1 && one.fits(&plan, 1 << 10), "{one:?}");
        let count = counts[one.kept.partition as usize];
        assert_eq!(units(&one.kept.partial), [(one.kept.partition, 0..count)]);
        assert!(!one.fits(&plan, 2) && !one.fits(&integers(&[]), 1 << 10));
    }
    assert_eq!(partitions(&recall(&workers, KEY).await), (0..6).collect(), "until it is stored");
    workers.forget(&held);
    assert!(recall(&workers, KEY).await.partials.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_not_kept() {
    let pool = [Worker::new(3, 1)];
    let store = Store::default();
    let root = Root::ask(&pool, &store, &[5, 10, 15, 5, 100_000], vec![3; 10_000]).await;
    until(async || store.len() > 4).await;
    // The first four are stored; the leaf that runs has always something that is not.
    until(async || partitions(&recall(&root.workers, KEY).await).is_empty()).await;
    root.die().await;
    let held = recall(&next(&pool).await, KEY).await;
    assert!(held.partials.iter().all(|one| one.kept.partition == 4), "{held:?}");
}

#[tokio::test(start_paused = true)]
async fn what_running_leaves_have_kept_outlives_their_root() {
    let pool = [Worker::new(1, 2)];
    let store = Store::default();
    let root = Root::ask(&pool, &store, &[100_000], Vec::new()).await;
    sleep(ms(500)).await;
    root.die().await;
    until(async || !pool[0].leaves.finished().is_empty()).await;
    let held = recall(&next(&pool).await, KEY).await;
    assert_eq!(held.partials.len(), 1);
    let range = held.partials[0].kept.units.unwrap();
    assert_eq!(units(&held.partials[0].kept.partial), [(0, 0..range.end)]);
    assert!(range.end > 100 && range.until == range.end && range.of == 100_000, "{range:?}");
}

#[tokio::test(start_paused = true)]
async fn a_query_that_is_stopped_leaves_nothing() {
    let pool = [Worker::new(2, 1)];
    let root = Root::ask(&pool, &Store::default(), &[5, 5, 10_000], Vec::new()).await;
    until(async || root.workers.list()[0].ended == 2).await;
    assert_eq!(partitions(&recall(&root.workers, KEY).await), [0, 1].into());
    root.cancel.cancel();
    root.flow.await.unwrap().unwrap();
    assert!(recall(&root.workers, KEY).await.partials.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_query_that_its_root_gives_up_leaves_what_is_finished() {
    let pool = [Worker::new(2, 1)];
    let root = Root::ask(&pool, &Store::default(), &[5, 5, 10_000], Vec::new()).await;
    until(async || root.workers.list()[0].ended == 2).await;
    // As at the orderly stop of a server, or when it has lost its job.
    root.flow.abort();
    until(async || root.workers.list()[0].attempts == 0).await;
    let held = recall(&root.workers, KEY).await;
    assert!(partitions(&held).is_superset(&[0, 1].into()), "{held:?}");
    root.workers.forget(&held);
    assert!(partitions(&recall(&root.workers, KEY).await).is_empty());
}

#[tokio::test(start_paused = true)]
async fn partials_are_kept_for_ten_minutes() {
    for (after, kept, is_given_up) in [(590, 2, true), (610, 0, true), (590, 2, false), (610, 0, false)] {
        let pool = [Worker::new(2, 0)];
        let root = Root::ask(&pool, &Store::default(), &[5, 5], Vec::new()).await;
        until(async || root.workers.list()[0].ended == 2).await;
        if is_given_up {
            root.flow.abort();
        } else {
            root.die().await;
        }
        sleep(Duration::from_secs(after)).await;
        assert_eq!(recall(&next(&pool).await, KEY).await.partials.len(), kept);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whenever a root dies, what is stored and what is recalled have all units of the leaves that
    /// have ended, each once.
    #[test]
    fn nothing_finished_is_lost(
        counts in proptest::collection::vec(1_u64..200, 1..10),
        slots in proptest::collection::vec((1_usize..4, 0_u64..4), 1..4),
        takes in proptest::collection::vec(0_u64..60, 0..12),
        dies in 1_u64..1200,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let pool: Vec<_> = slots.into_iter().map(|(slots, keeps)| Worker::new(slots, keeps)).collect();
            let store = Store::default();
            let root = Root::ask(&pool, &store, &counts, takes).await;
            sleep(ms(dies)).await;
            root.die().await;
            // Leaves that ran on have ended by now.
            sleep(Duration::from_secs(5)).await;
            let stored = store.len();
            let held = recall(&next(&pool).await, KEY).await;
            let plan = integers(&counts);
            for one in &held.partials {
                assert!(one.fits(&plan, 1 << 10), "{one:?}");
                store.accept(one.epoch, &one.kept, counts[one.kept.partition as usize]);
            }
            let ledgers = store.ledgers(&counts);
            let finished: Vec<_> = pool.iter().flat_map(|worker| worker.leaves.finished()).collect();
            for (partition, range) in finished {
                let gaps = ledgers[partition as usize].gaps(&range);
                assert!(gaps.is_empty(), "{gaps:?} of {range:?} of {partition} is lost: {stored} stored, {held:?}");
            }
        });
    }
}

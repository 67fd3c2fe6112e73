//! Tests of the cache of partials.

use std::collections::BTreeSet;

use tokio::time::sleep;

use super::*;

const MEMO: [u8; MEMO_ID] = [1; MEMO_ID];
const TOKEN: &[u8] = b"a token";
const OTHER: [u8; MEMO_ID] = [2; MEMO_ID];

fn id(partition: u32) -> AttemptId {
    AttemptId { partition, number: 1 }
}

fn memo() -> MemoOf {
    MemoOf { id: Bytes::from_static(&MEMO), epoch: 7 }
}

fn whole(bytes: usize) -> RunPartial {
    RunPartial {
        units: None,
        bytes: vec![0; bytes].into(),
        ran: Duration::ZERO,
        has_ended: true,
        token: Bytes::from_static(TOKEN),
    }
}

fn kept(end: u64) -> RunPartial {
    let units = Some(PartialRange { begin: 0, end, until: end, of: 100 });
    RunPartial { units, has_ended: false, ..whole(1) }
}

fn recall(cache: &PartialCache, id: &[u8]) -> Vec<KeptPartial> {
    let end = cache.end();
    let mut all: Vec<KeptPartial> = Vec::new();
    while let Some(next) = cache.first(id, all.last().map_or(0, |last| last.number + 1)..end) {
        all.push(next);
    }
    all
}

fn partitions(cache: &PartialCache) -> BTreeSet<u32> {
    recall(cache, &MEMO).iter().map(|one| one.partition).collect()
}

#[test]
fn partials_are_recalled_under_their_memo_alone() {
    let cache = PartialCache::default();
    let run = cache.open(memo()).unwrap();
    run.keep(id(3), whole(5));
    let held = recall(&cache, &MEMO);
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].epoch, held[0].partition, held[0].attempt, held[0].partial.len()), (7, 3, 1, 5));
    assert_eq!(held[0].token, TOKEN, "as it came with the order");
    assert!(recall(&cache, &OTHER).is_empty() && recall(&cache, b"").is_empty());
    cache.forget(&OTHER, &[held[0].number]);
    assert_eq!(recall(&cache, &MEMO).len(), 1, "only a root with the key has it forgotten");
    cache.forget(&MEMO, &[held[0].number]);
    assert!(recall(&cache, &MEMO).is_empty());
    for length in [0, MEMO_ID - 1, MEMO_ID + 1] {
        assert!(cache.open(MemoOf { id: vec![1; length].into(), epoch: 0 }).is_none());
    }
}

#[test]
fn what_is_stored_is_forgotten_and_no_more() {
    let cache = PartialCache::default();
    let run = cache.open(memo()).unwrap();
    run.keep(id(0), kept(10));
    run.keep(id(0), kept(20));
    run.stored(id(0), Some(10));
    assert_eq!(partitions(&cache), [0].into(), "it reaches further");
    run.stored(id(0), Some(20));
    assert!(partitions(&cache).is_empty());
    // The leaf has ended before the root's word about what it kept arrives.
    run.keep(id(0), kept(30));
    run.keep(id(0), whole(1));
    run.stored(id(0), Some(30));
    assert_eq!(partitions(&cache), [0].into());
    run.stored(id(0), None);
    assert!(partitions(&cache).is_empty());
    run.keep(id(1), kept(10));
    run.retract(id(1));
    assert!(partitions(&cache).is_empty());
}

#[test]
fn a_query_that_is_stopped_leaves_nothing() {
    let cache = PartialCache::default();
    let stopped = cache.open(memo()).unwrap();
    let other = cache.open(memo()).unwrap();
    stopped.keep(id(0), whole(1));
    stopped.keep(AttemptId { partition: u32::MAX, number: u32::MAX }, whole(1));
    other.keep(id(2), whole(1));
    stopped.stop();
    stopped.keep(id(1), whole(1));
    assert_eq!(partitions(&cache), [2].into());
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_root_has_left_is_forgotten_after_a_while() {
    let cache = PartialCache::default();
    let lost = cache.open(memo()).unwrap();
    let lives = cache.open(memo()).unwrap();
    lost.keep(id(0), whole(1));
    lives.keep(id(1), whole(1));
    lost.lose();
    cache.expire_later();
    lost.keep(id(2), whole(1));
    sleep(KEEP - Duration::from_secs(1)).await;
    assert_eq!(partitions(&cache), [0, 1, 2].into());
    sleep(Duration::from_secs(2)).await;
    assert_eq!(cache.0.state.lock().entries.len(), 1, "without a recall");
    assert_eq!(partitions(&cache), [1].into());
}

#[tokio::test(start_paused = true)]
async fn one_task_forgets_what_all_lost_roots_have_left() {
    let cache = PartialCache::default();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    // Nothing expires just at a look.
    let minute = Duration::from_secs(61);
    for root in 0..20 {
        let lost = cache.open(memo()).unwrap();
        lost.lose();
        cache.expire_later();
        lost.keep(id(root), whole(1));
        sleep(minute).await;
        assert_eq!(tasks(), 1);
        let kept = cache.0.state.lock().entries.len();
        assert_eq!(kept, usize::try_from(root + 1).unwrap().min(9), "after {root}");
    }
    sleep(KEEP).await;
    assert_eq!((tasks(), cache.0.state.lock().entries.len()), (0, 0));
}

#[test]
fn the_oldest_go_first() {
    let cache = PartialCache::default();
    let run = cache.open(memo()).unwrap();
    let many = u32::try_from(MOST_PARTIALS).unwrap();
    (0..many + 10).for_each(|partition| run.keep(id(partition), whole(1)));
    assert_eq!(partitions(&cache), (10..many + 10).collect());
    run.keep(id(0), whole(MOST_BYTES - 1));
    assert_eq!(partitions(&cache), [0, many + 9].into());
    run.keep(id(1), whole(MOST_BYTES + 1));
    assert_eq!(partitions(&cache), [0, many + 9].into(), "what is too large is not kept");
    run.stop();
    let state = cache.0.state.lock();
    assert!(state.entries.is_empty() && state.numbers.is_empty());
    assert_eq!(state.bytes, 0);
}

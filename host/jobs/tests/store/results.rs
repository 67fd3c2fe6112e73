//! Plans, and results of their partitions.

use bytes::Bytes;
use frond_jobs::JobState;
use frond_jobs::store::{
    Counts, Locator, Outcome, PartitionPage, PartitionResult, PartitionRow, PartitionState, PlanRecord,
};
use frond_root::plan::MAX_PARTITIONS;

use crate::kit::{Bench, degraded, done, failed, get, name, part, plan, planning, result, rows, running};

on_both!(
    a_plan_is_kept_as_it_was_made,
    a_plan_may_be_empty,
    a_plan_may_be_large,
    a_plan_that_is_too_large_is_refused,
    the_first_result_of_a_partition_counts,
    an_attempt_of_an_earlier_owner_takes_the_place_of_its_own_part,
    a_failure_is_a_result,
    many_results_are_kept_by_one_call,
    results_are_counted_and_weighed,
    a_result_of_no_partition_is_refused_with_its_company,
    results_that_come_at_once_are_all_there,
    of_one_partitions_results_at_once_one_counts,
    partials_come_in_order_as_many_as_fit,
    large_partials_come_back_whole,
    partitions_are_listed_by_state,
    weights_beyond_measure_do_no_harm,
);

async fn a_plan_is_kept_as_it_was_made(bench: Bench) {
    let store = bench.store();
    let (job, _) = running(&store, 3).await;
    let planned = get(&store, job).await;
    assert_eq!((planned.state, planned.planned), (JobState::Running, true));
    assert_eq!(planned.counts, Counts { partitions: 3, weight: 30, ..Counts::default() });
    assert_eq!(store.asked(job).await.unwrap().planned.as_deref(), Some(&b"planned"[..]));
    for ((index, row), made) in (0..).zip(rows(&store, job).await).zip(plan(3).partitions) {
        assert_eq!((row.index, row.key, row.weight, row.place), (index, made.key, made.weight, made.place));
        assert_eq!((row.state, row.attempts, row.run_ms, row.failure), (PartitionState::Pending, 0, 0, None));
    }
}

async fn a_plan_may_be_empty(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    store.plan(job, epoch, PlanRecord::default()).await.unwrap();
    let planned = get(&store, job).await;
    assert_eq!((planned.state, planned.counts), (JobState::Running, Counts::default()));
    assert_eq!(store.asked(job).await.unwrap().planned, None);
    assert!(store.partials(job, None, 9).await.unwrap().is_empty());
    store.merge(job, epoch).await.unwrap();
}

async fn a_plan_may_be_large(bench: Bench) {
    const COUNT: usize = 100_000;
    let store = bench.store();
    let (job, epoch) = running(&store, COUNT).await;
    assert_eq!(get(&store, job).await.counts.partitions, COUNT as u64);
    let mut page = PartitionPage { after: None, limit: u32::MAX, states: Vec::new() };
    let mut seen = 0;
    loop {
        let rows = store.partitions(job, &page).await.unwrap();
        let Some(last) = rows.last() else { break };
        page.after = Some(last.index);
        seen += rows.len();
    }
    assert_eq!(seen, COUNT);
    let results = (0..1000).map(|index| done(index * 100)).collect();
    assert_eq!(store.accept(job, epoch, results).await.unwrap().fresh.len(), 1000);
}

async fn a_plan_that_is_too_large_is_refused(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    let one = plan(1).partitions.remove(0);
    let planned = PlanRecord { version: String::new(), query: None, partitions: vec![one; MAX_PARTITIONS + 1] };
    assert_eq!(name(&store.plan(job, epoch, planned).await), "too large");
    assert_eq!(get(&store, job).await.state, JobState::Planning);
}

async fn the_first_result_of_a_partition_counts(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 3).await;
    let kept = store.accept(job, epoch, vec![done(1), degraded(1), done(0)]).await.unwrap();
    assert_eq!((kept.fresh, kept.discarded), (vec![0, 1], 1));
    let late = PartitionResult { attempt: 2, ..result(1, Outcome::Done(Bytes::from("late"))) };
    let kept = store.accept(job, epoch, vec![late, failed(0), done(2)]).await.unwrap();
    assert_eq!((kept.fresh, kept.discarded), (vec![2], 2));
    let partials = store.partials(job, None, 1000).await.unwrap();
    assert_eq!(partials.iter().map(|one| &*one.bytes).collect::<Vec<_>>(), [b"partial 0", b"partial 1", b"partial 2"]);
    assert!(rows(&store, job).await.iter().all(|row| row.attempts == 1 && row.run_ms == 7));
    assert_eq!(get(&store, job).await.counts.done, 3);
}

async fn an_attempt_of_an_earlier_owner_takes_the_place_of_its_own_part(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 1).await;
    let own = |epoch, units| PartitionResult { epoch, ..part(0, units, Bytes::from("part")) };
    let accepted = store.accept(job, epoch, vec![own(Some(77), [0, 3, 4])]).await.unwrap();
    assert_eq!(accepted.fresh, [0]);
    // The same attempt number under another epoch is another attempt.
    let accepted = store.accept(job, epoch, vec![own(None, [0, 5, 6])]).await.unwrap();
    assert_eq!((accepted.fresh, accepted.discarded), (vec![], 1));
    let accepted = store.accept(job, epoch, vec![own(Some(77), [0, 12, 12])]).await.unwrap();
    assert_eq!(accepted.fresh, [0]);
    assert_eq!(get(&store, job).await.counts.done, 1);
}

async fn a_failure_is_a_result(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 2).await;
    store.accept(job, epoch, vec![failed(0)]).await.unwrap();
    let kept = store.accept(job, epoch, vec![done(0)]).await.unwrap();
    assert_eq!((kept.fresh, kept.discarded), (vec![], 1));
    let row = rows(&store, job).await.remove(0);
    assert_eq!((row.state, row.failure.unwrap().message.as_str()), (PartitionState::Failed, "trap 0"));
    assert!(store.partials(job, None, 1000).await.unwrap().is_empty());
}

async fn many_results_are_kept_by_one_call(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 12_000).await;
    let mut results: Vec<_> = (0..12_000).map(done).collect();
    // Far from the first results, which count.
    results.extend((0..10).map(failed));
    let kept = store.accept(job, epoch, results).await.unwrap();
    assert_eq!((kept.fresh.len(), kept.discarded), (12_000, 10));
    assert!(kept.fresh.is_sorted());
    let counts = get(&store, job).await.counts;
    assert_eq!((counts.done, counts.failed, counts.settled_weight), (12_000, 0, 120_000));
}

async fn results_are_counted_and_weighed(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 5).await;
    store.accept(job, epoch, vec![done(0), failed(1)]).await.unwrap();
    store.accept(job, epoch, vec![degraded(2), done(3), done(3)]).await.unwrap();
    let counts = get(&store, job).await.counts;
    let expected =
        Counts { partitions: 5, weight: 50, done: 2, degraded: 1, failed: 1, settled_weight: 30, ..Counts::default() };
    assert_eq!(counts, expected);
}

async fn a_result_of_no_partition_is_refused_with_its_company(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    assert_eq!(name(&store.accept(job, epoch, vec![done(0)]).await), "no partition");
    store.plan(job, epoch, plan(2)).await.unwrap();
    assert_eq!(name(&store.accept(job, epoch, vec![done(0), done(2)]).await), "no partition");
    assert_eq!(get(&store, job).await.counts.done, 0);
    assert_eq!(store.accept(job, epoch, Vec::new()).await.unwrap().fresh, Vec::<u32>::new());
}

async fn results_that_come_at_once_are_all_there(bench: Bench) {
    let (job, epoch) = running(&bench.store(), 300).await;
    let mut accepting = tokio::task::JoinSet::new();
    for index in 0..300 {
        let store = bench.store();
        accepting.spawn(async move { store.accept(job, epoch, vec![done(index)]).await.unwrap() });
    }
    let fresh: usize = accepting.join_all().await.iter().map(|kept| kept.fresh.len()).sum();
    assert_eq!(fresh, 300);
    let store = bench.store();
    assert_eq!(get(&store, job).await.counts.done, 300);
    assert_eq!(store.partials(job, None, u64::MAX).await.unwrap().len(), 300);
}

async fn of_one_partitions_results_at_once_one_counts(bench: Bench) {
    let (job, epoch) = running(&bench.store(), 1).await;
    let mut accepting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = bench.store();
        accepting.spawn(async move { store.accept(job, epoch, vec![done(0)]).await.unwrap() });
    }
    let all = accepting.join_all().await;
    assert_eq!(all.iter().map(|kept| kept.fresh.len()).sum::<usize>(), 1);
    assert_eq!(all.iter().map(|kept| kept.discarded).sum::<u32>(), 19);
    assert_eq!(get(&bench.store(), job).await.counts.done, 1);
}

async fn partials_come_in_order_as_many_as_fit(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 5).await;
    let of = |index: u32, size: usize| result(index, Outcome::Done(Bytes::from(vec![b'x'; size])));
    store.accept(job, epoch, vec![of(4, 10), of(0, 10), of(2, 30), failed(1)]).await.unwrap();
    let indexes = async |after: Option<u32>, max_bytes| -> Vec<u32> {
        store
            .partials(job, after.map(|index| (index, 0)), max_bytes)
            .await
            .unwrap()
            .iter()
            .map(|one| one.index)
            .collect()
    };
    assert_eq!(indexes(None, 50).await, [0, 2, 4]);
    assert_eq!(indexes(None, 49).await, [0, 2]);
    assert_eq!(indexes(None, 39).await, [0]);
    assert_eq!(indexes(None, 0).await, [0]);
    assert_eq!(indexes(Some(0), 5).await, [2]);
    assert_eq!(indexes(Some(2), 5).await, [4]);
    assert_eq!(indexes(Some(4), 5).await, Vec::<u32>::new());
}

async fn large_partials_come_back_whole(mut bench: Bench) {
    let large = Bytes::from((0..3_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let (job, epoch) = running(&bench.store(), 3).await;
    let results = vec![
        result(0, Outcome::Done(large.clone())),
        result(1, Outcome::Degraded(large.clone())),
        result(2, Outcome::Done(Bytes::new())),
    ];
    bench.store().accept(job, epoch, results).await.unwrap();
    bench.reopen().await;
    let partials = bench.store().partials(job, None, u64::MAX).await.unwrap();
    assert_eq!(partials.iter().map(|one| one.degraded).collect::<Vec<_>>(), [false, true, false]);
    assert!(partials[0].bytes == large && partials[1].bytes == large && partials[2].bytes.is_empty());
}

async fn partitions_are_listed_by_state(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = running(&store, 6).await;
    store.accept(job, epoch, vec![done(1), failed(2), degraded(3)]).await.unwrap();
    let indexes = async |states: &[PartitionState], after, limit| -> Vec<u32> {
        let page = PartitionPage { after, limit, states: states.to_vec() };
        store.partitions(job, &page).await.unwrap().iter().map(|row| row.index).collect()
    };
    use PartitionState::{Degraded, Done, Failed, Pending};
    assert_eq!(indexes(&[], None, 9).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(indexes(&[Pending], None, 9).await, [0, 4, 5]);
    assert_eq!(indexes(&[Pending], Some(0), 1).await, [4]);
    assert_eq!(indexes(&[Failed, Degraded], None, 9).await, [2, 3]);
    assert_eq!(indexes(&[Done], Some(1), 9).await, Vec::<u32>::new());
    // Each with its own parts, however many lie between.
    let of = |index, begin, end| part(index, [begin, end, end], Bytes::new());
    store.accept(job, epoch, vec![of(0, 0, 1), of(4, 0, 12), of(5, 6, 9), of(5, 0, 2)]).await.unwrap();
    let page = PartitionPage { after: None, limit: 9, states: vec![Pending] };
    let begins = |row: PartitionRow| (row.index, row.parts.iter().map(|part| part.begin).collect::<Vec<_>>());
    let pending: Vec<_> = store.partitions(job, &page).await.unwrap().into_iter().map(begins).collect();
    assert_eq!(pending, [(0, vec![0]), (5, vec![0, 6])]);
}

async fn weights_beyond_measure_do_no_harm(bench: Bench) {
    let store = bench.store();
    let (job, epoch) = planning(&store).await;
    let mut planned = plan(3);
    for one in &mut planned.partitions {
        one.weight = u64::MAX;
        one.place = Locator::Elsewhere(String::new());
    }
    store.plan(job, epoch, planned).await.unwrap();
    for index in 0..3 {
        store.accept(job, epoch, vec![PartitionResult { run_ms: u64::MAX, ..done(index) }]).await.unwrap();
    }
    assert_eq!(get(&store, job).await.counts.done, 3);
}

//! Estimates of jobs with known progress.

use frond_root::{Floor, QueryId};
use proptest::prelude::*;

use super::*;
use crate::store::Counts;

fn job(partitions: u64, done: u64, started: u64) -> Job {
    Job {
        id: QueryId::from(1).into(),
        state: JobState::Running,
        app: "app".to_owned(),
        version: "v".to_owned(),
        floor: Floor::All,
        required: Vec::new(),
        run_timeout_ms: 1_000_000,
        retention_ms: 1,
        weight: 1,
        caller: None,
        created: UnixMs(0),
        started: Some(UnixMs(started)),
        finished: None,
        expires: None,
        owner: None,
        epoch: 1,
        lease_until: None,
        cancel: None,
        planned: true,
        counts: Counts { partitions, weight: 10 * partitions, done, settled_weight: 10 * done, ..Counts::default() },
        events: 0,
        strikes: 0,
        account: Default::default(),
        bytes: 0,
        reason: None,
        coverage: None,
    }
}

fn past(weight: u64, run_ms: u64) -> PastJob {
    PastJob {
        id: QueryId::from(2).into(),
        partitions: 10,
        weight,
        run_ms,
        leaf_ms: run_ms,
        leaf_ms_per_weight: 1.0,
        finished: UnixMs(0),
    }
}

#[test]
fn what_is_left_takes_as_long_as_what_is_done() {
    let eta = eta(&job(100, 25, 0), &[], 2, UnixMs(10_000)).unwrap();
    assert_eq!((eta.p50_ms, eta.basis), (30_000, Basis::Progress));
    assert!(eta.p90_ms > 30_000 && eta.p90_ms < 40_000, "{eta:?}");
}

#[test]
fn before_enough_is_done_others_tell() {
    let history = [past(500, 1_000), past(500, 2_000), past(500, 9_000)];
    let eta = eta(&job(100, 2, 0), &history, 2, UnixMs(1_000)).unwrap();
    assert_eq!((eta.p50_ms, eta.p90_ms, eta.basis), (3_000, 17_000, Basis::History));
}

#[test]
fn without_anything_to_go_by_there_is_no_estimate_but_a_reason() {
    assert!(eta(&job(100, 0, 0), &[], 2, UnixMs(1_000)).unwrap_err().contains("too little"));
    assert!(eta(&job(100, 0, 0), &[], 2, UnixMs(100_000)).unwrap_err().contains("stalled"));
    let ended = Job { state: JobState::Failed, ..job(100, 50, 0) };
    assert!(eta(&ended, &[past(1, 1)], 2, UnixMs(0)).is_err());
}

proptest! {
    #[test]
    fn the_ninetieth_percentile_is_never_below_the_median_and_nothing_overflows(
        partitions in 0_u64..2_000_000,
        done in 0_u64..2_000_000,
        now: u64,
        slots in 0_usize..1_000,
        past_ones in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..5),
    ) {
        let history: Vec<PastJob> = past_ones.into_iter().map(|(weight, ms)| past(weight, ms)).collect();
        if let Ok(eta) = eta(&job(partitions, done.min(partitions), 0), &history, slots, UnixMs(now)) {
            prop_assert!(eta.p90_ms >= eta.p50_ms, "{:?}", eta);
        }
    }
}

//! Whether one more query is taken on.

use std::time::Duration;

use crate::answer::Coverage;

/// What a host has taken on.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Queries under way.
    pub running: usize,
    /// The most that may be.
    pub most: usize,
    /// The slot time that they are expected to take.
    pub ahead: Duration,
    /// The shortest time that one of them has for its gather.
    pub shortest: Option<Duration>,
    /// Leaves at once.
    pub slots: usize,
    /// How long no query of the same app has been taken on.
    pub unheard: Duration,
}

/// Takes a query on that is expected to cost `cost` of slot time and has `budget` until its gather ends. Queries take
/// turns, so each may end as late as the last: all that is under way must fit [`SHARE`] of the time of the one that has
/// least, the new one and those that run. A cost that is not known yet is nothing.
///
/// # Errors
/// How long to wait before it is worth asking again.
pub fn admit(load: &Load, cost: Duration, budget: Duration) -> Result<(), Duration> {
    let all = (load.ahead + cost) / u32::try_from(load.slots.max(1)).unwrap_or(u32::MAX);
    let time = load.shortest.map_or(budget, |shortest| shortest.min(budget)).mul_f64(SHARE);
    if load.running >= load.most {
        return Err(all.max(AGAIN));
    }
    // A host that does nothing else takes on what it can: its deadline says how much of an answer that makes.
    // An expectation that keeps all queries of an app out would never be put right.
    if load.running > 0 && all > time && load.unheard < HEARING {
        return Err((all - time).max(AGAIN));
    }
    Ok(())
}

/// The slot time that a query would have taken, had all its partitions run: one that was cut off took less, and to take that
/// for its cost would let in more of the same, of which still more is cut off. Nothing if no leaf of it ran.
#[must_use]
pub fn whole_cost(coverage: &Coverage) -> Option<Duration> {
    let (used, all) = (coverage.timings.leaf_used, coverage.timings.leaf_used + coverage.timings.leaf_wasted);
    let part = |some: u64, of: u64| (some > 0).then(|| of as f64 / some as f64);
    let weight = &coverage.weight;
    let scaled = match part(weight.succeeded, weight.planned.saturating_sub(weight.skipped)) {
        Some(times) => used * times,
        None => all * part(coverage.attempts.started, coverage.partitions.planned)?,
    };
    Duration::try_from_secs_f64(scaled.max(all).max(0.0) / 1e3).ok()
}

/// How much of the time may be taken. Costs are means, and what is expected to end with its deadline misses it half of the
/// time; more than this waits in vain, as the slots are busy with less.
pub const SHARE: f64 = 0.5;
/// So often a query of each app is taken on, whatever it is expected to cost.
const HEARING: Duration = Duration::from_secs(1);
/// The shortest wait that is advised.
const AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::QueryId;
    use crate::answer::{Attempts, Tally, Timings};
    use crate::request::Floor;

    fn ms() -> impl Strategy<Value = Duration> {
        (0_u64..10_000).prop_map(Duration::from_millis)
    }

    proptest! {
        #[test]
        fn what_is_taken_on_can_be_done_in_time(
            costs in proptest::collection::vec((ms(), ms()), 1..50),
            slots in 1_usize..8,
        ) {
            let (mut ahead, mut shortest, mut running) = (Duration::ZERO, None::<Duration>, 0);
            for (cost, budget) in costs {
                let load = Load { running, most: 20, ahead, shortest, slots, unheard: Duration::ZERO };
                if admit(&load, cost, budget).is_ok() {
                    ahead += cost;
                    shortest = Some(shortest.map_or(budget, |one| one.min(budget)));
                    running += 1;
                }
                prop_assert!(running <= 20);
                if let (Some(shortest), true) = (shortest, running > 1) {
                    prop_assert!(ahead / slots as u32 <= shortest.mul_f64(SHARE));
                }
            }
        }
    }

    fn coverage(weight: Tally, partitions: Tally, started: u64, timings: Timings) -> Coverage {
        Coverage {
            query: QueryId::new(),
            complete: false,
            fraction: 0.0,
            floor: Floor::All,
            required_missing: Vec::new(),
            partitions,
            weight,
            covered: 0,
            missing: Vec::new(),
            missing_omitted: 0,
            failures: std::collections::BTreeMap::new(),
            attempts: Attempts { started, ..Attempts::default() },
            timings,
            stragglers: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_query_that_was_cut_off_would_have_cost_more_than_it_took() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let cut = |succeeded| Tally { planned: 40, succeeded, timed_out: 40 - succeeded, ..Tally::default() };
        let took = |leaf_used, leaf_wasted| Timings { leaf_used, leaf_wasted, ..Timings::default() };
        assert_eq!(whole_cost(&coverage(cut(10), cut(10), 11, took(5.0, 1.0))), ms(20));
        assert_eq!(whole_cost(&coverage(cut(40), cut(40), 41, took(20.0, 1.0))), ms(21));
        assert_eq!(whole_cost(&coverage(cut(0), cut(0), 10, took(0.0, 5.0))), ms(20));
        assert_eq!(whole_cost(&coverage(cut(0), cut(0), 0, took(0.0, 0.0))), None);
    }

    #[test]
    fn an_idle_host_takes_on_anything() {
        let idle =
            Load { running: 0, most: 1, ahead: Duration::ZERO, shortest: None, slots: 1, unheard: Duration::ZERO };
        assert_eq!(admit(&idle, Duration::from_secs(100), Duration::from_millis(1)), Ok(()));
    }

    #[test]
    fn an_app_that_is_thought_too_dear_is_heard_now_and_then() {
        let second = Duration::from_secs(1);
        let load = |unheard| Load { running: 1, most: 2, ahead: second, shortest: Some(second), slots: 1, unheard };
        assert_eq!(admit(&load(second / 2), 100 * second, second), Err(101 * second - second.mul_f64(SHARE)));
        assert_eq!(admit(&load(second), 100 * second, second), Ok(()));
    }

    #[test]
    fn a_full_host_says_when_to_come_again() {
        let second = Duration::from_secs(1);
        let full = Load { running: 1, most: 1, ahead: second, shortest: Some(second), slots: 1, unheard: 2 * second };
        assert_eq!(admit(&full, second, 10 * second), Err(2 * second));
    }
}

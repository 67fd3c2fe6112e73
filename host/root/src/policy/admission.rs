//! Whether one more query is taken on.

use std::time::Duration;

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
/// turns, so each may end as late as the last: all that is under way must fit the time of the one that has least, the new
/// one and those that run. A cost that is not known yet is nothing.
///
/// # Errors
/// How long to wait before it is worth asking again.
pub fn admit(load: &Load, cost: Duration, budget: Duration) -> Result<(), Duration> {
    let all = (load.ahead + cost) / u32::try_from(load.slots.max(1)).unwrap_or(u32::MAX);
    let time = load.shortest.map_or(budget, |shortest| shortest.min(budget));
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

/// So often a query of each app is taken on, whatever it is expected to cost.
const HEARING: Duration = Duration::from_secs(1);
/// The shortest wait that is advised.
const AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
                    prop_assert!(ahead / slots as u32 <= shortest);
                }
            }
        }
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
        assert_eq!(admit(&load(second / 2), 100 * second, second), Err(100 * second));
        assert_eq!(admit(&load(second), 100 * second, second), Ok(()));
    }

    #[test]
    fn a_full_host_says_when_to_come_again() {
        let second = Duration::from_secs(1);
        let full = Load { running: 1, most: 1, ahead: second, shortest: Some(second), slots: 1, unheard: 2 * second };
        assert_eq!(admit(&full, second, 10 * second), Err(2 * second));
    }
}

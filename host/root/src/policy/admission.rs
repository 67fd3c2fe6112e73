//! Admission of queries: one is admitted if it is expected to end in time beside the running ones.

use std::time::Duration;

use crate::answer::Coverage;

/// Running queries as admission sees them, split into one tenant's own and the others'. A tenant is
/// an app as used by one caller. Slots are shared equally between tenants, so another tenant's
/// queries count for no more than the tenant's own.
#[derive(Clone, Debug)]
pub struct Load {
    /// Running queries of all tenants.
    pub running: usize,
    /// The most running queries.
    pub most: usize,
    /// The most leaves at once.
    pub slots: usize,
    /// Running queries of this tenant.
    pub own: Vec<Running>,
    /// Running queries of this tenant's caller, in all its apps.
    pub held: usize,
    /// Slot time that the queries of each other caller, and of each other app of this caller, are
    /// expected to take.
    pub others: Vec<Duration>,
    /// True if another caller asked lately: places are then kept free for others.
    pub is_shared: bool,
    /// Time since a query of this tenant was last admitted.
    pub since_last_query: Duration,
}

/// One running query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Slot time that it is expected to take.
    pub cost: Duration,
    /// Time from its start to the end of its gather; `None` if it was expected from the start to
    /// miss that.
    pub budget: Option<Duration>,
}

/// Refusal of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Time after which asking again is worthwhile.
    pub after: Duration,
    /// Reason of the refusal.
    pub reason: Reason,
}

/// Reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// As many queries run as may.
    Places,
    /// The tenant has as many running queries as it may while others ask, too.
    Share,
    /// The query would not end within its own deadline.
    Deadline,
    /// A running query of the same tenant would no longer end within its deadline.
    Earlier,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Places, Self::Share, Self::Deadline, Self::Earlier];

    /// Spelling in metrics.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Places => "places",
            Self::Share => "share",
            Self::Deadline => "deadline",
            Self::Earlier => "earlier",
        }
    }
}

/// Decides on a query of `cost` slot time that has `budget` until its gather ends. An unknown cost
/// is zero.
///
/// Tenants share the slots equally, and so do the queries of one tenant (processor sharing). A
/// query therefore ends after `(W + Σ min(W, Wᵢ)) ÷ slots`: `W` is `cost + Σ min(cost, costⱼ)` over
/// the tenant's own queries, and `Wᵢ` is the remaining cost of another tenant. The query must end
/// within [`SHARE`] of its budget, and the tenant's earlier queries within that share of theirs.
/// Another tenant's deadlines do not count: they would be a way to keep others out.
///
/// # Errors
/// A [`Refusal`] with its reason.
pub fn admit(load: &Load, cost: Duration, budget: Duration) -> Result<Running, Refusal> {
    let all = load.ends(load.own.iter().map(|one| one.cost).sum::<Duration>() + cost);
    let refused = |after: Duration, reason| Err(Refusal { after: after.max(AGAIN), reason });
    if load.running >= load.most {
        return refused(all, Reason::Places);
    }
    // Dynamic thresholds (Choudhury and Hahne 1998): no caller holds more than is left for others.
    if load.is_shared && load.held > 0 && load.held >= load.most - load.running {
        return refused(all, Reason::Share);
    }
    let beside = load.own.iter().map(|one| one.cost.min(cost)).sum::<Duration>();
    let ends = load.ends(beside + cost);
    let is_met = ends <= budget.mul_f64(SHARE);
    let running = Running { cost, budget: is_met.then_some(budget) };
    // A tenant without other running queries is admitted in any case: the deadline bounds the
    // answer. A wrong estimate that kept out all queries of a tenant would never be corrected.
    if load.own.is_empty() || load.since_last_query >= HEARING {
        return Ok(running);
    }
    if !is_met {
        return refused(ends.saturating_sub(budget.mul_f64(SHARE)), Reason::Deadline);
    }
    let earlier = load.own.iter().filter_map(|one| one.budget).min();
    match earlier.map(|earlier| earlier.mul_f64(SHARE)).filter(|time| all > *time) {
        Some(time) => refused(all.saturating_sub(time), Reason::Earlier),
        None => Ok(running),
    }
}

impl Load {
    /// Time after which `work` of this tenant is done, while each other tenant gets as much.
    fn ends(&self, work: Duration) -> Duration {
        let others = self.others.iter().map(|other| (*other).min(work)).sum::<Duration>();
        (work + others) / u32::try_from(self.slots.max(1)).unwrap_or(u32::MAX)
    }
}

/// Slot time that a query would have taken if all its partitions had run. A query that was cut off
/// took less; using that as its cost would admit more of the same, of which still more is cut off.
/// Planning time counts as well, as it keeps a thread busy. `None` if no leaf ran and planning took
/// at most a millisecond.
#[must_use]
pub fn whole_cost(coverage: &Coverage) -> Option<Duration> {
    let used = coverage.timings.leaf_used;
    let all = coverage.timings.leaf_used + coverage.timings.leaf_wasted;
    let part = |some: u64, of: u64| (some > 0).then(|| of as f64 / some as f64);
    let weight = &coverage.weight;
    let scaled = match part(weight.succeeded, weight.planned.saturating_sub(weight.skipped)) {
        Some(times) => used * times,
        None => match part(coverage.attempts.started, coverage.partitions.planned) {
            Some(times) => all * times,
            None if coverage.timings.plan > QUICK_PLAN => 0.0,
            None => return None,
        },
    };
    Duration::try_from_secs_f64((scaled.max(all) + coverage.timings.plan).max(0.0) / 1e3).ok()
}

/// Planning time in milliseconds up to which it says nothing about a query's cost.
const QUICK_PLAN: f64 = 1.0;

/// Share of a budget that may be filled. Costs are means: a query that is expected to end at its
/// deadline misses it half of the time. With a higher share more queries would wait without an
/// answer, as the slots are already busy.
pub const SHARE: f64 = 0.5;
/// Time after its last admission at which a tenant's query is admitted, whatever its expected cost.
const HEARING: Duration = Duration::from_secs(1);
/// The shortest advised wait.
const AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::QueryId;
    use crate::answer::{Attempts, Tally, Timings, UnitTally};
    use crate::request::Floor;

    fn ms() -> impl Strategy<Value = Duration> {
        (0_u64..10_000).prop_map(Duration::from_millis)
    }

    /// A host with a single tenant.
    fn load(own: &[Running], slots: usize, most: usize) -> Load {
        let since_last_query = Duration::ZERO;
        Load {
            running: own.len(),
            most,
            slots,
            own: own.to_vec(),
            held: own.len(),
            others: Vec::new(),
            is_shared: false,
            since_last_query,
        }
    }

    fn running(cost: Duration, budget: Duration) -> Running {
        Running { cost, budget: Some(budget) }
    }

    const SECOND: Duration = Duration::from_secs(1);

    proptest! {
        #[test]
        fn what_is_admitted_can_be_done_in_time(
            costs in proptest::collection::vec((ms(), ms()), 1..50),
            slots in 1_usize..8,
        ) {
            let mut own = Vec::new();
            for (cost, budget) in costs {
                let load = load(&own, slots, 20);
                if let Ok(one) = admit(&load, cost, budget) {
                    own.push(one);
                }
                prop_assert!(own.len() <= 20);
                for one in &own {
                    let beside = own.iter().map(|other| other.cost.min(one.cost)).sum::<Duration>() / slots as u32;
                    prop_assert!(one.budget.is_none_or(|budget| beside <= budget.mul_f64(SHARE)));
                }
            }
        }

        /// However many, costly and urgent the others' queries are, a tenant's only query is
        /// admitted.
        #[test]
        fn no_other_tenant_keeps_a_quiet_one_out(
            others in proptest::collection::vec(ms(), 0..50),
            (cost, budget) in (ms(), ms()),
            most in 2_usize..100,
        ) {
            let running = others.len().min(most - 1);
            let load = Load { running, others, is_shared: true, ..load(&[], 2, most) };
            prop_assert!(admit(&load, cost, budget).is_ok());
        }

        /// A tenant leaves places to the next one, however much it asks.
        #[test]
        fn a_tenant_leaves_places_while_others_ask(most in 2_usize..300, asks in 1_usize..600) {
            let mut own = Vec::new();
            for _ in 0..asks {
                let load = Load { is_shared: true, ..load(&own, 2, most) };
                own.extend(admit(&load, Duration::ZERO, SECOND));
            }
            prop_assert!(own.len() < most);
            prop_assert!(own.len() >= asks.min(most / 2));
        }
    }

    #[test]
    fn as_much_of_each_other_tenant_counts_as_the_query_itself_costs() {
        let busy = Load { others: vec![100 * SECOND; 3], ..load(&[running(SECOND, 100 * SECOND)], 2, 10) };
        // The query, its tenant's other one, and as much as both for each of three tenants, on two
        // slots: 4 s.
        assert!(admit(&busy, SECOND, 8 * SECOND).is_ok());
        let refused = admit(&busy, SECOND, 7 * SECOND);
        assert_eq!(refused, Err(Refusal { after: SECOND / 2, reason: Reason::Deadline }));
    }

    #[test]
    fn a_query_that_would_make_an_earlier_one_late_is_refused() {
        let busy = load(&[running(SECOND, 2 * SECOND)], 1, 10);
        let refused = admit(&busy, SECOND, 100 * SECOND);
        assert_eq!(refused, Err(Refusal { after: SECOND, reason: Reason::Earlier }));
    }

    #[test]
    fn a_deadline_that_cannot_be_met_keeps_no_other_query_out() {
        let hopeless = admit(&load(&[], 1, 10), SECOND, SECOND / 50);
        assert_eq!(hopeless, Ok(Running { cost: SECOND, budget: None }));
        let own: Vec<_> = hopeless.into_iter().collect();
        assert!(admit(&load(&own, 1, 10), SECOND, 10 * SECOND).is_ok());
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
            units: UnitTally::default(),
            workers: None,
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
    fn an_idle_host_admits_anything() {
        assert!(admit(&load(&[], 1, 1), 100 * SECOND, SECOND / 1000).is_ok());
    }

    #[test]
    fn a_tenant_that_is_thought_too_dear_is_heard_now_and_then() {
        let load = |since_last_query| Load { since_last_query, ..load(&[running(SECOND, SECOND)], 1, 2) };
        let refused = admit(&load(SECOND / 2), 100 * SECOND, SECOND);
        assert_eq!(refused, Err(Refusal { after: 101 * SECOND - SECOND.mul_f64(SHARE), reason: Reason::Deadline }));
        assert!(admit(&load(SECOND), 100 * SECOND, SECOND).is_ok());
    }

    #[test]
    fn a_full_host_says_when_to_come_again() {
        let full = Load { since_last_query: 2 * SECOND, ..load(&[running(SECOND, SECOND)], 1, 1) };
        let refused = admit(&full, SECOND, 10 * SECOND);
        assert_eq!(refused, Err(Refusal { after: 2 * SECOND, reason: Reason::Places }));
    }
}

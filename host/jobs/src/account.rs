//! Account of a job over all its lives: the reports of earlier owners and the result of the last
//! one. Pure.

use std::collections::BTreeMap;

use frond_root::answer::{Attempts, Timings};
use frond_root::{Coverage, FailureKind};
use serde::{Deserialize, Serialize};

/// Sums of attempts, failures and times.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Attempts of leaves.
    pub attempts: Attempts,
    /// Failed attempts, by slug.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Bytes of the failures' texts that events have carried in full: see
    /// [`frond_root::failure::MAX_EVENT_TEXTS`].
    pub texts: u64,
    /// Time spent in each phase, in owners at work; time between owners does not count.
    pub timings: Timings,
}

impl Account {
    /// Adds the account of another life.
    pub fn add(&mut self, life: &Self) {
        let all = &mut self.attempts;
        let one = &life.attempts;
        all.started += one.started;
        all.retries += one.retries;
        all.hedges += one.hedges;
        all.hedge_wins += one.hedge_wins;
        all.wasted_ms += one.wasted_ms;
        all.discarded += one.discarded;
        all.warm += one.warm;
        all.cuts += one.cuts;
        for (kind, count) in &life.failures {
            *self.failures.entry(*kind).or_default() += count;
        }
        self.texts += life.texts;
        let all = &mut self.timings;
        let one = &life.timings;
        all.plan += one.plan;
        all.gather += one.gather;
        all.merge += one.merge;
        all.total += one.total;
        all.leaf_used += one.leaf_used;
        all.leaf_wasted += one.leaf_wasted;
        all.leaf_waited += one.leaf_waited;
    }

    /// Extends the coverage of the last life to all lives; `self` is the account of the earlier
    /// lives.
    #[must_use]
    pub fn completing(mut self, mut coverage: Coverage) -> Coverage {
        let deadline = coverage.timings.deadline;
        let reserve = coverage.timings.reserve;
        self.add(&Self {
            attempts: coverage.attempts,
            failures: std::mem::take(&mut coverage.failures),
            texts: 0,
            timings: coverage.timings,
        });
        let Self { attempts, failures, timings, .. } = self;
        Coverage { attempts, failures, timings: Timings { deadline, reserve, ..timings }, ..coverage }
    }
}

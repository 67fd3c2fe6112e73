//! The account of a job over all its lives: what each owner had told before it was gone, and what the last one found. Pure.

use std::collections::BTreeMap;

use frond_root::answer::{Attempts, Timings};
use frond_root::{Coverage, FailureKind};
use serde::{Deserialize, Serialize};

/// Attempts, failures and times, added up.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Attempts of leaves.
    pub attempts: Attempts,
    /// Failed attempts, by slug.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Bytes of the failures' texts that events have told in full: see [`frond_root::failure::MAX_EVENT_TEXTS`].
    pub texts: u64,
    /// Where the time went: that of owners at work, without the time between them.
    pub timings: Timings,
}

impl Account {
    /// Adds another life.
    pub fn add(&mut self, life: &Self) {
        let (all, one) = (&mut self.attempts, &life.attempts);
        all.started += one.started;
        all.retries += one.retries;
        all.hedges += one.hedges;
        all.hedge_wins += one.hedge_wins;
        all.discarded += one.discarded;
        for (kind, count) in &life.failures {
            *self.failures.entry(*kind).or_default() += count;
        }
        self.texts += life.texts;
        let (all, one) = (&mut self.timings, &life.timings);
        all.plan += one.plan;
        all.gather += one.gather;
        all.merge += one.merge;
        all.total += one.total;
        all.leaf_used += one.leaf_used;
        all.leaf_wasted += one.leaf_wasted;
    }

    /// Makes the coverage of the last life that of all lives; `self` is the account of those before.
    #[must_use]
    pub fn completing(mut self, mut coverage: Coverage) -> Coverage {
        let (deadline, reserve) = (coverage.timings.deadline, coverage.timings.reserve);
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

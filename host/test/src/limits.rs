//! Limits of a case's calls: those of the package, lowered by the case and by faults. Each failure
//! names the place where its limit is set.

use frond_root::{Bound, Failure, FailureKind, Limit, Scope};
use frond_sandbox::{Limits, Trial};

use crate::case::{Call, Lower};
use crate::inject::Fault;
use crate::tester::Tester;

/// Returns the limits that apply to a case: a case lowers limits and never raises them.
pub(crate) fn lower(limits: Limits, by: &Lower) -> Limits {
    let least = |own: u64, lower: Option<u64>| lower.map_or(own, |lower| own.min(lower));
    Limits {
        fuel: if limits.fuel == 0 { 0 } else { least(limits.fuel, by.fuel.map(|fuel| fuel.max(1))) },
        memory: least(limits.memory, by.memory.map(|size| size.0)),
        output: least(limits.output, by.output.map(|size| size.0)),
        host_calls: least(limits.host_calls, by.host_calls),
        ..limits
    }
}

/// Origin of a call's limits: the package's limits, and the faults that lower them.
pub(crate) struct Origin<'a> {
    pub(crate) own: Limits,
    pub(crate) faults: &'a [Fault],
    /// The time limit of the call.
    pub(crate) time: Limit,
}

impl Origin<'_> {
    /// Returns the trial; a failure by a limit names the place where the limit is set.
    pub(crate) fn name<T>(&self, trial: Trial<T>) -> Trial<T> {
        Trial { result: trial.result.map_err(|failure| Box::new(self.failure(*failure))), ..trial }
    }

    fn failure(&self, failure: Failure) -> Failure {
        match failure.limit {
            Some(limit) => failure.ended_by(self.limit(limit)),
            None if failure.kind == FailureKind::OutOfTime => failure.ended_by(self.time),
            None => failure,
        }
    }

    fn limit(&self, limit: Limit) -> Limit {
        let own = match limit.key.bound {
            Bound::Time => return self.time,
            Bound::Fuel => self.own.fuel,
            Bound::Memory => self.own.memory,
            Bound::Output => self.own.output,
            Bound::HostCalls => self.own.host_calls,
            Bound::TableElements | Bound::Partition => limit.value,
        };
        let injected = self.faults.iter().any(|fault| match (fault, limit.key.bound) {
            (Fault::OutOfFuelAt(most), Bound::Fuel) | (Fault::OomAt(most), Bound::Memory) => *most == limit.value,
            _ => false,
        });
        if own == limit.value {
            limit
        } else if injected {
            limit.set_by(Scope::Fault)
        } else {
            limit.set_by(Scope::Case)
        }
    }
}

impl Tester {
    /// Returns the origin of a call's limits.
    pub(crate) fn origin<'a>(&self, call: &Call, own: Limits, by: &Lower, faults: &'a [Fault]) -> Origin<'a> {
        let time = match call {
            Call::Leaf { .. } | Call::Split { .. } => self.leaf_limit(by),
            Call::Merge { .. } | Call::Finish { .. } | Call::Query(_) => self.merge_limit(by),
        };
        Origin { own, faults, time }
    }

    /// Returns the limit on a leaf's time: the case's, the app's, or the part of the deadline for
    /// leaves.
    pub(crate) fn leaf_limit(&self, by: &Lower) -> Limit {
        let most = self.leaf_time(by);
        match (by.time, self.package.limits.leaf.time) {
            (Some(lower), _) if lower.0 == most => Limit::time(Scope::Case, most),
            (_, Some(own)) if own == most => Limit::time(Scope::Leaf, most),
            _ => Limit::time(Scope::Query, self.package.deadline),
        }
    }

    fn merge_limit(&self, by: &Lower) -> Limit {
        let most = self.merge_time(by);
        match by.time {
            Some(lower) if lower.0 == most => Limit::time(Scope::Case, most),
            _ => Limit::time(Scope::Query, self.package.deadline),
        }
    }
}

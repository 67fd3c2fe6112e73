//! Limits of a case's calls: those of the package, lowered by the case and by faults. Each failure
//! names the place where its limit is set.

use std::time::Duration;

use frond_root::call::Limits;
use frond_root::{Bound, Failure, Limit, LimitKey, Scope};
use frond_sandbox::Trial;

use crate::case::{Call, Lower};
use crate::fixture::Fixture;
use crate::inject::Fault;
use crate::tester::Tester;

/// Returns the limits that apply to a case's calls: a case lowers limits and never raises them.
///
/// # Errors
/// When the case gives a limit above the package's own.
pub(crate) fn lower(own: Limits, by: &Lower, call: &Call) -> Result<Limits, Fixture> {
    let scope = scope(call);
    if own.fuel == 0 && by.fuel.is_some() {
        let key = LimitKey { scope, bound: Bound::Fuel };
        return Err(Fixture::new(format!("lowers the fuel of calls that are not metered\n(set {key})")));
    }
    let least = |bound: Bound, own: u64, lower: Option<u64>| match lower {
        Some(lower) if lower > own => Err(above(Limit::new(scope, bound, own))),
        lower => Ok(lower.unwrap_or(own)),
    };
    Ok(Limits {
        // A limit of 0 would turn metering off.
        fuel: least(Bound::Fuel, own.fuel, by.fuel.map(|fuel| fuel.max(1)))?,
        memory: least(Bound::Memory, own.memory, by.memory.map(|size| size.0))?,
        output: least(Bound::Output, own.output, by.output.map(|size| size.0))?,
        host_calls: least(Bound::HostCalls, own.host_calls, by.host_calls)?,
        ..own
    })
}

/// Returns the place where the package sets the limits of a case's calls. A query's are those of
/// its leaves.
fn scope(call: &Call) -> Scope {
    match call {
        Call::Leaf { .. } | Call::Query(_) => Scope::Leaf,
        Call::Merge { .. } | Call::Finish { .. } => Scope::Merge,
        Call::Split { .. } => Scope::Split,
    }
}

/// Returns the error about a case's limit above `own`, that of the package.
fn above(own: Limit) -> Fixture {
    let key = own.set_by(Scope::Case).key.to_string();
    let key = key.trim_start_matches("case.");
    Fixture::new(format!("`{key}` of a case must not be above the app's\n({own})"))
}

/// Origin of a call's limits: the package's limits, and the faults that lower them.
pub(crate) struct Origin<'a> {
    pub(crate) own: Limits,
    pub(crate) faults: &'a [Fault],
    /// The time limit of the call; `None` for a query, whose leaves name theirs.
    pub(crate) time: Option<Limit>,
}

impl Origin<'_> {
    /// Returns the trial; a failure by a limit names the place where the limit is set.
    pub(crate) fn name<T>(&self, trial: Trial<T>) -> Trial<T> {
        Trial { result: trial.result.map_err(|failure| Box::new(self.failure(*failure))), ..trial }
    }

    /// Returns the failure with the place where its limit is set.
    pub(crate) fn failure(&self, failure: Failure) -> Failure {
        match (failure.limit, self.time) {
            (Some(limit), _) => failure.ended_by(self.limit(limit)),
            (None, Some(time)) => failure.within(time),
            (None, None) => failure,
        }
    }

    fn limit(&self, limit: Limit) -> Limit {
        let Some(own) = self.own.value(limit.key.bound) else {
            return self.time.unwrap_or(limit);
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
        Origin { own, faults, time: self.time_limit(call, by) }
    }

    /// Refuses a case's time above the package's own.
    ///
    /// # Errors
    /// Also when the case has a time for a query, which has a deadline.
    pub(crate) fn check_time(&self, call: &Call, by: &Lower) -> Result<(), Fixture> {
        let Some(time) = &by.time else { return Ok(()) };
        match self.time_limit(call, &Lower::default()) {
            Some(own) if Limit::time(own.key.scope, time.0).value > own.value => Err(above(own)),
            Some(_) => Ok(()),
            None => {
                let what =
                    "`limits.time` of a case bounds one call, and this case asks the whole app\n(set `deadline`)";
                Err(Fixture::new(what))
            }
        }
    }

    /// Returns the limit on the time of a single call.
    fn time_limit(&self, call: &Call, by: &Lower) -> Option<Limit> {
        match call {
            Call::Leaf { .. } => Some(self.leaf_limit(by)),
            Call::Split { .. } => Some(self.split_limit(by)),
            Call::Merge { .. } | Call::Finish { .. } => Some(self.merge_limit(by)),
            Call::Query(_) => None,
        }
    }

    /// Returns the limit on a leaf's time: the case's, the app's, or the part of the deadline for
    /// leaves.
    pub(crate) fn leaf_limit(&self, by: &Lower) -> Limit {
        self.limit_of(Scope::Leaf, self.package.limits.leaf_time, self.leaf_time(by), by)
    }

    fn split_limit(&self, by: &Lower) -> Limit {
        self.limit_of(Scope::Split, self.package.limits.split_time, self.split_time(by), by)
    }

    /// Returns the limit that made `most` of the time of a call: the case's, the app's `own` in
    /// `scope`, or the query's deadline.
    fn limit_of(&self, scope: Scope, own: Option<Duration>, most: Duration, by: &Lower) -> Limit {
        match (by.time, own) {
            (Some(lower), _) if lower.0 == most => Limit::time(Scope::Case, most),
            (_, Some(own)) if own == most => Limit::time(scope, most),
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

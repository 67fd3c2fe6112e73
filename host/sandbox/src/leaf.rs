//! One leaf call: runs a claimed attempt to the guest's result.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use frond_root::call::Limits;
use frond_root::{Attempt, Bound, Content, DigestWriter, Failure, FailureKind, Limit, Partition, Scope, Usage, Work};

use crate::bindings::PartitionIn;
use crate::call::{Call, CallResult};
use crate::classify::{Stop, classify};
use crate::component::Plugin;
use crate::files;
use crate::grants::{CallGrants, GuestGrants};
use crate::host::{CallOrigin, Seed};
use crate::inline;
use crate::park::{self, CallContext};
use crate::permits::{PoolPermit, PoolPermits};
use crate::ready::Ready;

/// Component as a leaf, with the limits and grants of its calls.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The component.
    pub plugin: Arc<Plugin>,
    /// Limits of one call.
    pub limits: Limits,
    /// True if query and partition key seed the clocks and randomness.
    pub deterministic: bool,
    /// Resources that calls may use beyond computing.
    pub grants: Arc<GuestGrants>,
}

impl Leaf {
    /// Runs one attempt on this thread, once it has a permit. The caller ends the attempt.
    pub(crate) fn call(&self, attempt: Attempt, context: &CallContext) -> CallResult<Bytes> {
        let index = attempt.index();
        let deadline = attempt.deadline().into_std();
        let stopped = CallOrigin::stopper_of(&attempt, deadline);
        let wait = |places: &PoolPermits| places.wait(context.waker.as_ref(), deadline, stopped);
        match self.plugin.leaf_place(context.slot, wait) {
            Ok((ready, place)) => self.call_at((ready, &place), attempt, index, context),
            Err(stop) => unbegun(attempt, no_place(stop, context)),
        }
    }

    /// Runs one attempt under the caller's permit; the guest sees `index` as its partition's
    /// number.
    pub(crate) fn call_at(
        &self,
        (ready, place): (&Ready, &PoolPermit),
        attempt: Attempt,
        index: u32,
        context: &CallContext,
    ) -> CallResult<Bytes> {
        let data = match self.content(&attempt, context) {
            Ok(data) => data,
            Err(failure) => return unbegun(attempt, failure),
        };
        let work = attempt.work().clone();
        let key = attempt.partition().map(|partition| partition.key.clone());
        let key = key.as_ref().map_or("", |key| key.as_str());
        let deadline = attempt.deadline().into_std();
        let limits = if context.waker.is_some() { self.limits } else { inline::bounded(&self.limits) };
        let call = Call {
            plugin: &self.plugin,
            ready,
            place,
            limits: &limits,
            scope: Scope::Leaf,
            deadline,
            time: Some(attempt.limit()),
            until: if context.waker.is_some() { deadline } else { deadline.min(Instant::now() + inline::AT_MOST) },
            seed: self.deterministic.then(|| seed(work.query(), key)),
            granted: CallGrants::from(&self.grants),
            watch: &context.watch,
            probe: context.probe.as_ref(),
            waker: context.waker.as_ref(),
        };
        call.run(CallOrigin::Leaf(attempt), async |mut running| {
            let export = ready.process().map_err(wasmtime::Error::from)?;
            let partition = PartitionIn { key, index, data: &data };
            running.call_for_bytes(export, (&**work.query(), partition)).await
        })
    }

    /// Returns true if the query's only leaf may run inline: it is probably short, and repeating
    /// it has no effect outside.
    pub(crate) fn is_brief(&self, work: &dyn Work) -> bool {
        let small = |partition: &Partition| {
            let size = partition.content.size().saturating_add(work.query().len() as u64);
            size <= inline::SMALL as u64 && partition.content.place().is_none()
        };
        self.plugin.short_calls().is_likely()
            && self.grants.is_empty()
            && work.background().is_none()
            && work.only().is_some_and(small)
    }

    /// Returns the partition's bytes; empty for a guest that pulls them.
    fn content(&self, attempt: &Attempt, context: &CallContext) -> Result<Bytes, Failure> {
        let Some(partition) = attempt.partition() else {
            return Err(Failure::new(FailureKind::InvalidPartition, "is not in the plan"));
        };
        if self.plugin.pulls() {
            return Ok(Bytes::new());
        }
        let size = partition.content.size();
        let limit = self.limits.partition;
        if size > limit {
            let message = format!("has {size} bytes, too many for a leaf that does not import `source`");
            let limit = Limit::new(Scope::Leaf, Bound::Partition, limit);
            return Err(Failure::new(FailureKind::InvalidPartition, message).ended_by(limit));
        }
        if partition.content.remote().is_none() {
            return partition.content.whole();
        }
        let deadline = attempt.deadline().into_std();
        let stopped = CallOrigin::stopper_of(attempt, deadline);
        let read = files::pull(&partition.content, |content: &dyn Content| content.whole());
        match park::run(read, context.waker.as_ref(), deadline, stopped) {
            Ok(read) => read,
            Err(Stop::Time) => Err(classify(&Stop::Time.into()).ended_by(attempt.limit())),
            Err(stop) => Err(classify(&stop.into())),
        }
    }
}

/// Makes the result of an attempt that failed before its guest began.
fn unbegun(attempt: Attempt, failure: Failure) -> CallResult<Bytes> {
    let caller = CallOrigin::Leaf(attempt);
    CallResult { result: Err(Box::new(failure)), usage: Usage::default(), caller, log: None }
}

/// Returns the failure of an attempt without a permit. A thread that must not sleep gives its
/// attempt up as out of time.
fn no_place(stop: Stop, context: &CallContext) -> Failure {
    match stop {
        Stop::Time if context.waker.is_some() => Failure::new(
            FailureKind::Overloaded,
            "still waiting for a free place in the instance pool when its time was up",
        ),
        stop => classify(&stop.into()),
    }
}

fn seed(query: &[u8], key: &str) -> Seed {
    let mut digest = DigestWriter::default();
    digest.add_whole(query);
    digest.add(key.as_bytes());
    digest.finish().0
}

//! One leaf call: runs a claimed attempt to the guest's result.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use frond_root::call::{InstanceMode, Limits};
use frond_root::{
    Attempt, Bound, Content, DigestWriter, Failure, FailureKind, Grain, Limit, Partition, Scope, Usage, Work,
};

use crate::bindings::PartitionIn;
use crate::call::{Call, CallResult};
use crate::classify::{Stop, classify};
use crate::component::Plugin;
use crate::files;
use crate::grants::{CallGrants, GuestGrants};
use crate::host::{CallOrigin, Seed};
use crate::inline;
use crate::instance::LeafInstance;
use crate::park::{Bounds, bounded};
use crate::profile::Probe;
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
    /// Lifetime of the instances.
    pub instance: InstanceMode,
}

/// Circumstances of a leaf call.
#[derive(Clone, Default)]
pub(crate) struct CallContext {
    /// Probe that takes samples of the calls.
    pub(crate) probe: Option<Arc<Probe>>,
    /// Slot of the call, if it has one.
    pub(crate) slot: Option<usize>,
    /// True on a thread that must not sleep: a call that waits is given up, and any other call
    /// after [`AT_MOST`](crate::inline::AT_MOST).
    pub(crate) inline: bool,
}

/// Result of one leaf call.
pub(crate) struct LeafResult {
    pub(crate) called: CallResult<Bytes>,
    /// Number of earlier calls of the same instance.
    pub(crate) earlier: u32,
    /// The instance, if it may serve another partition of the query.
    pub(crate) instance: Option<LeafInstance>,
}

impl Leaf {
    /// Runs one attempt: in `warm`, or in a fresh instance once it has a permit. The caller ends
    /// the attempt.
    pub(crate) async fn call(&self, attempt: Attempt, warm: Option<LeafInstance>, context: &CallContext) -> LeafResult {
        let instance = match warm {
            Some(warm) => Ok((self.plugin.shared(), warm)),
            None => self.fresh(&attempt, context).await,
        };
        let index = attempt.index();
        match instance {
            Ok(instance) => self.call_in(instance, attempt, index, context).await,
            Err(stop) => unbegun(attempt, no_place(stop, context)),
        }
    }

    /// Makes an instance to come, once it has a permit.
    async fn fresh(&self, attempt: &Attempt, context: &CallContext) -> Result<(&Ready, LeafInstance), Stop> {
        // A warm instance outlives its turn, and must not take a slot's only place for so long.
        let own = context.slot.filter(|_| self.instance == InstanceMode::Fresh);
        let (ready, place) = self.plugin.leaf_place(own, waits(attempt, context)).await?;
        Ok((ready, LeafInstance::new(place)))
    }

    /// Runs one attempt in this instance; the guest sees `index` as its partition's number.
    pub(crate) async fn call_in(
        &self,
        (ready, mut instance): (&Ready, LeafInstance),
        attempt: Attempt,
        index: u32,
        context: &CallContext,
    ) -> LeafResult {
        let data = match self.content(&attempt, context).await {
            Ok(data) => data,
            Err(failure) => return unbegun(attempt, failure),
        };
        let work = attempt.work().clone();
        let key = attempt.partition().map(|partition| partition.key.clone());
        let key = key.as_ref().map_or("", |key| key.as_str());
        let deadline = attempt.deadline().into_std();
        let limits = if context.inline { inline::bounded(&self.limits) } else { self.limits };
        let call = Call {
            plugin: &self.plugin,
            ready,
            limits: &limits,
            scope: Scope::Leaf,
            deadline,
            time: Some(attempt.limit()),
            until: if context.inline { deadline.min(Instant::now() + inline::AT_MOST) } else { deadline },
            waits: !context.inline,
            seed: self.deterministic.then(|| seed(work.query(), key)),
            granted: CallGrants::from(&self.grants),
            probe: context.probe.as_ref(),
        };
        let partition = PartitionIn { key, index, data: &data };
        let called = call.run_leaf(instance.guest(&call), attempt, (&**work.query(), partition)).await;
        let earlier = instance.earlier();
        let called = instance.explain(called);
        let keeps = self.instance == InstanceMode::Query && instance.serve(index, &called);
        LeafResult { called, earlier, instance: keeps.then_some(instance) }
    }

    /// Returns true if the query's only leaf may run inline: it is probably short, and repeating
    /// it has no effect outside.
    pub(crate) fn is_brief(&self, work: &dyn Work) -> bool {
        let small = |partition: &Partition| {
            let size = partition.content.size().saturating_add(work.query().len() as u64);
            let is_made = partition.content.units().grain == Grain::Integer;
            size <= inline::SMALL as u64 && (is_made || partition.content.place().is_none())
        };
        self.plugin.short_calls().is_likely()
            && self.grants.is_empty()
            && work.background().is_none()
            && work.only().is_some_and(small)
    }

    /// Returns the partition's bytes; empty for a guest that pulls them.
    async fn content(&self, attempt: &Attempt, context: &CallContext) -> Result<Bytes, Failure> {
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
        let read = files::pull(&partition.content, |content: &dyn Content| content.whole());
        match bounded(read, waits(attempt, context)).await {
            Ok(read) => read,
            Err(Stop::Time) => Err(classify(&Stop::Time.into()).ended_by(attempt.limit())),
            Err(stop) => Err(classify(&stop.into())),
        }
    }
}

/// Returns the bounds of an attempt's waits before its guest begins.
fn waits(attempt: &Attempt, context: &CallContext) -> Bounds<impl Fn() -> Option<Stop> + use<>> {
    let until = attempt.deadline().into_std();
    Bounds { until, waits: !context.inline, stopped: CallOrigin::stopper_of(attempt, until) }
}

/// Makes the result of an attempt that failed before its guest began.
fn unbegun(attempt: Attempt, failure: Failure) -> LeafResult {
    let caller = CallOrigin::Leaf(attempt);
    let result = Err(Box::new(failure));
    let called = CallResult { result, returned: false, usage: Usage::default(), caller, log: None };
    LeafResult { called, earlier: 0, instance: None }
}

/// Returns the failure of an attempt without a permit. A thread that must not sleep gives its
/// attempt up as out of time.
fn no_place(stop: Stop, context: &CallContext) -> Failure {
    match stop {
        Stop::Time if !context.inline => Failure::new(
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

//! One leaf call: from a claimed attempt to what the guest made of it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use frond_root::{Attempt, Failure, FailureKind, Partition, Scatter, Usage};
use sha2::{Digest, Sha256};

use crate::bindings::PartitionIn;
use crate::brief;
use crate::call::{Call, Called};
use crate::component::Plugin;
use crate::grants::{Granted, Grants};
use crate::host::{Caller, Seed};
use crate::limits::Limits;
use crate::park::Seat;

/// A component as leaf, and what its calls are given.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The component.
    pub plugin: Arc<Plugin>,
    /// What one call may use.
    pub limits: Limits,
    /// Whether clocks and randomness are seeded by query and partition.
    pub deterministic: bool,
    /// What its calls may use beyond computing.
    pub grants: Arc<Grants>,
}

impl Leaf {
    /// Runs one attempt on this thread; the guest is told that its partition is number `index`. Whoever calls ends the
    /// attempt.
    pub(crate) fn call(&self, attempt: Attempt, index: u32, seat: &Seat) -> Called<Bytes> {
        let data = match self.content(&attempt) {
            Ok(data) => data,
            Err(failure) => {
                let (result, usage) = (Err(Box::new(failure)), Usage::default());
                return Called { result, usage, caller: Caller::Leaf(attempt), log: None };
            }
        };
        let scatter = attempt.scatter().clone();
        let key = scatter.plan().get(attempt.index()).map_or("", |partition| partition.key.as_str());
        let (ready, deadline) = (self.plugin.on(seat.slot), attempt.deadline().into_std());
        let call = Call {
            plugin: &self.plugin,
            ready,
            limits: &self.limits,
            deadline,
            until: if seat.waker.is_some() { deadline } else { deadline.min(Instant::now() + brief::AT_MOST) },
            seed: self.deterministic.then(|| seed(scatter.query(), key)),
            granted: Granted::from(&self.grants),
            watch: &seat.watch,
            waker: seat.waker.as_ref(),
        };
        call.run(Caller::Leaf(attempt), async |mut running| {
            let export = ready.process().map_err(wasmtime::Error::from)?;
            let partition = PartitionIn { key, index, data: &data };
            running.call_for_bytes(export, (&**scatter.query(), partition)).await
        })
    }

    /// True for a call that is likely to be over sooner than another thread would be awake, and that nobody outside would
    /// notice if it were made twice.
    pub(crate) fn is_brief(&self, scatter: &Scatter) -> bool {
        let small = |partition: &Partition| {
            let size = partition.content.size().saturating_add(scatter.query().len() as u64);
            size <= brief::SMALL as u64 && partition.content.place().is_none()
        };
        self.plugin.brevity().is_likely()
            && self.grants.is_empty()
            && scatter.background().is_none()
            && scatter.plan().len() == 1
            && scatter.plan().get(0).is_some_and(small)
    }

    /// The partition's bytes, unless its guest pulls them.
    fn content(&self, attempt: &Attempt) -> Result<Bytes, Failure> {
        let Some(partition) = attempt.partition() else {
            return Err(Failure::new(FailureKind::InvalidPartition, "is not in the plan"));
        };
        if self.plugin.pulls() {
            return Ok(Bytes::new());
        }
        let (size, limit) = (partition.content.size(), self.limits.partition);
        if size > limit {
            let message = format!("has {size} bytes, the limit is {limit} for a leaf that does not import `source`");
            return Err(Failure::new(FailureKind::InvalidPartition, message));
        }
        partition.content.whole()
    }
}

fn seed(query: &[u8], key: &str) -> Seed {
    let mut hasher = Sha256::new();
    hasher.update((query.len() as u64).to_le_bytes());
    hasher.update(query);
    hasher.update(key);
    hasher.finalize().into()
}

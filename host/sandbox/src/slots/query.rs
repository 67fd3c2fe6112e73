//! Leaves of one query: runs an attempt and ends it.

use std::sync::{Arc, Weak};

use frond_root::call::InstanceMode;
use frond_root::dispatch::{ClaimSource, Share};
use frond_root::{Attempt, Outcome, Tenant, Usage, Work};
use tokio::time::Instant;

use super::task::{LeafCall, Nudge, Ran, Task, WokenTasks};
use super::waiting::Waiting;
use super::warm::WarmInstances;
use crate::host::CallOrigin;
use crate::inline::is_given_up;
use crate::leaf::{CallContext, Leaf, LeafResult};

/// Leaves of one query.
pub(super) struct Query {
    pub(super) work: Arc<dyn Work>,
    pub(super) leaf: Leaf,
    /// Share of background work.
    share: Share,
    /// Idle instances, of a leaf that keeps them.
    pub(super) warm: Arc<WarmInstances>,
    /// Calls that waited and can go on.
    woken: Arc<WokenTasks>,
    waiting: Arc<Waiting>,
}

impl ClaimSource for Query {
    fn tenant(&self) -> &Tenant {
        self.work.tenant()
    }

    fn background(&self) -> Option<u32> {
        self.work.background()
    }

    fn share(&self) -> &Share {
        &self.share
    }

    fn running(&self) -> usize {
        self.work.running()
    }
}

/// Claimed call of a leaf.
pub(super) enum Claim {
    /// An attempt to begin.
    New(Attempt),
    /// A call that waited and can go on.
    Woken(Arc<Task>),
}

impl Query {
    /// Makes the leaves of a query, which run on `slots` slots of `pool`.
    pub(super) fn new(
        (work, leaf): (&Arc<dyn Work>, &Leaf),
        slots: usize,
        waiting: &Arc<Waiting>,
        pool: Weak<dyn Nudge>,
    ) -> Self {
        let many = work.only().is_none() || leaf.plugin.takes_pieces();
        let keeps = leaf.instance == InstanceMode::Query && many;
        let warm = if keeps { WarmInstances::new(slots) } else { WarmInstances::default() };
        let woken = Arc::new(WokenTasks::new(pool));
        let waiting = waiting.clone();
        Self { work: work.clone(), leaf: leaf.clone(), share: Share::default(), warm: Arc::new(warm), woken, waiting }
    }

    /// Claims a call for a slot: one that waited goes before a new one.
    pub(super) fn claim(&self, slot: u32) -> Option<Claim> {
        let woken = self.may_resume().then(|| self.woken.take()).flatten();
        let begin = || self.may_begin().then(|| Attempt::claim(&self.work, slot, now())).flatten();
        woken.map(Claim::Woken).or_else(|| begin().map(Claim::New))
    }

    /// Returns true if there is a call to claim.
    pub(super) fn is_open(&self) -> bool {
        self.may_resume() || (self.work.is_claimable() && self.may_begin())
    }

    fn may_resume(&self) -> bool {
        self.woken.has_some() && self.work.may_resume()
    }

    /// Cuts a running share for a slot, and claims its second half.
    pub(super) fn cut(&self, slot: u32) -> Option<Attempt> {
        self.may_begin().then(|| Attempt::cut(&self.work, slot, now())).flatten()
    }

    /// Returns true if there is a share to cut.
    pub(super) fn is_cuttable(&self) -> bool {
        self.may_begin() && self.work.is_cuttable(now())
    }

    /// Claims a copy of a slow attempt for a slot.
    pub(super) fn copy(&self, slot: u32) -> Option<Attempt> {
        self.may_begin().then(|| Attempt::copy(&self.work, slot, now())).flatten()
    }

    /// Returns true if there is an attempt to copy.
    pub(super) fn is_copyable(&self) -> bool {
        self.may_begin() && self.work.is_copyable(now())
    }

    /// Returns true unless its leaves wait and another one would find no room to wait: it would
    /// take a slot from leaves that compute.
    fn may_begin(&self) -> bool {
        let has_room = || self.waiting.has_room(&self.work.tenant().caller) && self.leaf.plugin.has_wait_room();
        !self.woken.is_waiting() || has_room()
    }

    /// Makes the task of an attempt that begins on this thread.
    pub(super) fn begin(self: &Arc<Self>, attempt: Attempt, context: &CallContext) -> (Arc<Task>, LeafCall) {
        let of = (self.work.clone(), attempt.id(), attempt.deadline().into_std());
        let task = Task::new(of, &self.leaf.plugin, &self.woken, &self.waiting);
        let query = self.clone();
        let context = context.clone();
        let of_call = Arc::downgrade(&task);
        (task, Box::pin(async move { query.run(attempt, &context, Some(&of_call)).await }))
    }

    /// Returns true for background work.
    pub(super) fn is_behind(&self) -> bool {
        self.work.background().is_some()
    }

    /// Runs an attempt and ends it. `task` is its task, if it may leave its slot.
    pub(super) async fn run(&self, attempt: Attempt, context: &CallContext, task: Option<&Weak<Task>>) -> Ran {
        let deadline = attempt.deadline();
        let warm = context.slot.and_then(|slot| self.warm.take(slot));
        let begun = now();
        let LeafResult { called, earlier, instance } = self.leaf.call(attempt, warm, context).await;
        let waits = task.and_then(Weak::upgrade).map(|task| task.take_waits()).unwrap_or_default();
        let waited = waits.total();
        let ran = now().saturating_duration_since(begun).saturating_sub(waited);
        let output = called.result.as_ref().map_or(0, |partial| partial.len() as u64);
        let usage = Usage { output, ..called.usage };
        let short_calls = self.leaf.plugin.short_calls();
        let given_up = context.inline
            && now() < deadline
            && called.result.as_ref().is_err_and(|failure| is_given_up(failure, ran, &self.leaf.limits, short_calls));
        // A failed call has its log in its failure.
        let wrote = called.log.as_ref().filter(|log| called.result.is_ok() && log.written() > 0);
        let log = wrote.map(|log| log.read().shown()).unwrap_or_default();
        let mut left = None;
        if let CallOrigin::Leaf(attempt) = called.caller {
            if given_up {
                // Before the query's task looks at what the leaf has kept.
                attempt.restart();
                left = Some(attempt);
            } else {
                let result = called.result;
                let outcome =
                    Outcome { result, ran, waits, usage, log, earlier, on_worker: None, is_worker_lost: false };
                attempt.end(outcome, now());
            }
        }
        // A warm instance runs on the shared engine, and has no use for a copy on its slot's.
        let own = context.slot.filter(|_| self.leaf.instance == InstanceMode::Fresh);
        self.leaf.plugin.learn(own, ran + waited);
        let kept = instance.zip(context.slot).and_then(|(instance, slot)| {
            let size = instance.size();
            self.warm.put(slot, instance).then_some((slot, size))
        });
        Ran { left, kept }
    }
}

/// Returns the real time, even if tokio's clock is paused.
pub(super) fn now() -> Instant {
    std::time::Instant::now().into()
}

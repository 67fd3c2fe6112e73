//! Memory budget that the running queries of a process share, for their plans and partials.
//!
//! A query charges what it holds. Above its minimum, it must not grow while the budget is used up,
//! or while its caller holds half of the budget: its leaves then wait (backpressure), and folds go
//! on, which free memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::sync::lock;

/// Bytes that a query may hold however much the others hold.
const MINIMUM: u64 = 8 << 20;
/// Bytes that each partition of a plan is charged, with its state in scatter and gather.
const PARTITION: u64 = 256;

/// Memory budget of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

/// Memory budget as all queries share it.
#[derive(Debug)]
struct Shared {
    most: u64,
    state: Mutex<State>,
    /// Changes when memory is freed that somebody may wait for.
    freed: watch::Sender<()>,
}

/// Memory in use, in total and by caller.
#[derive(Debug, Default)]
struct State {
    used: u64,
    callers: HashMap<Arc<str>, u64>,
}

/// Part of the budget that one query holds; free again when dropped.
#[derive(Debug)]
pub(crate) struct MemoryCharge {
    budget: Option<Memory>,
    caller: Arc<str>,
    plan: u64,
    bytes: u64,
    freed: Option<watch::Receiver<()>>,
}

impl Memory {
    /// A budget of this many bytes.
    #[must_use]
    pub fn new(most: u64) -> Self {
        Self(Arc::new(Shared { most, state: Mutex::default(), freed: watch::Sender::new(()) }))
    }

    /// Bytes that running queries hold.
    #[must_use]
    pub fn used(&self) -> u64 {
        lock(&self.0.state).used
    }

    /// Bytes of the whole budget.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.0.most
    }

    fn replace(&self, caller: &Arc<str>, old: u64, new: u64) {
        let mut state = lock(&self.0.state);
        let was_short = state.used > self.0.most / 2;
        state.used = state.used - old + new;
        let of_caller = state.callers.entry(caller.clone()).or_default();
        *of_caller = *of_caller - old + new;
        if *of_caller == 0 {
            state.callers.remove(caller);
        }
        drop(state);
        if new < old && was_short {
            self.0.freed.send_replace(());
        }
    }

    /// True when `more` bytes for the caller exceed the budget, or the caller's half of it.
    fn is_short(&self, caller: &Arc<str>, more: u64) -> bool {
        let state = lock(&self.0.state);
        let of_caller = state.callers.get(caller).copied().unwrap_or_default();
        state.used.saturating_add(more) > self.0.most || of_caller.saturating_add(more) > self.0.most / 2
    }
}

impl MemoryCharge {
    /// Nothing yet, of `budget` if there is one.
    pub(crate) fn of(budget: Option<Memory>, caller: Arc<str>) -> Self {
        let freed = budget.as_ref().map(|budget| budget.0.freed.subscribe());
        Self { budget, caller, plan: 0, bytes: 0, freed }
    }

    /// Charges a plan. False when there is no memory for it.
    pub(crate) fn plan(&mut self, partitions: usize) -> bool {
        let bytes = PARTITION.saturating_mul(partitions as u64);
        let is_small = bytes <= MINIMUM;
        let is_short = self.budget.as_ref().is_some_and(|budget| budget.is_short(&self.caller, bytes));
        self.plan = bytes;
        self.partials(0);
        is_small || !is_short
    }

    /// Charges partials, in place of those charged before.
    pub(crate) fn partials(&mut self, bytes: u64) {
        let bytes = self.plan.saturating_add(bytes);
        if let Some(budget) = self.budget.as_ref().filter(|_| bytes != self.bytes) {
            budget.replace(&self.caller, self.bytes, bytes);
        }
        self.bytes = bytes;
    }

    /// True while the query must not grow.
    pub(crate) fn is_short(&self) -> bool {
        self.bytes - self.plan > MINIMUM && self.budget.as_ref().is_some_and(|budget| budget.is_short(&self.caller, 0))
    }

    /// Waits until other queries have freed memory; for ever without a budget.
    pub(crate) async fn freed(&mut self) {
        match &mut self.freed {
            // The sender lives as long as the budget, which `self` holds.
            Some(freed) => drop(freed.changed().await),
            None => std::future::pending().await,
        }
    }
}

impl Drop for MemoryCharge {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.replace(&self.caller, self.bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn mib(count: u64) -> u64 {
        count << 20
    }

    fn held(memory: &Memory, caller: &str) -> MemoryCharge {
        MemoryCharge::of(Some(memory.clone()), Arc::from(caller))
    }

    #[test]
    fn a_caller_stops_at_half_and_others_go_on() {
        let memory = Memory::new(mib(100));
        let mut greedy = held(&memory, "greedy");
        let mut second = held(&memory, "greedy");
        greedy.partials(mib(40));
        assert!(!greedy.is_short());
        second.partials(mib(20));
        assert!(greedy.is_short() && second.is_short());
        let mut quiet = held(&memory, "quiet");
        quiet.partials(mib(20));
        assert!(!quiet.is_short());
        drop(greedy);
        assert!(!second.is_short());
        assert_eq!(memory.used(), mib(40));
    }

    #[test]
    fn every_query_has_its_minimum() {
        let memory = Memory::new(mib(100));
        let mut all: Vec<MemoryCharge> = (0..10).map(|number| held(&memory, &number.to_string())).collect();
        all.iter_mut().for_each(|one| one.partials(mib(11)));
        assert!(all.iter().all(MemoryCharge::is_short));
        let mut small = held(&memory, "small");
        small.partials(MINIMUM);
        assert!(!small.is_short());
        assert!(small.plan(1_000));
        assert!(!small.plan(1_000_000), "a large plan finds no room");
    }

    #[test]
    fn a_query_that_waits_hears_of_freed_memory() {
        let memory = Memory::new(mib(100));
        let mut waiting = held(&memory, "a");
        let mut other = held(&memory, "b");
        other.partials(mib(120));
        waiting.partials(mib(10));
        assert!(waiting.is_short() && waiting.freed().now_or_never().is_none());
        drop(other);
        assert!(waiting.freed().now_or_never().is_some() && !waiting.is_short());
    }

    #[test]
    fn without_a_budget_nothing_is_short() {
        let mut held = MemoryCharge::of(None, Arc::from("a"));
        assert!(held.plan(1_000_000));
        held.partials(u64::MAX / 2);
        assert!(!held.is_short() && held.freed().now_or_never().is_none());
    }
}

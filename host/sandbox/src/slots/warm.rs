//! Warm instances between their calls: at most one for each pair of query and slot.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use frond_root::sync::lock;

use crate::engine::MEMORIES;
use crate::instance::LeafInstance;

/// Idle instances of one query, which end with it.
#[derive(Default)]
pub(super) struct WarmInstances(Box<[WarmSlot]>);

/// Idle instance of one slot. Aligned to keep slots off each other's cache lines.
#[derive(Default)]
#[repr(align(128))]
struct WarmSlot(Mutex<Option<LeafInstance>>);

impl WarmInstances {
    /// Makes room for an instance in each of `slots` slots.
    pub(super) fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| WarmSlot::default()).collect())
    }

    /// Takes the instance of a slot.
    pub(super) fn take(&self, slot: usize) -> Option<LeafInstance> {
        lock(&self.0.get(slot)?.0).take()
    }

    /// Stores an instance, and returns true, if the slot has none.
    pub(super) fn put(&self, slot: usize, instance: LeafInstance) -> bool {
        let Some(place) = self.0.get(slot) else { return false };
        let mut place = lock(&place.0);
        let is_free = place.is_none();
        // A second one is dropped after the lock.
        let _second = if is_free { place.replace(instance) } else { Some(instance) };
        drop(place);
        is_free
    }
}

/// Idle instances that a slot thread has left behind, the most recent last: those of their query,
/// their slots and sizes. They take at most the memories that the pool has for a slot; the least
/// recent go first.
#[derive(Default)]
pub(super) struct WarmQueries(VecDeque<(Weak<WarmInstances>, usize, u32)>);

impl WarmQueries {
    /// Adds the instance of a query in a slot, and drops instances that no longer fit.
    pub(super) fn add(&mut self, query: &Arc<WarmInstances>, slot: usize, size: u32) {
        let is_this = |(other, of, _): &(Weak<WarmInstances>, usize, u32)| {
            *of == slot && std::ptr::eq(other.as_ptr(), Arc::as_ptr(query))
        };
        if self.0.back().is_some_and(is_this) {
            return;
        }
        self.0.retain(|entry| !is_this(entry) && entry.0.strong_count() > 0);
        self.0.push_back((Arc::downgrade(query), slot, size));
        while self.0.iter().map(|(.., size)| size).sum::<u32>() > MEMORIES {
            let Some((query, slot, _)) = self.0.pop_front() else { break };
            drop(query.upgrade().and_then(|query| query.take(slot)));
        }
    }
}

//! Copies of a component on a separate engine for each slot. Threads that share an engine write to
//! its locks and reference counts at each call: with trivial leaves, two threads reach 1.4 to 1.6
//! times the throughput of one on a shared engine, and 1.8 to 1.9 times with an engine each. A copy
//! takes memory and load time, so only a component with many short calls gets one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wasmtime::component::Component;

use crate::engine::{Engines, Kind};
use crate::inline::BRIEF;
use crate::ready::Ready;
use crate::tuning::Metering;

/// Number of short calls in a slot after which loading a copy pays off soon.
const OFTEN: u32 = 500;

/// Copies of one component.
pub(crate) struct SlotEngines {
    engines: Arc<Engines>,
    metering: Metering,
    slots: Box<[SlotEngine]>,
}

/// Copy of a component on one slot's engine.
#[derive(Default)]
struct SlotEngine {
    brief: AtomicU32,
    /// `None` inside the lock if the copy could not be loaded.
    ready: OnceLock<Option<Ready>>,
}

impl SlotEngines {
    /// Makes an entry per slot, without copies yet; unless `enabled`, there will be none.
    pub(crate) fn new(engines: &Arc<Engines>, metering: Metering, enabled: bool) -> Self {
        let slots = (0..if enabled { engines.slot_engines() } else { 0 }).map(|_| SlotEngine::default()).collect();
        Self { engines: engines.clone(), metering, slots }
    }

    /// Returns the number of slots with a copy.
    pub(crate) fn loaded(&self) -> usize {
        self.slots.iter().filter(|engine| engine.ready.get().is_some_and(Option::is_some)).count()
    }

    /// Returns the copy of a slot.
    pub(crate) fn get(&self, slot: usize) -> Option<&Ready> {
        self.slots.get(slot)?.ready.get()?.as_ref()
    }

    /// Records the duration of a call in a slot, and loads the slot's copy once that pays off.
    pub(crate) fn learn(&self, slot: usize, took: Duration, shared: &Ready) {
        let Some(engine) = self.slots.get(slot).filter(|engine| took <= BRIEF && engine.ready.get().is_none()) else {
            return;
        };
        // Threads of several pools may have the same slot number: exactly one of them reaches the
        // count.
        if engine.brief.fetch_add(1, Ordering::Relaxed) + 1 == OFTEN {
            engine.ready.get_or_init(|| self.load(slot, shared).ok());
        }
    }

    fn load(&self, slot: usize, shared: &Ready) -> wasmtime::Result<Ready> {
        let pool = self.engines.get(Kind { metering: self.metering, slot: Some(slot) })?;
        let code = shared.pre.component().serialize()?;
        #[expect(unsafe_code, reason = "the bytes are those of a component that this process has loaded")]
        let component = unsafe { Component::deserialize(&pool.engine, code) }?;
        Ok(Ready::new(&component, &[], pool.leaves)?)
    }
}

//! A component on an engine of its own for each slot. Threads that share an engine write to its locks and reference counts
//! at each call: two of them get 1.4 to 1.6 times as much of trivial leaves done as one, with an engine each 1.8 to 1.9
//! times. A copy takes memory and some time to load, so only a component that is called often and briefly gets one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wasmtime::component::Component;

use crate::component::Ready;
use crate::engine::{Engines, Kind};
use crate::inline::BRIEF;

/// After so many brief calls in a slot, loading takes less time than is saved soon.
const OFTEN: u32 = 500;

/// One component's copies.
pub(crate) struct SlotEngines {
    engines: Arc<Engines>,
    metered: bool,
    slots: Box<[SlotEngine]>,
}

#[derive(Default)]
struct SlotEngine {
    brief: AtomicU32,
    /// `None` inside where there can be none.
    ready: OnceLock<Option<Ready>>,
}

impl SlotEngines {
    /// None loaded yet.
    pub(crate) fn new(engines: &Arc<Engines>, metered: bool) -> Self {
        let slots = (0..engines.slot_engines()).map(|_| SlotEngine::default()).collect();
        Self { engines: engines.clone(), metered, slots }
    }

    /// Slots that have a copy.
    pub(crate) fn loaded(&self) -> usize {
        self.slots.iter().filter(|lane| lane.ready.get().is_some_and(Option::is_some)).count()
    }

    /// What a slot has of its own.
    pub(crate) fn get(&self, slot: usize) -> Option<&Ready> {
        self.slots.get(slot)?.ready.get()?.as_ref()
    }

    /// A call took so long in a slot. Loads what it is to have of its own once that is worth it.
    pub(crate) fn learn(&self, slot: usize, took: Duration, shared: &Ready) {
        let Some(lane) = self.slots.get(slot).filter(|lane| took <= BRIEF && lane.ready.get().is_none()) else {
            return;
        };
        // Threads of several pools may have the slot's number: exactly one of them makes the count full.
        if lane.brief.fetch_add(1, Ordering::Relaxed) + 1 == OFTEN {
            lane.ready.get_or_init(|| self.load(slot, shared).ok());
        }
    }

    fn load(&self, slot: usize, shared: &Ready) -> wasmtime::Result<Ready> {
        let pool = self.engines.get(Kind { metered: self.metered, slot: Some(slot) })?;
        let code = shared.pre.component().serialize()?;
        #[expect(unsafe_code, reason = "the bytes are those of a component that this process has loaded")]
        let component = unsafe { Component::deserialize(&pool.engine, code) }?;
        Ok(Ready::new(&component, &[], pool.leaves)?)
    }
}

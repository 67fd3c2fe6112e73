//! The floor: a leaf's call written by hand over bare wasmtime, with the same component, limits and
//! instance pool. The time that Frond takes beyond it is Frond's overhead.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use anyhow::anyhow;
use bytes::Bytes;
use frond_root::call::Limits;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentType, Instance, InstancePre, Lift, Linker, Lower, WasmList,
};
use wasmtime::{
    Config, Enabled, Engine, PoolingAllocationConfig, Store, StoreContextMut, StoreLimits, StoreLimitsBuilder,
};

/// Names of the leaf's export, by version of the contract.
const PROCESS: [&str; 2] = ["frond:plugin/process-partition@0.1.1", "frond:plugin/process-partition@0.1.0"];
/// Concurrent calls that the pool has room for.
const CALLS: u32 = 16;

/// Meters that guests are compiled with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Meters {
    Both,
    Fuel,
    Epoch,
    None,
}

impl Meters {
    pub(crate) fn fuel(self) -> bool {
        matches!(self, Self::Both | Self::Fuel)
    }

    pub(crate) fn epoch(self) -> bool {
        matches!(self, Self::Both | Self::Epoch)
    }
}

/// Linear memory that stays resident in a pool slot of Frond's engines, in bytes.
pub(crate) const KEEP: usize = (1 << 20) + (256 << 10);

/// Returns the engine settings that Frond uses.
pub(crate) fn config(meters: Meters, limits: &Limits) -> Config {
    keeping(KEEP, meters, limits)
}

/// Returns Frond's engine settings, but with `keep` bytes of linear memory that stay resident in a
/// pool slot.
pub(crate) fn keeping(keep: usize, meters: Meters, limits: &Limits) -> Config {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CALLS)
        .max_core_instances_per_component(32)
        .total_core_instances(CALLS * 32)
        .max_memories_per_component(4)
        .total_memories(CALLS * 4)
        .max_tables_per_component(16)
        .total_tables(CALLS * 16)
        .total_stacks(CALLS)
        .max_memory_size(size(limits.memory))
        .table_elements(size(limits.table_elements))
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_unused_warm_slots(CALLS)
        .linear_memory_keep_resident(keep)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .consume_fuel(meters.fuel())
        .epoch_interruption(meters.epoch())
        .concurrency_support(false)
        .max_wasm_stack(512 << 10)
        .async_stack_size(2 << 20)
        .allocation_strategy(pool);
    config
}

/// Data of a store without the runtime: limits, and the partition's bytes.
struct State {
    limits: StoreLimits,
    data: Bytes,
    /// Units of the partition that are not handed out.
    units: u64,
}

/// Piece as the guest gets it.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
struct PieceIn {
    begin: u64,
    end: u64,
}

/// Part of a range, whose integers are its units.
#[derive(serde::Deserialize)]
struct Integers {
    start: u64,
    end: u64,
}

/// Returns the number of integers of a part of a range.
pub(crate) fn integers(data: &[u8]) -> Option<u64> {
    serde_json::from_slice(data).ok().map(|Integers { start, end }| end - start)
}

/// Returns the units of a partition: integers of a range, or else bytes.
fn units(data: &[u8]) -> u64 {
    integers(data).unwrap_or(data.len() as u64)
}

/// Partition as the guest gets it.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
struct PartitionIn<'a> {
    key: &'a str,
    index: u32,
    data: &'a [u8],
}

/// Failure as the guest returns it.
#[derive(ComponentType, Lift, Debug)]
#[component(variant)]
#[expect(dead_code, reason = "read through Debug only")]
enum FailureOut {
    #[component(name = "invalid-query")]
    InvalidQuery(String),
    #[component(name = "invalid-partition")]
    InvalidPartition(String),
    #[component(name = "unavailable")]
    Unavailable(String),
}

/// Parameters of the guest's `process`.
type Params<'a> = (&'a [u8], PartitionIn<'a>);
/// Result of the guest's `process`.
type BytesOut = (Result<Vec<u8>, FailureOut>,);

/// Input of one leaf.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) key: String,
    pub(crate) index: u32,
    pub(crate) data: Bytes,
}

/// A leaf component, ready to be called.
pub(crate) struct Floor {
    pub(crate) engine: Engine,
    pre: InstancePre<State>,
    process: ComponentExportIndex,
    limits: Limits,
    meters: Meters,
    pulls: bool,
}

impl Floor {
    pub(crate) fn new(component: &[u8], meters: Meters, limits: Limits) -> anyhow::Result<Self> {
        Self::with(&config(meters, &limits), component, meters, limits)
    }

    /// Makes a floor on an engine with other settings. Its meters must be `meters`.
    pub(crate) fn with(config: &Config, component: &[u8], meters: Meters, limits: Limits) -> anyhow::Result<Self> {
        Self::ready(config, component, meters, limits).map_err(plain)
    }

    fn ready(config: &Config, component: &[u8], meters: Meters, limits: Limits) -> wasmtime::Result<Self> {
        let engine = Engine::new(config)?;
        let component = Component::new(&engine, component)?;
        let exported = PROCESS.iter().find_map(|name| component.get_export(None, name));
        let (_, interface) = exported.ok_or_else(no_leaf)?;
        let (_, process) = component.get_export(Some(&interface), "process").ok_or_else(no_leaf)?;
        let names = component.component_type();
        let pulls = names.imports(&engine).any(|(name, _)| name.starts_with("frond:plugin/source@"));
        let pre = linker(&engine, &component)?.instantiate_pre(&component)?;
        Ok(Self { engine, pre, process, limits, meters, pulls })
    }

    /// Calls the leaf in a fresh instance, on this thread.
    pub(crate) fn leaf(&self, query: &[u8], task: &Task) -> anyhow::Result<Bytes> {
        self.call(query, task).map_err(plain)
    }

    fn call(&self, query: &[u8], task: &Task) -> wasmtime::Result<Bytes> {
        let mut store = self.store(task)?;
        let instance = self.pre.instantiate(&mut store)?;
        let process = instance.get_typed_func::<Params<'_>, BytesOut>(&mut store, &self.process)?;
        let returned = process.call(&mut store, self.params(query, task))?;
        lifted(returned)
    }

    /// Makes an instance that serves any number of calls.
    pub(crate) fn warm(&self) -> anyhow::Result<WarmFloor<'_>> {
        let make = || {
            let mut store = self.store(&Task { key: String::new(), index: 0, data: Bytes::new() })?;
            let instance = self.pre.instantiate(&mut store)?;
            Ok(WarmFloor { floor: self, store, instance })
        };
        make().map_err(plain)
    }

    /// Calls the leaf in a fresh instance on a fiber, as a future. With `slice` it yields whenever
    /// the epoch moves.
    pub(crate) async fn leaf_on_fiber(&self, query: &[u8], task: &Task, slice: bool) -> anyhow::Result<Bytes> {
        self.call_on_fiber(query, task, slice).await.map_err(plain)
    }

    async fn call_on_fiber(&self, query: &[u8], task: &Task, slice: bool) -> wasmtime::Result<Bytes> {
        let mut store = self.store(task)?;
        if slice {
            store.epoch_deadline_async_yield_and_update(1);
        }
        let instance = self.pre.instantiate_async(&mut store).await?;
        let process = instance.get_typed_func::<Params<'_>, BytesOut>(&mut store, &self.process)?;
        let returned = process.call_async(&mut store, self.params(query, task)).await?;
        lifted(returned)
    }

    fn store(&self, task: &Task) -> wasmtime::Result<Store<State>> {
        let memory = usize::try_from(self.limits.memory)?;
        let elements = usize::try_from(self.limits.table_elements)?;
        let limits = StoreLimitsBuilder::new().memory_size(memory).table_elements(elements).build();
        let data = if self.pulls { task.data.clone() } else { Bytes::new() };
        let mut store = Store::new(&self.engine, State { limits, data, units: units(&task.data) });
        store.limiter(|state| &mut state.limits);
        if self.meters.fuel() {
            store.set_fuel(self.limits.fuel)?;
        }
        if self.meters.epoch() {
            store.set_epoch_deadline(1);
        }
        Ok(store)
    }

    fn params<'a>(&self, query: &'a [u8], task: &'a Task) -> Params<'a> {
        let data: &[u8] = if self.pulls { &[] } else { &task.data };
        (query, PartitionIn { key: &task.key, index: task.index, data })
    }
}

/// Instance that serves one call after another, each with the fuel of a fresh one.
pub(crate) struct WarmFloor<'a> {
    floor: &'a Floor,
    store: Store<State>,
    instance: Instance,
}

impl WarmFloor<'_> {
    /// Calls the leaf, on a fiber.
    pub(crate) fn leaf(&mut self, query: &[u8], task: &Task) -> anyhow::Result<Bytes> {
        poll_on(self.call(query, task)).map_err(plain)
    }

    async fn call(&mut self, query: &[u8], task: &Task) -> wasmtime::Result<Bytes> {
        let floor = self.floor;
        if floor.meters.fuel() {
            self.store.set_fuel(floor.limits.fuel)?;
        }
        if floor.meters.epoch() {
            self.store.set_epoch_deadline(1);
        }
        let state = self.store.data_mut();
        state.units = units(&task.data);
        state.data = if floor.pulls { task.data.clone() } else { Bytes::new() };
        let process = self.instance.get_typed_func::<Params<'_>, BytesOut>(&mut self.store, &floor.process)?;
        let returned = process.call_async(&mut self.store, floor.params(query, task)).await?;
        lifted(returned)
    }
}

fn no_leaf() -> wasmtime::Error {
    wasmtime::Error::msg("the component is no leaf")
}

fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}

/// Converts a leaf's result. It was copied when it was lifted: the guest frees its bytes after the
/// call.
fn lifted((returned,): BytesOut) -> wasmtime::Result<Bytes> {
    returned.map(Bytes::from).map_err(|failure| wasmtime::Error::msg(format!("the leaf failed: {failure:?}")))
}

/// Makes a linker with the contract's host functions. Every other import traps.
fn linker(engine: &Engine, component: &Component) -> wasmtime::Result<Linker<State>> {
    let mut linker: Linker<State> = Linker::new(engine);
    let mut control = linker.instance("frond:plugin/control@0.1.1")?;
    control.func_wrap("emit-partial", |_: StoreContextMut<'_, State>, _: (WasmList<u8>, f64)| Ok(()))?;
    let mut source = linker.instance("frond:plugin/source@0.1.1")?;
    source.func_wrap("size", |store: StoreContextMut<'_, State>, (): ()| Ok((store.data().data.len() as u64,)))?;
    source.func_wrap("read", |store: StoreContextMut<'_, State>, (offset, len): (u64, u32)| {
        let data = &store.data().data;
        let from = usize::try_from(offset)?.min(data.len());
        let to = from.saturating_add(len as usize).min(data.len());
        Ok((data.slice(from..to).to_vec(),))
    })?;
    let mut pieces = linker.instance("frond:plugin/pieces@0.1.1")?;
    pieces.func_wrap("next", |mut store: StoreContextMut<'_, State>, (): ()| {
        let end = std::mem::take(&mut store.data_mut().units);
        Ok(((end > 0).then_some(PieceIn { begin: 0, end }),))
    })?;
    pieces.func_wrap("keep", |_: StoreContextMut<'_, State>, _: (WasmList<u8>,)| Ok(()))?;
    linker.define_unknown_imports_as_traps(component)?;
    Ok(linker)
}

/// Polls a future on this thread until it is ready.
pub(crate) fn poll_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

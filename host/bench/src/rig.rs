//! Frond, set up as the command line does: a sandbox, slot threads, and the root's flow on a
//! runtime.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use frond_root::call::{InstanceMode, Limits};
use frond_root::runner::{Covered, MergeFuture};
use frond_root::{
    Answer, CancellationToken, Events, LeafRunner, Listener, Merger, Partition, Plan, Request, Services, Usage, flow,
};
use frond_sandbox::{
    FastPaths, Guests, Leaf, LeafHost, MergeHost, Metering, Plugin, Role, Sandbox, Settings, SlotSettings, Slots,
    WaitLimits,
};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Native merge function.
pub(crate) type Fold = fn(Vec<Bytes>) -> anyhow::Result<Bytes>;

/// Merger of a query's partials.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Merge {
    /// The component, as in an app.
    Component,
    /// Native code, where only the leaves are measured.
    Native(Fold),
}

/// One component, ready for queries.
#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) limits: Limits,
    sandbox: Arc<Sandbox>,
    name: &'static str,
    plugin: Arc<Plugin>,
    slots: Slots,
    count: usize,
    instance: InstanceMode,
}

/// Settings of a rig.
#[derive(Clone, Copy, Default)]
pub(crate) struct RigSettings {
    /// Mechanisms for tiny leaves.
    pub(crate) fast: FastPaths,
    /// Lifetime of the leaf's instances.
    pub(crate) instance: InstanceMode,
    /// Bounds on waiting leaves.
    pub(crate) waiting: WaitLimits,
}

/// Makes a runtime with two threads, like the command line's.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

impl Rig {
    /// Loads `component` as leaf, on `count` slots. With fuel 0 in `limits` it runs unmetered.
    pub(crate) fn new(component: &[u8], count: usize, limits: Limits) -> anyhow::Result<Self> {
        Self::with(component, count, limits, RigSettings::default())
    }

    /// Loads `component` as [`Rig::new`] does, with other settings.
    pub(crate) fn with(component: &[u8], count: usize, limits: Limits, settings: RigSettings) -> anyhow::Result<Self> {
        let RigSettings { fast, instance, waiting } = settings;
        let runtime = Arc::new(runtime()?);
        let sandbox = Sandbox::new(Settings {
            slots: count,
            waiting: waiting.leaves * count,
            limits: vec![limits, merge_limits(&limits)],
            cache: None,
            compiler: frond_sandbox::Compiler::in_process(),
        })?
        .with_fast_paths(fast);
        let sandbox = Arc::new(sandbox);
        let plugin = Arc::new(Plugin::load(&sandbox, component, &[Role::Leaf], Metering::of(&limits))?);
        let slots = Slots::start_with(
            SlotSettings { count, waiting, fast, steps_back: false },
            sandbox.clock(),
            runtime.handle(),
        )?;
        let rig = Self { runtime, limits, sandbox, name: "bench", plugin, slots, count, instance };
        match rig.sandbox.take_warnings().first() {
            Some(warning) => bail!("{warning}"),
            None => Ok(rig),
        }
    }

    /// Loads another component as the leaf of the app `name`, on the same slots.
    pub(crate) fn beside(&self, name: &'static str, component: &[u8]) -> anyhow::Result<Self> {
        let plugin = Arc::new(Plugin::load(&self.sandbox, component, &[Role::Leaf], Metering::of(&self.limits))?);
        Ok(Self { name, plugin, ..self.clone() })
    }

    /// Returns the number of leaves that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.slots.waiting()
    }

    /// Makes a request with this rig's limits.
    pub(crate) fn request(&self, query: &Bytes) -> Request {
        let partials = (self.count as u64).saturating_mul(self.limits.output).saturating_mul(8);
        Request {
            deadline: Duration::from_secs(600),
            leaf_output: self.limits.output,
            partials_memory: partials.max(256 << 20),
            ..Request::new(self.name, query.clone())
        }
    }

    /// Runs a query, and returns the body of its complete answer.
    ///
    /// # Errors
    /// Fails if the query fails or its answer is not complete.
    pub(crate) fn ask(&self, query: &Bytes, partitions: Vec<Partition>, merge: Merge) -> anyhow::Result<Bytes> {
        match self.answer(self.request(query), partitions, merge, Vec::new())? {
            Answer::Complete { body, .. } => Ok(body),
            other => bail!("the answer is {}: {:?}", other.outcome(), other.coverage()),
        }
    }

    /// Runs a query, and returns its answer, complete or not.
    pub(crate) fn answer(
        &self,
        request: Request,
        partitions: Vec<Partition>,
        merge: Merge,
        listeners: Vec<Arc<dyn Listener>>,
    ) -> anyhow::Result<Answer> {
        let leaves = LeafHost::new(
            self.slots.clone(),
            Leaf {
                plugin: self.plugin.clone(),
                limits: self.limits,
                deterministic: false,
                grants: Arc::default(),
                instance: self.instance,
            },
        );
        let merger: Arc<dyn Merger> = match merge {
            Merge::Native(fold) => Arc::new(NativeMerge(fold)),
            Merge::Component => {
                let limits = merge_limits(&self.limits);
                Arc::new(MergeHost(Guests::new(self.sandbox.clock(), self.plugin.clone(), limits)))
            }
        };
        let root = Services {
            runner: Arc::new(leaves) as Arc<dyn LeafRunner>,
            merger,
            events: Events::new(listeners),
            journal: None,
            memory: None,
        };
        let query =
            async move { flow::run(request, async { Plan::new(partitions) }, root, CancellationToken::new()).await };
        let answer = self.runtime.block_on(self.runtime.spawn(query)).context("the query's task was lost")?;
        Ok(answer?)
    }
}

/// Derives the default limits of an app's merge from its leaf's limits.
fn merge_limits(leaf: &Limits) -> Limits {
    let fuel = if leaf.fuel == 0 { 0 } else { 10_000_000_000 };
    Limits { fuel, memory: leaf.memory.max(256 << 20), output: 64 << 20, ..*leaf }
}

/// Merger that calls a native function.
struct NativeMerge(Fold);

impl NativeMerge {
    /// Folds partials. From 64 KiB on it runs on a blocking thread: on the runtime's threads a
    /// large fold would delay the gather.
    fn fold(&self, partials: Vec<Bytes>) -> MergeFuture {
        let fold = self.0;
        let small = partials.iter().map(Bytes::len).sum::<usize>() < 64 << 10;
        Box::pin(async move {
            let folded = if small {
                fold(partials)
            } else {
                tokio::task::spawn_blocking(move || fold(partials)).await.unwrap_or_else(|lost| Err(lost.into()))
            };
            let failed = |error: anyhow::Error| {
                Box::new(frond_root::Failure::new(frond_root::FailureKind::Lost, error.to_string()))
            };
            folded.map(|bytes| (bytes, Usage::default())).map_err(failed)
        })
    }
}

impl Merger for NativeMerge {
    fn merge(&self, _: Bytes, partials: Vec<Bytes>, _: Instant) -> MergeFuture {
        self.fold(partials)
    }

    fn finish(&self, _: Bytes, merged: Option<Bytes>, _: Covered, _: Instant) -> MergeFuture {
        Box::pin(async move { Ok((merged.unwrap_or_default(), Usage::default())) })
    }
}

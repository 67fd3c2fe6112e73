//! Loaded components behind the root's seams.

use std::sync::Arc;
use std::time::Duration;

use frond_app::{App, Package};
use frond_root::memory::Memory;
use frond_root::policy::budget::leaf_time;
use frond_root::policy::hedge::CopyHistory;
use frond_root::{Events, LeafRunner, Request, Services};
use frond_sandbox::{Guests, Leaf, LeafHost, MergeHost, MergeOwner, Sandbox, Slots, SplitHost};
use tokio::runtime::Handle;

use crate::error::{RunError, Why};
use crate::laws::{Laws, known};
use crate::load::{Components, Tell, WorkerLeaf};
use crate::machine::Machine;
use crate::planning::Planning;

/// App that is ready for queries.
#[derive(Clone)]
pub struct Wired {
    /// The app.
    pub app: Arc<App>,
    /// The leaf, with the limits and grants of its calls.
    pub leaf: Leaf,
    /// State of the app's laws.
    pub laws: Laws,
    /// Runs the leaves.
    pub runner: Arc<dyn LeafRunner>,
    /// Runs the leaves in this process.
    local: Arc<dyn LeafRunner>,
    /// Folds the partials.
    merge: Guests,
    /// Splits queries, if the app has a split component.
    split: Option<Guests>,
    pub(crate) planning: Planning,
    memory: Option<Memory>,
    /// Times of the app's leaves, by which slow ones are told.
    pub(crate) history: Arc<CopyHistory>,
    /// Keeps the sandbox alive, so that other apps that need pools of its size share it.
    _sandbox: Arc<Sandbox>,
}

/// Loads an app's components on a machine and starts its slots. `runtime` serves host calls that
/// wait. Returns the app and the warnings of the loading.
///
/// # Errors
/// See [`load()`](crate::load()); also when a slot thread cannot be started.
pub fn wire(app: &App, machine: &Machine, runtime: &Handle, tell: Tell<'_>) -> Result<(Wired, Vec<String>), RunError> {
    let components = machine.load(&Package::from(app), tell)?;
    let wired = components.wire_on(app, &machine.start(runtime)?)?;
    Ok((wired, components.warnings))
}

impl Components {
    /// Puts the components behind the root's seams, with their own slots and without workers.
    ///
    /// # Errors
    /// Missing leaf or merge; a slot thread that cannot be started.
    pub fn wire(&self, app: &App, slots: usize, runtime: &Handle) -> Result<Wired, RunError> {
        let without = || RunError::machine("the app was not wired", Why("it was loaded without a leaf or a merge"));
        self.wire_with(app, self.leaf.clone().ok_or_else(without)?, slots, runtime)
    }

    /// Wires the components with another leaf, for example under other limits.
    ///
    /// # Errors
    /// See [`Components::wire`].
    pub fn wire_with(&self, app: &App, leaf: Leaf, slots: usize, runtime: &Handle) -> Result<Wired, RunError> {
        let threads = |error| RunError::machine("the slot threads could not be started", error);
        let pool = Slots::start(slots, self.sandbox.clock(), runtime).map_err(threads)?;
        Ok(self.wired(app, leaf, pool)?.in_process())
    }

    /// Wires the components on slot threads that other apps share, of the machine that loaded the
    /// components.
    ///
    /// # Errors
    /// Missing leaf or merge.
    pub fn wire_on(&self, app: &App, threads: &Slots) -> Result<Wired, RunError> {
        let without = || RunError::machine("the app was not wired", Why("it was loaded without a leaf"));
        self.wired(app, self.leaf.clone().ok_or_else(without)?, threads.clone())
    }

    fn wired(&self, app: &App, leaf: Leaf, pool: Slots) -> Result<Wired, RunError> {
        let without = || RunError::machine("the app was not wired", Why("it was loaded without a merge"));
        let merge = self.merge.as_ref().ok_or_else(without)?;
        let local: Arc<dyn LeafRunner> = Arc::new(LeafHost::new(pool, leaf.clone()));
        Ok(Wired {
            app: Arc::new(App { pulls: leaf.plugin.pulls(), ..app.clone() }),
            laws: self.laws_key(app.order, app.instance).map_or(Laws::Unchecked, |key| known(&key)),
            runner: self.runner(&local),
            local,
            leaf,
            merge: merge.clone(),
            split: self.split.clone(),
            planning: self.planning.clone(),
            memory: self.memory.clone(),
            history: Arc::default(),
            _sandbox: self.sandbox.clone(),
        })
    }
}

impl Components {
    /// Runner of the leaf: on slot threads, on workers, or on both.
    fn runner(&self, local: &Arc<dyn LeafRunner>) -> Arc<dyn LeafRunner> {
        match &self.workers {
            None => local.clone(),
            Some(WorkerLeaf { on, source }) => {
                on.workers.runner(source.clone(), (on.local_slots > 0).then(|| local.clone()))
            }
        }
    }
}

impl Wired {
    /// A copy of the app with all leaves in this process: a check of a component must not depend on
    /// who happens to be a worker.
    #[must_use]
    pub fn in_process(&self) -> Self {
        Self { runner: self.local.clone(), ..self.clone() }
    }

    /// Time of a leaf that starts at once: its own limit, but at most the leaves' part of the app's
    /// deadline.
    #[must_use]
    pub fn leaf_time(&self) -> Duration {
        let time = leaf_time(self.app.deadline);
        self.app.limits.leaf_time.map_or(time, |own| own.min(time))
    }

    /// The services of one query: with these listeners, without a journal. Its merges count for its
    /// caller.
    #[must_use]
    pub fn services(&self, request: &Request, events: Events) -> Services {
        let merger = Arc::new(MergeHost(self.merge.clone().owned_by(owner(request))));
        Services { runner: self.runner.clone(), merger, events, journal: None, memory: self.memory.clone() }
    }

    /// The app's split component, for one query.
    pub(crate) fn split(&self, request: &Request) -> Option<SplitHost> {
        self.split.clone().map(|split| SplitHost(split.owned_by(owner(request))))
    }
}

/// Owner of a query's merges and splits.
fn owner(request: &Request) -> MergeOwner {
    MergeOwner { caller: request.tenant.caller.clone(), is_background: request.background.is_some() }
}

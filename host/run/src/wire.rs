//! Loaded components behind the root's seams.

use std::sync::Arc;
use std::time::Duration;

use frond_app::{App, Package};
use frond_root::policy::budget::leaf_time;
use frond_root::{Events, LeafRunner, Merger, Services};
use frond_sandbox::{Leaf, LeafHost, MergeHost, Sandbox, Slots, SplitHost};
use tokio::runtime::Handle;

use crate::error::{RunError, Why};
use crate::laws::{Laws, known};
use crate::load::{Components, Tell, load};
use crate::machine::Machine;
use crate::planning::Planning;

/// An app that is ready for queries.
#[derive(Clone)]
pub struct Wired {
    /// The app.
    pub app: Arc<App>,
    /// Leaves at once.
    pub slots: usize,
    /// Its leaf, and what its calls are given.
    pub leaf: Leaf,
    /// What is known of its laws.
    pub laws: Laws,
    /// Runs its leaves.
    pub runner: Arc<dyn LeafRunner>,
    /// Folds its partials.
    pub merger: Arc<dyn Merger>,
    /// Cuts its queries, if it has a component for that.
    pub split: Option<SplitHost>,
    pub(crate) planning: Planning,
    /// While it is there, other apps that need pools of its size share it.
    _sandbox: Arc<Sandbox>,
}

/// Loads an app's components, and starts its slots. Host calls that wait are served by `runtime`.
///
/// # Errors
/// As [`load()`], and a machine that lets no threads start.
pub fn wire(app: &App, slots: usize, runtime: &Handle, tell: Tell<'_>) -> Result<(Wired, Vec<String>), RunError> {
    let components = load(&Package::from(app), slots, tell)?;
    let wired = components.wire(app, slots, runtime)?;
    Ok((wired, components.warnings))
}

impl Components {
    /// The same components behind the root's seams.
    ///
    /// # Errors
    /// A machine that lets no threads start.
    pub fn wire(&self, app: &App, slots: usize, runtime: &Handle) -> Result<Wired, RunError> {
        let without = || RunError::machine("the app was not wired", Why("it was loaded without a leaf or a merge"));
        self.wire_with(app, self.leaf.clone().ok_or_else(without)?, slots, runtime)
    }

    /// The same with another leaf: under other limits, say.
    ///
    /// # Errors
    /// As [`Components::wire`].
    pub fn wire_with(&self, app: &App, leaf: Leaf, slots: usize, runtime: &Handle) -> Result<Wired, RunError> {
        let threads = |error| RunError::machine("the leaf threads could not be started", error);
        self.wired(app, leaf, slots, Slots::start(slots, self.sandbox.clock(), runtime).map_err(threads)?)
    }

    /// The same on threads that other apps run on, too: those of the machine that loaded the components.
    ///
    /// # Errors
    /// Components without a leaf or a merge.
    pub fn wire_on(&self, app: &App, machine: &Machine, threads: &Slots) -> Result<Wired, RunError> {
        let without = || RunError::machine("the app was not wired", Why("it was loaded without a leaf"));
        self.wired(app, self.leaf.clone().ok_or_else(without)?, machine.slots(), threads.clone())
    }

    fn wired(&self, app: &App, leaf: Leaf, slots: usize, pool: Slots) -> Result<Wired, RunError> {
        let without = || RunError::machine("the app was not wired", Why("it was loaded without a merge"));
        let merge = self.merge.as_ref().ok_or_else(without)?;
        Ok(Wired {
            app: Arc::new(app.clone()),
            slots,
            laws: self.laws_key(app.order).map_or(Laws::Unchecked, |key| known(&key)),
            runner: Arc::new(LeafHost::new(pool, leaf.clone())),
            leaf,
            merger: Arc::new(MergeHost(merge.clone())),
            split: self.split.clone().map(SplitHost),
            planning: self.planning.clone(),
            _sandbox: self.sandbox.clone(),
        })
    }
}

impl Wired {
    /// What a leaf that starts at once has: its own limit, or else what the app's deadline leaves to leaves.
    #[must_use]
    pub fn leaf_time(&self) -> Duration {
        let time = leaf_time(self.app.deadline);
        self.app.limits.leaf.time.map_or(time, |own| own.min(time))
    }

    /// Behind the root's seams, with these listeners and no journal.
    #[must_use]
    pub fn root(&self, events: Events) -> Services {
        Services { runner: self.runner.clone(), merger: self.merger.clone(), events, journal: None }
    }
}

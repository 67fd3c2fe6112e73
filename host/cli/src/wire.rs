//! Where the crates meet: an app's components in a sandbox, behind the root's seams.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use frond_app::{App, AppError, CallLimits, Component};
use frond_root::{LeafRunner, Merger};
use frond_sandbox::component::Origin;
use frond_sandbox::{
    Guests, LeafHost, Limits, LoadError, MergeHost, Plugin, Role, Sandbox, Settings, Slots, SplitHost,
};
use tokio::runtime::Handle;

use crate::exit::Machine;

/// An app that is ready for queries.
pub struct Wired {
    /// Runs its leaves.
    pub runner: Arc<dyn LeafRunner>,
    /// Folds its partials.
    pub merger: Arc<dyn Merger>,
    /// Cuts its queries, if it has a component for that.
    pub split: Option<SplitHost>,
    /// What was compiled anew, and how long that took.
    pub compiled: Vec<(PathBuf, Duration)>,
    /// What works less well than it should.
    pub warnings: Vec<String>,
}

/// Loads an app's components, and starts its slots.
///
/// # Errors
/// A component that is missing or does not fit, as the app's own error; a machine that lets no threads start.
pub fn wire(app: &App, slots: usize, runtime: &Handle) -> anyhow::Result<Wired> {
    let (leaf, merge, split) = (&app.limits.leaf, &app.limits.merge, &app.limits.split);
    let limits = |of: &CallLimits| limits(of, app.limits.partition);
    let settings = Settings { slots, limits: vec![limits(leaf), limits(merge), limits(split)], cache: cache_dir() };
    let sandbox = Sandbox::new(settings).context(Machine::new("the sandbox could not be started"))?;
    let mut loader = Loader { sandbox: &sandbox, compiled: Vec::new(), loaded: Vec::new() };
    let leaves = loader.load(app, &app.leaf, Role::Leaf, leaf)?;
    let merges = loader.load(app, &app.merge, Role::Merge, merge)?;
    let splits = app.split.as_ref().map(|component| loader.load(app, component, Role::Split, split));
    let compiled = loader.compiled;
    let pool =
        Slots::start(slots, sandbox.clock(), runtime).context(Machine::new("the leaf threads could not be started"))?;
    let guests = |plugin, of| Guests::new(sandbox.clock(), plugin, limits(of));
    Ok(Wired {
        runner: Arc::new(LeafHost::new(pool, leaves, limits(leaf), app.limits.deterministic)),
        merger: Arc::new(MergeHost(guests(merges, merge))),
        split: splits.transpose()?.map(|plugin| SplitHost(guests(plugin, split))),
        compiled,
        warnings: sandbox.take_warnings(),
    })
}

/// Loads an app's components without running them, and says what was compiled.
///
/// # Errors
/// As [`wire`].
pub fn check(app: &App) -> anyhow::Result<Vec<(PathBuf, Duration)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    wire(app, 1, runtime.handle()).map(|wired| wired.compiled)
}

struct Loader<'a> {
    sandbox: &'a Sandbox,
    compiled: Vec<(PathBuf, Duration)>,
    loaded: Vec<(PathBuf, bool, Arc<Plugin>)>,
}

impl Loader<'_> {
    fn load(&mut self, app: &App, component: &Component, role: Role, of: &CallLimits) -> Result<Arc<Plugin>, AppError> {
        component.check()?;
        let metered = of.fuel.is_some();
        let same = |one: &&(PathBuf, bool, _)| one.0 == component.path && one.1 == metered;
        let roles = roles(app, component, role);
        if let Some((_, _, plugin)) = self.loaded.iter().find(same) {
            return Ok(plugin.clone());
        }
        let start = Instant::now();
        let misfit = |error: LoadError| component.misfit(error);
        let bytes = frond_sandbox::component::read(&component.path).map_err(misfit)?;
        component.verify(&bytes)?;
        let plugin = Arc::new(Plugin::load(self.sandbox, &bytes, &roles, metered).map_err(misfit)?);
        if plugin.origin() == Origin::Compiled {
            self.compiled.push((component.path.clone(), start.elapsed()));
        }
        self.loaded.push((component.path.clone(), metered, plugin.clone()));
        Ok(plugin)
    }
}

/// What one file is wanted for: a component may take several roles.
fn roles(app: &App, component: &Component, first: Role) -> Vec<Role> {
    let split = app.split.as_ref().map(|split| (Role::Split, split));
    let all = [(Role::Leaf, &app.leaf), (Role::Merge, &app.merge)].into_iter().chain(split);
    let others = all.filter(|(role, other)| *role != first && other.path == component.path);
    [first].into_iter().chain(others.map(|(role, _)| role)).collect()
}

fn limits(of: &CallLimits, partition: u64) -> Limits {
    Limits {
        fuel: of.fuel.unwrap_or(0),
        memory: of.memory,
        table_elements: of.table_elements,
        output: of.output,
        log: of.log,
        partition,
        host_calls: of.host_calls,
    }
}

/// `FROND_CACHE`, or the user's cache folder; nothing without a home.
fn cache_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FROND_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("frond")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/frond")))
}

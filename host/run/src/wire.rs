//! Loaded components behind the root's seams.

use std::sync::Arc;

use frond_app::{App, Package};
use frond_root::{Events, LeafRunner, Merger, Root};
use frond_sandbox::{LeafHost, MergeHost, Slots, SplitHost};
use tokio::runtime::Handle;

use crate::error::{RunError, Why};
use crate::load::{Components, Tell, load};

/// An app that is ready for queries.
#[derive(Clone)]
pub struct Wired {
    /// The app.
    pub app: Arc<App>,
    /// Leaves at once.
    pub slots: usize,
    /// Runs its leaves.
    pub runner: Arc<dyn LeafRunner>,
    /// Folds its partials.
    pub merger: Arc<dyn Merger>,
    /// Cuts its queries, if it has a component for that.
    pub split: Option<SplitHost>,
}

/// Loads an app's components, and starts its slots. Host calls that wait are served by `runtime`.
///
/// # Errors
/// As [`load`], and a machine that lets no threads start.
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
        let threads = |error| RunError::machine("the leaf threads could not be started", error);
        let pool = Slots::start(slots, self.sandbox.clock(), runtime).map_err(threads)?;
        let (Some(leaf), Some(merge)) = (&self.leaf, &self.merge) else {
            return Err(RunError::machine("the app was not wired", Why("it was loaded without a leaf or a merge")));
        };
        Ok(Wired {
            app: Arc::new(app.clone()),
            slots,
            runner: Arc::new(LeafHost::new(pool, leaf.clone())),
            merger: Arc::new(MergeHost(merge.clone())),
            split: self.split.clone().map(SplitHost),
        })
    }
}

impl Wired {
    pub(crate) fn root(&self, events: Events) -> Root {
        Root { runner: self.runner.clone(), merger: self.merger.clone(), events }
    }
}

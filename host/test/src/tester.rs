//! Tester of a package: its loaded components, called one call at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frond_app::Package;
use frond_root::call::Limits;
use frond_root::policy::budget::{leaf_time, merge_time};
use frond_root::{Failure, FailureKind, Limit, Partition};
use frond_run::load::Tell;
use frond_run::{Components, RunError, load, usual_slots};
use frond_sandbox::component::read;
use frond_sandbox::inspect::surface;
use frond_sandbox::{Leaf, LoadError, Role, Trial, Trials};
use tokio::runtime::Runtime;

use crate::case::Lower;
use crate::fixture::Fixture;
use crate::inject::{self, Fault};

/// Runs single calls and queries of one package.
pub struct Tester {
    /// The content of its `frond.toml`. A bare component has the default limits.
    pub package: Package,
    pub(crate) components: Components,
    pub(crate) runtime: Runtime,
    pub(crate) slots: usize,
}

impl Tester {
    /// Loads a package from its folder or `frond.toml`, or a bare component from its file.
    ///
    /// # Errors
    /// See [`load()`].
    pub fn open(path: &Path) -> Result<Self, RunError> {
        Self::load(package(path)?, &|_| {})
    }

    /// Loads a package's components. `tell` receives the progress.
    ///
    /// # Errors
    /// See [`load()`].
    pub fn load(package: Package, tell: Tell<'_>) -> Result<Self, RunError> {
        let slots = usual_slots();
        let components = load(&package, slots, tell)?;
        Self::over(package, components, slots)
    }

    /// Creates a tester of loaded components, such as those that a server is about to serve.
    /// Queries run on the tester's own threads, `slots` leaves at once.
    ///
    /// # Errors
    /// When the runtime cannot be started on this machine.
    pub fn over(package: Package, components: Components, slots: usize) -> Result<Self, RunError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| RunError::machine("the runtime could not be started", error))?;
        Ok(Self { package, components, runtime, slots })
    }

    /// Calls the leaf on one partition.
    ///
    /// # Errors
    /// When the package has no leaf.
    pub fn leaf(&self, query: &[u8], key: &str, data: &[u8]) -> Result<Trial, Fixture> {
        let Some(leaf) = &self.components.leaf else {
            return Err(Fixture::new("this package has no leaf"));
        };
        let partition = self.package.partition(key, Bytes::copy_from_slice(data));
        self.call_leaf(leaf, &Bytes::copy_from_slice(query), (0, partition), &Lower::default())
    }

    /// Calls the merge on `partials`.
    ///
    /// # Errors
    /// When the package has no merge.
    pub fn merge(&self, query: &[u8], partials: &[Bytes]) -> Result<Trial, Fixture> {
        let Some(guests) = &self.components.merge else {
            return Err(Fixture::new("this package has no merge"));
        };
        Ok(self.trials().merge(guests, query, partials, self.merge_time(&Lower::default())))
    }

    /// Returns the key of the package's law check.
    #[must_use]
    pub fn laws_key(&self) -> Option<frond_run::laws::Key> {
        self.components.laws_key(self.package.order, self.package.instance)
    }

    pub(crate) fn call_leaf(
        &self,
        leaf: &Leaf,
        query: &Bytes,
        partition: (u32, Partition),
        by: &Lower,
    ) -> Result<Trial, Fixture> {
        let _host_calls_wait_on = self.runtime.enter();
        let trial = self.trials().leaf(leaf, query, partition, self.leaf_time(by));
        let time = self.leaf_limit(by);
        trial.map(|trial| timed(trial, time)).map_err(|error| Fixture::new(error.to_string()))
    }

    /// Returns the leaf with other limits and injected faults.
    pub(crate) fn faulty(&self, leaf: &Leaf, limits: Limits, faults: &[Fault]) -> Result<Leaf, Fixture> {
        let mut grants = (*leaf.grants).clone();
        inject::grants(faults, &mut grants);
        let limits = inject::limits(faults, limits);
        Ok(Leaf { limits, grants: Arc::new(grants), ..leaf.clone() })
    }

    pub(crate) fn trials(&self) -> &Trials {
        &self.components.trials
    }

    /// Returns the time of a leaf that starts at once: the leaf's own limit, at most the part of
    /// the deadline for leaves.
    pub(crate) fn leaf_time(&self, by: &Lower) -> Duration {
        self.time_of(self.package.limits.leaf_time, by)
    }

    /// Returns the time of a split, like a leaf's.
    pub(crate) fn split_time(&self, by: &Lower) -> Duration {
        self.time_of(self.package.limits.split_time, by)
    }

    fn time_of(&self, own: Option<Duration>, by: &Lower) -> Duration {
        let time = leaf_time(self.package.deadline);
        let own = own.unwrap_or(time).min(time);
        by.time.map_or(own, |lower| own.min(lower.0))
    }

    /// Returns the time of a merge after the gather has used all of its time.
    pub(crate) fn merge_time(&self, by: &Lower) -> Duration {
        let time = merge_time(self.package.deadline);
        by.time.map_or(time, |lower| time.min(lower.0))
    }
}

/// Returns the trial; a failure for lack of time names `time` as its limit.
fn timed(trial: Trial, time: Limit) -> Trial {
    let named = |failure: Failure| match failure.kind {
        FailureKind::OutOfTime => failure.ended_by(time),
        _ => failure,
    };
    Trial { result: trial.result.map_err(|failure| Box::new(named(*failure))), ..trial }
}

/// Returns the package at `path`: a folder, a `frond.toml`, or a component's file.
///
/// # Errors
/// When there is no package, or the component fits no role.
pub fn package(path: &Path) -> Result<Package, RunError> {
    if path.is_dir() || path.extension().is_some_and(|ending| ending == "toml") || !path.exists() {
        return Ok(Package::load(path)?);
    }
    let component = frond_app::Component::file(path);
    let misfit = |error: LoadError| RunError::App(component.misfit(error));
    let surface = read(path).and_then(|bytes| Ok(surface(&bytes)?)).map_err(misfit)?;
    let has = |role| surface.fits(role).is_ok();
    let leaf = has(Role::Leaf);
    let merge = has(Role::Merge);
    let split = has(Role::Split);
    if !(leaf || merge || split) {
        // The error says why the component is no leaf.
        surface.fits(Role::Leaf).map_err(|error| misfit(error.into()))?;
    }
    Ok(Package::of(path, leaf, merge, split))
}

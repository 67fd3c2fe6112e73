//! Loads a package's components.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_app::{AppError, Component, Package};
use frond_broker::LeafSource;
use frond_root::call::Grants;
use frond_root::memory::Memory;
use frond_sandbox::component::{Origin, read};
use frond_sandbox::inspect::surface;
use frond_sandbox::{GuestGrants, Guests, Leaf, LoadError, Metering, Plugin, Role, Sandbox, Trials};

use crate::env::with_env;
use crate::error::RunError;
use crate::isolated;
use crate::machine::{LeafWorkers, Machine, WorkerKind};
use crate::planning::Planning;
use crate::workers::{ShippedPlugin, source};

/// Progress of loading components: compiling a large one takes a minute.
#[derive(Clone, Copy, Debug)]
pub enum Loading<'a> {
    /// A component is not in the cache; its compilation starts.
    Compiling {
        /// File of the component.
        path: &'a Path,
        /// Size in bytes.
        size: u64,
    },
    /// A component has been compiled.
    Compiled {
        /// File of the component.
        path: &'a Path,
        /// Duration of the compilation.
        took: Duration,
    },
}

/// Observer of the progress.
pub type Tell<'a> = &'a dyn Fn(Loading<'_>);

/// Source of a component's bytes.
pub type Fetch<'a> = &'a dyn Fn(&Component) -> Result<Bytes, AppError>;

/// Components that are ready to be called.
#[derive(Clone)]
pub struct Components {
    /// Runs on a partition.
    pub leaf: Option<Leaf>,
    /// Folds partials.
    pub merge: Option<Guests>,
    /// Splits queries.
    pub split: Option<Guests>,
    /// Runs single calls.
    pub trials: Trials,
    /// Warnings about degraded operation.
    pub warnings: Vec<String>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) planning: Planning,
    pub(crate) memory: Option<Memory>,
    pub(crate) workers: Option<WorkerLeaf>,
}

/// Leaf of an app for its workers.
#[derive(Clone)]
pub(crate) struct WorkerLeaf {
    pub(crate) on: LeafWorkers,
    pub(crate) source: LeafSource,
}

/// Loads the components of a package, on a machine with `slots` leaves at once that they share with
/// no other package.
///
/// # Errors
/// The package's own error for a component that is missing or does not fit; [`RunError::Machine`]
/// when the host denies a resource.
pub fn load(package: &Package, slots: usize, tell: Tell<'_>) -> Result<Components, RunError> {
    Machine::new(slots)?.load(package, tell)
}

impl Machine {
    /// Loads the components of a package.
    ///
    /// # Errors
    /// See [`load()`].
    pub fn load(&self, package: &Package, tell: Tell<'_>) -> Result<Components, RunError> {
        self.load_from(package, &from_file, tell)
    }

    /// Loads the components from the bytes that `fetch` returns. Each file is fetched once, however
    /// many roles it has. The package's pins apply to the fetched bytes.
    ///
    /// # Errors
    /// See [`load()`]; also errors of `fetch`.
    pub fn load_from(&self, package: &Package, fetch: Fetch<'_>, tell: Tell<'_>) -> Result<Components, RunError> {
        let of = &package.limits;
        let sandbox = self.sandbox(&[of.leaf, of.merge, of.split]);
        let mut loader = Loader { package, sandbox: &sandbox, fetch, tell, fetched: Vec::new(), loaded: Vec::new() };
        let leaf = loader.load(package.leaf.as_ref(), Metering::of(&of.leaf))?;
        let merge = loader.load(package.merge.as_ref(), Metering::of(&of.merge))?;
        let split = loader.load(package.split.as_ref(), Metering::of(&of.split))?;
        let guests = |plugin, limits| Guests::new(sandbox.clock(), plugin, limits);
        let (grants, unset) = with_env(&package.grants, |name| std::env::var(name).ok());
        let (grants, untrusted) = self.with_trust(grants);
        let grants = Arc::new(grants);
        let leaf = leaf.map(|plugin| Leaf {
            plugin,
            limits: of.leaf,
            deterministic: of.deterministic,
            grants: grants.clone(),
            instance: package.instance,
        });
        let gap = isolated::check(package.isolation)?;
        let workers = match &leaf {
            Some(leaf) => self.leaf_on_workers(package, leaf, &mut loader)?,
            None => None,
        };
        Ok(Components {
            leaf,
            workers,
            merge: merge.map(|plugin| guests(plugin, of.merge)),
            split: split.map(|plugin| guests(plugin, of.split).taking(of.split_time).granting(&grants)),
            trials: Trials::new(sandbox.clock()),
            warnings: sandbox.take_warnings().into_iter().chain(unset).chain(untrusted).chain(gap).collect(),
            sandbox,
            planning: self.planning(),
            memory: self.memory(),
        })
    }

    /// Makes the leaf for workers, if any run it. They get what was verified here.
    fn leaf_on_workers(
        &self,
        package: &Package,
        leaf: &Leaf,
        loader: &mut Loader<'_>,
    ) -> Result<Option<WorkerLeaf>, RunError> {
        let (Some(on), Some(component)) = (self.workers(package.isolation)?, &package.leaf) else { return Ok(None) };
        if on.kind != WorkerKind::Hosts && on.local_slots == 0 && !Grants::default().cover(&package.grants) {
            return Err(RunError::Nowhere(
                "worker processes have no files, no variables and no network, so that no leaf of this app could run: it has \
                 [grants]\n(let leaves run in this process, too, or on workers of a broker that allow its grants)",
            ));
        }
        let is_unmetered = on.kind == WorkerKind::Killable && !leaf.limits.is_metered();
        let unmetered = is_unmetered.then(|| loader.load(Some(component), Metering::Nothing)).transpose()?.flatten();
        let plugin = unmetered.unwrap_or_else(|| leaf.plugin.clone());
        let bytes = loader.fetch(component)?;
        let source = source(leaf, ShippedPlugin { plugin, bytes, is_unmetered });
        Ok(Some(WorkerLeaf { on, source }))
    }

    /// Adds the root certificates for HTTPS to the grants; returns a warning if they cannot be
    /// read. Grants without HTTP need none.
    pub(crate) fn with_trust(&self, grants: GuestGrants) -> (GuestGrants, Option<String>) {
        if grants.app.http.is_empty() {
            return (grants, None);
        }
        let trust = self.trust().clone();
        let wrong = trust.client().err().map(|error| format!("HTTPS requests of the app fail: {error}"));
        (GuestGrants { trust, ..grants }, wrong)
    }
}

/// Loader of a package's components; equal files are fetched once, and loaded once for each way of
/// metering.
struct Loader<'a> {
    package: &'a Package,
    sandbox: &'a Sandbox,
    fetch: Fetch<'a>,
    tell: Tell<'a>,
    /// Verified bytes of files.
    fetched: Vec<(PathBuf, Bytes)>,
    loaded: Vec<(PathBuf, Metering, Arc<Plugin>)>,
}

impl Loader<'_> {
    fn load(&mut self, component: Option<&Component>, metering: Metering) -> Result<Option<Arc<Plugin>>, AppError> {
        let Some(component) = component else { return Ok(None) };
        let same = |one: &&(PathBuf, Metering, _)| one.0 == component.path && one.1 == metering;
        if let Some((_, _, plugin)) = self.loaded.iter().find(same) {
            return Ok(Some(plugin.clone()));
        }
        let plugin = Arc::new(self.fresh(component, metering)?);
        self.loaded.push((component.path.clone(), metering, plugin.clone()));
        Ok(Some(plugin))
    }

    /// The bytes of a file that has been loaded.
    fn verified(&self, component: &Component) -> Option<Bytes> {
        self.fetched.iter().find(|(path, _)| *path == component.path).map(|(_, bytes)| bytes.clone())
    }

    /// Fetches a file, unless it was fetched, and verifies it for all of its users. Each user gets
    /// its own error if the file does not fit its role or its pin.
    fn fetch(&mut self, component: &Component) -> Result<Bytes, AppError> {
        if let Some(bytes) = self.verified(component) {
            return Ok(bytes);
        }
        let bytes = (self.fetch)(component)?;
        // Before a compilation is reported: a misfit is not compiled.
        let surface = surface(&bytes).map_err(|wrong| component.misfit(LoadError::from(wrong)))?;
        for (role, user) in self.users(component) {
            user.verify(&bytes)?;
            surface.fits(role).map_err(|wrong| user.misfit(LoadError::from(wrong)))?;
        }
        self.fetched.push((component.path.clone(), bytes.clone()));
        Ok(bytes)
    }

    /// Loads a file for all of its users.
    fn fresh(&mut self, component: &Component, metering: Metering) -> Result<Plugin, AppError> {
        let bytes = self.fetch(component)?;
        let users = self.users(component);
        let misfit = |error: LoadError| component.misfit(error);
        let path = component.path.as_path();
        let start = Instant::now();
        if !Plugin::is_cached(self.sandbox, &bytes, metering) {
            (self.tell)(Loading::Compiling { path, size: bytes.len() as u64 });
        }
        let plugin = Plugin::load(self.sandbox, &bytes, &[], metering).map_err(misfit)?;
        if plugin.origin() == Origin::Compiled {
            (self.tell)(Loading::Compiled { path, took: start.elapsed() });
        }
        users.iter().try_for_each(|(role, user)| plugin.plays(*role).map_err(|wrong| user.misfit(wrong)))?;
        Ok(plugin)
    }

    /// Roles that name this file, each with its component entry.
    fn users(&self, component: &Component) -> Vec<(Role, &Component)> {
        let package = self.package;
        let all = [(Role::Leaf, &package.leaf), (Role::Merge, &package.merge), (Role::Split, &package.split)];
        let same = all.into_iter().filter_map(|(role, other)| Some((role, other.as_ref()?)));
        same.filter(|(_, other)| other.path == component.path).collect()
    }
}

/// Reads a component's file.
///
/// # Errors
/// A file that is missing, unreadable, or too large for a component.
pub fn from_file(component: &Component) -> Result<Bytes, AppError> {
    component.check()?;
    read(&component.path).map(Bytes::from).map_err(|error| component.misfit(error))
}

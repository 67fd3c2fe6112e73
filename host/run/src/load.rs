//! Loads a package's components.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use frond_app::size::{parse_size, show_size};
use frond_app::{AppError, CallLimits, Component, Package};
use frond_root::memory::Memory;
use frond_sandbox::component::{Origin, read};
use frond_sandbox::grants::{Directory, Grants, HostPattern, HttpGrant, Ports};
use frond_sandbox::inspect::surface;
use frond_sandbox::{CACHE_SIZE, Clock, Guests, Leaf, Limits, LoadError, Plugin, Role, Sandbox, Settings, Trials};

use crate::error::RunError;
use crate::machine::Machine;
use crate::planning::Planning;

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
        let limits = |of: &CallLimits| limits(of, package.limits.partition);
        let sandbox = self.sandbox(&[limits(&of.leaf), limits(&of.merge), limits(&of.split)]);
        let mut loader = Loader { package, sandbox: &sandbox, fetch, tell, loaded: Vec::new() };
        let leaf = loader.load(package.leaf.as_ref(), &of.leaf)?;
        let merge = loader.load(package.merge.as_ref(), &of.merge)?;
        let split = loader.load(package.split.as_ref(), &of.split)?;
        let guests = |plugin, of| Guests::new(sandbox.clock(), plugin, limits(of));
        let (grants, unset) = grants(&package.grants, |name| std::env::var(name).ok());
        let (grants, untrusted) = self.with_trust(grants);
        let grants = Arc::new(grants);
        Ok(Components {
            leaf: leaf.map(|plugin| Leaf {
                plugin,
                limits: limits(&of.leaf),
                deterministic: of.deterministic,
                grants: grants.clone(),
            }),
            merge: merge.map(|plugin| guests(plugin, &of.merge)),
            split: split.map(|plugin| guests(plugin, &of.split).granting(&grants)),
            trials: Trials::new(sandbox.clock()),
            warnings: sandbox.take_warnings().into_iter().chain(unset).chain(untrusted).collect(),
            sandbox,
            planning: self.planning(),
            memory: self.memory(),
        })
    }

    /// Adds the root certificates for HTTPS to the grants; returns a warning if they cannot be
    /// read. Grants without HTTP need none.
    fn with_trust(&self, grants: Grants) -> (Grants, Option<String>) {
        if grants.http.is_empty() {
            return (grants, None);
        }
        let trust = self.trust().clone();
        let wrong = trust.client().err().map(|error| format!("HTTPS requests of the app fail: {error}"));
        (Grants { trust, ..grants }, wrong)
    }
}

struct Loader<'a> {
    package: &'a Package,
    sandbox: &'a Sandbox,
    fetch: Fetch<'a>,
    tell: Tell<'a>,
    loaded: Vec<(PathBuf, bool, Arc<Plugin>)>,
}

impl Loader<'_> {
    fn load(&mut self, component: Option<&Component>, of: &CallLimits) -> Result<Option<Arc<Plugin>>, AppError> {
        let Some(component) = component else { return Ok(None) };
        let metered = of.fuel.is_some();
        let same = |one: &&(PathBuf, bool, _)| one.0 == component.path && one.1 == metered;
        if let Some((_, _, plugin)) = self.loaded.iter().find(same) {
            return Ok(Some(plugin.clone()));
        }
        let plugin = Arc::new(self.fresh(component, metered)?);
        self.loaded.push((component.path.clone(), metered, plugin.clone()));
        Ok(Some(plugin))
    }

    /// Loads a file for all of its users. Each user gets its own error if the file does not fit its
    /// role or its pin.
    fn fresh(&self, component: &Component, metered: bool) -> Result<Plugin, AppError> {
        let users = self.users(component);
        let misfit = |error: LoadError| component.misfit(error);
        let bytes = (self.fetch)(component)?;
        // Before a compilation is reported: a misfit is not compiled.
        let surface = surface(&bytes).map_err(|wrong| misfit(wrong.into()))?;
        for (role, user) in &users {
            user.verify(&bytes)?;
            surface.fits(*role).map_err(|wrong| user.misfit(LoadError::from(wrong)))?;
        }
        let path = component.path.as_path();
        let start = Instant::now();
        if !Plugin::is_cached(self.sandbox, &bytes, metered) {
            (self.tell)(Loading::Compiling { path, size: bytes.len() as u64 });
        }
        let plugin = Plugin::load(self.sandbox, &bytes, &[], metered).map_err(misfit)?;
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

/// Converts an app's limits to the sandbox's.
#[must_use]
pub fn limits(of: &CallLimits, partition: u64) -> Limits {
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

/// Converts an app's grants to the sandbox's. Values of variables come from `env`; each unset one
/// gives a warning.
fn grants(of: &frond_app::Grants, env: impl Fn(&str) -> Option<String>) -> (Grants, Vec<String>) {
    let (set, unset): (Vec<_>, Vec<_>) =
        of.env.iter().map(|name| (name, env(name))).partition(|(_, value)| value.is_some());
    let warn =
        |(name, _): (&String, _)| format!("the environment variable {name} is granted, but is not set to a text");
    let grants = Grants {
        directories: of.directories.iter().map(directory).collect(),
        env: set.into_iter().filter_map(|(name, value)| Some((name.clone(), value?))).collect(),
        config: of.config.clone(),
        http: of.http.iter().map(http).collect(),
        ..Grants::default()
    };
    (grants, unset.into_iter().map(warn).collect())
}

fn directory(of: &frond_app::Directory) -> Directory {
    Directory { host: of.host.clone(), guest: of.guest.clone() }
}

fn http(of: &frond_app::HttpGrant) -> HttpGrant {
    HttpGrant {
        host: match &of.host {
            frond_app::HostPattern::Name(name) => HostPattern::Name(name.clone()),
            frond_app::HostPattern::Below(name) => HostPattern::Below(name.clone()),
            frond_app::HostPattern::Address(address) => HostPattern::Address(*address),
        },
        ports: match of.ports {
            frond_app::Ports::Web => Ports::Web,
            frond_app::Ports::One(port) => Ports::One(port),
            frond_app::Ports::Any => Ports::Any,
        },
        methods: of.methods.clone(),
        time: of.time,
        body: of.body,
        private: of.private,
    }
}

/// Makes a sandbox whose cache is bounded by `FROND_CACHE_SIZE`.
///
/// # Errors
/// The error of [`Clock::start`].
pub fn sandbox(settings: Settings) -> std::io::Result<Sandbox> {
    let clock = Clock::start()?;
    Ok(bounded(settings, &clock))
}

/// Makes a sandbox with this clock, whose cache is bounded by `FROND_CACHE_SIZE`. Warns if there is
/// no cache folder.
pub(crate) fn bounded(settings: Settings, clock: &Clock) -> Sandbox {
    let has_folder = settings.cache.is_some();
    let sandbox = Sandbox::timed(settings, clock);
    if !has_folder {
        sandbox.warn(
            "components are compiled again each time: neither HOME nor XDG_CACHE_HOME is set\n\
             (FROND_CACHE=DIR names a folder that keeps them compiled)"
                .to_owned(),
        );
    }
    match cache_size() {
        Ok(size) => sandbox.bounding_cache(size),
        Err(why) => {
            sandbox.warn(why);
            sandbox
        }
    }
}

/// The largest size of the cache in bytes: `FROND_CACHE_SIZE`, or the default.
///
/// # Errors
/// A message for a variable that is not a size; it names the default, which then applies.
pub fn cache_size() -> Result<u64, String> {
    let text = std::env::var_os("FROND_CACHE_SIZE").unwrap_or_default();
    let text = text.to_string_lossy();
    if text.is_empty() {
        return Ok(CACHE_SIZE);
    }
    parse_size(&text).map_err(|error| {
        format!("FROND_CACHE_SIZE is invalid, and the cache holds {} at most: {error}", show_size(CACHE_SIZE))
    })
}

/// Folder of compiled components: `FROND_CACHE`, or the user's cache folder; `None` without a home.
#[must_use]
pub fn cache_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FROND_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("frond")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/frond")))
}

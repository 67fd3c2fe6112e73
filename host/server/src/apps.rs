//! The apps that are served, and how they change while they are.
//!
//! 1. `folder`: what there is: app folders, `frond.toml`s, components, by their digests. `watch`: being told of changes;
//!    `links`: where links on the way to a file are switched. `place`: the state folder.
//! 2. `keeper`: the reconciler, one thread that takes up changes; `commands`: what waits for it; `settle`: when an app's files
//!    are still. `load`: one load of an app, on a thread of its own; `kept`: the app as that thread has it.
//! 3. `candidate`: what may become a version. `check`: validated, compiled, tried on its cases; `canary`: on the last query.
//! 4. `history`: what an app served, serves, and may go back to; `tried`: what was refused; `state`: where that is kept, with
//!    every component.
//! 5. `recall`: older versions, for work that began with them; `pack`: those of other servers.
//! 6. [`Version`]: what queries are asked of; [`AppView`]: an app as clients see it; [`ChangeError`]: why it stays as it is.
//!
//! Whatever is refused leaves in place what served before. A query keeps the version that it was asked of.

mod canary;
mod candidate;
mod check;
mod commands;
mod digest;
mod error;
mod folder;
mod links;
mod load;
mod managed;
mod pack;
mod recall;
mod reconciler;
mod refused;
mod releases;
mod settings;
mod settle;
mod state;
mod state_location;
mod version;
mod view;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
pub use frond_run::Role;
use frond_run::{Machine, RunError, Slots};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, oneshot};

use crate::hide::HiddenPaths;

use commands::{Command, CommandKind, CommandQueue};
pub use error::{ChangeError, OpenError, RecallError, Stage, StateError};
use folder::Root;
pub use pack::Pack;
use recall::RecalledVersions;
use reconciler::Reconciler;
pub use settings::{Settings, Watching};
use state::State;
pub use version::{Checks, Example, Origin, Part, Version, VersionView};
pub use view::{AppView, CallView, Change, GrantsView, Health, LimitsView, RefusedChange};

/// Changes that a slow reader may be behind; of more it is told how many it missed.
const CHANGES: usize = 256;
/// How long the end of what is under way is waited for.
const CLOSING: Duration = Duration::from_millis(1500);
/// The largest query that is remembered for the next canary, in bytes.
const MAX_REMEMBERED: usize = 64 << 10;

/// What all apps of the process run on.
#[derive(Clone)]
pub struct Host {
    /// Engines, and the clock that interrupts guests.
    pub machine: Arc<Machine>,
    /// The threads that leaves run on.
    pub threads: Slots,
    /// What serves host calls, and runs the canary.
    pub runtime: Handle,
}

/// One app, for those who ask it.
struct Slot {
    current: ArcSwapOption<Version>,
    remembered: ArcSwapOption<Bytes>,
    /// The ids of all versions that are kept.
    versions: ArcSwap<Vec<String>>,
    view: ArcSwap<AppView>,
}

/// What the keeper and everyone else share.
struct Shared {
    settings: Settings,
    host: Host,
    commands: Arc<CommandQueue>,
    apps: ArcSwap<BTreeMap<String, Arc<Slot>>>,
    changes: broadcast::Sender<AppView>,
    /// Apps that wait for the keeper, the one that it works on included.
    waiting: AtomicUsize,
    recalled: RecalledVersions,
}

impl Shared {
    /// Only the keeper adds and removes: nothing is lost between reading and writing the map.
    fn add(&self, name: &str) -> Arc<Slot> {
        let slot = Arc::new(Slot {
            current: ArcSwapOption::empty(),
            remembered: ArcSwapOption::empty(),
            versions: ArcSwap::default(),
            view: ArcSwap::from_pointee(AppView::new(name)),
        });
        let mut apps = BTreeMap::clone(&self.apps.load());
        apps.insert(name.to_owned(), slot.clone());
        self.apps.store(Arc::new(apps));
        self.publish(&slot, AppView::new(name));
        slot
    }

    fn remove(&self, name: &str) {
        let mut apps = BTreeMap::clone(&self.apps.load());
        let gone = apps.remove(name);
        self.apps.store(Arc::new(apps));
        if let Some(slot) = gone {
            self.publish(&slot, AppView { health: Health::Gone, ..AppView::new(name) });
        }
    }

    fn publish(&self, slot: &Slot, view: AppView) {
        slot.view.store(Arc::new(view.clone()));
        // Nobody may be listening.
        let _ = self.changes.send(view);
    }
}

/// The apps below a folder, each with the version that serves.
pub struct Registry {
    dir: PathBuf,
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Registry {
    /// Serves the apps in `dir`: every folder in it that has a `frond.toml`, or `dir` itself if it has one. Comes back when
    /// each has been checked once; those that are broken are there, and say so.
    ///
    /// # Errors
    /// A folder of apps that cannot be read, a state folder that cannot be used, a machine that starts no thread.
    pub async fn open(dir: &Path, settings: Settings, host: Host) -> Result<Arc<Self>, OpenError> {
        let registry = Self::start(dir, settings, host)?;
        registry.ready().await;
        Ok(registry)
    }

    /// As [`Registry::open`], and comes back at once: the apps come up one by one, and none waits for another that hangs.
    ///
    /// # Errors
    /// As there.
    pub fn start(dir: &Path, settings: Settings, host: Host) -> Result<Arc<Self>, OpenError> {
        let root = Root::at(dir).map_err(|cause| OpenError::Folder { path: dir.to_path_buf(), cause })?;
        let state = State::open(&settings.state)?;
        let shared = Arc::new(Shared {
            commands: Arc::new(CommandQueue::new(settings.component_bytes)),
            settings,
            host,
            apps: ArcSwap::default(),
            changes: broadcast::Sender::new(CHANGES),
            waiting: AtomicUsize::new(0),
            recalled: RecalledVersions::default(),
        });
        let keeper = Reconciler::new(shared.clone(), root, state);
        let thread = thread::Builder::new().name("frond-apps".to_owned()).spawn(move || keeper.run());
        let thread =
            thread.map_err(|error| RunError::machine("the thread that keeps apps could not be started", error))?;
        Ok(Arc::new(Self { dir: dir.to_path_buf(), shared, keeper: Mutex::new(Some(thread)) }))
    }

    /// The folders whose places clients are not told.
    pub(crate) fn hidden(&self) -> HiddenPaths {
        HiddenPaths::new(&[&self.dir, &self.shared.settings.state])
    }

    /// Comes back when nothing is left to do of all that was told or asked so far. What files have just come to be may not
    /// have been told yet: see [`Registry::reload`].
    pub async fn settled(&self) {
        self.shared.commands.settled().await;
    }

    /// Comes back when everything that was there at the start has been checked once.
    pub async fn ready(&self) {
        self.shared.commands.ready().await;
    }

    /// True when everything that was there at the start has been checked once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.commands.is_ready()
    }

    /// The version of an app that serves now. Takes no lock.
    #[must_use]
    pub fn current(&self, app: &str) -> Option<Arc<Version>> {
        self.shared.apps.load().get(app)?.current.load_full()
    }

    /// The version of an app with this [`Version::id`], for work that began with it: also one that no longer serves, as long
    /// as it is kept.
    ///
    /// # Errors
    /// See [`RecallError`].
    pub async fn version(&self, app: &str, id: &str) -> Result<Arc<Version>, RecallError> {
        let current = self.current(app).ok_or(RecallError::NoApp)?;
        if current.id() == id {
            return Ok(current);
        }
        let shared = self.shared.clone();
        let app = app.to_owned();
        let id = id.to_owned();
        let recalling = move || recall::recall(&shared, &app, &current.wired.app.dir, &id);
        tokio::task::spawn_blocking(recalling).await.unwrap_or(Err(RecallError::Lost))
    }

    /// The ids of all versions that [`Registry::version`] has, of all apps.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        let apps = self.shared.apps.load();
        apps.values().flat_map(|slot| slot.versions.load().iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// All that another server needs to serve a version.
    ///
    /// # Errors
    /// Files that are not kept any more.
    pub async fn pack(&self, version: Arc<Version>) -> Result<Pack, RecallError> {
        let shared = self.shared.clone();
        let packing = move || pack::pack(&shared, &version);
        tokio::task::spawn_blocking(packing).await.unwrap_or(Err(RecallError::Lost))
    }

    /// A version that another server has packed, under the id that it has there. It must not be granted more than the
    /// version that serves here.
    ///
    /// # Errors
    /// See [`RecallError`].
    pub async fn unpack(&self, app: &str, id: &str, pack: Pack) -> Result<Arc<Version>, RecallError> {
        let current = self.current(app).ok_or(RecallError::NoApp)?;
        let shared = self.shared.clone();
        let app = app.to_owned();
        let id = id.to_owned();
        let unpacking = move || pack::unpack(&shared, &app, &current, &id, &pack);
        tokio::task::spawn_blocking(unpacking).await.unwrap_or(Err(RecallError::Lost))
    }

    /// True for an app whose folder is there, whether it serves or not.
    #[must_use]
    pub fn has(&self, app: &str) -> bool {
        self.shared.apps.load().contains_key(app)
    }

    /// An app as clients see it.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<AppView> {
        self.shared.apps.load().get(name).map(|slot| AppView::clone(&slot.view.load()))
    }

    /// All apps, by name.
    #[must_use]
    pub fn apps(&self) -> Vec<AppView> {
        self.shared.apps.load().values().map(|slot| AppView::clone(&slot.view.load())).collect()
    }

    /// Every app that changes from now on, at each step. A reader that is too slow is told how many it missed.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<AppView> {
        self.shared.changes.subscribe()
    }

    /// Serves `component` in a role of an app, once it has passed every check. What is asked for is done even if nobody
    /// waits for it any more.
    ///
    /// # Errors
    /// See [`ChangeError`]: what served before then still does.
    pub async fn put(&self, app: &str, role: Role, component: Bytes) -> Result<Arc<Version>, ChangeError> {
        let (size, limit) = (component.len() as u64, self.shared.settings.component_bytes);
        if size > limit {
            return Err(ChangeError::TooLarge { size, limit });
        }
        self.ask(app, CommandKind::Put(role, component)).await
    }

    /// Serves the component that the app's folder names again, once it has passed every check. Without an upload nothing
    /// changes.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete(&self, app: &str, role: Role) -> Result<Arc<Version>, ChangeError> {
        self.ask(app, CommandKind::Delete(role)).await
    }

    /// Serves the version that served before, until the app's folder changes or something is uploaded. It is not tried
    /// again: it was when it first served.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn rollback(&self, app: &str) -> Result<Arc<Version>, ChangeError> {
        self.ask(app, CommandKind::Rollback).await
    }

    async fn ask(&self, app: &str, kind: CommandKind) -> Result<Arc<Version>, ChangeError> {
        if !self.shared.apps.load().contains_key(app) {
            return Err(ChangeError::NotFound);
        }
        let (reply, came) = oneshot::channel();
        self.shared.commands.order(Command { app: app.to_owned(), kind, reply })?;
        came.await.unwrap_or(Err(ChangeError::Stopping))
    }

    /// Keeps the last query that `version` answered whole: the next version is asked one partition of it before it serves.
    pub fn remember(&self, version: &Version, query: &Bytes) {
        if query.len() > MAX_REMEMBERED {
            return;
        }
        if let Some(slot) = self.shared.apps.load().get(&version.wired.app.name) {
            slot.remembered.store(Some(Arc::new(query.clone())));
        }
    }

    /// Looks at everything again; what was refused is checked again.
    pub fn reload(&self) {
        self.shared.commands.reload();
    }

    /// Changes that are being checked, or wait for it.
    #[must_use]
    pub fn compiling(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed) + self.shared.commands.orders()
    }

    /// Changes nothing any more. Comes back when what was under way has ended, or is left behind as it takes too long; what
    /// serves still does.
    pub async fn close(&self) {
        self.shared.commands.close();
        self.shared.host.machine.stop_compiling();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(keeper) = keeper else { return };
        // It catches the panics of what it runs. A folder that does not answer may hold it up without end.
        let joined = tokio::task::spawn_blocking(move || keeper.join());
        if tokio::time::timeout(CLOSING, joined).await.is_err() {
            tracing::warn!("the folder of apps does not answer: whatever looks at it is left behind");
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.commands.close();
    }
}

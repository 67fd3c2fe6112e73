//! The served apps, as callers use them.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use frond_jobs::store::Artifact;
use frond_root::sync::lock;
use frond_run::{Crew, Role, RunError};
use tokio::sync::{broadcast, oneshot};

use crate::command::{Command, CommandKind};
use crate::commands::CommandQueue;
use crate::error::{ChangeError, OpenError, RecallError};
use crate::folder::Root;
use crate::host::Host;
use crate::pack;
use crate::recall;
use crate::reconciler::Reconciler;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::state::State;
use crate::version::Version;
use crate::view::AppView;

/// Timeout for work in progress when the registry closes.
const CLOSING: Duration = Duration::from_millis(1500);
/// The largest query that is remembered for the next canary, in bytes.
const MAX_REMEMBERED: usize = 64 << 10;

/// The apps below a folder, each with its serving version.
pub struct Registry {
    dir: PathBuf,
    shared: Arc<Shared>,
    commands: Arc<CommandQueue>,
    reconciler: Mutex<Option<JoinHandle<()>>>,
}

impl Registry {
    /// Serves the apps in `dir`: every folder in it that has a `frond.toml`, or `dir` itself if it
    /// has one.
    /// Returns once each app has been checked once. Broken apps are listed with their errors.
    ///
    /// # Errors
    /// If the folder of apps cannot be read, the state folder cannot be used, or no thread can be
    /// started.
    pub async fn open(dir: &Path, settings: Settings, host: Host) -> Result<Arc<Self>, OpenError> {
        let registry = Self::start(dir, settings, host)?;
        registry.ready().await;
        Ok(registry)
    }

    /// Does the same as [`Registry::open`], but returns at once.
    /// The apps become ready one by one; none waits for another that hangs.
    ///
    /// # Errors
    /// See [`Registry::open`].
    pub fn start(dir: &Path, settings: Settings, host: Host) -> Result<Arc<Self>, OpenError> {
        let root = Root::at(dir).map_err(|cause| OpenError::Folder { path: dir.to_path_buf(), cause })?;
        let state = State::open(&settings.state)?;
        let commands = Arc::new(CommandQueue::new(settings.component_bytes));
        let shared = Arc::new(Shared::new(settings, host));
        let reconciler = Reconciler::new(shared.clone(), commands.clone(), root, state);
        let thread = thread::Builder::new().name("frond-apps".to_owned()).spawn(move || reconciler.run());
        let thread =
            thread.map_err(|error| RunError::machine("the thread that manages apps could not be started", error))?;
        Ok(Arc::new(Self { dir: dir.to_path_buf(), shared, commands, reconciler: Mutex::new(Some(thread)) }))
    }

    /// The folder of the apps and the state folder.
    #[must_use]
    pub fn folders(&self) -> [&Path; 2] {
        [&self.dir, &self.shared.settings.state]
    }

    /// Waits until every change noticed or requested so far has been applied.
    /// Recent changes of files may not have been noticed yet: see [`Registry::reload`].
    pub async fn settled(&self) {
        self.commands.settled().await;
    }

    /// Waits until every app that was there at the start has been checked once.
    pub async fn ready(&self) {
        self.commands.ready().await;
    }

    /// True once every app that was there at the start has been checked once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.commands.is_ready()
    }

    /// Workers that run leaves, if there may be any.
    pub(crate) fn crew(&self) -> Option<&Crew> {
        self.shared.host.crew.as_deref()
    }

    /// The version of an app that serves now. Takes no lock.
    #[must_use]
    pub fn current(&self, app: &str) -> Option<Arc<Version>> {
        self.shared.apps.load().get(app)?.current.load_full()
    }

    /// Returns the version of an app with this [`Version::id`], for work that began with it.
    /// Versions that no longer serve are found as long as they are stored.
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
        let recall = move || recall::recall(&shared, &app, &current.wired.app.dir, &id);
        tokio::task::spawn_blocking(recall).await.unwrap_or(Err(RecallError::Lost))
    }

    /// The ids of all versions that [`Registry::version`] can return, of all apps.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        let apps = self.shared.apps.load();
        apps.values().flat_map(|slot| slot.versions.load().iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// Packs everything that another server needs to serve a version.
    ///
    /// # Errors
    /// If its files are no longer stored.
    pub async fn pack(&self, version: Arc<Version>) -> Result<Artifact, RecallError> {
        let shared = self.shared.clone();
        let packing = move || pack::pack(&shared, &version);
        tokio::task::spawn_blocking(packing).await.unwrap_or(Err(RecallError::Lost))
    }

    /// Loads a version that another server has packed, under the id that it has there.
    /// The grants of the packed version must not exceed those of the version that serves here.
    ///
    /// # Errors
    /// See [`RecallError`].
    pub async fn unpack(&self, app: &str, id: &str, pack: Artifact) -> Result<Arc<Version>, RecallError> {
        let current = self.current(app).ok_or(RecallError::NoApp)?;
        let shared = self.shared.clone();
        let app = app.to_owned();
        let id = id.to_owned();
        let unpacking = move || pack::unpack(&shared, &app, &current, &id, &pack);
        tokio::task::spawn_blocking(unpacking).await.unwrap_or(Err(RecallError::Lost))
    }

    /// True if the app's folder exists, whether the app serves or not.
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

    /// Subscribes to the apps' views: each change of an app is sent, at every step.
    /// A reader that is too slow is told how many changes it missed.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<AppView> {
        self.shared.changes.subscribe()
    }

    /// Serves `component` in a role of an app, once it has passed every check.
    /// The change is carried out even if the caller stops waiting.
    ///
    /// # Errors
    /// See [`ChangeError`]. The version that served before keeps serving.
    pub async fn put(&self, app: &str, role: Role, component: Bytes) -> Result<Arc<Version>, ChangeError> {
        let size = component.len() as u64;
        let limit = self.shared.settings.component_bytes;
        if size > limit {
            return Err(ChangeError::TooLarge { size, limit });
        }
        self.ask(app, CommandKind::Put(role, component)).await
    }

    /// Serves the component that the app's folder names again, once it has passed every check.
    /// Without an upload in this role nothing changes.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn delete(&self, app: &str, role: Role) -> Result<Arc<Version>, ChangeError> {
        self.ask(app, CommandKind::Delete(role)).await
    }

    /// Rolls back to the version that served before, until the app's folder changes or something is
    /// uploaded.
    /// The version is not checked again: it passed its checks when it first served.
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
        let (reply, result) = oneshot::channel();
        self.commands.order(Command { app: app.to_owned(), kind, reply })?;
        result.await.unwrap_or(Err(ChangeError::Stopping))
    }

    /// Remembers the last query that `version` answered completely, as the canary of the next
    /// version.
    pub fn remember(&self, version: &Version, query: &Bytes) {
        if query.len() > MAX_REMEMBERED {
            return;
        }
        if let Some(slot) = self.shared.apps.load().get(&version.wired.app.name) {
            slot.remembered.store(Some(Arc::new(query.clone())));
        }
    }

    /// Checks all apps again, also the changes that were refused.
    pub fn reload(&self) {
        self.commands.reload();
    }

    /// Number of changes that are being checked or are queued.
    #[must_use]
    pub fn compiling(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed) + self.commands.orders()
    }

    /// Stops applying changes.
    /// Waits for the work in progress for a bounded time, then abandons it. The apps keep serving.
    pub async fn close(&self) {
        self.commands.close();
        self.shared.host.machine.stop_compiling();
        let reconciler = lock(&self.reconciler).take();
        let Some(reconciler) = reconciler else { return };
        // The thread catches the panics of its work. A folder that does not respond may block it
        // forever.
        let joined = tokio::task::spawn_blocking(move || reconciler.join());
        if tokio::time::timeout(CLOSING, joined).await.is_err() {
            tracing::warn!("the folder of apps does not answer: the threads that read it are abandoned");
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.commands.close();
    }
}

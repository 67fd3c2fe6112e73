//! Jobs: work that outlives a request. Here they are accepted, looked at and fetched; `frond_jobs` keeps and runs them.

pub(crate) mod answers;
pub(crate) mod api;
mod feed;
mod follow;
mod submit;
mod telemetry;
mod views;
mod work;

pub(crate) use submit::{__path_submit, instead, submit};
pub(crate) use telemetry::Telemetry;
pub(crate) use views::View;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use frond_jobs::processor::{Bell, Processor, Settings};
use frond_jobs::{CountedStore, JobStore, StoreError, Tally, postgres, sqlite};
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::task::JoinHandle;

use self::feed::Feeds;
use crate::apps::{AppView, Registry};
use crate::config::{JobRole, Jobs as JobsConfig};

/// How often what has expired is swept.
const SWEEP: Duration = Duration::from_secs(60);
/// Partial answers that are made at once: each reads all partials of its job.
const MERGING: usize = 2;

/// The jobs of this server.
pub(crate) struct Jobs {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) bell: Bell,
    pub(crate) tally: Arc<Tally>,
    pub(crate) config: JobsConfig,
    pub(crate) slots: usize,
    feeds: Feeds,
    /// Partial answers that may be made at once.
    merging: Semaphore,
    stop: watch::Sender<bool>,
    tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Jobs {
    /// Opens the store, and starts to work; nothing for a server without jobs. `state` is the folder for what it keeps.
    pub(crate) async fn start(
        config: &JobsConfig,
        state: &Path,
        apps: &Arc<Registry>,
        slots: usize,
        telemetry: &Telemetry,
    ) -> Result<Option<Self>, StoreError> {
        if config.role == JobRole::None {
            return Ok(None);
        }
        let tally = Arc::new(Tally::default());
        let store: Arc<dyn JobStore> = Arc::new(CountedStore::new(open(config, state).await?, tally.clone()));
        let (stop, stopped) = watch::channel(false);
        let bell = Bell::default();
        let mut tasks = vec![tokio::spawn(sweep(store.clone(), stopped.clone()))];
        if config.role.processes() {
            let settings =
                Settings { at_once: config.at_once, lease: config.lease.0, lives: config.lives, ..Settings::default() };
            let workshop = Arc::new(work::Apps(apps.clone(), telemetry.clone()));
            tasks.push(tokio::spawn(announce(apps.changes(), bell.clone(), stopped.clone())));
            let (store, bell, tally) = (store.clone(), bell.clone(), tally.clone());
            let processor = Processor { store, workshop, settings, bell, tally };
            tasks.push(tokio::spawn(processor.run(stopped)));
        }
        let (feeds, merging) = (Feeds::default(), Semaphore::new(MERGING));
        let (config, tasks) = (config.clone(), std::sync::Mutex::new(tasks));
        Ok(Some(Self { store, bell, tally, config, slots, feeds, merging, stop, tasks }))
    }

    /// Gives back the jobs that run: whoever takes them goes on where they are.
    pub(crate) async fn close(&self, within: Duration) {
        self.stop.send_replace(true);
        self.feeds.close().await;
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!("jobs were not given back in time: they go on once their leases are over");
        }
    }
}

/// Where jobs are kept.
enum Place<'a> {
    Database(&'a str),
    Folder(PathBuf),
}

impl<'a> Place<'a> {
    fn of(config: &'a JobsConfig, state: &Path) -> Self {
        match config.store.as_deref() {
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => Self::Database(url),
            folder => Self::Folder(state.join(folder.unwrap_or("jobs"))),
        }
    }
}

/// The place for people; a database's URL may have a password.
pub(crate) fn place(config: &JobsConfig, state: &Path) -> String {
    match Place::of(config, state) {
        Place::Database(_) => "the database that `jobs.store` names".to_owned(),
        Place::Folder(folder) => format!("`{}`", folder.display()),
    }
}

async fn open(config: &JobsConfig, state: &Path) -> Result<Arc<dyn JobStore>, StoreError> {
    match Place::of(config, state) {
        Place::Database(url) => {
            let options =
                postgres::Options { max_bytes: config.quota.map(|quota| quota.0), ..postgres::Options::default() };
            Ok(Arc::new(postgres::PostgresStore::open(url, options).await?))
        }
        Place::Folder(folder) => {
            let options =
                sqlite::Options { max_bytes: config.quota.map(|quota| quota.0), ..sqlite::Options::default() };
            let opened = tokio::task::spawn_blocking(move || sqlite::SqliteStore::open(&folder, options)).await;
            let lost = |lost| StoreError::Other(Arc::new(lost));
            let store = opened.map_err(lost)??;
            if let Err(error) = store.lapse().await {
                tracing::warn!(%error, "jobs of the last run wait until their leases lapse");
            }
            Ok(Arc::new(store))
        }
    }
}

/// Rings when an app changes: there may be jobs that have waited for it.
async fn announce(mut changes: broadcast::Receiver<AppView>, bell: Bell, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            change = changes.recv() => match change {
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => bell.ring(),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

/// Forgets what was promised to be kept only until now.
async fn sweep(store: Arc<dyn JobStore>, mut stop: watch::Receiver<bool>) {
    loop {
        match store.sweep().await {
            Ok(swept) if swept.expired > 0 => tracing::info!(jobs = swept.expired, bytes = swept.bytes, "jobs expired"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "expired jobs could not be swept"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}

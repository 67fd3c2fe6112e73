//! Jobs over HTTP: submission, state, events, answers. `frond_jobs` stores and runs them.

pub(crate) mod answers;
pub(crate) mod api;
mod feed;
mod follow;
pub(crate) mod submit;
mod telemetry;
mod views;
mod work;

pub(crate) use telemetry::Telemetry;
pub(crate) use views::View;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use frond_deploy::{AppView, Registry};
use frond_jobs::processor::{Processor, Settings, Wakeup};
use frond_jobs::store::chain;
use frond_jobs::store::location::{Location, environment};
use frond_jobs::{CountedStore, JobStore, LateStore, Quotas, StoreError, Tally, postgres, sqlite};
use frond_root::CancellationToken;
use frond_root::fair::{FairPermit, FairPermits};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use self::feed::Feeds;
use crate::auth::Principal;
use crate::config::{Config, JobRole, Jobs as JobsConfig, Token};
use crate::reply::Problem;

/// Interval between sweeps of expired jobs.
const SWEEP: Duration = Duration::from_secs(60);
/// The most partial answers that are merged at once, of one caller a single one; each reads all
/// partials of its job.
const MERGING: usize = 2;
/// The most lists that are read at once, of one caller two, or one while others ask for lists.
const LISTING: usize = 3;
/// Interval between checks of the store.
const LOOK: Duration = Duration::from_secs(2);
/// Timeout of a check of the store.
const PATIENCE: Duration = Duration::from_secs(2);
/// Interval between attempts to open a folder that could not be opened at the start.
const AGAIN: Duration = Duration::from_secs(30);
/// First and longest pause between attempts to open a database; the pause doubles each time.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Store, quotas and feeds of this server's jobs.
pub(crate) struct Jobs {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) wakeup: Wakeup,
    pub(crate) tally: Arc<Tally>,
    quotas: Quotas,
    pub(crate) config: JobsConfig,
    pub(crate) slots: usize,
    feeds: Feeds,
    /// Permits for merging partial answers.
    merging: FairPermits,
    /// Permits for reading lists.
    listing: FairPermits,
    is_reached: Arc<AtomicBool>,
    stop: CancellationToken,
    tasks: parking_lot::Mutex<Vec<JoinHandle<()>>>,
}

/// Applies the quotas: of each token, and the default for tokens without a quota.
fn set_quotas(quotas: &Quotas, config: &Config) {
    let own = |token: &Token| token.job_quota.map(|quota| (token.name.clone(), quota.0));
    quotas.set(Some(config.jobs.token_quota.0), config.tokens.iter().filter_map(own).collect());
}

impl Jobs {
    /// Opens the store and starts the background tasks; `None` for a server without jobs.
    /// `state` is the folder of a store with a relative path.
    pub(crate) async fn start(
        config: &Config,
        state: &Path,
        apps: &Arc<Registry>,
        slots: usize,
        telemetry: &Telemetry,
    ) -> Result<Option<Self>, StoreError> {
        let quotas = Quotas::default();
        set_quotas(&quotas, config);
        let config = &config.jobs;
        if config.role == JobRole::None {
            return Ok(None);
        }
        let tally = Arc::new(Tally::default());
        let stop = CancellationToken::new();
        let opened = open(config, state, stop.clone()).await?;
        let store: Arc<dyn JobStore> = Arc::new(CountedStore::new(opened, tally.clone()));
        let wakeup = Wakeup::default();
        let is_reached = Arc::new(AtomicBool::new(true));
        let mut tasks = vec![
            tokio::spawn(sweep(store.clone(), stop.clone())),
            tokio::spawn(look(store.clone(), is_reached.clone(), stop.clone())),
        ];
        if config.role.processes() {
            let settings =
                Settings { at_once: config.at_once, lease: config.lease.0, lives: config.lives, ..Settings::default() };
            let provider = Arc::new(work::Apps(apps.clone(), telemetry.clone()));
            tasks.push(tokio::spawn(announce(apps.changes(), wakeup.clone(), stop.clone())));
            let store = store.clone();
            let wakeup = wakeup.clone();
            let tally = tally.clone();
            let quotas = quotas.clone();
            let processor = Processor { store, provider, settings, wakeup, tally, quotas };
            tasks.push(tokio::spawn(processor.run(stop.clone())));
        }
        let feeds = Feeds::default();
        let merging = FairPermits::new(MERGING);
        let listing = FairPermits::new(LISTING);
        let config = config.clone();
        let tasks = parking_lot::Mutex::new(tasks);
        Ok(Some(Self { store, wakeup, tally, quotas, config, slots, feeds, merging, listing, is_reached, stop, tasks }))
    }

    /// Applies the quotas of reloaded settings.
    pub(crate) fn reload(&self, config: &Config) {
        set_quotas(&self.quotas, config);
    }

    /// True while the store responds.
    pub(crate) fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Relaxed)
    }

    /// Releases the running jobs, so that another server can resume them.
    pub(crate) async fn close(&self, within: Duration) {
        self.stop.cancel();
        self.feeds.close().await;
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!("jobs were not released in time: they resume when their leases expire");
        }
    }
}

/// Ends the tasks.
impl Drop for Jobs {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits for the caller's turn, at most for this time.
async fn permit(
    permits: &FairPermits,
    principal: &Principal,
    patience: Duration,
    what: &str,
) -> Result<FairPermit, Problem> {
    let caller: Arc<str> = Arc::from(principal.name.as_str());
    let permit = timeout(patience, permits.take(&caller)).await;
    let text = || format!("too many {what} are being made\n(try again later)");
    permit.map_err(|_| Problem::overloaded(text(), Duration::from_secs(10)))
}

/// The location of the store.
fn location(config: &JobsConfig) -> Result<Location, StoreError> {
    let store = config.store.as_deref().unwrap_or("jobs");
    Location::parse(store, &environment).map_err(|error| StoreError::Settings(error.to_string()))
}

/// The location as text for people; without a database's URL, which may contain a password.
pub(crate) fn place(config: &JobsConfig, state: &Path) -> String {
    match location(config) {
        Ok(Location::Folder(folder)) => format!("`{}`", state.join(folder).display()),
        Ok(Location::Database(_)) | Err(_) => "the place that `jobs.store` names".to_owned(),
    }
}

async fn open(config: &JobsConfig, state: &Path, stopped: CancellationToken) -> Result<Arc<dyn JobStore>, StoreError> {
    match location(config)? {
        Location::Database(url) => {
            let options = postgres::Options {
                max_bytes: Some(config.quota.0),
                password_file: config.password_file.clone(),
                ..postgres::Options::default()
            };
            let opened = waited_for(config.store_wait.0, || postgres::PostgresStore::open(&url, options.clone()));
            Ok(Arc::new(opened.await?))
        }
        Location::Folder(folder) => {
            let folder = state.join(folder);
            let quota = config.quota.0;
            match open_folder(folder.clone(), quota).await {
                Err(error) if error.is_mendable() => {
                    tracing::error!(
                        folder = %folder.display(),
                        error = chain(&error),
                        "jobs cannot be kept: queries are served without them, and the store is tried again every {AGAIN:?}"
                    );
                    let late = Arc::new(LateStore::new(&error));
                    tokio::spawn(open_later(late.clone(), folder, quota, stopped));
                    Ok(late)
                }
                opened => opened,
            }
        }
    }
}

async fn open_folder(folder: PathBuf, quota: u64) -> Result<Arc<dyn JobStore>, StoreError> {
    let options = sqlite::Options { max_bytes: Some(quota), ..sqlite::Options::default() };
    let opened = tokio::task::spawn_blocking(move || sqlite::SqliteStore::open(&folder, options)).await;
    let lost = |lost| StoreError::Other(Arc::new(lost));
    let store = opened.map_err(lost)??;
    if let Err(error) = store.lapse().await {
        tracing::warn!(error = chain(&error), "jobs of the last run wait until their leases lapse");
    }
    Ok(Arc::new(store))
}

/// Opens a folder once that succeeds, for example after its disk has space again or a damaged file
/// was removed.
async fn open_later(late: Arc<LateStore>, folder: PathBuf, quota: u64, stopped: CancellationToken) {
    loop {
        tokio::select! {
            () = stopped.cancelled() => return,
            () = sleep(AGAIN) => {}
        }
        match open_folder(folder.clone(), quota).await {
            Ok(store) => {
                late.open(store);
                tracing::info!(folder = %folder.display(), "jobs can be kept from now on");
                return;
            }
            Err(error) => tracing::debug!(error = chain(&error), "the store of jobs still cannot be opened"),
        }
    }
}

/// Opens a database, retrying with exponential back-off while it is unavailable.
async fn waited_for<T, F>(time: Duration, mut open: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let until = Instant::now() + time;
    let mut pause = PAUSES.0;
    loop {
        match open().await {
            Err(error @ StoreError::Unavailable(_)) if Instant::now() + pause < until => {
                tracing::warn!(error = chain(&error), "waiting for the database of jobs");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            opened => return opened,
        }
    }
}

/// Checks periodically whether the store can be reached, and logs changes.
async fn look(store: Arc<dyn JobStore>, is_reached: Arc<AtomicBool>, stop: CancellationToken) {
    loop {
        let answer = timeout(PATIENCE, store.ping()).await;
        let reached = matches!(answer, Ok(Ok(())));
        match (is_reached.swap(reached, Ordering::Relaxed), answer) {
            (false, Ok(Ok(()))) => tracing::info!("the store of jobs is reached again"),
            (true, Ok(Err(error))) => tracing::error!(error = chain(&error), "the store of jobs cannot be reached"),
            (true, Err(_)) => {
                tracing::error!("the store of jobs cannot be reached: it has not answered for {PATIENCE:?}")
            }
            _ => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(LOOK) => {}
        }
    }
}

/// Wakes the processor when an app changes, since jobs may have waited for it.
async fn announce(mut changes: broadcast::Receiver<AppView>, wakeup: Wakeup, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            change = changes.recv() => match change {
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => wakeup.notify(),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

/// Sweeps expired jobs periodically.
async fn sweep(store: Arc<dyn JobStore>, stop: CancellationToken) {
    loop {
        match store.sweep().await {
            Ok(swept) if swept.expired > 0 => tracing::info!(jobs = swept.expired, bytes = swept.bytes, "jobs expired"),
            Ok(_) => {}
            Err(StoreError::Unopened(_)) => {}
            Err(error) => tracing::warn!(error = chain(&error), "expired jobs could not be swept"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}

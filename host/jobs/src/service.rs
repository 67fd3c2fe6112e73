//! Jobs of one process: the store, opened and looked after, and the processor.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use frond_root::CancellationToken;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::processor::{self, Processor, Wakeup};
use crate::quota::Quotas;
use crate::store::location::{Location, environment};
use crate::store::{CountedStore, JobStore, LateStore, StoreError, Tally, chain, sqlite};
use crate::work::AppProvider;

/// Interval between sweeps of expired jobs.
const SWEEP: Duration = Duration::from_secs(60);
/// Interval between checks of the store.
const LOOK: Duration = Duration::from_secs(2);
/// Timeout of a check of the store.
const PATIENCE: Duration = Duration::from_secs(2);
/// Interval between attempts to open a folder that could not be opened at the start.
const AGAIN: Duration = Duration::from_secs(30);

/// Settings of the jobs of one process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Location of the store: a folder, or the URL of a database. The default is the folder `jobs`.
    pub store: Option<String>,
    /// File with the database's password.
    pub password_file: Option<PathBuf>,
    /// Longest wait at the start for a database that is unavailable.
    pub store_wait: Duration,
    /// Limit on the bytes of all jobs.
    pub quota: u64,
    /// Settings of the processor.
    pub processor: processor::Settings,
}

impl Settings {
    /// Returns the location of the store.
    ///
    /// # Errors
    /// If the text is no location, or an environment variable in it is unset.
    pub fn location(&self) -> Result<Location, StoreError> {
        let store = self.store.as_deref().unwrap_or("jobs");
        Location::parse(store, &environment).map_err(|error| StoreError::Settings(error.to_string()))
    }

    /// Returns the location as text for people; without a database's URL, which may contain a
    /// password. `state` is the folder of a store with a relative path.
    #[must_use]
    pub fn place(&self, state: &Path) -> String {
        match self.location() {
            Ok(Location::Folder(folder)) => format!("`{}`", state.join(folder).display()),
            Ok(Location::Database(_)) | Err(_) => "the place that `jobs.store` names".to_owned(),
        }
    }
}

/// Jobs of one process. Dropping it stops the background tasks.
pub struct JobService {
    /// The store, whose calls are counted.
    pub store: Arc<dyn JobStore>,
    /// Wakes the processor.
    pub wakeup: Wakeup,
    /// Counts of the store's calls.
    pub tally: Arc<Tally>,
    /// Quotas of callers.
    pub quotas: Quotas,
    is_reached: Arc<AtomicBool>,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl JobService {
    /// Opens the store and starts the background tasks; with a provider of apps, also a processor.
    /// `state` is the folder of a store with a relative path.
    ///
    /// # Errors
    /// If the store cannot be opened, now or later.
    pub async fn start(
        settings: &Settings,
        state: &Path,
        provider: Option<Arc<dyn AppProvider>>,
        quotas: Quotas,
    ) -> Result<Self, StoreError> {
        let stop = CancellationToken::new();
        let tally = Arc::new(Tally::default());
        let opened = open(settings, state, stop.clone()).await?;
        let store: Arc<dyn JobStore> = Arc::new(CountedStore::new(opened, tally.clone()));
        let wakeup = Wakeup::default();
        let is_reached = Arc::new(AtomicBool::new(true));
        let mut tasks = vec![
            tokio::spawn(sweep(store.clone(), stop.clone())),
            tokio::spawn(look(store.clone(), is_reached.clone(), stop.clone())),
        ];
        if let Some(provider) = provider {
            let processor = Processor {
                store: store.clone(),
                provider,
                settings: settings.processor.clone(),
                wakeup: wakeup.clone(),
                tally: tally.clone(),
                quotas: quotas.clone(),
            };
            tasks.push(tokio::spawn(processor.run(stop.clone())));
        }
        Ok(Self { store, wakeup, tally, quotas, is_reached, stop, tasks: Mutex::new(tasks) })
    }

    /// True while the store responds.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Relaxed)
    }

    /// Tells the background tasks to stop: the processor releases its running jobs.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Releases the running jobs, so that another process can resume them.
    pub async fn close(&self, within: Duration) {
        self.stop();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        if timeout(within, all).await.is_err() {
            tracing::warn!("jobs were not released in time: they resume when their leases expire");
        }
    }
}

impl Drop for JobService {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn open(settings: &Settings, state: &Path, stopped: CancellationToken) -> Result<Arc<dyn JobStore>, StoreError> {
    match settings.location()? {
        #[cfg(feature = "postgres")]
        Location::Database(url) => database::open(settings, &url).await,
        #[cfg(not(feature = "postgres"))]
        Location::Database(_) => Err(StoreError::Settings("this build has no PostgreSQL".to_owned())),
        Location::Folder(folder) => {
            let folder = state.join(folder);
            let quota = settings.quota;
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

/// Opening of a database that may be unavailable at first.
#[cfg(feature = "postgres")]
mod database {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::Settings;
    use crate::store::location::DatabaseUrl;
    use crate::store::postgres::{Options, PostgresStore};
    use crate::store::{JobStore, StoreError, chain};

    /// First and longest pause between attempts to open a database; the pause doubles each time.
    const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

    /// Opens a database, retrying with exponential back-off while it is unavailable.
    pub(super) async fn open(settings: &Settings, url: &DatabaseUrl) -> Result<Arc<dyn JobStore>, StoreError> {
        let options = Options {
            max_bytes: Some(settings.quota),
            password_file: settings.password_file.clone(),
            ..Options::default()
        };
        let until = Instant::now() + settings.store_wait;
        let mut pause = PAUSES.0;
        loop {
            match PostgresStore::open(url, options.clone()).await {
                Err(error @ StoreError::Unavailable(_)) if Instant::now() + pause < until => {
                    tracing::warn!(error = chain(&error), "waiting for the database of jobs");
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                opened => return Ok(Arc::new(opened?)),
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
            () = sleep(SWEEP) => {}
        }
    }
}

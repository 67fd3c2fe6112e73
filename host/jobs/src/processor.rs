//! Takes jobs from the store, as many at once as it may, and sees each through to its end. Any number of processors share
//! a store: a job is one owner's, by lease and epoch.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::excluded::ExcludedVersions;
use crate::job_run::{Exit, JobRun, TakeStart};
use crate::quota::Quotas;
use crate::store::{JobFilter, JobStore, RunnableJobs, StoreError, StoreResult, TakenJob, Tally, chain};
use crate::work::AppProvider;

/// Owners in a row that a job may lose without a result, unless the processor is told otherwise.
pub const LIVES: u32 = 5;

/// How a processor works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By what others know it: unique among the processors of a store.
    pub owner: String,
    /// Jobs at once.
    pub at_once: usize,
    /// How long a job stays with a processor that is not heard of.
    pub lease: Duration,
    /// How often the store is asked for jobs that nobody announced.
    pub poll: Duration,
    /// How many owners in a row a job may lose without a result. Then it fails: it may be what ends them.
    pub lives: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            owner: format!("{}-{}", std::process::id(), frond_root::QueryId::new()),
            at_once: 2,
            lease: Duration::from_secs(30),
            poll: Duration::from_millis(500),
            lives: LIVES,
        }
    }
}

/// Wake-up of a processor by those who submit and cancel in its process. A ring is heard by every listener, also by one
/// that is busy while it rings.
#[derive(Clone, Default)]
pub struct Wakeup(watch::Sender<()>);

impl Wakeup {
    /// There is news in the store.
    pub fn notify(&self) {
        self.0.send_replace(());
    }

    /// Hears every ring from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Runs jobs.
pub struct Processor {
    /// Where they are.
    pub store: Arc<dyn JobStore>,
    /// What runs them.
    pub provider: Arc<dyn AppProvider>,
    /// How.
    pub settings: Settings,
    /// Rung when there is news.
    pub wakeup: Wakeup,
    /// Counts the jobs that it loses.
    pub tally: Arc<Tally>,
    /// Bytes that callers may keep in the store.
    pub quotas: Quotas,
}

impl Processor {
    /// Takes jobs until `stop` says so; then gives back those that run, with all that they have.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut jobs = JoinSet::new();
        let mut wakeup = self.wakeup.listen();
        let unable = ExcludedVersions::default();
        loop {
            self.take_all(&mut jobs, &unable, &stop).await;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = jobs.join_next() => {}
                _ = wakeup.changed() => {}
                () = tokio::time::sleep(self.settings.poll) => {}
            }
        }
        while jobs.join_next().await.is_some() {}
    }

    async fn take_all(&self, jobs: &mut JoinSet<()>, unable: &ExcludedVersions, stop: &watch::Receiver<bool>) {
        while jobs.len() < self.settings.at_once && !*stop.borrow() {
            // Before the job is taken: its lease has begun by then, and no ring for it is missed.
            let asked = TakeStart { at: Instant::now(), wakeup: self.wakeup.listen() };
            match self.take(unable).await {
                Ok(Some(taken)) => {
                    let course = JobRun::new(self, taken, asked, unable.clone(), stop.clone());
                    let tally = self.tally.clone();
                    jobs.spawn(async move {
                        let id = course.id();
                        match course.run().await {
                            Ok(state) => tracing::info!(job = %id, %state, "job ended"),
                            Err(Exit::Stopped) => tracing::info!(job = %id, "job given back"),
                            Err(Exit::Fenced) => {
                                tally.lose();
                                tracing::warn!(job = %id, "job lost to another processor");
                            }
                            Err(Exit::Store(error)) => {
                                tracing::error!(job = %id, error = chain(&error), "job left alone");
                            }
                            Err(Exit::Lapsed) => {
                                tally.lose();
                                tracing::error!(job = %id, "job left alone: its lease could not be renewed in time");
                            }
                        }
                    });
                }
                Ok(None) => return,
                // Said once, when it could not be opened.
                Err(StoreError::Unopened(_)) => return,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "no jobs can be taken");
                    return;
                }
            }
        }
    }

    async fn take(&self, unable: &ExcludedVersions) -> StoreResult<Option<TakenJob>> {
        let apps = self.provider.apps();
        if apps.is_empty() {
            return Ok(None);
        }
        let apps = match self.store.is_shared() {
            true => {
                let unable = unable.versions();
                let versions = self.provider.versions();
                let versions = versions.into_iter().filter(|version| !unable.contains(version)).collect();
                JobFilter::Runnable(RunnableJobs { apps, versions, unable })
            }
            false => JobFilter::Only(apps),
        };
        self.store.take(&self.settings.owner, &apps, self.settings.lease).await
    }
}

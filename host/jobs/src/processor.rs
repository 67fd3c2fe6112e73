//! Takes jobs from the store, up to a number at once, and runs each to its end. Any number of
//! processors share a store: lease and epoch give each job a single owner.

mod turns;

use std::sync::Arc;
use std::time::Duration;

use frond_root::CancellationToken;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::excluded::ExcludedVersions;
use crate::job_run::{Exit, JobRun, JobServices, TakeStart};
use crate::quota::Quotas;
use crate::store::{JobFilter, JobStore, RunnableJobs, StoreError, StoreResult, TakenJob, Tally, chain};
use crate::work::AppProvider;

use turns::{CallerTurns, Vacancy};

/// Default number of owners in a row that a job may lose without a result.
pub const LIVES: u32 = 5;

/// Default time after which a job is given back if its caller's jobs take all places and another
/// caller's job waits.
const TURN: Duration = Duration::from_secs(60);

/// Settings of a processor.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the processor, unique among the processors of a store.
    pub owner: String,
    /// Jobs that run at once.
    pub at_once: usize,
    /// Time for which a job stays with an owner that does not renew its lease.
    pub lease: Duration,
    /// Interval at which the store is polled for jobs submitted elsewhere.
    pub poll: Duration,
    /// Owners in a row that a job may lose without a result. Then the job fails, since it may be
    /// the cause.
    pub lives: u32,
    /// Time after which a job is given back if its caller's jobs take all places and another
    /// caller's job waits.
    pub turn: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            owner: format!("{}-{}", std::process::id(), frond_root::QueryId::new()),
            at_once: 2,
            lease: Duration::from_secs(30),
            poll: Duration::from_millis(500),
            lives: LIVES,
            turn: TURN,
        }
    }
}

/// Wakes a processor when a job is submitted or cancelled in its process. A notification reaches
/// every listener, even one that is busy at the time.
#[derive(Clone, Default)]
pub struct Wakeup(watch::Sender<()>);

impl Wakeup {
    /// Notifies all listeners of changes in the store.
    pub fn notify(&self) {
        self.0.send_replace(());
    }

    /// Returns a listener for all notifications from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Takes and runs jobs.
pub struct Processor {
    /// Store of the jobs.
    pub store: Arc<dyn JobStore>,
    /// Provider of the apps that run the jobs.
    pub provider: Arc<dyn AppProvider>,
    /// Settings of the processor.
    pub settings: Settings,
    /// Notified when a job is submitted or cancelled in this process.
    pub wakeup: Wakeup,
    /// Counts lost jobs.
    pub tally: Arc<Tally>,
    /// Quotas of callers on the store, in bytes.
    pub quotas: Quotas,
}

impl Processor {
    /// Takes jobs until `stop` is cancelled; then releases the running jobs with their accepted
    /// results.
    pub async fn run(self, stop: CancellationToken) {
        let mut jobs = JoinSet::new();
        let mut turns = CallerTurns::new(self.settings.at_once, self.settings.turn);
        let mut wakeup = self.wakeup.listen();
        let services = JobServices {
            store: self.store.clone(),
            provider: self.provider.clone(),
            quotas: self.quotas.clone(),
            unable: ExcludedVersions::default(),
            lease: self.settings.lease,
            lives: self.settings.lives,
        };
        loop {
            self.take_all(&mut jobs, &mut turns, &services, &stop).await;
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = jobs.join_next() => {}
                _ = wakeup.changed() => {}
                () = tokio::time::sleep(self.settings.poll) => {}
            }
        }
        while jobs.join_next().await.is_some() {}
    }

    async fn take_all(
        &self,
        jobs: &mut JoinSet<()>,
        turns: &mut CallerTurns,
        services: &JobServices,
        stop: &CancellationToken,
    ) {
        while !stop.is_cancelled() {
            // Before the take: the lease begins later, and no notification is missed.
            let start = TakeStart { at: Instant::now(), wakeup: self.wakeup.listen() };
            let Some(place) = turns.place(start.at) else { return };
            // A stop ends all turns, which makes room for no further job.
            if stop.is_cancelled() {
                return;
            }
            match self.take(&services.unable, &place).await {
                Ok(Some(taken)) => {
                    let stop = stop.child_token();
                    turns.begin(&place, taken.job.caller.clone(), taken.epoch, start.at, stop.clone());
                    let job_run = JobRun::new(services.clone(), taken, start, stop);
                    jobs.spawn(run(job_run, self.tally.clone()));
                }
                Ok(None) => return,
                // Logged once, when the store could not be opened.
                Err(StoreError::Unopened(_)) => return,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "no job can be claimed");
                    return;
                }
            }
        }
    }

    async fn take(&self, unable: &ExcludedVersions, place: &Vacancy) -> StoreResult<Option<TakenJob>> {
        let apps = self.provider.apps();
        if apps.is_empty() {
            return Ok(None);
        }
        let apps = if self.store.is_shared() {
            let unable = unable.versions();
            let versions = self.provider.versions();
            let versions = versions.into_iter().filter(|version| !unable.contains(version)).collect();
            JobFilter::Runnable(RunnableJobs { apps, versions, unable })
        } else {
            JobFilter::Only(apps)
        };
        let filter = match place {
            Vacancy::Free => apps,
            Vacancy::NotOf(caller) => JobFilter::NotOf { caller: caller.clone(), among: Box::new(apps) },
        };
        self.store.take(&self.settings.owner, &filter, self.settings.lease).await
    }
}

/// Runs a job, and logs how its run ended.
async fn run(job_run: JobRun, tally: Arc<Tally>) {
    let id = job_run.id();
    match job_run.run().await {
        Ok(state) => tracing::info!(job = %id, %state, "job ended"),
        Err(Exit::Stopped) => tracing::info!(job = %id, "job released"),
        Err(Exit::Fenced) => {
            tally.lose();
            tracing::warn!(job = %id, "job lost to another processor");
        }
        Err(Exit::Store(error)) => {
            tracing::error!(job = %id, error = chain(&error), "job abandoned");
        }
        Err(Exit::Lapsed) => {
            tally.lose();
            tracing::error!(job = %id, "job abandoned: its lease could not be renewed in time");
        }
    }
}

//! Workers of a root: processes of this machine, and those that a broker knows.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use frond_broker::Workers;
use frond_broker::cluster::accept_workers;
use frond_broker::nats::{Options, connect, read_credentials};
use frond_broker::session::Settings;
use frond_root::sync::lock;
use frond_root::{CancellationToken, Digest, DigestWriter};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::error::RunError;
use crate::machine::{LeafWorkers, Machine, WorkerKind};
use crate::processes::{ProcessSettings, Processes};

/// First delay after a broker could not be reached; each further one is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Longest delay between two tries to reach a broker.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// Time after its start, and after it reaches its broker, within which a root's workers join it.
const YOUTH: Duration = Duration::from_secs(2);
/// Time within which the others join after the first one.
const SETTLING: Duration = Duration::from_millis(300);

/// Time after which a server logs that no worker of its broker has joined.
const FIRST_WORKER: Duration = Duration::from_secs(5);

/// Workers that a root wants.
#[derive(Clone, Debug)]
pub struct CrewSettings {
    /// Number of worker processes on this machine.
    pub processes: usize,
    /// The broker that knows more workers.
    pub broker: Option<Options>,
    /// Number of further processes that stand ready to replace one that ends.
    pub spares: usize,
    /// The most leaves that also run in this process; 0 if none do.
    pub local_slots: usize,
}

impl CrewSettings {
    /// True if there may be any workers.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.processes > 0 || self.broker.is_some()
    }

    /// Checks that leaves can run somewhere.
    ///
    /// # Errors
    /// [`RunError::Nowhere`] without workers and without slots of this process.
    pub fn check(&self) -> Result<(), RunError> {
        if self.local_slots > 0 || self.is_any() {
            return Ok(());
        }
        Err(RunError::Nowhere(
            "leaves are to run on workers only, and there are no workers: no leaf could run\n\
             (--workers N or --nats URL adds workers, as do `processes` and `nats` of [workers])",
        ))
    }
}

/// Workers of a root. Dropping it ends the processes, and gives up the workers of the broker.
pub struct Crew {
    workers: Workers,
    settings: CrewSettings,
    /// Digest of what the root logs in to the broker with; `None` without a broker.
    login: Option<Digest>,
    /// Time of the start, or at which the broker was reached.
    since: Mutex<Instant>,
    /// Task that hears the workers of the broker, until it has said goodbye to them.
    hearing: Mutex<Option<JoinHandle<()>>>,
    _processes: Processes,
    runtime: Handle,
    ending: CancellationToken,
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

impl Crew {
    /// Starts the processes.
    ///
    /// # Errors
    /// A [`RunError::Machine`] if a thread that watches a process cannot be started. A
    /// [`RunError::Broker`] for a file of credentials that cannot be read.
    pub fn start(settings: CrewSettings, runtime: &Handle) -> Result<Self, RunError> {
        let _entered = runtime.enter();
        let login = settings.broker.as_ref().map(login).transpose()?;
        let local = u32::try_from(settings.local_slots).unwrap_or(u32::MAX);
        let session = if settings.broker.is_some() { Settings::default() } else { Settings::of_process() };
        let workers = Workers::new(local, session);
        let CrewSettings { processes: count, spares, .. } = settings;
        let processes = ProcessSettings { name: "process", count, spares, needs_wall: false };
        let processes = Processes::start(&processes, &workers)?;
        if let Some(broker) = &settings.broker {
            workers.remark_if_absent(&broker.pool, settings.local_slots > 0 || settings.processes > 0);
        }
        let ending = CancellationToken::new();
        let since = Mutex::new(Instant::now());
        let hearing = Mutex::new(None);
        let runtime = runtime.clone();
        Ok(Self { workers, settings, login, since, hearing, _processes: processes, runtime, ending })
    }

    /// Hears the workers of the broker, if there is one.
    ///
    /// # Errors
    /// A broker that cannot be reached, or cannot be used.
    pub async fn join(&self) -> Result<(), RunError> {
        let Some(broker) = &self.settings.broker else { return Ok(()) };
        let side = connect(broker).await?.root(&own_name()).await?;
        *lock(&self.since) = Instant::now();
        let hearing = accept_workers(side, self.workers.clone(), self.ending.clone());
        *lock(&self.hearing) = Some(self.runtime.spawn(hearing));
        Ok(())
    }

    /// Logs it if no worker of the broker has joined some seconds from now.
    fn watch_for_absence(&self) {
        let workers = self.workers.clone();
        let ending = self.ending.clone();
        let watching = async move {
            sleep(FIRST_WORKER).await;
            if let Some(absence) = workers.absence() {
                tracing::warn!("{absence}");
            }
        };
        self.runtime.spawn(async move { ending.run_until_cancelled(watching).await });
    }

    /// Hears the workers of the broker once it can be reached. Returns at once, also while it
    /// cannot be.
    ///
    /// # Errors
    /// A broker that cannot be used although it is reached: further tries would fail the same way.
    pub async fn join_when_reached(self: &Arc<Self>) -> Result<(), RunError> {
        match self.join().await {
            Ok(()) => {
                self.watch_for_absence();
                Ok(())
            }
            Err(RunError::Broker(error)) if error.is_passing() => {
                tracing::warn!("leaves do not run on workers until their broker can be reached: {error}");
                let crew = Arc::downgrade(self);
                let ending = self.ending.clone();
                self.runtime.spawn(async move { ending.run_until_cancelled(join_later(crew)).await });
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Key under which workers keep finished partials of a job, for whoever runs it next. Only
    /// roots that log in to the broker with the same secret know it. `None` without a broker:
    /// worker processes end with their root.
    #[must_use]
    pub fn memo_key(&self, job: &str) -> Option<Bytes> {
        let mut digest = DigestWriter::default();
        digest.add_whole(b"frond-job-memo");
        digest.add_whole(&self.login?.0);
        digest.add_whole(job.as_bytes());
        Some(Bytes::copy_from_slice(&digest.finish().0))
    }

    /// Waits until the workers of the broker have joined a root that has just started, or has just
    /// reached its broker: for a first one, then a little for the others. Returns at once in all
    /// other cases, as workers that are there have joined by then.
    pub async fn settle(&self) {
        let until = *lock(&self.since) + YOUTH;
        let left = || until.saturating_duration_since(Instant::now());
        self.workers.joined(1, left()).await;
        self.workers.joined(usize::MAX, left().min(SETTLING)).await;
    }

    /// Tells the workers of the broker that the root leaves, and waits until they know, for a
    /// second at most. None of them joins from now on.
    pub async fn leave(&self) {
        self.ending.cancel();
        let hearing = lock(&self.hearing).take();
        if let Some(hearing) = hearing {
            // It ends in any case.
            let _ = hearing.await;
        }
    }

    /// The reason why no worker runs leaves, if none does.
    #[must_use]
    pub fn absence(&self) -> Option<String> {
        if self.workers.slots() > 0 {
            return None;
        }
        Some(self.workers.absence().unwrap_or_else(|| "no worker process of this machine is ready".to_owned()))
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Has the leaves of a machine run on these workers.
    #[must_use]
    pub fn on(&self, machine: Machine) -> Machine {
        machine.with_workers(LeafWorkers {
            workers: self.workers.clone(),
            local_slots: self.settings.local_slots,
            kind: if self.settings.broker.is_some() { WorkerKind::Hosts } else { WorkerKind::Processes },
        })
    }

    /// Waits until all processes have joined, and one worker of the broker, for `time` at most.
    pub async fn joined(&self, time: Duration) {
        let wanted = self.settings.processes + usize::from(self.settings.broker.is_some());
        self.workers.joined(wanted, time).await;
    }
}

/// Digest of what a root logs in to a broker with.
fn login(broker: &Options) -> Result<Digest, RunError> {
    let mut digest = DigestWriter::default();
    digest.add_whole(broker.user.as_deref().unwrap_or_default().as_bytes());
    digest.add_whole(broker.password.as_deref().unwrap_or_default().as_bytes());
    digest.add_whole(read_credentials(broker)?.unwrap_or_default().as_bytes());
    Ok(digest.finish())
}

/// Tries to reach the broker until that works, or will never work.
async fn join_later(crew: Weak<Crew>) {
    let mut delay = FIRST_DELAY;
    loop {
        sleep(delay).await;
        delay = (delay * 2).min(MAX_DELAY);
        let Some(crew) = crew.upgrade() else { return };
        match crew.join().await {
            Ok(()) => {
                tracing::info!("the broker of the workers is reached");
                return crew.watch_for_absence();
            }
            Err(RunError::Broker(error)) if error.is_passing() => {}
            Err(error) => return tracing::error!("leaves do not run on workers: {error}"),
        }
    }
}

/// Name of this host and process, for others.
#[must_use]
pub fn own_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}-{}", std::process::id())
}

/// Password of the broker's user, from the environment.
#[must_use]
pub fn password() -> Option<String> {
    std::env::var("FROND_NATS_PASSWORD").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(broker: Option<Options>) -> Result<Crew, RunError> {
        let settings = CrewSettings { processes: 0, spares: 0, broker, local_slots: 1 };
        Crew::start(settings, &Handle::current())
    }

    fn crew(broker: Option<Options>) -> Crew {
        start(broker).expect("it starts")
    }

    fn broker(password: &str) -> Options {
        Options { user: Some("root".to_owned()), password: Some(password.to_owned()), ..Options::default() }
    }

    /// Time that a crew takes to settle.
    async fn settling(crew: &Crew) -> Duration {
        let start = Instant::now();
        crew.settle().await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_young_root_waits_for_its_workers() {
        let crew = crew(Some(broker("secret")));
        sleep(YOUTH / 2).await;
        assert_eq!(settling(&crew).await, YOUTH / 2, "the rest of its youth");
        assert_eq!(settling(&crew).await, Duration::ZERO);
    }

    #[tokio::test]
    async fn a_key_belongs_to_a_job_and_to_a_secret() {
        let key = |password: &str, job: &str| crew(Some(broker(password))).memo_key(job);
        assert_eq!(key("secret", "job"), key("secret", "job"));
        for (password, job) in [("secret", "other"), ("another", "job")] {
            assert_ne!(key("secret", "job"), key(password, job), "{password} {job}");
        }
        assert_eq!(crew(None).memo_key("job"), None, "processes end with their root");
    }

    #[tokio::test]
    async fn credentials_are_read_once_at_the_start() {
        let path = std::env::temp_dir().join(format!("frond-credentials-{}", std::process::id()));
        let options = || Options { credentials: Some(path.clone()), ..Options::default() };
        let start = || start(Some(options()));
        let missing = start().err().map(|error| error.to_string());
        assert!(missing.is_some_and(|why| why.contains("cannot use the NATS credentials")));
        std::fs::write(&path, "secret").expect("a file");
        let started = start();
        std::fs::remove_file(&path).expect("the file");
        assert!(started.expect("it starts").memo_key("job").is_some(), "also once the file is gone");
    }
}

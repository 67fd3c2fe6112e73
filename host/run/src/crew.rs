//! Workers of a root: processes of this machine, and those that a broker knows.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use frond_broker::Workers;
use frond_broker::cluster::accept_workers;
use frond_broker::nats::{Options, connect};
use frond_broker::session::Settings;
use frond_root::{CancellationToken, DigestWriter};
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::error::RunError;
use crate::machine::Machine;
use crate::processes::{ProcessSettings, Processes};

/// Largest file of credentials, in bytes.
const MAX_CREDENTIALS: u64 = 64 << 10;
/// First delay after a broker could not be reached; each further one is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Longest delay between two tries to reach a broker.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Time after which a server logs that no worker of its broker has joined.
const FIRST_WORKER: Duration = Duration::from_secs(5);

/// Workers that a root wants.
#[derive(Clone, Debug)]
pub struct CrewSettings {
    /// Number of worker processes on this machine.
    pub processes: usize,
    /// The broker that knows more workers.
    pub broker: Option<Options>,
    /// True if leaves also run in this process.
    pub is_local: bool,
}

impl CrewSettings {
    /// True if there may be any workers.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.processes > 0 || self.broker.is_some()
    }
}

/// Workers of a root. Dropping it ends the processes, and gives up the workers of the broker.
pub struct Crew {
    workers: Workers,
    settings: CrewSettings,
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
    /// Starts the processes. `slots` is the number of leaves that run in this process.
    ///
    /// # Errors
    /// A [`RunError::Machine`] if a thread that watches a process cannot be started.
    pub fn start(settings: CrewSettings, slots: usize, runtime: &Handle) -> Result<Self, RunError> {
        let _entered = runtime.enter();
        let local = if settings.is_local { u32::try_from(slots).unwrap_or(u32::MAX) } else { 0 };
        let session = if settings.broker.is_some() { Settings::default() } else { Settings::of_process() };
        let workers = Workers::new(local, session);
        let processes = ProcessSettings { count: settings.processes, needs_wall: false };
        let processes = Processes::start(&processes, &workers)?;
        if let Some(broker) = &settings.broker {
            workers.remark_if_absent(absence(&broker.pool, settings.is_local || settings.processes > 0));
        }
        let ending = CancellationToken::new();
        Ok(Self { workers, settings, _processes: processes, runtime: runtime.clone(), ending })
    }

    /// Hears the workers of the broker, if there is one.
    ///
    /// # Errors
    /// A broker that cannot be reached, or cannot be used.
    pub async fn join(&self) -> Result<(), RunError> {
        let Some(broker) = &self.settings.broker else { return Ok(()) };
        let side = connect(broker).await?.root(&own_name()).await?;
        let ending = self.ending.clone();
        let hearing = accept_workers(side, self.workers.clone());
        self.runtime.spawn(async move { ending.run_until_cancelled(hearing).await });
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
        let broker = self.settings.broker.as_ref()?;
        let mut digest = DigestWriter::default();
        digest.add_whole(b"frond-job-memo");
        digest.add_whole(job.as_bytes());
        digest.add_whole(broker.user.as_deref().unwrap_or_default().as_bytes());
        digest.add_whole(broker.password.as_deref().unwrap_or_default().as_bytes());
        let credentials = broker.credentials.as_deref().map(|path| frond_files::read_text(path, MAX_CREDENTIALS));
        digest.add_whole(credentials.transpose().ok()?.unwrap_or_default().as_bytes());
        Some(Bytes::copy_from_slice(&digest.finish().0))
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Has the leaves of a machine run on these workers.
    #[must_use]
    pub fn on(&self, machine: Machine) -> Machine {
        machine.with_workers(self.workers.clone(), self.settings.is_local, self.settings.broker.is_none())
    }

    /// Waits until all processes have joined, and one worker of the broker, for `time` at most.
    pub async fn joined(&self, time: Duration) {
        let wanted = self.settings.processes + usize::from(self.settings.broker.is_some());
        self.workers.joined(wanted, time).await;
    }
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

/// Remark that no worker of a pool is there. A root cannot see those of other pools.
fn absence(pool: &str, has_others: bool) -> String {
    let result = if has_others { "other slots run its leaves" } else { "leaves wait for one" };
    format!(
        "no worker of the pool `{pool}` has joined: {result} (`frond worker --nats URL --pool {pool}` starts one; for \
         one that runs, compare its --pool and --nats with those here)"
    )
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
